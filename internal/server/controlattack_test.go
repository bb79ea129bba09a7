package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

// attackedDaemon is a world behind a control socket. It has a .runner file, which
// one route gives out, and no other.
type attackedDaemon struct{ *world }

func (d attackedDaemon) Preview(context.Context) (plan.Plan, error) { return plan.Plan{}, nil }

func (d attackedDaemon) DotRunner(string) ([]byte, error) {
	return []byte(`{"token":"Top5ecretRunner"}`), nil
}

func (d attackedDaemon) Trigger() { _ = d.note("trigger") }

// controlAttack is a control socket that is attacked, by somebody who has got
// through to it: only the daemon's user and root do.
type controlAttack struct {
	*testing.T
	world   *world
	tokens  *fakeTokens
	server  *Server
	handler http.Handler
}

func newControlAttack(t *testing.T) *controlAttack {
	t.Helper()
	w, tokens := busyWorld(3, 4), newFakeTokens(stacks())
	s := New(attackedDaemon{w}, slog.New(slog.DiscardHandler), WithTokens(tokens), WithOperator(w), WithCorpses(w), WithReload(w.Reload), WithExplain(w.Explain))
	return &controlAttack{T: t, world: w, tokens: tokens, server: s, handler: s.handler()}
}

// send sends a request, and expects an answer that tells nothing of how the
// program is made, and no secret.
func (a *controlAttack) send(method, path, body string) *httptest.ResponseRecorder {
	a.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	for _, secret := range []string{"Top5ecret", "goroutine ", "panic", ".go:", "runtime error"} {
		if strings.Contains(w.Body.String(), secret) && !strings.Contains(path, "/dotrunner") && !strings.HasPrefix(path, "/debug") {
			a.Errorf("%s %.100s is answered with %q: %.300s", method, path, secret, w.Body)
		}
	}
	if w.Code == http.StatusInternalServerError {
		a.Errorf("%s %.100s is answered with %d: %.300s", method, path, w.Code, w.Body)
	}
	return w
}

func (a *controlAttack) unchanged(what string) {
	a.Helper()
	if calls := a.world.done(); len(calls) > 0 {
		a.Errorf("%.200s has had done %q", what, calls)
	}
	// That there is no token of an odd name the gateway says.
	if list := a.tokens.Tokens(); len(list) != 1 || !list[0].Enabled || !list[0].RevokedAt.IsZero() || !list[0].Pinned || a.tokens.secrets > 0 {
		a.Errorf("%.200s has changed tokens: %+v", what, list)
	}
	a.world.mu.Lock()
	a.world.calls = nil
	a.world.mu.Unlock()
}

// path fills in the wildcards of a route.
func (r route) example() string {
	names := strings.NewReplacer("{pool}", "linux", "{order}", "pause", "{change}", "disable")
	if strings.HasPrefix(r.path, "/v1/tokens") {
		return strings.ReplaceAll(names.Replace(r.path), "{name}", "stacks")
	}
	return strings.ReplaceAll(names.Replace(r.path), "{name}", "scaler-abcd-linux-000000")
}

func TestControlAttackWithOtherMethods(t *testing.T) {
	a := newControlAttack(t)
	allowed := make(map[string][]string)
	for _, r := range a.server.routes() {
		allowed[r.example()] = append(allowed[r.example()], r.method)
	}
	if len(allowed) < 15 {
		t.Fatalf("only %d paths", len(allowed))
	}
	for path, methods := range allowed {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "post", "X"} {
			if slices.Contains(methods, method) {
				continue
			}
			if w := a.send(method, path, ""); w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusNotFound {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
			a.unchanged(method + " " + path)
		}
	}
}

func TestControlGetsChangeNothing(t *testing.T) {
	a := newControlAttack(t)
	for _, r := range a.server.routes() {
		if r.method == http.MethodGet {
			a.send(http.MethodGet, r.example()+"?dry_run=false&reason=x&job=1&change=delete", "reason=x")
			a.send(http.MethodHead, r.example(), "")
			a.unchanged(r.example())
		}
	}
}

func TestControlAttackWithPathTricks(t *testing.T) {
	for name, trick := range tricks {
		t.Run(name, func(t *testing.T) {
			a := newControlAttack(t)
			for _, r := range a.server.routes() {
				path := trick(r.example())
				if w := a.send(r.method, path, ""); r.method != http.MethodGet && w.Code < 300 {
					t.Errorf("%s %.100s: %d", r.method, path, w.Code)
				}
				a.unchanged(r.method + " " + path)
			}
		})
	}
}

func TestControlAttackWithBadBodies(t *testing.T) {
	for name, body := range map[string]string{
		"too large": `{"name":"` + strings.Repeat("a", maxBody) + `"}`, "no JSON": "name=x", "cut off": `{"name":"x"`, "a list": `["x"]`, "unknown": `{"name":"x","admin":true}`,
		"twice": `{"name":"x"}{"name":"y"}`, "wrong kinds": `{"name":5,"scope":[]}`, "deep": strings.Repeat(`{"a":`, 5000),
	} {
		t.Run(name, func(t *testing.T) {
			a := newControlAttack(t)
			if w := a.send(http.MethodPost, "/v1/tokens", body); w.Code < 400 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			a.unchanged(name)
		})
	}
}
