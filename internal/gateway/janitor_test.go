package gateway

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"

	"scaler.io/scaler/internal/plan"
)

// watched is a world with a running janitor and a runner that came by the
// token "stacks" and is online. Call it in a synctest bubble.
func watched(t *testing.T, spec ...func(*plan.TokenSpec)) (*world, *runnerv1.Runner) {
	t.Helper()
	w := newWorld(t)
	r := w.runner(w.token("stacks", spec...).Secret, "r1")
	w.run()
	t.Cleanup(func() { w.stop() })
	return w, r
}

// restart ends the process and starts another.
func (w *world) restart() {
	w.stop()
	w.boot()
	w.run()
}

// enrolled returns the one runner of the token "stacks".
func (w *world) enrolled() plan.Enrolment {
	w.t.Helper()
	_, list := w.is("stacks")
	if len(list) != 1 {
		w.t.Fatalf("the runners are %+v", list)
	}
	return list[0]
}

func TestRevokeWaitsForTheJob(t *testing.T) {
	tests := map[string]func(*world){
		"a server that disables runners": func(*world) {},
		"a server that cannot":           func(w *world) { w.gitea.setFail("SetRunnerDisabled", plan.ErrUnsupported) },
	}
	for name, setup := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, busy := watched(t)
				setup(w)
				idle := w.runner(w.token("other").Secret, "of another token")
				w.gitea.begin(busy.GetId())
				wait(time.Minute)
				start := time.Now()
				w.change("stacks", plan.TokenRevoke)
				if _, allowed := w.g.beginFetch(busy.GetUuid()); allowed {
					t.Error("it may ask for the next job")
				}
				synctest.Wait()
				if found, _ := w.gitea.get(busy.GetId()); !found.Disabled && name == "a server that disables runners" {
					t.Error("it is not disabled at once")
				}
				wait(time.Hour)
				if e := w.enrolled(); !e.GoneAt.IsZero() || w.gitea.count() != 2 {
					t.Fatalf("it is gone in the middle of its job: %+v", e)
				}
				w.restart()
				wait(time.Hour)
				w.gitea.end(busy.GetId())
				wait(time.Minute)
				if e := w.enrolled(); e.Gone != "token stacks was revoked" || time.Since(start) < 2*time.Hour {
					t.Errorf("it is %+v", e)
				}
				if found, there := w.gitea.get(idle.GetId()); !there || found.Disabled {
					t.Errorf("the runner of another token is %+v", found)
				}
				if w.gitea.calls("busy") != 0 {
					t.Error("a busy runner was deleted")
				}
				if last := w.store.audit[len(w.store.audit)-1]; last.Action != "deregister" || last.Detail != "token stacks was revoked" || last.Token != "stacks" {
					t.Errorf("audit = %+v", last)
				}
			})
		})
	}
}

// A job that was given out just before the runner was disabled shows only
// after a moment.
func TestRevokeSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := watched(t)
		wait(time.Minute)
		w.change("stacks", plan.TokenRevoke)
		wait(settleTime - time.Second)
		if w.gitea.calls("RunningJobs")+w.gitea.calls("DeleteRunner") != 0 {
			t.Error("its jobs were looked at before it had settled")
		}
		w.gitea.begin(r.GetId())
		wait(time.Minute)
		if w.gitea.count() != 1 {
			t.Fatal("a busy runner was deleted")
		}
		w.gitea.end(r.GetId())
		wait(time.Minute)
		if w.gitea.count() != 0 {
			t.Error("it is still there")
		}
	})
}

func TestRevokedIdleRunnerIsGoneSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := watched(t)
		wait(time.Minute)
		w.change("stacks", plan.TokenRevoke)
		wait(settleTime + time.Second)
		if w.gitea.count() != 0 {
			t.Error("it is still there")
		}
	})
}

func TestRunnerThatLeavesAndIsEnabledAgainSettlesAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := watched(t)
		w.gitea.begin(r.GetId())
		w.change("stacks", plan.TokenRevoke)
		wait(time.Minute)
		w.gitea.edit(r.GetId(), func(r *mapRunner) { r.Disabled = false }) // by an administrator
		wait(31 * time.Second)
		if found, _ := w.gitea.get(r.GetId()); !found.Disabled {
			t.Error("it is not disabled again")
		}
		w.gitea.end(r.GetId())
		wait(time.Minute)
		if w.gitea.count() != 0 {
			t.Error("it is still there")
		}
	})
}

func TestReapAfter(t *testing.T) {
	reap := func(s *plan.TokenSpec) { s.ReapAfter = 24 * time.Hour }
	tests := map[string]struct {
		spec func(*plan.TokenSpec)
		do   func(w *world, r *runnerv1.Runner) // a day's events
		gone string                             // empty if it stays
	}{
		"online":           {reap, func(*world, *runnerv1.Runner) { wait(48 * time.Hour) }, ""},
		"offline for ever": {func(*plan.TokenSpec) {}, func(w *world, r *runnerv1.Runner) { w.gitea.online(r.GetId(), false); wait(72 * time.Hour) }, ""},
		"offline too short": {reap, func(w *world, r *runnerv1.Runner) {
			w.gitea.online(r.GetId(), false)
			wait(23*time.Hour + 50*time.Minute)
		}, ""},
		"offline long enough": {reap, func(w *world, r *runnerv1.Runner) {
			w.gitea.online(r.GetId(), false)
			wait(24*time.Hour + 2*time.Minute)
		}, "offline for 24h0m0s"},
		"offline with a pause": {reap, func(w *world, r *runnerv1.Runner) {
			w.gitea.online(r.GetId(), false)
			wait(23 * time.Hour)
			w.gitea.online(r.GetId(), true)
			wait(time.Minute)
			w.gitea.online(r.GetId(), false)
			wait(23 * time.Hour)
		}, ""},
		"offline with a job": {reap, func(w *world, r *runnerv1.Runner) {
			w.gitea.online(r.GetId(), false)
			w.gitea.begin(r.GetId())
			wait(72 * time.Hour)
			if w.gitea.calls("SetRunnerDisabled") != 0 {
				w.t.Error("it was disabled")
			}
		}, ""},
		"restarts in between": {reap, func(w *world, r *runnerv1.Runner) {
			w.gitea.online(r.GetId(), false)
			for range 24 {
				wait(time.Hour)
				w.restart()
			}
			wait(reapGrace + 2*time.Minute)
		}, "offline for 24h4m30s"},
		"the daemon was away": {reap, func(w *world, r *runnerv1.Runner) {
			w.gitea.online(r.GetId(), false)
			wait(time.Minute)
			w.stop()
			wait(48 * time.Hour)
			w.boot()
			w.run()
			wait(time.Minute) // it can come back now
			w.gitea.online(r.GetId(), true)
			wait(time.Hour)
		}, ""},
		"Gitea was away": {reap, func(w *world, r *runnerv1.Runner) {
			w.gitea.online(r.GetId(), false)
			wait(time.Minute)
			w.gitea.setFail("Runners", errBroken)
			wait(48 * time.Hour)
			w.gitea.setFail("Runners", nil)
			wait(time.Minute)
			w.gitea.online(r.GetId(), true)
			wait(time.Hour)
		}, ""},
		"the list is incomplete": {reap, func(w *world, r *runnerv1.Runner) {
			w.gitea.online(r.GetId(), false)
			wait(time.Minute)
			w.gitea.cutLists(true) // that of the jobs too
			wait(72 * time.Hour)
		}, ""},
		"jobs cannot be listed": {reap, func(w *world, r *runnerv1.Runner) {
			w.gitea.online(r.GetId(), false)
			w.gitea.setFail("RunningJobs", errBroken)
			wait(72 * time.Hour)
		}, ""},
		"back while it is disabled": {reap, func(w *world, r *runnerv1.Runner) {
			w.gitea.online(r.GetId(), false)
			wait(24*time.Hour + 5*time.Second)
			for found, _ := w.gitea.get(r.GetId()); !found.Disabled; found, _ = w.gitea.get(r.GetId()) {
				wait(time.Second)
			}
			if done, allowed := w.g.beginFetch(r.GetUuid()); !allowed {
				w.t.Error("its sign of life is held back")
			} else {
				done()
			}
			w.gitea.online(r.GetId(), true)
			wait(time.Hour)
		}, ""},
		"another's name": {reap, func(w *world, r *runnerv1.Runner) {
			w.gitea.online(r.GetId(), false)
			wait(time.Minute)
			w.gitea.edit(r.GetId(), func(r *mapRunner) { r.Name = "another" })
			wait(72 * time.Hour)
		}, "deleted in Gitea"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r := watched(t, tt.spec)
				wait(10 * time.Minute)
				tt.do(w, r)
				w.gitea.cutLists(false)
				found, there := w.gitea.get(r.GetId())
				e := w.enrolled()
				reaped := strings.HasPrefix(tt.gone, reapReason)
				if e.Gone != tt.gone || there == reaped || there && found.Disabled || !reaped && e.Leaving != "" {
					t.Errorf("it is %+v (there: %v), stored as %+v, want gone %q", found, there, e, tt.gone)
				}
				if reaped && !strings.HasSuffix(w.actions(), " reap") {
					t.Errorf("audit = %s", w.actions())
				}
				if w.gitea.calls("busy") != 0 {
					t.Error("a busy runner was deleted")
				}
			})
		})
	}
}

// Only what is certain counts as gone, and nothing is deleted for it.
func TestJanitorNotesWhoIsGone(t *testing.T) {
	remove := func(w *world, r *runnerv1.Runner) { w.gitea.remove(r.GetId()) }
	tests := map[string]struct {
		do   func(*world, *runnerv1.Runner)
		gone string
	}{
		"there":           {func(*world, *runnerv1.Runner) {}, ""},
		"deleted":         {remove, "deleted in Gitea"},
		"another's id":    {func(w *world, r *runnerv1.Runner) { w.gitea.edit(r.GetId(), func(r *mapRunner) { r.Name = "another" }) }, "deleted in Gitea"},
		"incomplete list": {func(w *world, r *runnerv1.Runner) { w.gitea.cutLists(true); remove(w, r) }, ""},
		"failing list":    {func(w *world, r *runnerv1.Runner) { w.gitea.setFail("Runners", errBroken); remove(w, r) }, ""},
		"not confirmed":   {func(w *world, r *runnerv1.Runner) { w.gitea.setFail("Runner", errBroken); remove(w, r) }, ""},
		"denied":          {func(w *world, r *runnerv1.Runner) { w.gitea.setFail("Runner", plan.ErrDenied); remove(w, r) }, ""},
		"listed by mistake as absent": {func(w *world, r *runnerv1.Runner) {
			w.gitea.edit(r.GetId(), func(r *mapRunner) { r.scope = plan.Scope{Kind: plan.ScopeOrg, Owner: "other"} }) // it is denied then
		}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r := watched(t)
				wait(time.Minute)
				tt.do(w, r)
				wait(5 * time.Minute)
				if e := w.enrolled(); e.Gone != tt.gone || e.GoneAt.IsZero() == (tt.gone != "") {
					t.Errorf("it is %+v, want gone %q", e, tt.gone)
				}
				if w.gitea.calls("DeleteRunner")+w.gitea.calls("SetRunnerDisabled") != 0 {
					t.Error("something was touched")
				}
				if got := strings.HasSuffix(w.actions(), " gone"); got != (tt.gone != "") {
					t.Errorf("audit = %s", w.actions())
				}
			})
		})
	}
}

func TestEphemeralRunnerIsGoneAfterItsJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		req := w.request(w.token("stacks").Secret, "r1")
		req.Request.Ephemeral = true
		r, err := w.admitAs(req)
		if err != nil {
			t.Fatal(err)
		}
		w.gitea.remove(r.GetId())
		w.run()
		wait(time.Second)
		if e := w.enrolled(); e.Gone != "its job is done" {
			t.Errorf("it is %+v", e)
		}
		w.stop()
	})
}

// A scope that fails is logged when it begins and when it is over, and does
// not keep the others from being looked after.
func TestFailingScopeIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := watched(t)
		w.gitea.setFail("Runners", fmt.Errorf("list runners: %w", errBroken))
		wait(time.Hour)
		w.gitea.setFail("Runners", nil)
		wait(time.Minute)
		if n := strings.Count(w.log.String(), "msg=problem subject=\"scope org:acme\""); n != 1 {
			t.Errorf("the problem is logged %d times", n)
		}
		if n := strings.Count(w.log.String(), "problem is over"); n != 1 {
			t.Errorf("its end is logged %d times", n)
		}
		if found, there := w.gitea.get(r.GetId()); !there || found.Disabled {
			t.Errorf("it is %+v", found)
		}
	})
}

// The janitor writes only when something has changed.
func TestJanitorIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := watched(t, func(s *plan.TokenSpec) { s.ReapAfter = 100 * time.Hour })
		w.gitea.online(r.GetId(), false)
		wait(time.Minute)
		w.store.setFail(nil)
		calls := w.gitea.calls("")
		wait(time.Hour)
		if w.store.made() != 0 {
			t.Errorf("%d commits in an hour without changes", w.store.made())
		}
		if n := w.gitea.calls("") - calls; n < 119 || n > 121 {
			t.Errorf("%d calls in an hour, want one each 30 s", n)
		}
		w.gitea.online(r.GetId(), true)
		wait(time.Minute)
		if w.store.made() != 1 || !w.enrolled().OfflineSince.IsZero() {
			t.Errorf("%d commits; it is %+v", w.store.made(), w.enrolled())
		}
	})
}

func TestGoneRunnersAreForgottenInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.cfg.PerToken = 0 })
		old, many := w.token("old"), w.token("many")
		for i := range mostGone + 50 {
			r := w.runner(many.Secret, fmt.Sprint("r", i))
			w.gitea.remove(r.GetId())
		}
		r := w.runner(old.Secret, "r1")
		w.gitea.remove(r.GetId())
		stays := w.runner(old.Secret, "r2")
		w.run()
		wait(time.Second)
		if _, list := w.is("many"); len(list) != mostGone {
			t.Errorf("%d gone runners of one token are kept, want %d", len(list), mostGone)
		}
		later := func(d time.Duration) {
			w.stop()
			wait(d)
			w.run()
			wait(time.Second)
		}
		later(keepGone - time.Hour)
		if _, list := w.is("old"); len(list) != 2 {
			t.Errorf("too early: %+v", list)
		}
		later(2 * time.Hour)
		if _, list := w.is("old"); len(list) != 1 || list[0].UUID != stays.GetUuid() {
			t.Errorf("left: %+v", list)
		}
		if _, list := w.is("many"); len(list) != 0 {
			t.Errorf("%d are left", len(list))
		}
		w.stop()
	})
}

// A stuck request of one runner does not keep the others from leaving.
func TestStuckRequestDoesNotHoldUpTheJanitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stuck := watched(t)
		token := w.token("more")
		for i := range 5 {
			w.runner(token.Secret, fmt.Sprint("m", i))
		}
		done, _ := w.g.beginFetch(stuck.GetUuid())
		w.change("stacks", plan.TokenRevoke)
		w.change("more", plan.TokenRevoke)
		wait(time.Minute)
		if w.gitea.count() != 1 {
			t.Errorf("%d runners are left, want the stuck one", w.gitea.count())
		}
		done()
		wait(time.Minute)
		if w.gitea.count() != 0 {
			t.Error("it is still there")
		}
	})
}
