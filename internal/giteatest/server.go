package giteatest

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
)

// The defaults of Options.
const (
	DefaultVersion = "1.26.0+dev"
	// DefaultMaxPage is Gitea's [api] MAX_RESPONSE_ITEMS.
	DefaultMaxPage = 50
	// DefaultRepo is the repository of a job that names none.
	DefaultRepo = "demo/app"
	// AdminLogin is the user that Options.APIToken belongs to.
	AdminLogin = "root"
)

// defaultPage is Gitea's [api] DEFAULT_PAGING_NUM: the page size of a request
// that names none.
const defaultPage = 30

// Options say how a Server behaves. The zero value is a Gitea of DefaultVersion
// that nobody can register at and nobody can query.
type Options struct {
	// RegistrationToken is the instance's registration token; AddToken adds
	// those of other scopes. Empty: none until one is minted.
	RegistrationToken string
	// APIToken is the token of a site admin with all scopes; AddAPIToken adds
	// weaker ones. Empty: none.
	APIToken string
	Profile  Profile          // the release; default: that of DefaultVersion
	Version  string           // default: the profile's
	URL      string           // base URL in answers; default: that of the request
	Now      func() time.Time // default time.Now
	Logger   *slog.Logger     // default: none
	MaxPage  int              // default DefaultMaxPage

	// What the profile's release is to lack besides. The server answers as one
	// without the function does.
	DisablePatch     bool // PATCH of a runner is 405
	DisableDelete    bool // DELETE of a runner is 405
	DisableRunners   bool // the runners' routes are 404
	DisableJobs      bool // the jobs' routes are 404
	DisableEphemeral bool // Register ignores "ephemeral"
	DisableMint      bool // GET, not POST, for a registration token

	// Deregister serves runner.v1.RunnerService/Deregister, a proposal that
	// no release of Gitea has.
	Deregister bool
	// ShuffleJobs gives every listing of jobs an order of its own, so that
	// pages overlap and leave jobs out. Without it the order is useless but
	// the same for as long as the same jobs are listed, as it is in Gitea.
	ShuffleJobs bool
	// HookDelay is how long after an event its webhooks are delivered. Gitea
	// takes 0.26 s to 2.14 s.
	HookDelay time.Duration
	// HookClient delivers webhooks. Default: http.DefaultClient.
	HookClient *http.Client
}

// Server is an in-memory Gitea. It is an http.Handler, safe for concurrent
// use. Make one with New, and Close it if it has webhooks.
type Server struct {
	opts Options
	log  *slog.Logger

	hookCtx    context.Context // ends at Close
	closeHooks context.CancelFunc
	deliveries sync.WaitGroup

	mu       sync.Mutex // guards all below
	profile  Profile
	mux      *http.ServeMux // of the profile
	db       database
	counts   Counts
	faults   []*activeFault
	hooks    hookTable
	collide  int    // picks still to be lost, see SetPickCollisions
	listings uint64 // jobs listings so far: the seed of ShuffleJobs
	swept    time.Time
	changed  chan struct{}
}

// New makes a server. It opens nothing and starts nothing.
func New(opts Options) *Server {
	if opts.MaxPage <= 0 {
		opts.MaxPage = DefaultMaxPage
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.HookClient == nil {
		opts.HookClient = http.DefaultClient
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		opts:    opts,
		log:     opts.Logger,
		profile: opts.profile(),
		db:      newDatabase(),
		counts:  Counts{Calls: map[string]int{}},
		swept:   opts.Now(),
		changed: make(chan struct{}),
	}
	s.hookCtx, s.closeHooks = context.WithCancel(context.Background())
	s.db.addOwner(AdminLogin, false)
	s.db.addRepo(DefaultRepo)
	if opts.APIToken != "" {
		s.db.apiTokens[opts.APIToken] = APIUser{Login: AdminLogin, Admin: true}
	}
	if opts.RegistrationToken != "" {
		s.db.addToken(plan.Scope{Kind: plan.ScopeInstance}, opts.RegistrationToken)
	}
	s.mux = s.routes()
	return s
}

// Close drops the webhooks that are still to be delivered and waits for those
// under way. The server itself needs no closing.
func (s *Server) Close() {
	s.mu.Lock() // so that no delivery starts once the wait has begun
	s.closeHooks()
	s.mu.Unlock()
	s.deliveries.Wait()
}

// Changed returns a channel that is closed at the next change of a job or a
// runner. Take it before looking at the State, so that no change is missed.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// touch wakes those who wait for Changed. The caller holds s.mu.
func (s *Server) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// lock takes s.mu and applies what time has brought since the last access.
func (s *Server) lock() {
	s.mu.Lock()
	s.sweepDue()
}
