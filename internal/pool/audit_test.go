package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

func TestPersistentRunnerKeepsItsIdentity(t *testing.T) {
	tests := map[string]func(*rig){
		"its container is removed": func(r *rig) { r.engine.Vanish(r.only().Name) },
		"its container is killed":  func(r *rig) { r.kill(r.only().Container) },
		"the host reboots":         func(r *rig) { r.stop(); r.engine.KillAll(); r.run() },
		"the daemon restarts":      func(r *rig) { r.stop(); r.run() },
	}
	for name, harm := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.Min = 1 }))
				r.run()
				r.after(5 * time.Second)
				before := r.only()
				r.queue(1, time.Second)
				r.after(5 * time.Second)
				harm(r)
				r.after(10 * time.Second)
				after := r.only()
				if after.Name != before.Name || after.ServerID != before.ServerID || after.Phase != plan.PhaseIdle {
					t.Errorf("before %s %d, after %s %d in phase %s", before.Name, before.ServerID, after.Name, after.ServerID, after.Phase)
				}
				r.queue(1, time.Second)
				r.after(10 * time.Second)
				r.wantJobs(giteatest.StatusSuccess, 2)
				if n := r.gitea.State().Counts.Registrations; n != 1 {
					t.Errorf("%d registrations, want 1", n)
				}
				r.stop()
				r.killAll()
			})
		})
	}
}

func TestPersistentRunnerThatKeepsFailingBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.Min = 1 }))
		r.run()
		r.after(5 * time.Second)
		r.engine.SetProcess(func(context.Context, <-chan struct{}, map[string][]byte) int { return 1 })
		r.kill(r.only().Container)
		r.after(time.Hour)
		if n := r.engine.Calls("Create"); n < 8 || n > 30 {
			t.Errorf("%d containers in an hour, want a back-off up to five minutes", n)
		}
		r.engine.SetProcess(r.process)
		r.after(6 * time.Minute)
		if got := r.only().Phase; got != plan.PhaseIdle {
			t.Errorf("phase %s, want idle", got)
		}
		if n := r.gitea.State().Counts.Registrations; n != 1 {
			t.Errorf("%d registrations, want 1", n)
		}
		r.stop()
		r.killAll()
	})
}

func TestRunnerDeletedInGiteaGivesWay(t *testing.T) {
	for _, ephemeral := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Min = 1 }))
			if !ephemeral {
				persistent(&r.config)
			}
			// The real runner polls on for ever if it is deleted.
			r.engine.SetProcess(func(ctx context.Context, term <-chan struct{}, files map[string][]byte) int {
				code := r.process(ctx, term, files)
				if code == 1 {
					<-ctx.Done()
				}
				return code
			})
			r.run()
			r.after(5 * time.Second)
			first := r.only()
			r.delete(first.ServerID)
			r.after(3 * time.Minute)
			second := r.only()
			if second.Name == first.Name || second.Phase != plan.PhaseIdle {
				t.Errorf("ephemeral %v: after %s there is %s in phase %s", ephemeral, first.Name, second.Name, second.Phase)
			}
			r.queue(1, time.Second)
			r.after(10 * time.Second)
			r.wantJobs(giteatest.StatusSuccess, 1)
			r.stop()
			r.killAll()
		})
	}
}

func TestCancelledJobEndsItsEphemeralRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		id := r.queue(1, time.Hour)[0]
		r.after(10 * time.Second)
		if err := r.gitea.CancelJob(id); err != nil {
			t.Fatal(err)
		}
		r.after(3 * time.Minute)
		if n := len(r.m.Status().Runners); n != 0 {
			t.Errorf("%d runners three minutes after the cancellation: %+v", n, r.only())
		}
		r.stop()
		r.killAll()
		r.wantNothingLeft()
	})
}

func TestPickCollisionIsMended(t *testing.T) {
	for name, opts := range map[string]giteatest.Options{"by a nudge": {}, "by another runner": {DisablePatch: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, opts, sole(func(p *plan.Pool) { p.Min, p.Max = 1, 1 }))
				r.run()
				r.after(5 * time.Second)
				r.gitea.SetPickCollisions(1)
				r.queue(1, time.Second)
				r.after(time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 1)
				if s := r.gitea.State(); s.Counts.Lost != 1 {
					t.Errorf("%d picks were lost, want 1", s.Counts.Lost)
				}
				for _, x := range r.gitea.State().Runners {
					if x.Disabled {
						t.Errorf("runner %s was left disabled", x.Name)
					}
				}
				r.stop()
				r.killAll()
			})
		})
	}
}

func TestNudgeIsFinishedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Min = 1 }))
		r.run()
		r.after(5 * time.Second)
		records, err := r.store.Records()
		if err != nil {
			t.Fatal(err)
		}
		r.stop()
		r.disable(records[0].Identity.ID)
		records[0].Nudging = true
		r.run(func(p *Ports) { p.Store = &preset{p.Store, records} })
		r.after(3 * time.Second)
		if s := r.gitea.State(); s.Runners[0].Disabled {
			t.Error("the runner is still disabled")
		}
		r.stop()
		r.killAll()
	})
}

func TestCorpsesAreReaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Min = 1 }))
		r.run()
		r.after(5 * time.Second)
		ours := "scaler-" + r.store.Instance() + "-linux-abcdefgh"
		foreign := []string{"scaler-000000000000-linux-abcdefgh", ours + "x", "scaler-" + r.store.Instance(), "somebody"}
		r.register(ours)
		for _, name := range foreign {
			r.register(name)
		}
		r.after(25 * time.Second)
		found, err := r.m.Reap(t.Context(), true)
		if err != nil || len(found) != 1 || found[0].Name != ours {
			t.Errorf("dry run found %+v, %v", found, err)
		}
		if n := len(r.gitea.State().Runners); n != 6 {
			t.Errorf("%d runners after a dry run, want 6", n)
		}
		r.after(3 * time.Minute)
		left := map[string]bool{}
		for _, x := range r.gitea.State().Runners {
			left[x.Name] = true
		}
		for _, name := range foreign {
			if !left[name] {
				t.Errorf("the foreign runner %s was deleted", name)
			}
		}
		if left[ours] || len(left) != len(foreign)+1 {
			t.Errorf("left: %v", left)
		}
		r.stop()
		r.killAll()
	})
}

func TestNothingIsReapedOnAPartialList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.after(time.Second)
		r.register("scaler-" + r.store.Instance() + "-linux-abcdefgh")
		if err := r.gitea.SetFault(giteatest.Fault{Kind: "runners", HalfPage: true}); err != nil {
			t.Fatal(err)
		}
		r.after(10 * time.Minute)
		if s := r.gitea.State(); len(s.Runners) != 1 || s.Counts.Deletions != 0 {
			t.Errorf("%d runners, %d deletions", len(s.Runners), s.Counts.Deletions)
		}
		r.gitea.ClearFaults()
		r.after(3 * time.Minute)
		r.stop()
		r.wantNothingLeft()
	})
}
