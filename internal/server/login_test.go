package server

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogin(t *testing.T) {
	tests := []struct {
		name, user, password, next string
		status                     int
		location                   string
	}{
		{"right", "alice", "right", "", http.StatusSeeOther, "/"},
		{"right with a page to go on to", "alice", "right", "/tokens/stacks", http.StatusSeeOther, "/tokens/stacks"},
		{"elsewhere to go on to", "alice", "right", "//evil.example/tokens", http.StatusSeeOther, "/"},
		{"wrong password", "alice", "wrong", "", http.StatusUnauthorized, ""},
		{"empty password", "alice", "", "", http.StatusUnauthorized, ""},
		{"unknown name", "bob", "right", "", http.StatusUnauthorized, ""},
		{"other case", "Alice", "right", "", http.StatusUnauthorized, ""},
		{"no name", "", "right", "", http.StatusUnauthorized, ""},
		{"the hash", "alice", "$2a$04$", "", http.StatusUnauthorized, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t, NewWeb(gatewayConfig(t), fakeStatus{}, newFakeTokens(), slog.New(slog.DiscardHandler)))
			w := b.post("/login", "name", tt.user, "password", tt.password, "next", tt.next)
			if w.Code != tt.status || w.Header().Get("Location") != tt.location {
				t.Errorf("got %d to %q, want %d to %q", w.Code, w.Header().Get("Location"), tt.status, tt.location)
			}
			if in := b.get("/tokens").Code == http.StatusOK; in != (tt.location != "") {
				t.Errorf("logged in: %v", in)
			}
			if tt.location == "" && parsePage(t, w).input(t, "name") != tt.user {
				t.Errorf("the name is not kept: %s", w.Body)
			}
		})
	}
}

func TestLoginKeepsItsSecrets(t *testing.T) {
	var log bytes.Buffer
	b := newBrowser(t, NewWeb(gatewayConfig(t), fakeStatus{}, newFakeTokens(), slog.New(slog.NewTextHandler(&log, nil))))
	// Some put the password where the name belongs.
	w := b.login("pa55word", "swordfish")
	b.login("alice", "right")
	if strings.Contains(w.Body.String(), "swordfish") {
		t.Error("the password is on the page")
	}
	for _, secret := range []string{"pa55word", "swordfish", "right", sessionCookie, b.cookies[sessionCookie].Value} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %q: %s", secret, log.String())
		}
	}
	for _, want := range []string{`msg="login refused" user=unknown source=192.0.2.1`, `msg="logged in" user=alice source=192.0.2.1`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log.String())
		}
	}
}

func TestSessionCookie(t *testing.T) {
	for _, secure := range []bool{false, true} {
		cfg := gatewayConfig(t)
		cfg.Secure = secure
		b := newBrowser(t, NewWeb(cfg, fakeStatus{}, newFakeTokens(), slog.New(slog.DiscardHandler)))
		cookies := b.login("alice", "right").Result().Cookies()
		if len(cookies) != 1 {
			t.Fatalf("%d cookies", len(cookies))
		}
		c := cookies[0]
		name := map[bool]string{false: "scaler_session", true: "__Host-scaler_session"}[secure]
		if c.Name != name || c.Secure != secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 12*3600 || len(c.Value) != 43 {
			t.Errorf("secure %v: %+v", secure, c)
		}
		b.get("/tokens")
		// Who logs in again has another session, and the old one ends.
		again := b.login("alice", "right").Result().Cookies()[0]
		b.cookies[name] = c
		if again.Value == c.Value || b.get("/tokens").Code == http.StatusOK {
			t.Errorf("secure %v: the session before the login goes on", secure)
		}
	}
}

func TestLogout(t *testing.T) {
	b := loggedIn(t, gatewayConfig(t), newFakeTokens())
	old := b.cookies[sessionCookie]
	if w := b.get("/logout"); w.Code != http.StatusNotFound || b.get("/tokens").Code != http.StatusOK {
		t.Errorf("a link logs out: %d", w.Code)
	}
	if w := b.post("/logout"); w.Code != http.StatusSeeOther || b.cookies[sessionCookie] != nil {
		t.Errorf("got %d, cookies %v", w.Code, b.cookies)
	}
	b.cookies[sessionCookie] = old
	if w := b.get("/tokens"); w.Code != http.StatusSeeOther {
		t.Errorf("the cookie from before still works: %d", w.Code)
	}
}

func TestSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := loggedIn(t, gatewayConfig(t), newFakeTokens())
		time.Sleep(sessionTime - time.Second)
		if w := b.get("/tokens"); w.Code != http.StatusOK {
			t.Errorf("before: %d", w.Code)
		}
		time.Sleep(time.Second)
		if w := b.get("/tokens"); w.Code != http.StatusSeeOther {
			t.Errorf("after: %d; use does not prolong it", w.Code)
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions()
		first := s.begin("a", [32]byte{})
		time.Sleep(time.Second)
		second := s.begin("b", [32]byte{})
		for range maxSessions - 1 {
			s.begin("c", [32]byte{})
		}
		if _, found := s.find(first); found || len(s.byKey) != maxSessions {
			t.Errorf("%d sessions, the oldest there: %v", len(s.byKey), found)
		}
		if got, found := s.find(second); !found || got.user != "b" {
			t.Errorf("got %+v, %v", got, found)
		}
		time.Sleep(sessionTime)
		s.begin("d", [32]byte{})
		if len(s.byKey) != 1 {
			t.Errorf("%d sessions, want only the new one", len(s.byKey))
		}
	})
}

func TestReverseProxyLogsIn(t *testing.T) {
	tests := []struct {
		name, from string
		values     []string
		user       string
	}{
		{"trusted", "10.1.2.3:9", []string{"bob"}, "bob"},
		{"trusted, mapped into IPv6", "[::ffff:10.1.2.3]:9", []string{"bob"}, "bob"},
		{"untrusted", "192.0.2.1:9", []string{"bob"}, ""},
		{"no address", "@", []string{"bob"}, ""},
		{"nobody", "10.1.2.3:9", nil, ""},
		{"empty", "10.1.2.3:9", []string{""}, ""},
		{"blank", "10.1.2.3:9", []string{"  "}, ""},
		{"two", "10.1.2.3:9", []string{"bob", "alice"}, ""},
		{"control character", "10.1.2.3:9", []string{"bob\x1b[2J"}, ""},
		{"not text", "10.1.2.3:9", []string{"b\xffb"}, ""},
		{"long", "10.1.2.3:9", []string{strings.Repeat("b", maxUserName+1)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := gatewayConfig(t)
			cfg.UserHeader, cfg.TrustedProxies = "X-Remote-User", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
			tokens := newFakeTokens(stacks())
			b := newBrowser(t, NewWeb(cfg, fakeStatus{}, tokens, slog.New(slog.DiscardHandler)))
			b.from = tt.from
			b.header["X-Remote-User"] = tt.values
			b.post("/tokens/stacks/disable")
			var want []string
			if tt.user != "" {
				want = []string{"disable stacks by " + tt.user + " on the web page"}
			}
			if !slices.Equal(tokens.calls, want) {
				t.Errorf("calls %q, want %q", tokens.calls, want)
			}
		})
	}
}

func TestHeaderCountsOnlyIfConfigured(t *testing.T) {
	cfg := gatewayConfig(t)
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	b := newBrowser(t, NewWeb(cfg, fakeStatus{}, newFakeTokens(), slog.New(slog.DiscardHandler)))
	b.header["X-Remote-User"], b.header[""] = []string{"bob"}, []string{"bob"}
	if w := b.get("/tokens"); w.Code != http.StatusSeeOther {
		t.Errorf("got %d", w.Code)
	}
}

func TestClientAddress(t *testing.T) {
	tests := []struct {
		name, from string
		forwarded  []string
		want       string
	}{
		{"direct", "192.0.2.1:9", nil, "192.0.2.1"},
		{"direct and lying", "192.0.2.1:9", []string{"198.51.100.1"}, "192.0.2.1"},
		{"by a proxy", "10.0.0.1:9", []string{"198.51.100.1"}, "198.51.100.1"},
		{"by a proxy and lying", "10.0.0.1:9", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		{"by two proxies", "10.0.0.1:9", []string{"203.0.113.9, 198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"all trusted", "10.0.0.1:9", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"no address", "10.0.0.1:9", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"with a port", "10.0.0.1:9", []string{"[2001:db8::1]:80"}, "2001:db8::1"},
		{"with a zone", "[fe80::1%eth0]:9", nil, "fe80::1"},
		{"empty", "10.0.0.1:9", []string{""}, "10.0.0.1"},
	}
	web := NewWeb(WebConfig{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, fakeStatus{}, nil, slog.New(slog.DiscardHandler))
	for _, tt := range tests {
		r := &http.Request{RemoteAddr: tt.from, Header: http.Header{"X-Forwarded-For": tt.forwarded}}
		if got := web.clientOf(r).String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestWhereALoginLeadsTo(t *testing.T) {
	for path, want := range map[string]string{
		"/tokens": "/tokens", "/tokens/new": "/tokens/new", "/tokens/a.b/revoke": "/tokens/a.b/revoke",
		"/pools/linux/pause": "/pools/linux/pause", "/runners/linux-1": "/runners/linux-1", "/queue/41": "/queue/41", "/config": "/config",
		"": "/", "/": "/", "/live": "/", "/poolsx": "/", "//evil.example": "/", "/\\evil.example": "/", "https://evil.example": "/", "/tokens//x": "/",
		"/tokens/../logout": "/", "/tokens?x=1": "/", "/tokens/a\n": "/", "/tokensx": "/", "/login": "/",
	} {
		if got := safeNext(path); got != want {
			t.Errorf("safeNext(%q) = %q, want %q", path, got, want)
		}
	}
}
