package e2e

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// slowest is the most that a proxy takes for a request that it delays.
const slowest = 1500 * time.Millisecond

// proxy stands between the daemon and the server, but not between the runners
// and the server. It delays what the daemon's decisions rest upon, so that much
// can happen between a look and what follows from it.
type proxy struct {
	URL string

	mu  sync.Mutex
	rnd *rand.Rand
}

// proxy serves until the test ends. Without patch no runner can be disabled
// through it, as with Gitea before 1.26.
func (r *rig) proxy(t *testing.T, rnd *rand.Rand, patch bool) *proxy {
	t.Helper()
	target, err := url.Parse(r.gitea.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{rnd: rnd}
	forward := &httputil.ReverseProxy{Rewrite: func(req *httputil.ProxyRequest) { req.SetURL(target) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		disables := req.Method == http.MethodPatch && strings.Contains(req.URL.Path, "/actions/runners/")
		if disables && !patch {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if disables { // on its way there
			p.delay(req)
		}
		forward.ServeHTTP(w, req)
		if !patch && strings.HasSuffix(req.URL.Path, "/actions/jobs") { // on its way back
			p.delay(req)
		}
	}))
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

func (p *proxy) delay(req *http.Request) {
	p.mu.Lock()
	d := time.Duration(p.rnd.Int64N(int64(slowest)))
	p.mu.Unlock()
	select {
	case <-time.After(d):
	case <-req.Context().Done():
	}
}
