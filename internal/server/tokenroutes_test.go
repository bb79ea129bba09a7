package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// fakeKeeper keeps tokens in memory as the gateway does.
type fakeKeeper struct {
	mu      sync.Mutex
	tokens  []plan.Token // by name
	secrets map[string]string
	runners map[string][]plan.Enrolment // by name of the token
	audit   []plan.AuditEntry
	fail    error // of every change
	hidden  error // of Token
}

func (f *fakeKeeper) Create(_ context.Context, actor string, spec plan.TokenSpec) (plan.NewToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch i := f.find(spec.Name); {
	case f.fail != nil:
		return plan.NewToken{}, f.fail
	case spec.Name == "":
		return plan.NewToken{}, fmt.Errorf("token: give it a name: %w", plan.ErrInvalid)
	case i >= 0:
		return plan.NewToken{}, fmt.Errorf("token %s is there already: %w", spec.Name, plan.ErrConflict)
	}
	t := plan.Token{ID: fmt.Sprint("id-", spec.Name), Name: spec.Name, Description: spec.Description, Scope: spec.Scope, Pinned: spec.Pinned, Enabled: true,
		ExpiresAt: spec.ExpiresAt, MaxUses: spec.MaxUses, Labels: spec.Labels, Sources: spec.Sources, ReapAfter: spec.ReapAfter, CreatedAt: now, CreatedBy: actor}
	f.tokens = append(f.tokens, t)
	f.log(actor, "token.create", t.Name)
	return f.mint(t), nil
}

func (f *fakeKeeper) Tokens() []plan.Token {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]plan.Token(nil), f.tokens...)
}

func (f *fakeKeeper) Token(name string) (plan.Token, []plan.Enrolment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.find(name)
	switch {
	case f.hidden != nil:
		return plan.Token{}, nil, f.hidden
	case i < 0:
		return plan.Token{}, nil, fmt.Errorf("token %s: %w", name, plan.ErrNotFound)
	}
	return f.tokens[i], f.runners[name], nil
}

func (f *fakeKeeper) Change(_ context.Context, actor, name string, change plan.TokenChange) (plan.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.find(name)
	switch {
	case f.fail != nil:
		return plan.Token{}, f.fail
	case i < 0:
		return plan.Token{}, fmt.Errorf("token %s: %w", name, plan.ErrNotFound)
	}
	t := &f.tokens[i]
	switch change {
	case plan.TokenPin, plan.TokenUnpin:
		t.Pinned = change == plan.TokenPin
	case plan.TokenEnable, plan.TokenDisable:
		t.Enabled = change == plan.TokenEnable
	case plan.TokenRevoke:
		t.Enabled, t.RevokedAt = false, now
	case plan.TokenDelete:
		defer func() { f.tokens = append(f.tokens[:i], f.tokens[i+1:]...) }()
	default:
		return plan.Token{}, fmt.Errorf("change %q: %w", change, plan.ErrInvalid)
	}
	f.log(actor, "token."+string(change), name)
	return *t, nil
}

func (f *fakeKeeper) Reset(_ context.Context, actor, name string) (plan.NewToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.find(name)
	switch {
	case f.fail != nil:
		return plan.NewToken{}, f.fail
	case i < 0:
		return plan.NewToken{}, fmt.Errorf("token %s: %w", name, plan.ErrNotFound)
	}
	f.tokens[i].Uses = 0
	f.log(actor, "token.reset", name)
	return f.mint(f.tokens[i]), nil
}

func (f *fakeKeeper) Audit(_ string, after uint64, limit int) ([]plan.AuditEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	entries := f.audit[min(int(after), len(f.audit)):]
	switch {
	case limit <= 0 || limit >= len(entries):
	case after == 0:
		entries = entries[len(entries)-limit:]
	default:
		entries = entries[:limit]
	}
	return append([]plan.AuditEntry(nil), entries...), nil
}

func (f *fakeKeeper) mint(t plan.Token) plan.NewToken {
	if f.secrets == nil {
		f.secrets = make(map[string]string)
	}
	f.secrets[t.Name] = fmt.Sprintf("top-secret-%d-of-%s", len(f.audit), t.Name)
	return plan.NewToken{Token: t, Secret: plan.Secret(f.secrets[t.Name])}
}

func (f *fakeKeeper) log(actor, action, token string) {
	f.audit = append(f.audit, plan.AuditEntry{Seq: uint64(len(f.audit) + 1), At: now, Action: action, Actor: actor, Token: token})
}

func (f *fakeKeeper) find(name string) int {
	for i, t := range f.tokens {
		if t.Name == name {
			return i
		}
	}
	return -1
}

// serveTokens runs a server with a gateway until the test ends.
func serveTokens(t *testing.T, log *slog.Logger, keeper *fakeKeeper) *Client {
	t.Helper()
	path := socketPath(t)
	ln := mustListen(t, path)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(&fakeSource{}, log, WithTokens(keeper), WithAudit(keeper.Audit)).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return NewClient(path)
}

// swarmSpec is a token with everything that can be set.
func swarmSpec() plan.TokenSpec {
	return plan.TokenSpec{
		Name: "stacks", Description: "Swarm <stacks>", Scope: plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "app"}, Pinned: true,
		ExpiresAt: now.Add(time.Hour), MaxUses: 10, Labels: []string{"linux"}, Sources: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, ReapAfter: 24 * time.Hour,
	}
}

func TestTokenLife(t *testing.T) {
	var log bytes.Buffer
	scope := swarmSpec().Scope
	keeper := &fakeKeeper{runners: map[string][]plan.Enrolment{"stacks": {
		{Name: "a", RunnerID: 1, Scope: scope, RegisteredAt: now}, {Name: "b", Scope: scope, GoneAt: now, Gone: "deleted in Gitea"}}}}
	c := serveTokens(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), keeper)
	ctx := t.Context()
	who := fmt.Sprintf("uid %d on the control socket", os.Getuid())
	if runtime.GOOS != "linux" {
		who = "unknown uid on the control socket"
	}

	made, err := c.CreateToken(ctx, swarmSpec())
	if err != nil || made.Secret.Reveal() != keeper.secrets["stacks"] || !reflect.DeepEqual(made.Token, keeper.tokens[0]) || made.Token.CreatedBy != who {
		t.Fatalf("created %+v with %q, %v; want %+v by %s", made.Token, made.Secret.Reveal(), err, keeper.tokens[0], who)
	}
	if list, err := c.Tokens(ctx); err != nil || !reflect.DeepEqual(list, []ListedToken{{made.Token, 1}}) {
		t.Errorf("list %+v, %v", list, err)
	}
	if got, runners, err := c.Token(ctx, "stacks"); err != nil || !reflect.DeepEqual(got, made.Token) || !reflect.DeepEqual(runners, keeper.runners["stacks"]) {
		t.Errorf("token %+v with %+v, %v", got, runners, err)
	}
	for _, change := range []plan.TokenChange{plan.TokenUnpin, plan.TokenPin, plan.TokenDisable, plan.TokenEnable, plan.TokenRevoke} {
		if got, err := c.ChangeToken(ctx, "stacks", change); err != nil || !reflect.DeepEqual(got, keeper.tokens[0]) {
			t.Errorf("%s: %+v, %v; want %+v", change, got, err, keeper.tokens[0])
		}
	}
	if again, err := c.ResetToken(ctx, "stacks"); err != nil || again.Secret == made.Secret || again.Secret.Reveal() != keeper.secrets["stacks"] {
		t.Errorf("reset to %q, %v", again.Secret.Reveal(), err)
	}
	if err := c.DeleteToken(ctx, "stacks"); err != nil {
		t.Error(err)
	}
	if list, err := c.Tokens(ctx); err != nil || list == nil || len(list) != 0 {
		t.Errorf("list %+v, %v, want an empty one", list, err)
	}

	entries, err := c.Audit(ctx, "", 0, 0)
	var done []string
	for _, e := range entries {
		done = append(done, strings.TrimPrefix(e.Action, "token."))
		if e.Actor != who || e.Token != "stacks" {
			t.Errorf("audit: %+v, want %s", e, who)
		}
	}
	if got := strings.Join(done, " "); err != nil || got != "create unpin pin disable enable revoke reset delete" {
		t.Errorf("audit: %s, %v", got, err)
	}
	for _, q := range []struct {
		after uint64
		limit int
		first uint64
		n     int
	}{{0, 3, 6, 3}, {2, 3, 3, 3}, {6, 0, 7, 2}} {
		if got, err := c.Audit(ctx, "", q.after, q.limit); err != nil || len(got) != q.n || got[0].Seq != q.first {
			t.Errorf("audit after %d, at most %d: %+v, %v", q.after, q.limit, got, err)
		}
	}
	if got, err := c.Audit(ctx, "", 8, 0); err != nil || got == nil || len(got) != 0 {
		t.Errorf("audit after the end: %+v, %v, want an empty list", got, err)
	}
	if strings.Contains(log.String(), "top-secret") {
		t.Errorf("the log has the secret: %s", log.String())
	}
}

// Names that could be taken for something else in a path reach the keeper as
// they are.
func TestTokenNamesInPaths(t *testing.T) {
	keeper := &fakeKeeper{}
	c := serveTokens(t, slog.New(slog.DiscardHandler), keeper)
	names := []string{".", "..", "a/b", "a b%2F?c#d", "reset", "v1.2", "../audit"}
	for _, name := range names {
		if _, err := c.CreateToken(t.Context(), plan.TokenSpec{Name: name, Scope: plan.Scope{Kind: plan.ScopeInstance}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		if got, _, err := c.Token(t.Context(), name); err != nil || got.Name != name {
			t.Errorf("%q: got %q, %v", name, got.Name, err)
		}
		if got, err := c.ChangeToken(t.Context(), name, plan.TokenPin); err != nil || got.Name != name {
			t.Errorf("pin %q: %q, %v", name, got.Name, err)
		}
		if err := c.DeleteToken(t.Context(), name); err != nil {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	if left := keeper.Tokens(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	calls := len(keeper.audit)
	_, pinned := c.ChangeToken(t.Context(), "", plan.TokenPin)
	if err := c.DeleteToken(t.Context(), ""); err == nil || pinned == nil || len(keeper.audit) != calls {
		t.Errorf("without a name: %v, %v", err, pinned)
	}
}

func TestTokenAnswers(t *testing.T) {
	const spec = `{"name":"new","scope":"org:acme"}`
	const most = 64 << 10 // bytes
	tests := []struct {
		name, method, path, body string
		fail                     error
		status                   int
		want, allow              string
		changed                  bool
	}{
		{name: "create", method: "POST", path: "/v1/tokens", body: spec, status: 201, want: `"secret":"top-secret-1-of-new"`, changed: true},
		{name: "reset", method: "POST", path: "/v1/tokens/old/reset", status: 200, want: `"secret":"top-secret-1-of-old"`, changed: true},
		{name: "change", method: "POST", path: "/v1/tokens/old/pin", status: 200, want: `"pinned":true`, changed: true},
		{name: "delete", method: "DELETE", path: "/v1/tokens/old", status: 204, changed: true},
		{name: "list", method: "GET", path: "/v1/tokens", status: 200, want: `"runners":0}]`},
		{name: "show", method: "GET", path: "/v1/tokens/old", status: 200, want: `"runners":[]}`},
		{name: "audit", method: "GET", path: "/v1/audit", status: 200, want: `[]`},

		{name: "empty body", method: "POST", path: "/v1/tokens", status: 400, want: `read request body: invalid: it is empty`},
		{name: "no JSON", method: "POST", path: "/v1/tokens", body: "name=new", status: 400, want: `invalid character`},
		{name: "cut off", method: "POST", path: "/v1/tokens", body: spec[:20], status: 400, want: `unexpected EOF`},
		{name: "unknown field", method: "POST", path: "/v1/tokens", body: `{"name":"new","pined":true}`, status: 400, want: `unknown field \"pined\"`},
		{name: "wrong type", method: "POST", path: "/v1/tokens", body: `{"name":5}`, status: 400, want: `cannot unmarshal number`},
		{name: "wrong scope", method: "POST", path: "/v1/tokens", body: `{"scope":"acme"}`, status: 400, want: `must be instance, org:NAME`},
		{name: "wrong network", method: "POST", path: "/v1/tokens", body: `{"sources":["10.0.0.1"]}`, status: 400, want: `netip.ParsePrefix`},
		{name: "a list", method: "POST", path: "/v1/tokens", body: "[" + spec + "]", status: 400, want: `cannot unmarshal array`},
		{name: "two objects", method: "POST", path: "/v1/tokens", body: spec + spec, status: 400, want: `something follows`},
		{name: "garbage after it", method: "POST", path: "/v1/tokens", body: spec + " \x00", status: 400, want: `invalid character`},
		{name: "too large", method: "POST", path: "/v1/tokens", body: `{"description":"` + strings.Repeat("x", most) + `"}`, status: 413, want: `too large`},
		{name: "too much after it", method: "POST", path: "/v1/tokens", body: spec + strings.Repeat(" ", most), status: 413, want: `too large`},
		{name: "as large as can be", method: "POST", path: "/v1/tokens", body: spec + strings.Repeat(" ", most-len(spec)), status: 201, changed: true},

		{name: "invalid", method: "POST", path: "/v1/tokens", body: `{}`, status: 400, want: "give it a name"},
		{name: "null", method: "POST", path: "/v1/tokens", body: `null`, status: 400, want: "give it a name"},
		{name: "name taken", method: "POST", path: "/v1/tokens", body: `{"name":"old","scope":"instance"}`, status: 409, want: "there already"},
		{name: "busy", method: "POST", path: "/v1/tokens/old/revoke", fail: plan.ErrBusy, status: 409, want: "has a job"},
		{name: "disk full", method: "POST", path: "/v1/tokens/old/reset", fail: errors.New("no space left"), status: 500, want: "no space left"},
		{name: "audit fails", method: "GET", path: "/v1/audit", fail: errors.New("cannot read"), status: 500, want: "cannot read"},
		{name: "unknown token", method: "GET", path: "/v1/tokens/none", status: 404, want: `{"error":"token none: not found"}`},
		{name: "change of an unknown token", method: "POST", path: "/v1/tokens/none/pin", status: 404, want: "not found"},
		{name: "reset of an unknown token", method: "POST", path: "/v1/tokens/none/reset", status: 404, want: "not found"},
		{name: "delete of an unknown token", method: "DELETE", path: "/v1/tokens/none", status: 404, want: "not found"},
		{name: "unknown change", method: "POST", path: "/v1/tokens/old/destroy", status: 404, want: "a token knows pin, unpin"},
		{name: "delete is no change", method: "POST", path: "/v1/tokens/old/delete", status: 404, want: "a token knows pin, unpin"},
		{name: "change by GET", method: "GET", path: "/v1/tokens/old/revoke", status: 405, want: "use POST", allow: "POST"},
		{name: "put", method: "PUT", path: "/v1/tokens/old", status: 405, want: "use GET or DELETE", allow: "GET, DELETE"},
		{name: "delete of all", method: "DELETE", path: "/v1/tokens", status: 405, want: "use GET or POST", allow: "GET, POST"},
		{name: "audit is not deleted", method: "DELETE", path: "/v1/audit", status: 405, want: "use GET", allow: "GET"},
		{name: "negative limit", method: "GET", path: "/v1/audit?limit=-1", status: 400, want: `limit=\"-1\": want a number from 0 on`},
		{name: "after is no number", method: "GET", path: "/v1/audit?after=x", status: 400, want: `after=\"x\"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keeper := &fakeKeeper{tokens: []plan.Token{{ID: "1", Name: "old", Scope: plan.Scope{Kind: plan.ScopeInstance}, Enabled: true}}, fail: tt.fail}
			w := httptest.NewRecorder()
			s := New(&fakeSource{}, slog.New(slog.DiscardHandler), WithTokens(keeper), WithAudit(keeper.Audit))
			s.handler().ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body)))
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) || w.Header().Get("Allow") != tt.allow {
				t.Errorf("got %d %s, Allow %q; want %d %s", w.Code, w.Body, w.Header().Get("Allow"), tt.status, tt.want)
			}
			if w.Code != http.StatusNoContent && !json.Valid(w.Body.Bytes()) {
				t.Errorf("not JSON: %s", w.Body)
			}
			secret, stored := strings.Contains(w.Body.String(), "top-secret"), w.Header().Get("Cache-Control") != "no-store"
			if secret == stored {
				t.Errorf("a secret: %v, may be stored: %v", secret, stored)
			}
			if changed := len(keeper.audit) > 0; changed != tt.changed {
				t.Errorf("changed: %v, want %v", changed, tt.changed)
			}
		})
	}
}

func TestTokensWithoutAGateway(t *testing.T) {
	c := serve(t, &fakeSource{}, slog.New(slog.DiscardHandler))
	ctx := t.Context()
	calls := map[string]func() error{
		"create": func() error { _, err := c.CreateToken(ctx, swarmSpec()); return err },
		"list":   func() error { _, err := c.Tokens(ctx); return err },
		"show":   func() error { _, _, err := c.Token(ctx, "x"); return err },
		"change": func() error { _, err := c.ChangeToken(ctx, "x", plan.TokenPin); return err },
		"reset":  func() error { _, err := c.ResetToken(ctx, "x"); return err },
		"delete": func() error { return c.DeleteToken(ctx, "x") },
	}
	if _, err := c.Audit(ctx, "", 0, 0); !errors.Is(err, plan.ErrNotFound) || err.Error() != "this scaler keeps no audit log" {
		t.Errorf("audit: %v", err)
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, plan.ErrNotFound) || err.Error() != "this scaler has no gateway: set gateway.listen and gateway.public_url" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestClientTellsErrorsApart(t *testing.T) {
	c := serveTokens(t, slog.New(slog.DiscardHandler), &fakeKeeper{})
	if _, err := c.CreateToken(t.Context(), plan.TokenSpec{Scope: plan.Scope{Kind: plan.ScopeInstance}}); !errors.Is(err, plan.ErrInvalid) || errors.Is(err, plan.ErrNotFound) {
		t.Errorf("invalid: %v", err)
	}
	for _, want := range []error{nil, plan.ErrConflict} {
		if _, err := c.CreateToken(t.Context(), swarmSpec()); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	if _, err := c.CreateToken(t.Context(), plan.TokenSpec{Name: "x"}); !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("without a scope: %v", err)
	}
}

func TestListOfTokensThatCannotBeLookedAt(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		want   string
	}{
		{"deleted meanwhile", plan.ErrNotFound, http.StatusOK, "[]\n"},
		{"another error", io.ErrUnexpectedEOF, http.StatusInternalServerError, "{\"error\":\"unexpected EOF\"}\n"},
	}
	for _, tt := range tests {
		keeper := &fakeKeeper{tokens: []plan.Token{{Name: "old", Scope: plan.Scope{Kind: plan.ScopeInstance}}}, hidden: tt.err}
		w := httptest.NewRecorder()
		New(&fakeSource{}, slog.New(slog.DiscardHandler), WithTokens(keeper)).handler().ServeHTTP(w, httptest.NewRequest("GET", "/v1/tokens", nil))
		if w.Code != tt.status || w.Body.String() != tt.want {
			t.Errorf("%s: got %d %q, want %d %q", tt.name, w.Code, w.Body, tt.status, tt.want)
		}
	}
}
