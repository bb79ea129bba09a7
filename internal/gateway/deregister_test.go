package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

func TestDeregister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.runner(w.token("stacks").Secret, "r1")
		for range 3 { // it can be repeated
			e, err := w.deregister(r)
			if err != nil || e.GoneAt.IsZero() || e.Gone != selfReason || e.Name != "r1" {
				t.Fatalf("%+v, %v", e, err)
			}
		}
		if w.gitea.count() != 0 || w.gitea.calls("DeleteRunner") != 1 {
			t.Errorf("%d runners left after %d deletions", w.gitea.count(), w.gitea.calls("DeleteRunner"))
		}
		last := w.store.audit[len(w.store.audit)-1]
		if last.Action != "deregister" || last.Token != "stacks" || last.Runner != "r1" || last.RunnerID != r.GetId() || last.Source != "10.1.2.3" || last.Detail != selfReason {
			t.Errorf("audit = %+v", last)
		}
		w.boot()
		if _, err := w.deregister(r); err != nil || w.gitea.calls("DeleteRunner") != 1 {
			t.Errorf("after a restart: %v", err)
		}
	})
}

// Wrong proofs touch nothing, and say the same whatever is wrong.
func TestDeregisterWithoutProof(t *testing.T) {
	tests := map[string]func(w *world, r *DeregisterRequest){
		"wrong token":         func(_ *world, r *DeregisterRequest) { r.Token = "own-token-of-runner-2-8843d7f9" },
		"no token":            func(_ *world, r *DeregisterRequest) { r.Token = "" },
		"another's id":        func(_ *world, r *DeregisterRequest) { r.ID = 2 },
		"no id":               func(_ *world, r *DeregisterRequest) { r.ID = 0 },
		"unknown UUID":        func(_ *world, r *DeregisterRequest) { r.UUID = "00000000-0000-4000-8000-000000000099" },
		"no UUID":             func(_ *world, r *DeregisterRequest) { r.UUID = "" },
		"UUID of wide digits": func(_ *world, r *DeregisterRequest) { r.UUID = strings.Replace(r.UUID, "1", "１", 1) },
		"of one registered without us, another's id": func(w *world, r *DeregisterRequest) {
			direct := w.gitea.direct(orgScope, "direct")
			r.UUID, r.Token = direct.GetUuid(), plan.Secret(direct.GetToken())
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			token := w.token("stacks")
			r := w.runner(token.Secret, "r1")
			w.runner(token.Secret, "r2")
			_, err := w.deregister(r, func(req *DeregisterRequest) { change(w, req) })
			if no := wantRefusal(t, err, kindUnauthenticated, "unregistered runner"); no.message != "unregistered runner" {
				t.Errorf("message = %q", no.message)
			}
			for _, call := range []string{"SetRunnerDisabled", "DeleteRunner", "RunningJobs"} {
				if w.gitea.calls(call) != 0 {
					t.Errorf("%s was called", call)
				}
			}
			if len(w.store.enrolments) != 2 {
				t.Errorf("stored: %v", w.store.enrolments)
			}
			if _, err := w.deregister(r); err != nil {
				t.Errorf("the runner itself: %v", err)
			}
		})
	}
}

func TestDeregisterFloodOfWrongProofs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.runner(w.token("stacks").Secret, "r1")
		for i := range 50 {
			_, err := w.deregister(r, func(req *DeregisterRequest) { req.Token = "guess" })
			if i >= wrongPerMinute {
				wantRefusal(t, err, kindLimited, "too many requests")
			}
		}
		if _, err := w.deregister(r); err != nil {
			t.Errorf("the right one is held up: %v", err)
		}
	})
}

func TestDeregisterOfABusyRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.runner(w.token("stacks").Secret, "r1")
		w.gitea.begin(r.GetId())
		_, err := w.deregister(r)
		wantRefusal(t, err, kindBusy, `has the job "build" (701) of acme/app`)
		if !errors.Is(err, plan.ErrBusy) {
			t.Errorf("error = %v, want that it is busy", err)
		}
		found, there := w.gitea.get(r.GetId())
		e, _ := w.g.registry.enrolment(r.GetUuid())
		if !there || found.Disabled || e.Leaving != "" || !e.DisabledAt.IsZero() {
			t.Errorf("it is %+v, stored as %+v", found, e.Enrolment)
		}
		if done, allowed := w.g.beginFetch(r.GetUuid()); !allowed {
			t.Error("it gets no jobs any more")
		} else {
			done()
		}
		e2, err := w.deregister(r, force)
		if err != nil || e2.GoneAt.IsZero() || w.gitea.count() != 0 {
			t.Errorf("with force: %+v, %v", e2, err)
		}
		if last := w.store.audit[len(w.store.audit)-1]; last.Detail != selfReason+", with force" {
			t.Errorf("audit = %+v", last)
		}
	})
}

// A refusal does not undo what somebody else wanted.
func TestBusyRunnerStaysAsOthersWantIt(t *testing.T) {
	t.Run("disabled by an administrator", func(t *testing.T) {
		w := newWorld(t)
		r := w.runner(w.token("stacks").Secret, "r1")
		w.gitea.begin(r.GetId())
		w.gitea.edit(r.GetId(), func(r *mapRunner) { r.Disabled = true })
		_, err := w.deregister(r)
		wantRefusal(t, err, kindBusy, "has the job")
		if found, _ := w.gitea.get(r.GetId()); !found.Disabled {
			t.Error("it was enabled")
		}
	})
	t.Run("of a revoked token", func(t *testing.T) {
		w := newWorld(t)
		r := w.runner(w.token("stacks").Secret, "r1")
		w.gitea.begin(r.GetId())
		w.change("stacks", plan.TokenRevoke)
		_, err := w.deregister(r)
		wantRefusal(t, err, kindBusy, "has the job")
		e, _ := w.g.registry.enrolment(r.GetUuid())
		if found, _ := w.gitea.get(r.GetId()); !found.Disabled || e.Leaving != "token stacks was revoked" {
			t.Errorf("it is %+v, stored as %+v", found, e.Enrolment)
		}
	})
}

// A runner that is being reaped and asks to go does go, even if it is online.
func TestDeregisterOfARunnerThatIsReaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := watched(t, func(s *plan.TokenSpec) { s.ReapAfter = time.Hour })
		w.gitea.online(r.GetId(), false)
		for found, _ := w.gitea.get(r.GetId()); !found.Disabled; found, _ = w.gitea.get(r.GetId()) {
			wait(time.Second)
		}
		w.gitea.online(r.GetId(), true)
		w.gitea.setFail("RunningJobs", errBroken)
		_, err := w.deregister(r)
		wantRefusal(t, err, kindUnavailable, "is deregistered once Gitea answers")
		w.gitea.setFail("RunningJobs", nil)
		wait(2 * time.Minute)
		if e := w.enrolled(); e.Gone != selfReason || w.gitea.count() != 0 {
			t.Errorf("it is %+v", e)
		}
	})
}

// revoking is a server that has the token "stacks" revoked while it lists jobs.
type revoking struct {
	*mapGitea
	w *world
}

func (r revoking) RunningJobs(ctx context.Context, scope plan.Scope) (plan.JobList, error) {
	r.w.change("stacks", plan.TokenRevoke)
	return r.mapGitea.RunningJobs(ctx, scope)
}

// A token that is revoked while one of its runners is refused its
// deregistration takes that runner along.
func TestRevokeDuringARefusedDeregistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.runner(w.token("stacks").Secret, "r1")
		w.gitea.begin(r.GetId())
		w.g.ports.Forge = revoking{w.gitea, w}
		_, err := w.deregister(r)
		wantRefusal(t, err, kindBusy, "has the job")
		if e, _ := w.g.registry.enrolment(r.GetUuid()); e.Leaving != "token stacks was revoked" {
			t.Errorf("it is %+v", e.Enrolment)
		}
		w.g.ports.Forge = w.gitea
		w.run()
		wait(time.Minute)
		w.gitea.end(r.GetId())
		wait(time.Minute)
		if w.gitea.count() != 0 {
			t.Error("it is still there")
		}
		w.stop()
	})
}

// If the server cannot enable a runner at once, the janitor sees to it.
func TestRefusedRunnerIsEnabledLater(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				known := w.runner(w.token("stacks").Secret, "r1")
				direct := w.gitea.direct(orgScope, "direct")
				w.gitea.begin(known.GetId())
				w.gitea.begin(direct.GetId())
				stuck := &stuckEnable{mapGitea: w.gitea}
				stuck.stuck.Store(true)
				w.g.ports.Forge = stuck
				_, err := w.deregister(known)
				wantRefusal(t, err, kindBusy, "has the job")
				_, err = w.deregister(direct)
				wantRefusal(t, err, kindBusy, "has the job")
				if found, _ := w.gitea.get(known.GetId()); !found.Disabled {
					t.Fatal("it is enabled although that failed")
				}
				if restart {
					w.boot()
					w.g.ports.Forge = stuck
				}
				w.run()
				wait(time.Minute)
				stuck.stuck.Store(false)
				wait(time.Minute)
				for _, r := range []int64{known.GetId(), direct.GetId()} {
					if found, there := w.gitea.get(r); !there || found.Disabled {
						t.Errorf("runner %d is %+v", r, found)
					}
				}
				e, _ := w.g.registry.enrolment(known.GetUuid())
				if _, kept := w.g.registry.enrolment(direct.GetUuid()); kept || !e.DisabledAt.IsZero() {
					t.Errorf("stored as %+v; the direct one is kept: %v", e.Enrolment, kept)
				}
				w.stop()
			})
		})
	}
}

// stuckEnable is a server that cannot enable runners.
type stuckEnable struct {
	*mapGitea
	stuck atomic.Bool
}

func (s *stuckEnable) SetRunnerDisabled(ctx context.Context, scope plan.Scope, id int64, disabled bool) error {
	if s.stuck.Load() && !disabled {
		return errBroken
	}
	return s.mapGitea.SetRunnerDisabled(ctx, scope, id, disabled)
}

// On a server that cannot disable runners (Gitea < 1.26), that the runner does
// not ask has to do.
func TestDeregisterWaitsForTheRunnersRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.gitea.setFail("SetRunnerDisabled", plan.ErrUnsupported)
		r := w.runner(w.token("stacks").Secret, "r1")
		done, _ := w.g.beginFetch(r.GetUuid())
		result := make(chan error, 1)
		go func() { _, err := w.deregister(r); result <- err }()
		synctest.Wait()
		if w.gitea.calls("RunningJobs") != 0 {
			t.Error("the jobs were read while a request was under way")
		}
		w.gitea.begin(r.GetId()) // the request's answer is a job
		done()
		wantRefusal(t, <-result, kindBusy, "has the job")
		w.gitea.end(r.GetId())
		if _, err := w.deregister(r); err != nil || w.gitea.count() != 0 {
			t.Errorf("error = %v", err)
		}
	})
}

// Two requests of one runner do not disturb each other.
func TestDeregisterTwiceAtOnce(t *testing.T) {
	w := newWorld(t)
	r := w.runner(w.token("stacks").Secret, "r1")
	direct := w.gitea.direct(orgScope, "direct")
	results := make(chan error)
	for range 5 {
		for _, r := range []DeregisterRequest{
			{ID: r.GetId(), UUID: r.GetUuid(), Token: plan.Secret(r.GetToken()), Source: somehost},
			{ID: direct.GetId(), UUID: direct.GetUuid(), Token: plan.Secret(direct.GetToken()), Source: somehost},
		} {
			go func() { _, err := w.g.Deregister(t.Context(), r); results <- err }()
		}
	}
	for range 10 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := w.gitea.calls("DeleteRunner"); n != 2 || w.gitea.count() != 0 {
		t.Errorf("%d deletions, %d runners left", n, w.gitea.count())
	}
}

// A restored backup gives ids out again: the runner of that id and another
// name is not touched.
func TestDeregisterLeavesAnothersRunnerAlone(t *testing.T) {
	for _, forced := range []bool{false, true} {
		w := newWorld(t)
		r := w.runner(w.token("stacks").Secret, "r1")
		w.gitea.edit(r.GetId(), func(r *mapRunner) { r.Name = "another" })
		w.gitea.begin(r.GetId())
		e, err := w.deregister(r, func(req *DeregisterRequest) { req.Force = forced })
		if err != nil || e.GoneAt.IsZero() || e.Gone != "deleted in Gitea" {
			t.Errorf("%+v, %v", e, err)
		}
		if w.gitea.count() != 1 || w.gitea.calls("SetRunnerDisabled")+w.gitea.calls("DeleteRunner") != 0 {
			t.Error("another's runner was touched")
		}
	}
}

func TestDeregisterOfARunnerThatIsGone(t *testing.T) {
	w := newWorld(t)
	r := w.runner(w.token("stacks").Secret, "r1")
	w.gitea.remove(r.GetId())
	if e, err := w.deregister(r); err != nil || e.Gone != "deleted in Gitea" {
		t.Errorf("%+v, %v", e, err)
	}
}

// Whatever the server does not do, the runner is not deleted with a job, and
// in the end it leaves, also over a restart.
func TestDeregisterWithTroubleUpstream(t *testing.T) {
	for _, call := range []string{"Runner", "SetRunnerDisabled", "RunningJobs", "DeleteRunner", "an incomplete list"} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(call, ", restart ", restart), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					r := w.runner(w.token("stacks").Secret, "r1")
					w.gitea.setFail(call, errBroken)
					w.gitea.cutLists(call == "an incomplete list")
					_, err := w.deregister(r)
					no := wantRefusal(t, err, kindUnavailable, "is deregistered once Gitea answers")
					if strings.Contains(no.message, "reset") {
						t.Errorf("the message shows what is behind: %q", no.message)
					}
					if w.gitea.count() != 1 {
						t.Fatal("it was deleted")
					}
					w.gitea.begin(r.GetId())
					if _, allowed := w.g.beginFetch(r.GetUuid()); allowed {
						t.Error("it may ask for jobs")
					}
					if restart {
						w.boot()
					}
					w.run()
					wait(2 * time.Minute)
					w.gitea.setFail(call, nil)
					w.gitea.cutLists(false)
					wait(2 * time.Minute)
					if w.gitea.count() != 1 {
						t.Fatal("it was deleted with a job")
					}
					w.gitea.end(r.GetId())
					wait(2 * time.Minute)
					if _, list := w.is("stacks"); w.gitea.count() != 0 || list[0].Gone != selfReason {
						t.Errorf("%d runners left; it is %+v", w.gitea.count(), list[0])
					}
					if w.gitea.calls("busy") != 0 {
						t.Error("a busy runner was deleted")
					}
					w.stop()
				})
			})
		}
	}
}

// The daemon dies, or its disk fails, after any commit of a deregistration.
// In the end the runner is gone and noted as such.
func TestDeregisterWithAFailingStore(t *testing.T) {
	for commits := range 4 {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(commits, " commits, restart ", restart), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					r := w.runner(w.token("stacks").Secret, "r1")
					w.store.setFail(func(n int) error { return on(n > commits) })
					_, err := w.deregister(r)
					if gone := w.gitea.count() == 0; gone != (err == nil) {
						t.Errorf("gone %v, error %v", gone, err)
					}
					w.store.setFail(nil)
					if restart {
						w.boot()
					}
					w.run()
					wait(2 * time.Minute)
					_, list := w.is("stacks")
					switch {
					case commits == 0:
						if found, _ := w.gitea.get(r.GetId()); found.Disabled || list[0].Leaving != "" {
							t.Errorf("nothing was stored, and it is %+v", found)
						}
					case w.gitea.count() != 0 || list[0].Gone != selfReason:
						t.Errorf("%d runners left; it is %+v", w.gitea.count(), list[0])
					}
					w.stop()
				})
			})
		}
	}
}

func TestDeregisterWhereTheServerCannotTellJobs(t *testing.T) {
	w := newWorld(t)
	w.gitea.setFail("RunningJobs", plan.ErrUnsupported)
	r := w.runner(w.token("stacks").Secret, "r1")
	_, err := w.deregister(r)
	wantRefusal(t, err, kindBusy, "Gitea is too old to tell")
	if found, _ := w.gitea.get(r.GetId()); found.Disabled {
		t.Error("it is left disabled")
	}
	if _, err := w.deregister(r, force); err != nil || w.gitea.count() != 0 {
		t.Errorf("with force: %v", err)
	}
}

// A caller that goes away does not leave the runner half deregistered.
func TestDeregisterGoesOnWithoutItsCaller(t *testing.T) {
	w := newWorld(t)
	r := w.runner(w.token("stacks").Secret, "r1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.g.Deregister(ctx, DeregisterRequest{ID: r.GetId(), UUID: r.GetUuid(), Token: plan.Secret(r.GetToken()), Source: somehost})
	if err != nil || w.gitea.count() != 0 {
		t.Errorf("error = %v with %d runners", err, w.gitea.count())
	}
}

func TestDeregisterOfARunnerRegisteredDirectly(t *testing.T) {
	instance, repo := plan.Scope{Kind: plan.ScopeInstance}, plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "app"}
	other := plan.Scope{Kind: plan.ScopeOrg, Owner: "other"}
	tests := map[string]struct {
		served  []plan.Scope
		setup   func(*world, int64)
		kind    refusalKind // 0 for success
		text    string
		scope   plan.Scope // that it was asked at
		deletes int
	}{
		"of the one scope":        {served: []plan.Scope{orgScope}, scope: orgScope, deletes: 1},
		"narrowest scope":         {served: []plan.Scope{instance, other, orgScope, repo}, scope: orgScope, deletes: 1},
		"instance alone":          {served: []plan.Scope{instance}, scope: instance, deletes: 1},
		"of no scope":             {served: []plan.Scope{other, repo}, kind: kindForbidden, text: "no scope that this gateway serves has the runner"},
		"busy":                    {served: []plan.Scope{orgScope}, setup: func(w *world, id int64) { w.gitea.begin(id) }, kind: kindBusy, text: "has the job", scope: orgScope},
		"the search fails":        {served: []plan.Scope{orgScope}, setup: func(w *world, _ int64) { w.gitea.setFail("Runner", errBroken) }, kind: kindUnavailable, text: "try again later"},
		"the proof is not heard":  {served: []plan.Scope{orgScope}, setup: func(w *world, _ int64) { w.gitea.setFail("Verify", errBroken) }, kind: kindUnavailable, text: "try again later"},
		"the proof is impossible": {served: []plan.Scope{orgScope}, setup: func(w *world, _ int64) { w.gitea.setFail("Verify", plan.ErrUnsupported) }, kind: kindUnavailable, text: "try again later"},
		"the store is full":       {served: []plan.Scope{orgScope}, setup: func(w *world, _ int64) { w.store.setFail(func(int) error { return errDisk }) }, kind: kindUnavailable, text: "cannot store"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.gitea.scopes = tt.served })
			r := w.gitea.direct(orgScope, "direct")
			if tt.setup != nil {
				tt.setup(w, r.GetId())
			}
			e, err := w.deregister(r)
			if tt.kind != 0 {
				wantRefusal(t, err, tt.kind, tt.text)
				if found, there := w.gitea.get(r.GetId()); !there || found.Disabled || strings.Join(found.Labels, "") != "linux" {
					t.Errorf("it is %+v", found)
				}
				if len(w.store.enrolments) != 0 {
					t.Errorf("stored: %v", w.store.enrolments)
				}
				return
			}
			if err != nil || e.Scope != tt.scope || e.Name != "direct" || w.gitea.count() != 0 {
				t.Errorf("%+v, %v", e, err)
			}
			if _, err := w.deregister(r); err != nil || w.gitea.calls("DeleteRunner") != 1 {
				t.Errorf("repeated: %v", err)
			}
		})
	}
}
