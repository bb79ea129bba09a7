package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// stacks is a reusable token.
func stacks() plan.Token {
	return plan.Token{ID: "id-stacks", Name: "stacks", Scope: plan.Scope{Kind: plan.ScopeInstance}, Pinned: true, Enabled: true, CreatedAt: now}
}

func TestWithoutLoginAllPagesLookAlike(t *testing.T) {
	cfg := gatewayConfig(t)
	cfg.ReadersLogIn = true
	b := newBrowser(t, NewWeb(cfg, fakeStatus{}, newFakeTokens(stacks()), slog.New(slog.DiscardHandler)))
	for path, want := range map[string]string{
		"/": "/login", "/tokens": "/login?next=%2Ftokens", "/tokens/stacks": "/login?next=%2Ftokens%2Fstacks",
		"/tokens/unknown": "/login?next=%2Ftokens%2Funknown", "/unknown": "/login",
	} {
		if w := b.get(path); w.Code != http.StatusSeeOther || w.Header().Get("Location") != want {
			t.Errorf("%s: %d to %s, want %s", path, w.Code, w.Header().Get("Location"), want)
		}
	}
}

func TestPostsFromOurPagesAreTaken(t *testing.T) {
	for name, header := range map[string]http.Header{
		"same origin by both":     {"Sec-Fetch-Site": {"same-origin"}, "Origin": {"http://example.com"}},
		"over plain HTTP":         {"Origin": {"http://example.com"}},
		"TLS that a proxy ends":   {"Origin": {"https://example.com"}},
		"not sent by any browser": {},
	} {
		tokens := newFakeTokens(stacks())
		b := loggedIn(t, gatewayConfig(t), tokens)
		b.header = header
		if w := b.post("/tokens/stacks/disable"); w.Code != http.StatusSeeOther || len(tokens.calls) != 1 {
			t.Errorf("%s: %d, calls %q", name, w.Code, tokens.calls)
		}
	}
}

func TestEveryAnswerIsProtected(t *testing.T) {
	b := loggedIn(t, gatewayConfig(t), newFakeTokens(stacks()))
	out := newBrowser(t, NewWeb(gatewayConfig(t), fakeStatus{}, newFakeTokens(), slog.New(slog.DiscardHandler)))
	for _, path := range []string{"/login", "/tokens", "/tokens/new", "/tokens/stacks", "/tokens/unknown", "/unknown", "/metrics", "/healthz", "/readyz", "//x", "/assets/style.css", "/assets/none"} {
		for who, b := range map[string]*browser{"alice": b, "nobody": out} {
			h := b.get(path).Header()
			for name, want := range map[string]string{
				"Content-Security-Policy": contentPolicy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY",
			} {
				if h.Get(name) != want {
					t.Errorf("%s as %s: %s is %q", path, who, name, h.Get(name))
				}
			}
			if want := "no-store"; !strings.HasPrefix(path, "/assets/style") && h.Get("Cache-Control") != want {
				t.Errorf("%s as %s: Cache-Control is %q", path, who, h.Get("Cache-Control"))
			}
		}
	}
}

func TestAssets(t *testing.T) {
	b := newBrowser(t, NewWeb(WebConfig{}, fakeStatus{}, nil, slog.New(slog.DiscardHandler)))
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		w := b.get("/assets/" + name)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != kind || w.Body.Len() == 0 {
			t.Errorf("%s: %d %s", name, w.Code, w.Header().Get("Content-Type"))
		}
		b.header.Set("If-None-Match", w.Header().Get("ETag"))
		if w := b.get("/assets/" + name); w.Code != http.StatusNotModified {
			t.Errorf("%s again: %d", name, w.Code)
		}
	}
	for _, path := range []string{"/assets/", "/assets/layout.html", "/assets/..%2fweb.go", "/assets/%2e%2e/web.go", "/assets/style.css/"} {
		if w := b.get(path); w.Code == http.StatusOK {
			t.Errorf("%s: 200", path)
		}
	}
}

func TestHealth(t *testing.T) {
	b := newBrowser(t, NewWeb(WebConfig{}, fakeStatus{}, nil, slog.New(slog.DiscardHandler)))
	if w := b.get("/healthz"); w.Code != http.StatusOK || w.Body.String() != "ok\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

func TestWithoutGatewayThereAreNoTokens(t *testing.T) {
	cfg := gatewayConfig(t)
	cfg.GatewayURL = ""
	b := newBrowser(t, NewWeb(cfg, fakeStatus{}, nil, slog.New(slog.DiscardHandler)))
	b.login("alice", "right")
	for _, path := range []string{"/tokens", "/tokens/new", "/tokens/x"} {
		if w := b.get(path); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "gateway.public_url") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := b.post("/tokens/new"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestWebServes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- NewWeb(WebConfig{}, fakeStatus{}, nil, slog.New(slog.DiscardHandler)).Serve(ctx, ln) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/healthz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v", err)
	}
	if conn, err := net.DialTimeout("tcp", ln.Addr().String(), time.Second); err == nil {
		conn.Close()
		t.Error("the listener is still open")
	}
	if err := NewWeb(WebConfig{}, fakeStatus{}, nil, slog.New(slog.DiscardHandler)).Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener = %v", err)
	}
}
