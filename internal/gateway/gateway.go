package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// Config is what the gateway is told to do.
type Config struct {
	PublicURL string   // base URL that runners use, without a slash at its end
	Upstream  *url.URL // Gitea as the daemon reaches it
	// Transport leads to Upstream; nil is one of our own.
	Transport http.RoundTripper
	// AllowGiteaTokens lets a Register with a token that is none of ours pass
	// through.
	AllowGiteaTokens bool
	// AllowPlainHTTP serves plain HTTP also to addresses that are neither
	// loopback nor private.
	AllowPlainHTTP bool
	// PassAll passes every path through, not only those that runners need.
	PassAll bool
	// TrustedProxies are those whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	PerToken       int // registrations a minute by one token; 0 is any number
	Version        string
}

// enroller registers runners at the server.
type enroller interface {
	// Scopes lists those that a usable registration token of Gitea is
	// configured for. It asks nobody.
	Scopes() []plan.Scope
	// Register registers a runner with the scope's own registration token in
	// place of the request's, and makes at most one. An error that wraps
	// plan.ErrTokenRejected, plan.ErrUnsupported or plan.ErrDenied, or is a
	// net.OpError of "dial", means that none was made; after any other there
	// may be one.
	Register(ctx context.Context, scope plan.Scope, req *runnerv1.RegisterRequest) (*runnerv1.RegisterResponse, error)
}

// forge is the server's list of runners and jobs. Its errors are those of
// package gitea.
type forge interface {
	Runners(ctx context.Context, scope plan.Scope) (plan.RunnerList, error)
	Runner(ctx context.Context, scope plan.Scope, id int64) (plan.ServerRunner, error)
	RunningJobs(ctx context.Context, scope plan.Scope) (plan.JobList, error)
	SetRunnerDisabled(ctx context.Context, scope plan.Scope, id int64, disabled bool) error
	DeleteRunner(ctx context.Context, scope plan.Scope, id int64) error
}

// verifier asks the server about a runner in the runner's own name.
type verifier interface {
	// Verify returns the server's id of the runner that id.UUID and id.Token
	// prove. It is not always id.ID: that one is what the caller claims, and
	// nothing but the server's answer ties it to the UUID. The answer to
	// Declare has it; id.Labels are those that the server lists for id.ID now,
	// so that declaring them changes nothing. Errors: plan.ErrNotFound if the
	// server knows no such runner, plan.ErrUnsupported if it cannot tell.
	Verify(ctx context.Context, id plan.Identity) (runnerID int64, err error)
}

// store keeps the tokens, the runners that came by them, and the audit log.
type store interface {
	Tokens() ([]state.TokenRecord, error)
	Enrolments() ([]state.EnrolmentRecord, error)
	// Commit writes all changes or, with an error, none.
	Commit(state.TokenChanges) error
	Audit(after uint64, limit int) ([]plan.AuditEntry, error)
}

// fleet is the daemon's own pools.
type fleet interface {
	// Enrolled tells that a runner of a pool has registered, and stores its
	// identity durably. With an error the registration fails.
	Enrolled(ctx context.Context, runner string, id plan.Identity) error
	// Owns returns nil if the address is one of the runner's container, and
	// an error that wraps plan.ErrDenied if it is not; any other means that
	// this is not known.
	Owns(ctx context.Context, runner string, addr netip.Addr) error
}

// Ports are the ways out of the gateway. Fleet is nil without pools that
// register through it.
type Ports struct {
	Enroller enroller
	Forge    forge
	Verifier verifier
	Store    store
	Fleet    fleet
}

// Gateway gives out registration tokens and registers runners that have one.
// Its methods may be called concurrently. Load comes before all others.
//
// What serves the runners' calls needs four of them, whose errors are all of
// type *refusal, but for one of admit: admit for Register, Deregister,
// mayDeclare for Declare, and beginFetch for FetchTask.
type Gateway struct {
	cfg   Config
	ports Ports
	log   *slog.Logger

	registry *registry
	guard    *guard
	gates    *gates
	lookups  chan struct{} // a place for each search for an unknown runner
	wake     chan struct{} // has the janitor begin at once

	mu     sync.Mutex // guards strays
	strays []stray
}

// New returns a Gateway. It does no I/O.
func New(cfg Config, ports Ports, log *slog.Logger) *Gateway {
	return &Gateway{
		cfg: cfg, ports: ports, log: log,
		registry: newRegistry(ports.Store), guard: newGuard(cfg.PerToken), gates: newGates(),
		lookups: make(chan struct{}, 4), wake: make(chan struct{}, 1),
	}
}

// PublicURL is the base URL that runners use.
func (g *Gateway) PublicURL() string { return g.cfg.PublicURL }
