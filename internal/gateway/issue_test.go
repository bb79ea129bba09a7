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

const podName = "scaler-0123456789ab-linux-x7k2q"

var podAddr = netip.MustParseAddr("172.20.0.5")

// issue makes a token for the runner podName, whose container has podAddr.
func (w *world) issue() plan.Secret {
	w.t.Helper()
	w.fleet.owner[podAddr] = podName
	secret, err := w.g.Issue(w.t.Context(), podName, "linux", orgScope, []string{"linux:docker://debian"}, time.Now().Add(10*time.Minute))
	if err != nil {
		w.t.Fatal(err)
	}
	w.secrets = append(w.secrets, secret.Reveal())
	return secret
}

func (w *world) podRequest(secret plan.Secret) registration {
	r := w.request(secret, podName, "linux")
	r.Source = podAddr
	return r
}

func TestIssuedTokenRegistersItsRunnerAlone(t *testing.T) {
	tests := map[string]struct {
		setup func(*world)
		ask   func(*registration)
		kind  refusalKind // 0 for success
		text  string
	}{
		"its runner":         {},
		"another name":       {ask: func(r *registration) { r.Request.Name = "other" }, kind: kindForbidden, text: "is for another runner"},
		"another address":    {ask: func(r *registration) { r.Source = somehost }, kind: kindForbidden, text: "is not for this address"},
		"another label":      {ask: func(r *registration) { r.Request.Labels = []string{"gpu"} }, kind: kindForbidden, text: "does not allow the label"},
		"too late":           {setup: func(*world) { wait(10 * time.Minute) }, kind: kindUnauthenticated, text: "has expired"},
		"after its end":      {setup: func(w *world) { _ = w.g.Retire(w.t.Context(), podName) }, kind: kindUnauthenticated, text: "not known"},
		"after another":      {setup: func(w *world) { w.issue() }, kind: kindUnauthenticated, text: "not known"},
		"the engine is away": {setup: func(w *world) { w.fleet.fail = errBroken }, kind: kindUnavailable, text: "cannot check at the moment whose address"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				req := w.podRequest(w.issue())
				if tt.setup != nil {
					tt.setup(w)
				}
				if tt.ask != nil {
					tt.ask(&req)
				}
				made, err := w.admitAs(req)
				if tt.kind != 0 {
					wantRefusal(t, err, tt.kind, tt.text)
					if w.gitea.count() != 0 || len(w.fleet.ids) != 0 {
						t.Error("a runner was made")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				id := w.fleet.ids[podName]
				if id.ID != made.GetId() || id.UUID != made.GetUuid() || id.Token.Reveal() != made.GetToken() || id.Address != w.cfg.PublicURL || id.Name != podName {
					t.Errorf("identity = %+v", id)
				}
				e, _ := w.g.registry.enrolment(made.GetUuid())
				if e.Pool != "linux" || strings.Join(e.Allowed, " ") != "linux" {
					t.Errorf("enrolment = %+v", e.Enrolment)
				}
				_, err = w.admitAs(req)
				wantRefusal(t, err, kindUnauthenticated, "is used up")
				if len(w.g.Tokens()) != 0 {
					t.Errorf("it is listed: %+v", w.g.Tokens())
				}
			})
		})
	}
}

// A pool that cannot store its runner's identity must not have the runner.
func TestPoolThatCannotEnrolHasNoRunner(t *testing.T) {
	w := newWorld(t)
	secret := w.issue()
	w.gitea.made = func(int64) { w.fleet.fail = errDisk }
	_, err := w.admitAs(w.podRequest(secret))
	wantRefusal(t, err, kindUnavailable, "cannot store")
	if w.gitea.count() != 0 || len(w.g.registry.enrolments) != 0 {
		t.Error("the runner is left")
	}
	w.gitea.made, w.fleet.fail = nil, nil
	if _, err := w.admitAs(w.podRequest(secret)); err != nil {
		t.Errorf("the next try: %v", err)
	}
}

func TestIssueAndRetire(t *testing.T) {
	w := newWorld(t)
	if _, err := w.g.Issue(t.Context(), podName, "linux", plan.Scope{Kind: plan.ScopeInstance}, nil, time.Now()); !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("a scope that is not served: %v", err)
	}
	if _, err := w.admitAs(w.podRequest(w.issue())); err != nil {
		t.Fatal(err)
	}
	w.boot()
	for range 2 {
		if err := w.g.Retire(t.Context(), podName); err != nil {
			t.Fatal(err)
		}
	}
	if w.store.size() != 0 {
		t.Errorf("left: %v %v", w.store.tokens, w.store.enrolments)
	}
	w.store.setFail(func(int) error { return errDisk })
	if _, err := w.g.Issue(t.Context(), podName, "linux", orgScope, nil, time.Now().Add(time.Hour)); !errors.Is(err, errDisk) {
		t.Errorf("a full disk: %v", err)
	}
}

// The gateway only notes that a pool's runner is gone. Deleting it is the
// pool's part, and what is left over here goes by itself.
func TestPoolsRunnersAreThePools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		made, err := w.admitAs(w.podRequest(w.issue()))
		if err != nil {
			t.Fatal(err)
		}
		w.run()
		wait(26 * time.Hour) // offline all the time
		if w.gitea.count() != 1 || w.gitea.calls("SetRunnerDisabled") != 0 {
			t.Fatal("the runner was touched")
		}
		w.gitea.remove(made.GetId())
		wait(time.Minute)
		if w.store.size() != 0 {
			t.Errorf("left: %v %v", w.store.tokens, w.store.enrolments)
		}
		w.issue()
		wait(time.Hour)
		if w.store.size() != 0 {
			t.Errorf("a token that expired unused is left: %v", w.store.tokens)
		}
		w.stop()
	})
}

// Whatever is stored of a pool's runner, it is not the janitor's to deregister.
func TestJanitorNeverDeregistersAPoolsRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		made, err := w.admitAs(w.podRequest(w.issue()))
		if err != nil {
			t.Fatal(err)
		}
		for _, leaving := range []string{"", "told to"} {
			if err := w.g.registry.amend([]string{made.GetUuid()}, func(e *plan.Enrolment) bool {
				e.ReapAfter, e.Leaving = time.Hour, leaving
				return true
			}); err != nil {
				t.Fatal(err)
			}
			w.boot()
			w.run()
			wait(3 * time.Hour)
			w.stop()
			if e, _ := w.g.registry.enrolment(made.GetUuid()); e.Leaving != leaving {
				t.Errorf("it leaves: %q", e.Leaving)
			}
		}
		if w.gitea.count() != 1 || w.gitea.calls("SetRunnerDisabled") != 0 {
			t.Error("the runner was touched")
		}
	})
}

// A token whose registration is under way is not forgotten.
func TestUsedPoolTokenStaysWhileItRegisters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		secret := w.issue()
		h, _ := parseSecret(secret.Reveal())
		if _, no := w.g.spend(t.Context(), h, w.podRequest(secret)); no != nil {
			t.Fatal(no)
		}
		w.run()
		wait(registering - time.Minute)
		if w.store.size() != 1 {
			t.Error("it is forgotten")
		}
		wait(2 * time.Minute)
		if w.store.size() != 0 {
			t.Error("it is not forgotten in the end")
		}
		w.stop()
	})
}

// A pool's runner that deregisters itself is not disabled on the way: that is
// what the pool does, and must not be undone.
func TestPoolsRunnerDeregistersItself(t *testing.T) {
	w := newWorld(t)
	made, err := w.admitAs(w.podRequest(w.issue()))
	if err != nil {
		t.Fatal(err)
	}
	w.gitea.begin(made.GetId())
	_, err = w.deregister(made)
	wantRefusal(t, err, kindBusy, "has the job")
	w.gitea.setFail("RunningJobs", errBroken)
	_, err = w.deregister(made)
	wantRefusal(t, err, kindUnavailable, "try again later")
	if e, _ := w.g.registry.enrolment(made.GetUuid()); e.Leaving != "" || w.gitea.calls("SetRunnerDisabled") != 0 {
		t.Errorf("the runner is %+v", e.Enrolment)
	}
	w.gitea.setFail("RunningJobs", nil)
	w.gitea.end(made.GetId())
	if _, err := w.deregister(made); err != nil || w.gitea.count() != 0 {
		t.Errorf("error = %v with %d runners left", err, w.gitea.count())
	}
}
