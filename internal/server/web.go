package server

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"scaler.io/scaler/internal/plan"
)

// WebConfig is what the pages for people are told to do.
type WebConfig struct {
	// Passwords is the path of a file with lines NAME:HASH as htpasswd -B
	// writes them. It is read at each use. Empty: nobody logs in by password.
	Passwords string
	// UserHeader is the header in which a reverse proxy names the user that it
	// has authenticated. Empty: none does.
	UserHeader string
	// TrustedProxies are those whose UserHeader and X-Forwarded-For count.
	TrustedProxies []netip.Prefix
	// GatewayURL is the gateway's public URL, without a slash at its end.
	// Empty: there is no gateway, and there are no token pages.
	GatewayURL string
	// Scopes lists those that tokens can be made for; nil without a gateway.
	Scopes func() []plan.Scope
	// RunnerImage is the image in the commands that are shown with a token. It
	// is one without an engine of its own.
	RunnerImage string
	// Calls are the requests to Gitea, for the metrics; nil for none.
	Calls *Calls
	// Meter has counted what the daemon does, for the metrics; nil for none.
	Meter *Meter
	// Notifications counts those that were sent; nil for none.
	Notifications *Deliveries
	// Explain says what the last cycle decided about a job; nil for none.
	Explain func(plan.Query) (plan.Explanation, error)
	// Secure has cookies sent over TLS only.
	Secure bool
	// ReadersLogIn has those who only look log in, too.
	ReadersLogIn bool
	// Actions does what people ask for, and Log returns the last lines of a
	// runner's container; nil if nothing can be asked for.
	Actions webActions
	Log     func(ctx context.Context, runner string, lines int) ([]string, error)
	// Reload reads the configuration again and takes it over, or nothing of it;
	// nil if it stays as it is.
	Reload func(ctx context.Context) (Reloaded, error)
	// Audit keeps what people did that keeps no entry by itself; nil if there is
	// no log for it.
	Audit func(plan.AuditEntry) error
	// Trends draws the last hours, Journal has the last events, and Settings
	// returns the configuration that holds; nil for none.
	Trends   webTrends
	Journal  webJournal
	Settings func() []Setting
}

// Setting is one key of the configuration that holds. It holds no secret.
type Setting struct {
	Section string // "gitea", "pools[linux]", …; empty for what is at the top
	Path    string // of the key in its section
	Value   string
	// Default is set if nothing else was set, Restart if a change takes effect
	// after a restart only.
	Default bool
	Restart bool
}

// webTrends draws charts of the last hours. It may be called concurrently.
type webTrends interface {
	// Draw returns a chart as SVG. The error wraps plan.ErrNotFound if there is
	// none of that name.
	Draw(chart string, dark bool) ([]byte, error)
	// Describe says what a chart shows in a sentence.
	Describe(chart string) string
	// Version changes when the charts do.
	Version() uint64
}

// webJournal has the last events. It may be called concurrently.
type webJournal interface {
	// Since returns up to limit events after the one numbered seq, the oldest
	// first, and how many after seq are not kept any more.
	Since(seq uint64, limit int) (events []plan.Event, missed uint64)
	Last() uint64
}

// webTokens keeps the registration tokens that the gateway gives out. Its
// methods may be called concurrently; actor says for the audit log who asks.
// Their errors wrap plan.ErrInvalid, plan.ErrNotFound or plan.ErrConflict where
// the request is at fault.
type webTokens interface {
	Create(ctx context.Context, actor string, spec plan.TokenSpec) (plan.NewToken, error)
	// Tokens returns all tokens, by name.
	Tokens() []plan.Token
	// Token returns a token and the runners that came by it, also those that
	// are gone.
	Token(name string) (plan.Token, []plan.Enrolment, error)
	Change(ctx context.Context, actor, name string, change plan.TokenChange) (plan.Token, error)
	// Reset gives a token a new secret.
	Reset(ctx context.Context, actor, name string) (plan.NewToken, error)
}

// webStatus tells the state after the last cycle. It may be called
// concurrently.
type webStatus interface {
	Status() plan.Status
}

// Bounds of a request to the pages. A change may take as long as the gateway's
// own storage.
const (
	webHeaderTimeout   = 5 * time.Second
	webReadTimeout     = 15 * time.Second
	webChangeTimeout   = 20 * time.Second
	webWriteTimeout    = webChangeTimeout + 20*time.Second
	webIdleTimeout     = time.Minute
	webShutdownTimeout = 5 * time.Second
)

// Web serves people and Prometheus: the pages, and the metrics.
//
// The invariant that it protects: without a login nothing is changed, and
// tokens and logs are not shown; and the secret of a token is in one answer, the
// one to who made it.
type Web struct {
	cfg      WebConfig
	status   webStatus
	tokens   webTokens
	log      *slog.Logger
	accounts accounts
	sessions *sessions
	guard    *loginGuard
	hashing  chan struct{} // a place for each password that is being checked
	sent     *sentForms
	live     *liveHub
	pages    map[string]*template.Template
	assets   map[string]asset
	metrics  http.Handler
}

// NewWeb returns a Web. It does no I/O. The tokens are not used without a
// GatewayURL.
func NewWeb(cfg WebConfig, status webStatus, tokens webTokens, log *slog.Logger) *Web {
	web := &Web{
		cfg: cfg, status: status, tokens: tokens, log: log,
		accounts: accounts{path: cfg.Passwords}, sessions: newSessions(), guard: newLoginGuard(),
		hashing: make(chan struct{}, parallelHashing), sent: newSentForms(),
		pages: parsePages(), assets: loadAssets(),
	}
	web.live = newLiveHub(web.version)
	if !web.hasGateway() {
		tokens = nil
	}
	web.metrics = metricsHandler(status, tokens, cfg.Calls, cfg.Meter, cfg.Notifications, log)
	return web
}

func (web *Web) hasGateway() bool { return web.cfg.GatewayURL != "" }

// Serve answers requests until ctx ends, then closes the listener and gives the
// requests under way five seconds. It returns nil after ctx has ended, and the
// error of the listener before.
func (web *Web) Serve(ctx context.Context, l net.Listener) error {
	hs := &http.Server{
		Handler:           web.Handler(),
		ReadHeaderTimeout: webHeaderTimeout,
		ReadTimeout:       webReadTimeout,
		WriteTimeout:      webWriteTimeout,
		IdleTimeout:       webIdleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(web.log.Handler(), slog.LevelDebug),
	}
	hs.RegisterOnShutdown(web.live.close)
	served := make(chan error, 1)
	go func() { served <- hs.Serve(l) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve pages: %w", err), hs.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), webShutdownTimeout)
	defer cancel()
	if err := hs.Shutdown(grace); err != nil {
		web.log.Debug("page requests cut off", "err", err)
		hs.Close() // its error would be that of a connection being cut
	}
	<-served // http.ErrServerClosed
	return nil
}
