package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"

	"scaler.io/scaler/internal/plan"
)

func TestAdmitRegistersAndLinksTheRunner(t *testing.T) {
	w := newWorld(t)
	token := w.token("stacks", func(s *plan.TokenSpec) { s.Labels, s.ReapAfter = []string{"linux", "arm"}, time.Hour })
	req := w.request(token.Secret, "r1", "linux:docker://debian")
	req.Request.Version, req.Request.Ephemeral = "v1.0.8", true
	got, err := w.admitAs(req)
	if err != nil {
		t.Fatal(err)
	}
	if found, _ := w.gitea.get(got.GetId()); found.Name != "r1" || got.GetToken() == "" {
		t.Errorf("Gitea has %+v, the runner %+v", found, got)
	}
	is, list := w.is("stacks")
	if is.Uses != 1 || is.LastUsedAt.IsZero() || len(list) != 1 {
		t.Fatalf("token %+v with runners %+v", is, list)
	}
	e := list[0]
	if e.Token != is.ID || e.TokenName != "stacks" || e.RunnerID != got.GetId() || e.UUID != got.GetUuid() || e.Name != "r1" || e.Scope != orgScope ||
		strings.Join(e.Labels, " ") != "linux:docker://debian" || e.Version != "v1.0.8" || !e.Ephemeral || strings.Join(e.Allowed, " ") != "linux arm" ||
		e.Source != "10.1.2.3" || e.RegisteredAt.IsZero() || e.ReapAfter != time.Hour || e.Pool != "" {
		t.Errorf("enrolment = %+v", e)
	}
	if got := w.actions(); got != "token.create register.begin register" {
		t.Errorf("audit = %s", got)
	}
	w.boot()
	if _, again := w.is("stacks"); len(again) != 1 || again[0].UUID != e.UUID {
		t.Errorf("after a restart the runners are %+v", again)
	}
	if w.actions() != "token.create register.begin register" {
		t.Errorf("the restart has changed the audit log: %s", w.actions())
	}
}

// Each of these makes no runner, and no use of the token.
func TestAdmitRefusals(t *testing.T) {
	gone := plan.Scope{Kind: plan.ScopeOrg, Owner: "gone"}
	tests := map[string]struct {
		spec  func(*plan.TokenSpec)
		setup func(*world)
		ask   func(*registration)
		kind  refusalKind
		text  string
		log   string
	}{
		"a token of Gitea": {ask: func(r *registration) { r.Request.Token = "BzcgyhjWhLeKGA4ihJIigeRDrcxrFESd0yizEpb7" },
			kind: kindUnauthenticated, text: "not a registration token of this gateway; those begin with scaler_", log: "foreign"},
		"no token": {ask: func(r *registration) { r.Request.Token = "" }, kind: kindUnauthenticated, text: "not a registration token of this gateway", log: "foreign"},
		"cut off": {ask: func(r *registration) { r.Request.Token = r.Request.Token[:30] },
			kind: kindUnauthenticated, text: "registration token is mistyped or cut off", log: "mistyped"},
		"unknown": {ask: func(r *registration) { r.Request.Token = newSecret().Reveal() },
			kind: kindUnauthenticated, text: "registration token is not known here", log: "unknown"},
		"deleted":  {setup: func(w *world) { w.change("stacks", plan.TokenDelete) }, kind: kindUnauthenticated, text: "registration token is not known here", log: "unknown"},
		"replaced": {setup: func(w *world) { w.reset("stacks") }, kind: kindUnauthenticated, text: "registration token is not known here", log: "unknown"},
		"disabled": {setup: func(w *world) { w.change("stacks", plan.TokenDisable) },
			kind: kindUnauthenticated, text: "registration token stacks is disabled; ask for another one", log: "disabled"},
		"revoked": {setup: func(w *world) { w.change("stacks", plan.TokenRevoke) },
			kind: kindUnauthenticated, text: "registration token stacks was revoked", log: "revoked"},
		"expired": {spec: func(s *plan.TokenSpec) { s.ExpiresAt = time.Now().Add(time.Hour) }, setup: func(*world) { wait(time.Hour) },
			kind: kindUnauthenticated, text: "registration token stacks has expired", log: "expired"},
		"another network": {spec: func(s *plan.TokenSpec) { s.Sources = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")} },
			kind: kindForbidden, text: "registration token stacks is not accepted from 10.1.2.3", log: "source"},
		"a label that is not allowed": {spec: func(s *plan.TokenSpec) { s.Labels = []string{"linux"} }, ask: func(r *registration) { r.Request.Labels = []string{"linux", "gpu:host"} },
			kind: kindForbidden, text: `does not allow the label "gpu"; it allows linux`, log: "labels"},
		"such a label in an old field": {spec: func(s *plan.TokenSpec) { s.Labels = []string{"linux"} },
			//lint:ignore SA1019 what a server may read has to be checked
			ask:  func(r *registration) { r.Request.AgentLabels = []string{"gpu"} },
			kind: kindForbidden, text: `does not allow the label "gpu"`, log: "labels"},
		"no name": {ask: func(r *registration) { r.Request.Name = "" }, kind: kindInvalid, text: "needs a name", log: "name"},
		"a scope that is not served any more": {setup: func(w *world) { w.gitea.scopes = []plan.Scope{gone} },
			kind: kindForbidden, text: "a scope that this gateway does not serve any more", log: "scope"},
		"the first reason counts": {spec: func(s *plan.TokenSpec) { s.Sources = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")} },
			setup: func(w *world) { w.change("stacks", plan.TokenDisable) }, ask: func(r *registration) { r.Request.Name = "" },
			kind: kindUnauthenticated, text: "is disabled", log: "disabled"},
		"the store is full": {setup: func(w *world) { w.store.setFail(func(int) error { return errDisk }) },
			kind: kindUnavailable, text: "cannot store anything at the moment; this is not the runner's fault", log: "store"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				spec := func(*plan.TokenSpec) {}
				if tt.spec != nil {
					spec = tt.spec
				}
				token := w.token("stacks", spec)
				if tt.setup != nil {
					tt.setup(w)
				}
				req := w.request(token.Secret, "r1", "linux")
				if tt.ask != nil {
					tt.ask(&req)
				}
				_, err := w.admitAs(req)
				wantRefusal(t, err, tt.kind, tt.text)
				if n := w.gitea.calls("Register"); n != 0 || w.gitea.count() != 0 {
					t.Errorf("Gitea was asked %d times and has %d runners", n, w.gitea.count())
				}
				if is := w.store.token("stacks"); is.Uses != 0 {
					t.Errorf("the token has %d uses", is.Uses)
				}
				if !strings.Contains(w.log.String(), "reason="+tt.log+" ") {
					t.Errorf("the log does not have the reason %s", tt.log)
				}
				if tt.log != "store" {
					if last := w.store.audit[len(w.store.audit)-1]; last.Action != "refuse" || last.Source != "10.1.2.3" || !strings.Contains(last.Detail, tt.text) {
						t.Errorf("audit = %+v", last)
					}
				}
			})
		})
	}
}

func (w *world) change(name string, c plan.TokenChange) plan.Token {
	w.t.Helper()
	is, err := w.g.Change(w.t.Context(), "alice", name, c)
	if err != nil {
		w.t.Fatal(err)
	}
	return is
}

func (w *world) reset(name string) plan.NewToken {
	w.t.Helper()
	made, err := w.g.Reset(w.t.Context(), "alice", name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.secrets = append(w.secrets, made.Secret.Reveal())
	return made
}

func TestAdmitPassesGiteasTokensIfAllowed(t *testing.T) {
	w := newWorld(t, func(w *world) { w.cfg.AllowGiteaTokens = true })
	req := w.request("BzcgyhjWhLeKGA4ihJIigeRDrcxrFESd0yizEpb7", "r1")
	if _, err := w.g.admit(t.Context(), req); !errors.Is(err, errForeignToken) {
		t.Errorf("error = %v, want that it is to pass", err)
	}
	_, err := w.admit(newSecret(), "r1")
	wantRefusal(t, err, kindUnauthenticated, "not known here")
	if len(w.gitea.asked) != 0 {
		t.Errorf("Gitea was asked: %v", w.gitea.asked)
	}
}

// gathering is an enroller that lets the first so many registrations go on
// only once all of them have come as far as to ask for the scopes.
type gathering struct {
	*mapGitea
	expected atomic.Int32
	all      sync.WaitGroup
}

func gather(f *mapGitea, n int) *gathering {
	e := &gathering{mapGitea: f}
	e.expected.Store(int32(n))
	e.all.Add(n)
	return e
}

func (e *gathering) Scopes() []plan.Scope {
	if e.expected.Add(-1) >= 0 {
		e.all.Done()
		e.all.Wait()
	}
	return e.mapGitea.Scopes()
}

func TestUseUpIsExact(t *testing.T) {
	tests := map[string]struct {
		spec func(*plan.TokenSpec)
		want int
	}{
		"single use": {singleUse, 1},
		"max uses":   {func(s *plan.TokenSpec) { s.MaxUses = 7 }, 7},
		"pinned":     {func(*plan.TokenSpec) {}, 20},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			token := w.token("stacks", tt.spec)
			w.g.ports.Enroller = gather(w.gitea, 20)
			var made atomic.Int32
			var all sync.WaitGroup
			for i := range 20 {
				all.Go(func() {
					if _, err := w.admit(token.Secret, fmt.Sprint("r", i)); err == nil {
						made.Add(1)
					}
				})
			}
			all.Wait()
			if int(made.Load()) != tt.want || w.gitea.count() != tt.want || w.gitea.calls("Register") != tt.want {
				t.Errorf("%d accepted, %d runners by %d calls, want %d", made.Load(), w.gitea.count(), w.gitea.calls("Register"), tt.want)
			}
			w.wantUses("stacks", tt.want)
		})
	}
}

// A good token is never held up by bad ones that come from its address.
func TestFloodDoesNotHoldUpAGoodToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.token("stacks")
		limited := 0
		for i := range 500 {
			_, err := w.admit(newSecret(), "bad")
			if no := (*refusal)(nil); errors.As(err, &no) && no.kind == kindLimited {
				limited++
				if no.retryAfter <= 0 {
					t.Fatal("no Retry-After")
				}
			}
			if i%50 == 0 {
				w.runner(token.Secret, fmt.Sprint("good", i))
			}
		}
		if limited < 480 {
			t.Errorf("%d of 500 bad ones were told to wait", limited)
		}
		if n := strings.Count(w.actions(), "refuse"); n > 3 {
			t.Errorf("%d audit entries of refusals in one moment", n)
		}
		wait(2 * time.Minute)
		_, err := w.admit(newSecret(), "bad")
		wantRefusal(t, err, kindUnauthenticated, "not known")
		if last := w.store.audit[len(w.store.audit)-1]; !strings.Contains(last.Detail, "9 like it since the last entry") {
			t.Errorf("audit detail = %q, want the count of those before", last.Detail)
		}
	})
}

func TestRateOfOneToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.cfg.PerToken = 2 })
		a, b := w.token("a"), w.token("b")
		w.runner(a.Secret, "r1")
		w.runner(a.Secret, "r2")
		_, err := w.admit(a.Secret, "r3")
		if no := wantRefusal(t, err, kindLimited, "registration token a was used too often"); no.retryAfter != 30*time.Second {
			t.Errorf("retry after %s, want 30s", no.retryAfter)
		}
		w.wantUses("a", 2)
		w.runner(b.Secret, "r4")
		wait(30 * time.Second)
		w.runner(a.Secret, "r5")
	})
}

// What the server answers decides whether the use of the token is given back.
func TestAdmitWithTroubleUpstream(t *testing.T) {
	tests := map[string]struct {
		fail   error
		answer func(*runnerv1.RegisterResponse)
		text   string
		uses   int
		audit  string
	}{
		"its own token is refused": {fail: fmt.Errorf("register: %w", plan.ErrTokenRejected), text: "does not let the gateway register", uses: 0, audit: "register.failed"},
		"no such call":             {fail: plan.ErrUnsupported, text: "does not let the gateway register", uses: 0, audit: "register.failed"},
		"denied":                   {fail: plan.ErrDenied, text: "does not let the gateway register", uses: 0, audit: "register.failed"},
		"not reached":              {fail: fmt.Errorf("register: %w", errDialling), text: "cannot be reached by the gateway", uses: 0, audit: "register.failed"},
		"the answer is lost":       {fail: errBroken, text: "The use of registration token stacks stays counted", uses: 1, audit: "register.unknown"},
		"no runner in the answer":  {answer: func(r *runnerv1.RegisterResponse) { r.Runner = nil }, text: "no usable answer", uses: 1, audit: "register.unknown"},
		"no token in the answer":   {answer: func(r *runnerv1.RegisterResponse) { r.Runner.Token = "" }, text: "no usable answer", uses: 1, audit: "register.unknown"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			token := w.token("stacks", singleUse)
			w.gitea.setFail("Register", tt.fail)
			w.gitea.answer = tt.answer
			_, err := w.admit(token.Secret, "r1")
			no := wantRefusal(t, err, kindUnavailable, tt.text)
			for _, part := range []string{"reset", "refused", "tcp"} {
				if strings.Contains(no.message, part) {
					t.Errorf("the message shows what is behind: %q", no.message)
				}
			}
			w.wantUses("stacks", tt.uses)
			if got, want := w.actions(), "token.create register.begin "+tt.audit; got != want {
				t.Errorf("audit = %s, want %s", got, want)
			}
			w.gitea.setFail("Register", nil)
			w.gitea.answer = nil
			_, err = w.admit(token.Secret, "r1")
			if (err == nil) != (tt.uses == 0) {
				t.Errorf("the next try: %v", err)
			}
		})
	}
}

// Whichever commit fails, nobody has a runner that is not stored, a runner that
// nobody has is deleted, and no use is lost that could be given back.
func TestAdmitWithAFailingStore(t *testing.T) {
	tests := map[string]struct {
		fail  func(commit int) error
		calls int // of Register
		uses  int // on disk
	}{
		"the use is not stored":                       {func(n int) error { return on(n == 1) }, 0, 0},
		"the runner is not stored":                    {func(n int) error { return on(n == 2) }, 1, 0},
		"the runner is not stored, nor anything else": {func(n int) error { return on(n >= 2) }, 1, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			token := w.token("stacks", singleUse)
			w.store.setFail(tt.fail)
			_, err := w.admit(token.Secret, "r1")
			wantRefusal(t, err, kindUnavailable, "cannot store anything at the moment")
			if n := w.gitea.calls("Register"); n != tt.calls || w.gitea.count() != 0 {
				t.Errorf("%d registrations left %d runners, want %d and none", n, w.gitea.count(), tt.calls)
			}
			w.wantUses("stacks", tt.uses)
			w.store.setFail(nil)
			_, err = w.admit(token.Secret, "r1")
			if (err == nil) != (tt.uses == 0) {
				t.Errorf("the next try: %v", err)
			}
		})
	}
}

func on(fails bool) error {
	if fails {
		return errDisk
	}
	return nil
}

// If even the deletion of a runner that could not be kept fails, the janitor
// does it, also after a restart if at least that could be stored.
func TestRunnerThatCannotBeKeptIsDeletedLater(t *testing.T) {
	tests := map[string]struct {
		fail    func(commit int) error
		restart bool
	}{
		"the store is full":              {func(n int) error { return on(n >= 2) }, false},
		"the store failed once":          {func(n int) error { return on(n == 2) }, false},
		"the store failed once, restart": {func(n int) error { return on(n == 2) }, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				token := w.token("stacks", singleUse)
				w.store.setFail(tt.fail)
				w.gitea.setFail("DeleteRunner", errBroken)
				_, err := w.admit(token.Secret, "r1")
				wantRefusal(t, err, kindUnavailable, "cannot store")
				if w.gitea.count() != 1 {
					t.Fatal("the runner is gone although its deletion failed")
				}
				if tt.restart {
					w.boot()
				}
				w.run()
				wait(time.Minute)
				w.gitea.setFail("DeleteRunner", nil)
				wait(2 * time.Minute)
				if w.gitea.count() != 0 {
					t.Error("the runner is still there")
				}
				w.stop()
			})
		})
	}
}

// The id of a runner that could not be kept may be another's by now.
func TestUndoDeletesNoOther(t *testing.T) {
	w := newWorld(t)
	token := w.token("stacks")
	w.store.setFail(func(n int) error { return on(n >= 2) })
	w.gitea.made = func(id int64) { w.gitea.runners[id].Name = "another" }
	w.gitea.answer = func(r *runnerv1.RegisterResponse) { r.Runner.Name = "r1" }
	_, err := w.admit(token.Secret, "r1")
	wantRefusal(t, err, kindUnavailable, "cannot store")
	if w.gitea.calls("DeleteRunner") != 0 {
		t.Error("another's runner was deleted")
	}
}

// The daemon dies at any of the commits of a registration, before or after it
// is on disk. A single-use token makes at most one runner that anybody has.
func TestAdmitSurvivesACrash(t *testing.T) {
	for _, tt := range []struct {
		commits int // that reach the disk
		uses    int
		audit   string
	}{
		{0, 0, "token.create"},
		{1, 1, "token.create register.begin register.unknown"},
		{2, 1, "token.create register.begin register"},
	} {
		t.Run(fmt.Sprint(tt.commits, " commits"), func(t *testing.T) {
			w := newWorld(t)
			token := w.token("stacks", singleUse)
			w.store.setFail(func(n int) error { return on(n > tt.commits) })
			if tt.commits < 2 {
				w.gitea.setFail("Runner", errBroken) // the dead undo nothing
			}
			_, _ = w.admit(token.Secret, "r1")
			w.store.setFail(nil)
			w.gitea.setFail("Runner", nil)
			w.boot()
			w.wantUses("stacks", tt.uses)
			if got := w.actions(); got != tt.audit {
				t.Errorf("audit = %s, want %s", got, tt.audit)
			}
			_, list := w.is("stacks")
			if known := len(list) == 1; known != (tt.commits == 2) {
				t.Errorf("the runners are %+v", list)
			}
			_, err := w.admit(token.Secret, "r2")
			if (err == nil) != (tt.uses == 0) {
				t.Errorf("the next try: %v", err)
			}
			w.boot()
			if n := strings.Count(w.actions(), "register.unknown"); n > 1 {
				t.Errorf("the crash is noted %d times", n)
			}
		})
	}
}

// A runner that goes away before its answer will never have its token.
func TestRunnerThatGoesAwayLeavesNothing(t *testing.T) {
	for _, when := range []string{"before", "while Gitea registers it"} {
		t.Run(when, func(t *testing.T) {
			w := newWorld(t)
			token := w.token("stacks", singleUse)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if when == "before" {
				cancel()
			} else {
				w.gitea.made = func(int64) { cancel() }
			}
			_, err := w.g.admit(ctx, w.request(token.Secret, "r1"))
			wantRefusal(t, err, kindUnavailable, "went away")
			if w.gitea.count() != 0 {
				t.Error("it is left in Gitea")
			}
			w.wantUses("stacks", 0)
			w.runner(token.Secret, "r1")
		})
	}
}

// What is changed while Gitea is asked counts for the runner that comes of it.
func TestChangeDuringARegistration(t *testing.T) {
	tests := map[string]struct {
		change  func(*world)
		leaving bool
		uses    int
	}{
		"disabled": {func(w *world) { w.change("stacks", plan.TokenDisable) }, false, 1},
		"revoked":  {func(w *world) { w.change("stacks", plan.TokenRevoke) }, true, 1},
		"reset":    {func(w *world) { w.reset("stacks") }, false, 0},
		"reset and used again": {func(w *world) {
			h, _ := parseSecret(w.reset("stacks").Secret.Reveal())
			if _, no := w.g.spend(w.t.Context(), h, w.request("", "r2")); no != nil {
				w.t.Error(no)
			}
		}, false, 1},
	}
	for name, tt := range tests {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", fails ", fails), func(t *testing.T) {
				w := newWorld(t)
				token := w.token("stacks")
				w.gitea.made = func(int64) { tt.change(w) }
				if fails {
					w.gitea.answer = func(*runnerv1.RegisterResponse) { w.store.setFail(func(n int) error { return on(n == 1) }) }
				}
				_, err := w.admit(token.Secret, "r1")
				if (err != nil) != fails {
					t.Fatal(err)
				}
				want := tt.uses
				if fails && !strings.Contains(name, "again") {
					want = 0
				}
				w.wantUses("stacks", want)
				if _, list := w.is("stacks"); !fails && (len(list) != 1 || (list[0].Leaving != "") != tt.leaving) {
					t.Errorf("the runners are %+v", list)
				}
			})
		}
	}
}

func TestSecretOfGatewayStaysInside(t *testing.T) {
	w := newWorld(t)
	token := w.token("stacks")
	req := w.request(token.Secret, "r1")
	if _, err := w.admitAs(req); err != nil {
		t.Fatal(err)
	}
	if req.Request.GetToken() != token.Secret.Reveal() {
		t.Error("the caller's request was changed")
	}
}
