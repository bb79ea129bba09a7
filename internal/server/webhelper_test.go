package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"scaler.io/scaler/internal/plan"
)

// fakeTokens keeps tokens in memory and records what changes them.
type fakeTokens struct {
	mu      sync.Mutex
	tokens  map[string]plan.Token
	runners map[string][]plan.Enrolment
	calls   []string
	secrets int
	err     error // of every change
}

func newFakeTokens(tokens ...plan.Token) *fakeTokens {
	f := &fakeTokens{tokens: make(map[string]plan.Token), runners: make(map[string][]plan.Enrolment)}
	for _, t := range tokens {
		f.tokens[t.Name] = t
	}
	return f
}

func (f *fakeTokens) record(format string, args ...any) error {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.err
}

// secret returns one that has not been before.
func (f *fakeTokens) secret() plan.Secret {
	f.secrets++
	return plan.Secret(fmt.Sprintf("scaler_Top5ecret%041d", f.secrets))
}

func (f *fakeTokens) Create(ctx context.Context, actor string, spec plan.TokenSpec) (plan.NewToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.record("create %s by %s", spec.Name, actor); err != nil {
		return plan.NewToken{}, err
	}
	if _, taken := f.tokens[spec.Name]; taken {
		return plan.NewToken{}, fmt.Errorf("create token %s: %w", spec.Name, plan.ErrConflict)
	}
	t := plan.Token{
		ID: "id-" + spec.Name, Name: spec.Name, Description: spec.Description, Scope: spec.Scope, Pinned: spec.Pinned, Enabled: true,
		ExpiresAt: spec.ExpiresAt, MaxUses: spec.MaxUses, Labels: spec.Labels, Sources: spec.Sources, ReapAfter: spec.ReapAfter,
		CreatedAt: time.Now(), CreatedBy: actor,
	}
	f.tokens[t.Name] = t
	return plan.NewToken{Token: t, Secret: f.secret()}, ctx.Err()
}

func (f *fakeTokens) Tokens() []plan.Token {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []plan.Token{}
	for _, t := range f.tokens {
		list = append(list, t.Clone())
	}
	slices.SortFunc(list, func(a, b plan.Token) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (f *fakeTokens) Token(name string) (plan.Token, []plan.Enrolment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, found := f.tokens[name]
	if !found {
		return plan.Token{}, nil, fmt.Errorf("token %s: %w", name, plan.ErrNotFound)
	}
	return t.Clone(), slices.Clone(f.runners[name]), nil
}

func (f *fakeTokens) Change(ctx context.Context, actor, name string, change plan.TokenChange) (plan.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.record("%s %s by %s", change, name, actor); err != nil {
		return plan.Token{}, err
	}
	t, found := f.tokens[name]
	if !found {
		return plan.Token{}, fmt.Errorf("token %s: %w", name, plan.ErrNotFound)
	}
	switch change {
	case plan.TokenPin, plan.TokenUnpin:
		t.Pinned = change == plan.TokenPin
	case plan.TokenEnable, plan.TokenDisable:
		t.Enabled = change == plan.TokenEnable
	case plan.TokenRevoke:
		t.Enabled, t.RevokedAt = false, time.Now()
	case plan.TokenDelete:
		delete(f.tokens, name)
		return t, nil
	default:
		return plan.Token{}, errors.New("no such change")
	}
	f.tokens[name] = t
	return t, ctx.Err()
}

func (f *fakeTokens) Reset(_ context.Context, actor, name string) (plan.NewToken, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.record("reset %s by %s", name, actor); err != nil {
		return plan.NewToken{}, err
	}
	t, found := f.tokens[name]
	if !found {
		return plan.NewToken{}, fmt.Errorf("token %s: %w", name, plan.ErrNotFound)
	}
	t.Uses = 0
	f.tokens[name] = t
	return plan.NewToken{Token: t, Secret: f.secret()}, nil
}

// fakeStatus is a daemon that looks as it is told to.
type fakeStatus plan.Status

func (f fakeStatus) Status() plan.Status { return plan.Status(f) }

// passwordFile has the account alice with the password "right".
func passwordFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwords")
	writeAccounts(t, path, "alice", "right")
	return path
}

// writeAccounts writes names and passwords, in turn.
func writeAccounts(t *testing.T, path string, accounts ...string) {
	t.Helper()
	var lines strings.Builder
	for pair := range slices.Chunk(accounts, 2) {
		hash, err := bcrypt.GenerateFromPassword([]byte(pair[1]), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s:%s\n", pair[0], hash)
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// browser sends requests to a Web as a browser does that is on its pages.
type browser struct {
	t       *testing.T
	handler http.Handler
	cookies map[string]*http.Cookie
	header  http.Header
	from    string
	gone    bool // it has closed the connection already
}

func newBrowser(t *testing.T, web *Web) *browser {
	return &browser{t: t, handler: web.Handler(), cookies: make(map[string]*http.Cookie), header: http.Header{}, from: "192.0.2.1:1234"}
}

// send makes one request and keeps the cookies of the answer.
func (b *browser) send(method, target, kind string, body io.Reader) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, target, body)
	r.RemoteAddr = b.from
	if b.gone {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		r = r.WithContext(ctx)
	}
	for name, values := range b.header {
		r.Header[name] = values
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c
	}
	return w
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.send(http.MethodGet, target, "", nil)
}

const formType = "application/x-www-form-urlencoded"

// post sends a form of names and values, in turn.
func (b *browser) post(target string, fields ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	form := url.Values{}
	for pair := range slices.Chunk(fields, 2) {
		form.Add(pair[0], pair[1])
	}
	return b.send(http.MethodPost, target, formType, strings.NewReader(form.Encode()))
}

func (b *browser) login(name, password string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.post("/login", "name", name, "password", password)
}

// gatewayConfig has a gateway and the account alice.
func gatewayConfig(t *testing.T) WebConfig {
	return WebConfig{
		Passwords: passwordFile(t), GatewayURL: "https://runners.example.com", RunnerImage: "gitea/runner:latest",
		Scopes: func() []plan.Scope {
			return []plan.Scope{{Kind: plan.ScopeInstance}, {Kind: plan.ScopeOrg, Owner: "acme"}}
		},
	}
}

// loggedIn returns a browser in which alice has logged in.
func loggedIn(t *testing.T, cfg WebConfig, tokens *fakeTokens) *browser {
	t.Helper()
	b := newBrowser(t, NewWeb(cfg, fakeStatus{}, tokens, slog.New(slog.DiscardHandler)))
	if w := b.login("alice", "right"); w.Code != http.StatusSeeOther {
		t.Fatalf("login: %d %s", w.Code, w.Body)
	}
	return b
}
