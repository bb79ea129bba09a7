package gateway

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

func TestCreate(t *testing.T) {
	prefix := netip.MustParsePrefix
	tests := map[string]struct {
		spec func(*plan.TokenSpec)
		want string // part of the error; empty for success
		is   func(plan.Token) bool
	}{
		"plain":             {func(*plan.TokenSpec) {}, "", func(t plan.Token) bool { return t.Enabled && !t.Pinned && t.Left() == 1 }},
		"no name":           {func(s *plan.TokenSpec) { s.Name = "" }, "a token's name is letters", nil},
		"long name":         {func(s *plan.TokenSpec) { s.Name = strings.Repeat("a", 65) }, "64 at most", nil},
		"longest name":      {func(s *plan.TokenSpec) { s.Name = strings.Repeat("a", 64) }, "", nil},
		"name of a path":    {func(s *plan.TokenSpec) { s.Name = ".." }, "begins with a letter or digit", nil},
		"name with a slash": {func(s *plan.TokenSpec) { s.Name = "a/b" }, "letters", nil},
		"name in Cyrillic":  {func(s *plan.TokenSpec) { s.Name = "сталь" }, "letters", nil},
		"reserved name":     {func(s *plan.TokenSpec) { s.Name = "new" }, `no token can have the name "new"`, nil},
		"taken name":        {func(s *plan.TokenSpec) { s.Name = "taken" }, "there is one named taken", nil},
		"description":       {func(s *plan.TokenSpec) { s.Description = " for <stacks> " }, "", func(t plan.Token) bool { return t.Description == "for <stacks>" }},
		"two lines":         {func(s *plan.TokenSpec) { s.Description = "a\nb" }, "one line of text", nil},
		"long description":  {func(s *plan.TokenSpec) { s.Description = strings.Repeat("a", 501) }, "500 bytes at most", nil},
		"scope not served":  {func(s *plan.TokenSpec) { s.Scope = plan.Scope{Kind: plan.ScopeInstance} }, `no usable registration token of Gitea for scope "instance"; there is one for org:acme`, nil},
		"no scope":          {func(s *plan.TokenSpec) { s.Scope = plan.Scope{} }, "no usable registration token", nil},
		"scope in capitals": {func(s *plan.TokenSpec) { s.Scope.Owner = "ACME" }, "", func(t plan.Token) bool { return t.Scope == orgScope }},
		"expired already":   {func(s *plan.TokenSpec) { s.ExpiresAt = time.Now().Add(-time.Second) }, "expired already", nil},
		"max uses":          {func(s *plan.TokenSpec) { s.Pinned, s.MaxUses = true, 9 }, "", func(t plan.Token) bool { return t.Left() == 9 }},
		"max uses unpinned": {func(s *plan.TokenSpec) { s.MaxUses = 9 }, "max uses is for pinned tokens", nil},
		"negative max uses": {func(s *plan.TokenSpec) { s.Pinned, s.MaxUses = true, -1 }, "max uses must be 0", nil},
		"negative reap":     {func(s *plan.TokenSpec) { s.ReapAfter = -time.Hour }, "reap after must be", nil},
		"short reap":        {func(s *plan.TokenSpec) { s.ReapAfter = time.Second }, "reap after must be 1m0s or longer", nil},
		"labels twice":      {func(s *plan.TokenSpec) { s.Labels = []string{"b", "a", "b"} }, "", func(t plan.Token) bool { return strings.Join(t.Labels, " ") == "b a" }},
		"label in full":     {func(s *plan.TokenSpec) { s.Labels = []string{"b:docker://x"} }, "only the name counts here; write b", nil},
		"empty label":       {func(s *plan.TokenSpec) { s.Labels = []string{""} }, "must be non-empty", nil},
		"label with a bell": {func(s *plan.TokenSpec) { s.Labels = []string{"a\x07b"} }, "not printable", nil},
		"too many labels":   {func(s *plan.TokenSpec) { s.Labels = manyLabels(101) }, "101 labels are too many", nil},
		"networks": {func(s *plan.TokenSpec) {
			s.Sources = []netip.Prefix{prefix("10.1.2.3/8"), prefix("::ffff:192.168.0.0/112"), prefix("10.0.0.0/8")}
		}, "", func(t plan.Token) bool {
			return len(t.Sources) == 2 && t.Sources[0] == prefix("10.0.0.0/8") && t.Sources[1] == prefix("192.168.0.0/16")
		}},
		"no network": {func(s *plan.TokenSpec) { s.Sources = []netip.Prefix{{}} }, "is not a network", nil},
		"network across the mapped": {func(s *plan.TokenSpec) {
			s.Sources = []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("::ffff:0.0.0.0"), 90)}
		},
			"is not a network", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.token("taken")
			spec := plan.TokenSpec{Name: "stacks", Scope: orgScope}
			tt.spec(&spec)
			made, err := w.g.Create(t.Context(), "alice on the web page", spec)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, plan.ErrInvalid) && !errors.Is(err, plan.ErrConflict) {
					t.Errorf("error = %v, want %q", err, tt.want)
				}
				if len(w.g.Tokens()) != 1 || w.actions() != "token.create" {
					t.Errorf("tokens %v, audit %s", w.g.Tokens(), w.actions())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			w.secrets = append(w.secrets, made.Secret.Reveal())
			if tt.is != nil && !tt.is(made.Token) {
				t.Errorf("token = %+v", made.Token)
			}
			if last := w.store.audit[1]; last.Action != "token.create" || last.Actor != "alice on the web page" || last.TokenID != made.Token.ID {
				t.Errorf("audit = %+v", last)
			}
			if is, _ := w.is(spec.Name); is.ID == "" || is.CreatedBy != "alice on the web page" || is.CreatedAt.IsZero() {
				t.Errorf("token = %+v", is)
			}
		})
	}
}

func manyLabels(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strings.Repeat("x", i+1)[:min(i+1, 90)] + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	return out
}

func TestChange(t *testing.T) {
	tests := map[string]struct {
		spec    func(*plan.TokenSpec)
		uses    int // before the changes
		changes []plan.TokenChange
		want    plan.TokenState
		left    int
		audit   string // after token.create and the registrations
	}{
		"pin a used one":           {singleUse, 1, []plan.TokenChange{plan.TokenPin}, plan.TokenActive, -1, "token.pin"},
		"pin with max uses":        {func(s *plan.TokenSpec) { s.MaxUses = 2 }, 1, []plan.TokenChange{plan.TokenUnpin, plan.TokenPin}, plan.TokenActive, 1, "token.unpin token.pin"},
		"unpin an unused one":      {func(*plan.TokenSpec) {}, 0, []plan.TokenChange{plan.TokenUnpin}, plan.TokenActive, 1, "token.unpin"},
		"unpin a used one":         {func(*plan.TokenSpec) {}, 3, []plan.TokenChange{plan.TokenUnpin}, plan.TokenUsed, 0, "token.unpin"},
		"disable":                  {func(*plan.TokenSpec) {}, 0, []plan.TokenChange{plan.TokenDisable}, plan.TokenDisabled, -1, "token.disable"},
		"disable twice":            {func(*plan.TokenSpec) {}, 0, []plan.TokenChange{plan.TokenDisable, plan.TokenDisable}, plan.TokenDisabled, -1, "token.disable"},
		"disable and enable":       {func(*plan.TokenSpec) {}, 0, []plan.TokenChange{plan.TokenDisable, plan.TokenEnable}, plan.TokenActive, -1, "token.disable token.enable"},
		"enable what is enabled":   {func(*plan.TokenSpec) {}, 0, []plan.TokenChange{plan.TokenEnable}, plan.TokenActive, -1, ""},
		"revoke":                   {func(*plan.TokenSpec) {}, 0, []plan.TokenChange{plan.TokenRevoke}, plan.TokenRevoked, -1, "token.revoke"},
		"revoke twice and disable": {func(*plan.TokenSpec) {}, 0, []plan.TokenChange{plan.TokenRevoke, plan.TokenRevoke, plan.TokenDisable}, plan.TokenRevoked, -1, "token.revoke"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			token := w.token("stacks", tt.spec)
			for range tt.uses {
				w.runner(token.Secret, "r")
			}
			before := w.actions()
			var last plan.Token
			for _, c := range tt.changes {
				last = w.change("stacks", c)
			}
			is, _ := w.is("stacks")
			if is.State(time.Now()) != tt.want || is.Left() != tt.left || last.State(time.Now()) != tt.want {
				t.Errorf("state %s with %d left, want %s with %d", is.State(time.Now()), is.Left(), tt.want, tt.left)
			}
			if got := strings.TrimSpace(strings.TrimPrefix(w.actions(), before)); got != tt.audit {
				t.Errorf("audit = %q, want %q", got, tt.audit)
			}
			w.boot()
			if again, _ := w.is("stacks"); again.State(time.Now()) != tt.want {
				t.Errorf("after a restart it is %s", again.State(time.Now()))
			}
			_, err := w.admit(token.Secret, "next")
			if (err == nil) != (tt.want == plan.TokenActive) {
				t.Errorf("the next registration: %v", err)
			}
		})
	}
}

func TestChangeErrors(t *testing.T) {
	w := newWorld(t)
	w.token("stacks")
	w.token("dead")
	w.change("dead", plan.TokenRevoke)
	tests := map[string]struct {
		name   string
		change plan.TokenChange
		want   error
	}{
		"no such token":      {"other", plan.TokenPin, plan.ErrNotFound},
		"no such change":     {"stacks", "explode", plan.ErrInvalid},
		"pin a revoked":      {"dead", plan.TokenPin, plan.ErrConflict},
		"enable a revoked":   {"dead", plan.TokenEnable, plan.ErrConflict},
		"a token of a pool":  {"runner/scaler-x", plan.TokenDelete, plan.ErrNotFound},
		"delete what is not": {"", plan.TokenDelete, plan.ErrNotFound},
	}
	if _, err := w.g.Issue(t.Context(), "scaler-x", "linux", orgScope, nil, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	before := w.actions()
	for name, tt := range tests {
		if _, err := w.g.Change(t.Context(), "alice", tt.name, tt.change); !errors.Is(err, tt.want) {
			t.Errorf("%s: error = %v, want %v", name, err, tt.want)
		}
	}
	if _, err := w.g.Reset(t.Context(), "alice", "dead"); !errors.Is(err, plan.ErrConflict) {
		t.Errorf("reset of a revoked one: %v", err)
	}
	if _, err := w.g.Reset(t.Context(), "alice", "other"); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("reset of none: %v", err)
	}
	if w.actions() != before {
		t.Errorf("audit went on: %s", w.actions())
	}
}

// What cannot be stored has not happened.
func TestChangesThatCannotBeStored(t *testing.T) {
	w := newWorld(t)
	token := w.token("stacks")
	w.store.setFail(func(int) error { return errDisk })
	for _, c := range []plan.TokenChange{plan.TokenUnpin, plan.TokenDisable, plan.TokenRevoke, plan.TokenDelete} {
		if _, err := w.g.Change(t.Context(), "alice", "stacks", c); !errors.Is(err, errDisk) {
			t.Errorf("%s: error = %v", c, err)
		}
	}
	if _, err := w.g.Reset(t.Context(), "alice", "stacks"); !errors.Is(err, errDisk) {
		t.Errorf("reset: error = %v", err)
	}
	if _, err := w.g.Create(t.Context(), "alice", plan.TokenSpec{Name: "b", Scope: orgScope}); !errors.Is(err, errDisk) {
		t.Errorf("create: error = %v", err)
	}
	w.store.setFail(nil)
	if is, _ := w.is("stacks"); is.State(time.Now()) != plan.TokenActive || !is.Pinned || len(w.g.Tokens()) != 1 {
		t.Errorf("tokens = %+v", w.g.Tokens())
	}
	w.runner(token.Secret, "r1")
}

func TestReset(t *testing.T) {
	w := newWorld(t)
	old := w.token("stacks", singleUse)
	w.runner(old.Secret, "r1")
	w.change("stacks", plan.TokenDisable)
	made := w.reset("stacks")
	if made.Token.Enabled || made.Token.Uses != 0 || made.Token.ID != old.Token.ID || made.Secret == old.Secret {
		t.Errorf("token = %+v", made.Token)
	}
	w.change("stacks", plan.TokenEnable)
	_, err := w.admit(old.Secret, "r2")
	wantRefusal(t, err, kindUnauthenticated, "not known here")
	w.runner(made.Secret, "r2")
	if _, list := w.is("stacks"); len(list) != 2 {
		t.Errorf("the runners are %+v", list)
	}
}

func TestDeletedTokenLeavesItsRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.token("stacks", func(s *plan.TokenSpec) { s.ReapAfter, s.Labels = time.Hour, []string{"linux"} })
		r := w.runner(token.Secret, "r1")
		w.change("stacks", plan.TokenDelete)
		w.boot()
		w.run()
		wait(10 * time.Minute)
		e, _ := w.g.registry.enrolment(r.GetUuid())
		if e.TokenName != "stacks" || e.ReapAfter != time.Hour || e.Leaving != "" || w.gitea.count() != 1 {
			t.Errorf("the runner is %+v", e.Enrolment)
		}
		wantRefusal(t, w.g.mayDeclare(r.GetUuid(), []string{"gpu"}), kindForbidden, "does not allow")
		if _, err := w.deregister(r); err != nil {
			t.Error(err)
		}
		w.stop()
		w.token("stacks") // the name is free again
	})
}

func TestTokensAreListedByName(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"b", "c", "a"} {
		w.token(name, func(s *plan.TokenSpec) { s.Labels = []string{"linux"} })
	}
	if _, err := w.g.Issue(t.Context(), "scaler-x", "linux", orgScope, nil, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, token := range w.g.Tokens() {
		names = append(names, token.Name)
		token.Labels[0] = "changed by the caller"
	}
	if strings.Join(names, " ") != "a b c" {
		t.Errorf("names = %v", names)
	}
	if is, _ := w.is("a"); is.Labels[0] != "linux" {
		t.Error("a caller can change a token")
	}
	if _, _, err := w.g.Token("d"); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("error = %v", err)
	}
}

func TestMayDeclare(t *testing.T) {
	w := newWorld(t)
	free, bound := w.token("free"), w.token("bound", func(s *plan.TokenSpec) { s.Labels = []string{"linux"} })
	r1 := w.runner(free.Secret, "r1")
	r2, err := w.admit(bound.Secret, "r2", "linux:host")
	if err != nil {
		t.Fatal(err)
	}
	for _, ok := range []error{
		w.g.mayDeclare(r1.GetUuid(), []string{"anything"}),
		w.g.mayDeclare(r2.GetUuid(), []string{"linux:docker://x"}),
		w.g.mayDeclare(r2.GetUuid(), nil),
		w.g.mayDeclare("00000000-0000-4000-8000-000000000099", []string{"anything"}),
	} {
		if ok != nil {
			t.Errorf("refused: %v", ok)
		}
	}
	wantRefusal(t, w.g.mayDeclare(r2.GetUuid(), []string{"linux", "gpu"}), kindForbidden, `registration token bound does not allow the label "gpu"`)
	wantRefusal(t, w.g.mayDeclare(strings.ToUpper(r2.GetUuid()), []string{"gpu"}), kindForbidden, "gpu")
	wantRefusal(t, w.g.mayDeclare("００000000-0000-4000-8000-000000000002", []string{"gpu"}), kindUnauthenticated, "unregistered runner")
}
