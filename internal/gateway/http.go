package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

// limits bound what a client can hold up. What passes through has none on its
// time: an artifact takes as long as it takes.
type limits struct {
	header   time.Duration // to send the head of a request
	idle     time.Duration // between two requests
	body     time.Duration // to send the whole of a call that is read here
	fetch    time.Duration // for a FetchTask from its start to its end
	shutdown time.Duration // for what is under way at the end
}

// The head of a request may have maxHeader bytes.
const maxHeader = 64 << 10

func defaultLimits() limits {
	return limits{
		header: 10 * time.Second, idle: 2 * time.Minute, body: 30 * time.Second,
		fetch: 2 * time.Minute, shutdown: 10 * time.Second,
	}
}

// front is what answers the requests of runners and of their jobs.
type front struct {
	gateway *Gateway
	cfg     Config
	log     *slog.Logger
	limits  limits
	proxy   *httputil.ReverseProxy
	down    atomic.Bool // Gitea did not answer the last request
	errors  *connect.ErrorWriter
	// The calls that are decoded here. What Declare and FetchTask answer by
	// themselves is only what the server is not asked for.
	register, deregister, declare, fetch http.Handler
	prefix                               string       // path of PublicURL, without a slash at its end
	below                                http.Handler // route, without the prefix
}

// Handler returns what answers runners: their calls, all below the path of
// PublicURL, and /healthz, which says that the gateway itself is up.
func (g *Gateway) Handler() http.Handler { return newFront(g, defaultLimits()) }

func newFront(g *Gateway, l limits) *front {
	f := &front{gateway: g, cfg: g.cfg, log: g.log, limits: l, errors: connect.NewErrorWriter()}
	f.proxy = f.newProxy()
	f.newCalls()
	if public, err := url.Parse(g.cfg.PublicURL); err == nil {
		f.prefix = strings.TrimRight(public.Path, "/")
	}
	f.below = http.StripPrefix(f.prefix, http.HandlerFunc(f.route))
	return f
}

// Serve answers requests until ctx ends, then closes the listener and gives
// those under way ten seconds. It returns nil after ctx has ended, and the
// error of the listener before.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	return newFront(g, defaultLimits()).serve(ctx, l)
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" || r.URL.Path == f.prefix+"/healthz" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
		return
	}
	from, err := originOf(r, f.cfg.TrustedProxies)
	switch {
	case err != nil:
		f.fail(w, r, http.StatusBadRequest, connect.CodeInvalidArgument, err.Error())
	case from.readable() && !f.cfg.AllowPlainHTTP:
		f.fail(w, r, http.StatusForbidden, connect.CodePermissionDenied,
			"this gateway takes no tokens over plain HTTP from a public address: use https")
	case !strings.HasPrefix(r.URL.Path, f.prefix+"/"):
		f.fail(w, r, http.StatusNotFound, connect.CodeUnimplemented,
			"there is nothing here: the instance address of runners is "+f.cfg.PublicURL)
	default:
		f.below.ServeHTTP(w, r.WithContext(withOrigin(r.Context(), from)))
	}
}

// route serves a request by its path, which no longer has that of PublicURL.
func (f *front) route(w http.ResponseWriter, r *http.Request) {
	switch to := targetOf(r.URL.EscapedPath()); {
	case to == toRegister:
		f.serveRegister(w, r)
	case to == toDeregister:
		f.serveDeregister(w, r)
	case to == toDeclare:
		f.serveDeclare(w, r)
	case to == toFetch:
		f.serveFetch(w, r)
	case to == toServer, to == toOther && f.cfg.PassAll:
		f.proxy.ServeHTTP(w, r)
	default:
		f.fail(w, r, http.StatusNotFound, connect.CodeUnimplemented,
			"this gateway passes on only what runners and their jobs need, and this is not part of it")
	}
}

// target says where a request goes.
type target int

const (
	toNowhere target = iota // what passes by no setting
	toOther                 // what runners do not need
	toServer                // what they do need
	toRegister
	toDeregister
	toDeclare
	toFetch
)

const service = "/api/actions/runner.v1.RunnerService/"

// calls are those that do not just pass through.
var calls = map[string]target{
	service + "Register":   toRegister,
	service + "Deregister": toDeregister,
	service + "Declare":    toDeclare,
	service + "FetchTask":  toFetch,
}

// needed are the paths, beside the calls and Git, that a runner makes out of
// its instance address: ACTIONS_RUNTIME_URL and ACTIONS_RESULTS_URL for
// artifacts, and GITHUB_API_URL (runner 1.0.8, internal/app/run/runner.go and
// act/runner/run_context.go).
var needed = []string{
	"/api/actions_pipeline/",
	"/twirp/github.actions.results.api.v1.ArtifactService/",
	"/api/v1/",
}

var (
	// callForm is the path of a call, of whatever service.
	callForm = regexp.MustCompile(`^/api/actions/[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*/[A-Za-z0-9_]+$`)
	// gitForm is a path of Git over HTTP, by which actions/checkout and the
	// runner itself fetch from GITHUB_SERVER_URL, the instance address.
	gitForm = regexp.MustCompile(`^/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+/(info/refs|git-upload-pack|git-receive-pack|info/lfs/[A-Za-z0-9_./-]+)$`)
)

// targetOf says where a request with this path goes. Servers and proxies
// differ in what they take for the same path, so whatever one of them may read
// as a call has to be written exactly as the call is: there is no other way
// for Register to get past the check.
func targetOf(escaped string) target {
	if to, ok := calls[escaped]; ok {
		return to
	}
	decoded, ok := decodePath(escaped)
	if !ok {
		return toNowhere
	}
	plain := path.Clean("/" + decoded)
	runners := strings.Contains(decoded, "runner.v1.runnerservice")
	if runners || strings.HasPrefix(decoded, "/api/actions/") || strings.HasPrefix(plain+"/", "/api/actions/") {
		return callTarget(escaped, runners)
	}
	for _, p := range needed {
		if strings.HasPrefix(escaped, p) && strings.HasPrefix(plain, strings.ToLower(p)) {
			return toServer
		}
	}
	if gitForm.MatchString(escaped) && strings.EqualFold(plain, escaped) {
		return toServer
	}
	return toOther
}

// callTarget is targetOf for what may be read as a call that is not among
// calls; runners says that it may be read as one of the runners' service.
func callTarget(escaped string, runners bool) target {
	if !callForm.MatchString(escaped) || runners && !strings.HasPrefix(escaped, service) {
		return toNowhere
	}
	for call := range calls {
		if strings.EqualFold(call, escaped) {
			return toNowhere
		}
	}
	return toServer
}

// maxEscapes is how often a path may be escaped over and over.
const maxEscapes = 3

// decodePath returns a path in lower case, with slashes for backslashes and
// with nothing in it that is still escaped. ok is false if it is escaped too
// often to be meant.
func decodePath(escaped string) (decoded string, ok bool) {
	for range maxEscapes + 1 {
		decoded = unescape(escaped)
		if decoded == escaped {
			return strings.ToLower(strings.ReplaceAll(decoded, `\`, "/")), true
		}
		escaped = decoded
	}
	return "", false
}

// unescape decodes each %XX and leaves alone what is not of that form.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
