package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

// answerTimeout is how long Gitea may take to begin its answer, once it has
// the whole request.
const answerTimeout = 60 * time.Second

// maxIdleConns is how many connections to Gitea are kept for the next request.
const maxIdleConns = 64

// claims are headers by which a proxy tells whom it speaks for. What a client
// says in them is not passed on. Gitea would make the addresses of artifacts
// out of the forwarded scheme and the name that it is asked by, which is its
// own and not the gateway's (1.26-dev, modules/httplib/url.go), so that there
// is no new value for them either: without one it uses its own ROOT_URL, as
// for a runner that is not behind a gateway.
var claims = []string{
	"X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Protocol", "X-Forwarded-Scheme", "X-Forwarded-Server",
	"X-Forwarded-Ssl", "X-Original-Forwarded-For", "X-Original-Url", "X-Rewrite-Url", "X-Url-Scheme", "Front-End-Https",
	"X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip",
}

// userClaims begins the headers by which a proxy tells Gitea who has logged in
// (its setting REVERSE_PROXY_AUTHENTICATION_USER).
const userClaims = "X-Webauth-"

// newProxy returns what passes requests on to Gitea. It holds a fixed amount
// of a body in memory, whatever its size.
func (f *front) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        f.rewrite,
		Transport:      newTransport(f.cfg.Transport),
		FlushInterval:  -1, // at once
		BufferPool:     &buffers{},
		ModifyResponse: func(*http.Response) error { f.answered(); return nil },
		ErrorHandler:   f.unanswered,
		ErrorLog:       slog.NewLogLogger(f.log.Handler(), slog.LevelDebug), // bodies that break off
	}
}

// newTransport returns the way to Gitea: bodies stay as they are, and an
// answer has to begin in time.
func newTransport(configured http.RoundTripper) http.RoundTripper {
	if configured == nil {
		configured = http.DefaultTransport
	}
	t, ok := configured.(*http.Transport)
	if !ok {
		return configured
	}
	t = t.Clone()
	t.DisableCompression = true
	t.MaxIdleConns, t.MaxIdleConnsPerHost = maxIdleConns, maxIdleConns
	if t.ResponseHeaderTimeout == 0 {
		t.ResponseHeaderTimeout = answerTimeout
	}
	return t
}

// rewrite makes the request to Gitea out of a runner's. The hop-by-hop headers
// are gone already, but for that of an upgrade: nothing that runners need uses
// one, and what is said on an upgraded connection passes unseen.
func (f *front) rewrite(p *httputil.ProxyRequest) {
	p.SetURL(f.cfg.Upstream)
	h := p.Out.Header
	h.Del("Connection")
	h.Del("Upgrade")
	for _, name := range claims {
		h.Del(name)
	}
	for name := range h {
		if strings.HasPrefix(name, userClaims) {
			delete(h, name)
		}
	}
	h.Set("X-Forwarded-For", sourceOf(p.In.Context()).String())
	if p.Out.Body != nil {
		p.Out.Body = &sentBody{ReadCloser: p.Out.Body}
	}
}

// sentBody is a body that a client sends; it notes whether it broke off.
type sentBody struct {
	io.ReadCloser
	broken atomic.Bool
}

// Read implements io.Reader.
func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.broken.Store(true)
	}
	return n, err
}

// answered notes that Gitea answers.
func (f *front) answered() {
	if f.down.Load() && f.down.Swap(false) {
		f.log.Info("server answers the gateway again")
	}
}

// unanswered answers a request that Gitea did not. It is logged when that
// begins, unless it is the client that went away or sent a broken body.
func (f *front) unanswered(w http.ResponseWriter, out *http.Request, err error) {
	body, _ := out.Body.(*sentBody)
	if body != nil && body.broken.Load() {
		f.fail(w, out, http.StatusBadRequest, connect.CodeInvalidArgument, "the request broke off")
		return
	}
	if !errors.Is(out.Context().Err(), context.Canceled) && !f.down.Swap(true) {
		f.log.Warn("server does not answer the gateway", "err", err)
	}
	f.fail(w, out, http.StatusBadGateway, connect.CodeUnavailable,
		"the gateway gets no answer from Gitea at the moment; this is not the runner's fault")
}

// fail answers an error in the form that the client understands: that of its
// protocol for a call, and else plain text.
func (f *front) fail(w http.ResponseWriter, r *http.Request, status int, code connect.Code, text string) {
	kind := r.Header.Get("Content-Type")
	switch {
	case r.Method != http.MethodPost || !strings.Contains(r.URL.Path, "/api/actions/") || !f.errors.IsSupported(r):
		http.Error(w, text, status)
	case strings.HasPrefix(kind, "application/grpc"), strings.HasPrefix(kind, "application/connect+"):
		_ = f.errors.Write(w, r, connect.NewError(code, errors.New(text))) // fails only if the client has gone
	default:
		// ErrorWriter has a status of its own for each code.
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"code": code.String(), "message": text})
	}
}

// bufferSize is how much of a body is in memory at a time, in bytes.
const bufferSize = 32 << 10

// buffers keeps buffers for the next body.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, bufferSize)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }
