package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

var instance = plan.Scope{Kind: plan.ScopeInstance}

// fakeServer is a Gitea as far as this package sees it.
type fakeServer struct {
	valid      plan.Secret // the registration token that it takes
	mints      []plan.Secret
	runners    map[int64]plan.ServerRunner
	calls      []string
	rpc        bool             // has the Deregister call
	keeps      bool             // cannot delete runners
	ids        map[string]int64 // by UUID, of the runners that Verify knows
	declared   []string         // labels, by the last Verify
	creates    bool             // makes runners without a registration token
	failCreate error            // answer to that
	incomplete bool             // lists are partial
	fail       error            // answer of every call on runners
}

func (f *fakeServer) Register(_ context.Context, token plan.Secret, reg plan.Registration) (plan.Identity, error) {
	f.calls = append(f.calls, "register")
	if token != f.valid {
		return plan.Identity{}, fmt.Errorf("call Register: %w", plan.ErrTokenRejected)
	}
	id := int64(len(f.runners) + 1)
	f.runners[id] = plan.ServerRunner{ID: id, Name: reg.Name}
	return plan.Identity{ID: id, Name: reg.Name, UUID: "u", Token: "t"}, nil
}

func (f *fakeServer) Capabilities(context.Context) (plan.Capabilities, error) {
	return plan.Capabilities{Product: plan.ProductGitea, Version: "1.22.3", Delete: !f.keeps}, nil
}

func (f *fakeServer) Verify(_ context.Context, id plan.Identity, _ string) (int64, error) {
	f.calls = append(f.calls, "verify")
	f.declared = id.Labels
	if f.fail != nil {
		return 0, f.fail
	}
	found, known := f.ids[id.UUID]
	if !known {
		return 0, plan.ErrNotFound
	}
	return found, nil
}

func (f *fakeServer) Deregister(_ context.Context, id plan.Identity) error {
	f.calls = append(f.calls, "deregister")
	if !f.rpc {
		return plan.ErrUnsupported
	}
	return f.remove(id.ID)
}

func (f *fakeServer) Runner(_ context.Context, _ plan.Scope, id int64) (plan.ServerRunner, error) {
	f.calls = append(f.calls, "get")
	r, ok := f.runners[id]
	if f.fail == nil && !ok {
		return r, plan.ErrNotFound
	}
	return r, f.fail
}

func (f *fakeServer) Runners(context.Context, plan.Scope) (plan.RunnerList, error) {
	f.calls = append(f.calls, "list")
	return plan.RunnerList{Runners: slices.Collect(maps.Values(f.runners)), Complete: !f.incomplete}, f.fail
}

func (f *fakeServer) DeleteRunner(_ context.Context, _ plan.Scope, id int64) error {
	f.calls = append(f.calls, "delete")
	return f.remove(id)
}

func (f *fakeServer) remove(id int64) error {
	if f.fail != nil {
		return f.fail
	}
	if _, ok := f.runners[id]; !ok {
		return plan.ErrNotFound
	}
	delete(f.runners, id)
	return nil
}

func (f *fakeServer) MintToken(context.Context, plan.Scope) (plan.Secret, error) {
	f.calls = append(f.calls, "mint")
	if len(f.mints) == 0 {
		return "", plan.ErrDenied
	}
	token := f.mints[0]
	f.mints = f.mints[1:]
	return token, nil
}

func (f *fakeServer) CreateRunner(_ context.Context, scope plan.Scope, reg plan.Registration) (plan.Identity, error) {
	if !f.creates {
		return plan.Identity{}, fmt.Errorf("create runner: %w", plan.ErrUnsupported)
	}
	f.calls = append(f.calls, "create at "+scope.String())
	return plan.Identity{ID: 1, Name: reg.Name, UUID: "u", Token: "t"}, f.failCreate
}

func newFake(runners ...plan.ServerRunner) *fakeServer {
	f := &fakeServer{valid: "good", runners: map[int64]plan.ServerRunner{}}
	for _, r := range runners {
		f.runners[r.ID] = r
	}
	return f
}

func fileToken(value *string) Token {
	return Token{Name: "file", Scope: instance, Read: func() (plan.Secret, error) {
		if *value == "" {
			return "", errors.New("file is empty")
		}
		return plan.Secret(*value), nil
	}}
}

func TestRegisterReadsTheTokenAtEachUse(t *testing.T) {
	value := "old"
	f := newFake()
	r := New(f, f, []Token{fileToken(&value)}, 600)
	_, err := r.Register(t.Context(), "file", plan.Registration{Name: "a"})
	if !errors.Is(err, plan.ErrTokenRejected) || !strings.Contains(err.Error(), "use registration token file (scope instance)") {
		t.Fatalf("error = %v, want a rejection that names the token", err)
	}
	if strings.Contains(err.Error(), "old") {
		t.Error("the error shows the token")
	}
	if err := r.Check("file"); !errors.Is(err, plan.ErrTokenRejected) {
		t.Errorf("Check = %v, want rejected while the value is the same", err)
	}
	value = "good"
	if err := r.Check("file"); err != nil {
		t.Errorf("Check = %v after the file changed", err)
	}
	if id, err := r.Register(t.Context(), "file", plan.Registration{Name: "a"}); err != nil || id.Name != "a" {
		t.Errorf("Register = %+v, %v", id, err)
	}
	value = ""
	if err := r.Check("file"); err == nil || errors.Is(err, plan.ErrTokenRejected) {
		t.Errorf("Check = %v, want the error of reading", err)
	}
	if got := strings.Join(f.calls, " "); got != "register register" {
		t.Errorf("calls = %s", got)
	}
}

func TestRegisterMintsOnceAndAnewAfterAReset(t *testing.T) {
	f := newFake()
	f.mints = []plan.Secret{"good", "better", "never"}
	r := New(f, f, []Token{{Name: "minted", Scope: instance}}, 600)
	for range 2 {
		if _, err := r.Register(t.Context(), "minted", plan.Registration{}); err != nil {
			t.Fatal(err)
		}
	}
	f.valid = "better"
	if _, err := r.Register(t.Context(), "minted", plan.Registration{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.calls, " "); got != "mint register register register mint register" {
		t.Errorf("calls = %s", got)
	}
	f.valid, f.calls = "unreachable", nil
	if _, err := r.Register(t.Context(), "minted", plan.Registration{}); !errors.Is(err, plan.ErrTokenRejected) {
		t.Errorf("error = %v, want rejected", err)
	}
	if got := strings.Join(f.calls, " "); got != "register mint register" {
		t.Errorf("calls = %s, want no endless minting", got)
	}
}

func TestRegisterSaysWhyItCannot(t *testing.T) {
	f := newFake()
	r := New(f, f, []Token{{Name: "minted", Scope: instance}}, 600)
	if _, err := r.Register(t.Context(), "minted", plan.Registration{Name: "x"}); !errors.Is(err, plan.ErrDenied) {
		t.Errorf("error = %v, want the refusal to mint", err)
	}
	if _, err := r.Register(t.Context(), "other", plan.Registration{Name: "x"}); err == nil || !strings.Contains(err.Error(), "other is not configured") {
		t.Errorf("error = %v, want unknown token", err)
	}
	if err := r.Check("other"); err == nil {
		t.Error("Check knows a token that is not configured")
	}
}

func TestDeregister(t *testing.T) {
	ours := plan.ServerRunner{ID: 5, Name: "ours"}
	id := plan.Identity{ID: 5, Name: "ours", UUID: "u", Token: "t"}
	tests := []struct {
		name    string
		server  *fakeServer
		existed bool
		calls   string
		left    int
		fails   bool
	}{
		{name: "by REST", server: newFake(ours), existed: true, calls: "deregister get delete"},
		{name: "gone already", server: newFake(), calls: "deregister get"},
		{name: "the id is another's now", server: newFake(plan.ServerRunner{ID: 5, Name: "theirs"}), calls: "deregister get", left: 1},
		{name: "by RPC", server: func() *fakeServer { f := newFake(ours); f.rpc = true; return f }(), existed: true, calls: "deregister"},
		{name: "gone already by RPC", server: func() *fakeServer { f := newFake(); f.rpc = true; return f }(), calls: "deregister"},
		{name: "server fails", server: func() *fakeServer { f := newFake(ours); f.fail = errors.New("down"); return f }(), calls: "deregister get", left: 1, fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			existed, err := New(tt.server, tt.server, nil, 600).Deregister(t.Context(), instance, id)
			if existed != tt.existed || (err != nil) != tt.fails {
				t.Errorf("existed %v, error %v", existed, err)
			}
			if got := strings.Join(tt.server.calls, " "); got != tt.calls {
				t.Errorf("calls = %s, want %s", got, tt.calls)
			}
			if len(tt.server.runners) != tt.left {
				t.Errorf("%d runners left, want %d", len(tt.server.runners), tt.left)
			}
		})
	}
}

func TestForget(t *testing.T) {
	f := newFake(plan.ServerRunner{ID: 1, Name: "x-1"}, plan.ServerRunner{ID: 2, Name: "x-1"}, plan.ServerRunner{ID: 3, Name: "x-10"})
	r := New(f, f, nil, 600)
	if n, err := r.Forget(t.Context(), instance, "x-1"); n != 2 || err != nil {
		t.Errorf("Forget = %d, %v", n, err)
	}
	if _, kept := f.runners[3]; !kept || len(f.runners) != 1 {
		t.Errorf("runners left: %v", f.runners)
	}
	if n, err := r.Forget(t.Context(), instance, "x-1"); n != 0 || err != nil {
		t.Errorf("Forget again = %d, %v", n, err)
	}
	f.incomplete = true
	if _, err := r.Forget(t.Context(), instance, "x-1"); err == nil {
		t.Error("a partial list was taken for proof")
	}
}

func TestDotRunner(t *testing.T) {
	id := plan.Identity{ID: 9, UUID: "u", Name: "n", Token: "secret", Address: "http://x", Labels: []string{"linux:host"}, Ephemeral: true}
	data, err := DotRunner(id)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"id": 9.0, "uuid": "u", "name": "n", "token": "secret", "address": "http://x", "ephemeral": true} {
		if m[key] != want {
			t.Errorf("%s = %v, want %v", key, m[key], want)
		}
	}
	back, err := ParseDotRunner(data)
	if err != nil || back.Token != id.Token || back.ID != id.ID || !slices.Equal(back.Labels, id.Labels) {
		t.Errorf("read back %+v, %v", back, err)
	}
	for _, bad := range []string{"", "{", "{}", `{"id":"9"}`, `{"id":1,"uuid":"u","name":"n"}`} {
		if _, err := ParseDotRunner([]byte(bad)); err == nil {
			t.Errorf("ParseDotRunner(%q) succeeded", bad)
		}
	}
}

func TestRegistrationsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		value := "good"
		f := newFake()
		r := New(f, f, []Token{fileToken(&value)}, 60)
		began := time.Now()
		for range 70 {
			if _, err := r.Register(t.Context(), "file", plan.Registration{}); err != nil {
				t.Fatal(err)
			}
		}
		// Ten at once, then one a second.
		if took := time.Since(began); took != time.Minute {
			t.Errorf("70 registrations took %s, want 1m0s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := r.Register(ctx, "file", plan.Registration{Name: "x"}); err == nil || !strings.Contains(err.Error(), "limits.registrations") {
			t.Errorf("error = %v, want the limit", err)
		}
		if n := len(f.runners); n != 70 {
			t.Errorf("%d runners, want 70", n)
		}
	})
}

func TestDisabledTokenIsNotUsed(t *testing.T) {
	value := "good"
	f := newFake()
	off := fileToken(&value)
	off.Disabled = true
	r := New(f, f, []Token{off, {Name: "minted", Scope: plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}}}, 600)
	for what, err := range map[string]error{
		"check":    r.Check("file"),
		"register": func() error { _, err := r.Register(t.Context(), "file", plan.Registration{Name: "a"}); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), "file is disabled in the configuration: set enabled: true") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := r.Scopes(); len(got) != 1 || got[0].String() != "org:acme" {
		t.Errorf("scopes %v", got)
	}
	if _, err := r.For(instance); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("a token for a scope that has none enabled: %v", err)
	}
	if !r.Enable("file", true) || r.Enable("file", true) || r.Enable("unknown", false) {
		t.Error("Enable does not report what is a change")
	}
	if _, err := r.Register(t.Context(), "file", plan.Registration{Name: "a"}); err != nil || r.Check("file") != nil {
		t.Errorf("after it was enabled: %v, %v", err, r.Check("file"))
	}
	if name, err := r.For(instance); err != nil || name != "file" {
		t.Errorf("token for the instance: %q, %v", name, err)
	}
	if !slices.Equal(f.calls, []string{"register"}) {
		t.Errorf("calls %v, want one registration", f.calls)
	}
}
