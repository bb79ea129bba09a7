package pool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

func standby(n int) func(*Config) { return sole(func(p *plan.Pool) { p.Standby = n }) }

// phases counts the daemon's runners by phase.
func (r *rig) phases() map[plan.Phase]int {
	n := make(map[plan.Phase]int)
	for _, x := range r.m.Status().Runners {
		n[x.Phase]++
	}
	return n
}

// wantStandby checks how many runners are on standby, and that there are no
// others.
func (r *rig) wantStandby(n int) {
	r.t.Helper()
	if p := r.phases(); p[plan.PhaseStandby] != n || len(r.m.Status().Runners) != n {
		r.t.Errorf("runners by phase %v, want %d on standby", p, n)
	}
}

func TestStandbyIsStartedForAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, standby(2))
		r.run()
		r.after(5 * time.Second)
		r.wantStandby(2)
		if n := len(r.gitea.State().Runners); n != 2 || r.engine.Calls("Start") != 0 {
			t.Errorf("%d registered, %d started: want 2 and 0", n, r.engine.Calls("Start"))
		}
		if s := r.m.Status().Pools[0]; s.Standby != 2 || s.Starting+s.Idle+s.Leaving != 0 {
			t.Errorf("pool %+v", s)
		}
		created := r.engine.Calls("Create")
		r.queue(1, time.Minute)
		r.m.Trigger()
		r.after(165 * time.Millisecond) // a start takes 170 ms
		if n := r.engine.Calls("Create"); n != created {
			t.Errorf("%d containers made for the job", n-created)
		}
		r.after(10 * time.Millisecond)
		r.wantJobs(giteatest.StatusInProgress, 1)
		r.after(10 * time.Second)
		if p := r.phases(); p[plan.PhaseStandby] != 2 || p[plan.PhaseBusy] != 1 {
			t.Errorf("while it works: %v", p)
		}
		r.after(2 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 1)
		r.wantStandby(2)
		r.stop()
		r.run() // they outlive the daemon
		r.after(5 * time.Second)
		r.wantStandby(2)
		if n := r.engine.Calls("Create"); n != 3 {
			t.Errorf("%d containers made in all, want 3", n)
		}
		r.reconfigure(r.edited(standby(0)))
		r.after(5 * time.Second)
		r.stop()
		r.wantNothingLeft()
	})
}

func TestDrainingShutdownRemovesStandby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, standby(3), func(c *Config) { c.DrainOnShutdown = true })
		r.run()
		r.after(5 * time.Second)
		r.wantStandby(3)
		r.stop()
		r.wantNothingLeft()
	})
}

// What happens to a runner on standby from outside is found and made good.
func TestStandbyIsKept(t *testing.T) {
	tests := map[string]func(*rig, plan.RunnerStatus){
		"deleted in Gitea":  func(r *rig, s plan.RunnerStatus) { r.delete(s.ServerID) },
		"container removed": func(r *rig, s plan.RunnerStatus) { r.engine.Vanish(s.Name) },
		"container started": func(r *rig, s plan.RunnerStatus) {
			if err := r.engine.Start(context.Background(), s.Container, nil); err != nil {
				r.t.Fatal(err)
			}
		},
	}
	for name, happens := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{}, standby(1))
				r.run()
				r.after(5 * time.Second)
				before := r.only()
				happens(r, before)
				r.after(2 * time.Minute)
				r.wantStandby(1)
				if after := r.only(); after.Name == before.Name {
					t.Errorf("runner %s is still there", after.Name)
				}
				r.queue(1, time.Second)
				r.after(time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 1)
				r.reconfigure(r.edited(func(c *Config) { c.Spec.Pools, c.Pools = nil, nil }))
				r.after(10 * time.Second)
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}

// A daemon that dies while it makes runners ahead, or starts one of them,
// leaves nothing that the next one does not find.
func TestStandbySurvivesCrashes(t *testing.T) {
	for _, call := range []string{"Create", "Start"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{}, standby(2))
				r.run()
				if call == "Start" {
					r.after(5 * time.Second)
				}
				r.engine.Fail(call, errors.New("cut off"))
				r.queue(1, time.Second)
				r.after(1100 * time.Millisecond)
				r.stop()
				r.engine.Fail(call, nil)
				r.run()
				r.after(5 * time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 1)
				r.wantStandby(2)
				r.reconfigure(r.edited(standby(0)))
				r.after(10 * time.Second)
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}

// What a runner on standby was made from is what it would run with: after an
// edit, or with a newer image, others are made.
func TestOutdatedStandbyIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, renewing, standby(2))
		r.engine.SetImage("sha256:1")
		r.run()
		r.after(5 * time.Second)
		r.wantStandby(2)
		r.engine.SetImage("sha256:2")
		r.after(10 * time.Second)
		r.wantStandby(2)
		r.reconfigure(r.edited(another("mac")))
		r.after(10 * time.Second)
		r.wantStandby(2)
		if n := r.engine.Calls("Create"); n != 6 || r.engine.Calls("Start") != 0 {
			t.Errorf("%d containers made and %d started, want 6 and 0", n, r.engine.Calls("Start"))
		}
		for _, x := range r.gitea.State().Runners {
			if len(x.Labels) != 1 || x.Labels[0] != "mac" {
				t.Errorf("runner %+v has the old labels", x)
			}
		}
		r.gitea.AddJobs(giteatest.JobSpec{Count: 1, Labels: []string{"mac"}, Duration: time.Second})
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 1)
		r.stop()
	})
}
