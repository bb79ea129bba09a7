package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// renewing has the pool of a rig replace its outdated runners.
func renewing(c *Config) {
	c.Spec.Pools[0].Renewal.Unavailable = plan.Portion{Count: 1}
	o := c.Pools["linux"]
	o.Recipe = plan.Recipe{Registration: "1", Container: "1"}
	c.Pools["linux"] = o
}

// another changes the labels of a configuration's pool.
func another(label string) func(*Config) {
	return func(c *Config) {
		o := c.Pools["linux"]
		o.Labels, o.Recipe.Registration = []plan.Label{{Name: label, Schema: "host"}}, "2"
		c.Pools["linux"] = o
		c.Spec.Pools[0].Labels = []string{label}
	}
}

func TestAnotherImageReplacesRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, renewing, sole(func(p *plan.Pool) { p.Min = 3 }))
		r.engine.SetImage("sha256:1")
		r.run()
		r.after(10 * time.Second)
		r.queue(1, 5*time.Minute)
		r.after(10 * time.Second)
		first := map[string]bool{}
		for _, x := range r.m.Status().Runners {
			first[x.Name] = true
		}
		r.engine.SetImage("sha256:2")
		r.after(2 * time.Second)
		s := r.m.Status()
		for _, x := range s.Runners {
			if first[x.Name] != (x.Outdated == "the pool's image is another one now (sha256:2)") {
				t.Errorf("outdated: %+v", x)
			}
		}
		if s.Pools[0].Outdated != 3 {
			t.Errorf("outdated: %+v", s.Pools[0])
		}
		for range 100 {
			r.after(time.Second)
			if n := r.phases(); n[plan.PhaseIdle]+n[plan.PhaseBusy] < 2 {
				t.Fatalf("more than one is missing: %v", n)
			}
		}
		r.stop()
		r.run()                      // which does not begin anew
		r.wantJobs("in_progress", 1) // and nobody stops who works
		r.after(5 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 1)
		r.after(time.Minute)
		for _, x := range r.m.Status().Runners {
			if first[x.Name] || x.Outdated != "" || x.Phase != plan.PhaseIdle {
				t.Errorf("%+v is left", x)
			}
		}
		if n := r.engine.Calls("Create"); n != 6 {
			t.Errorf("%d containers were made, want 3 and 3 more", n)
		}
		r.stop()
		r.killAll()
	})
}

// A new image whose runners do not come up costs no more than one of the old.
func TestBadImageStopsTheReplacement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, renewing, sole(func(p *plan.Pool) { p.Min = 3 }))
		r.engine.SetImage("sha256:1")
		r.run()
		r.after(10 * time.Second)
		r.engine.SetImage("sha256:2")
		r.engine.Fail("Start", plan.ErrInvalid)
		r.after(30 * time.Minute)
		if n := r.phases(); n[plan.PhaseIdle] != 2 {
			t.Errorf("%v are left, want two idle ones", n)
		}
		r.engine.Fail("Start", nil)
		r.after(10 * time.Minute)
		if s := r.m.Status(); s.Pools[0].Outdated != 0 || s.Pools[0].Idle != 3 {
			t.Errorf("in the end: %+v", s.Pools[0])
		}
		r.stop()
		r.killAll()
	})
}

// An edit that corrects what a pool's runners are made from is tried at once,
// however long the back-off has become.
func TestCorrectedPoolStartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, renewing)
		r.run()
		r.engine.Fail("Create", plan.ErrImage)
		r.queue(1, time.Second)
		r.after(20 * time.Minute)
		if p := r.m.Status().Pools[0]; !p.BreakerOpen || p.Failures < 5 {
			t.Fatalf("before the edit: %+v", p)
		}
		r.engine.Fail("Create", nil)
		r.reconfigure(r.edited(func(c *Config) {
			o := c.Pools["linux"]
			o.Recipe.Container = "2"
			c.Pools["linux"] = o
		}))
		r.after(5 * time.Second)
		r.wantJobs(giteatest.StatusSuccess, 1)
		r.stop()
		r.wantNothingLeft()
	})
}

func TestOtherLabelsReplaceRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, renewing, sole(func(p *plan.Pool) { p.Min = 2 }))
		r.run()
		r.after(10 * time.Second)
		r.queue(1, 10*time.Minute)
		r.after(10 * time.Second)
		r.reconfigure(r.edited(another("gpu")))
		r.gitea.AddJobs(giteatest.JobSpec{Count: 1, Labels: []string{"gpu"}, Duration: time.Second})
		r.after(10 * time.Second) // the idle one cannot take it, so that another starts
		r.wantJobs(giteatest.StatusSuccess, 1)
		r.wantJobs(giteatest.StatusInProgress, 1)
		r.after(15 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 2)
		if s := r.m.Status(); s.Pools[0].Outdated != 0 || len(s.Runners) != 2 {
			t.Errorf("in the end: %+v", s.Pools[0])
		}
		r.stop()
		r.killAll()
	})
}

// A persistent runner whose container has ended gets another one, unless its
// labels are others by now.
func TestEndedRunnerKeepsItsIdentityWithItsLabelsOnly(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"another container": func(c *Config) {
			o := c.Pools["linux"]
			o.Recipe.Container = "2"
			c.Pools["linux"] = o
		},
		"other labels": another("gpu"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{}, persistent, renewing, sole(func(p *plan.Pool) {
					p.Min, p.Renewal.Unavailable = 1, plan.Portion{} // so that it stays until it ends
				}))
				r.run()
				r.after(10 * time.Second)
				was := r.only()
				r.reconfigure(r.edited(change))
				r.engine.Vanish(was.Name)
				r.after(time.Minute)
				if is := r.only(); (is.ServerID == was.ServerID) != (name == "another container") || is.Outdated != "" {
					t.Errorf("%+v, before %+v", is, was)
				}
				r.stop()
				r.killAll()
			})
		})
	}
}

func TestMaxJobsReplacesRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.Max, p.Renewal.MaxJobs = 1, 2 }))
		served := map[int]int{} // how many runners had so many jobs
		r.config.OnRemoved = func(s plan.RunnerStatus) { served[s.Jobs]++ }
		r.run()
		r.queue(6, 20*time.Second)
		r.after(time.Minute)
		r.stop()
		r.run() // which counts on
		r.after(9 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 6)
		if len(served) != 1 || served[2] != 3 {
			t.Errorf("runners by jobs: %v, want 3 with 2 each", served)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

func TestMaxLifetimeReplacesRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, renewing, sole(func(p *plan.Pool) { p.Min, p.Renewal.MaxLifetime = 2, time.Hour }))
		r.run()
		r.after(50 * time.Minute)
		r.queue(1, 30*time.Minute)
		r.after(15 * time.Minute)
		// The busy one takes no other job, so that min asks for a third one.
		if s := r.m.Status(); r.engine.Calls("Create") != 4 || s.Pools[0].Idle != 2 || s.Pools[0].Outdated != 1 {
			t.Errorf("after an hour: %d were made, %+v", r.engine.Calls("Create"), s.Pools[0])
		}
		r.wantJobs(giteatest.StatusInProgress, 1)
		r.after(20 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 1)
		if s := r.m.Status(); r.engine.Calls("Create") != 4 || s.Pools[0].Idle != 2 || s.Pools[0].Outdated != 0 {
			t.Errorf("after the job: %d were made, %+v", r.engine.Calls("Create"), s.Pools[0])
		}
		r.stop()
		r.killAll()
	})
}

// Records of an earlier version say nothing of this: what can be told is.
func TestRecordWithoutRecipeIsCompleted(t *testing.T) {
	config := func(change ...func(*Config)) Config {
		c := newRig(t, giteatest.Options{}, append([]func(*Config){persistent, renewing}, change...)...).config
		return c
	}
	rec := func(change func(*state.Record)) state.Record {
		r := state.Record{Name: "a", Pool: "linux", Scope: instanceScope, Identity: &plan.Identity{ID: 1, Labels: []string{"linux:host"}}}
		change(&r)
		return r
	}
	for name, tt := range map[string]struct {
		rec    state.Record
		config Config
		want   plan.Recipe
	}{
		"as the pool":      {rec(func(*state.Record) {}), config(), plan.Recipe{Registration: "1", Container: "1"}},
		"other labels":     {rec(func(*state.Record) {}), config(another("gpu")), plan.Recipe{Registration: otherRegistration, Container: "1"}},
		"another scope":    {rec(func(r *state.Record) { r.Scope.Kind = plan.ScopeOrg }), config(), plan.Recipe{Registration: otherRegistration, Container: "1"}},
		"another kind":     {rec(func(r *state.Record) { r.Ephemeral = true }), config(), plan.Recipe{Registration: otherRegistration, Container: "1"}},
		"labels not known": {rec(func(r *state.Record) { r.Identity.Labels = nil }), config(), plan.Recipe{Container: "1"}},
		"not registered":   {rec(func(r *state.Record) { r.Identity = nil }), config(), plan.Recipe{Container: "1"}},
		"no such pool":     {rec(func(r *state.Record) { r.Pool = "gone" }), config(), plan.Recipe{}},
		"with a recipe":    {rec(func(r *state.Record) { r.Recipe.Image = "i" }), config(), plan.Recipe{Image: "i"}},
	} {
		m := New(tt.config, Ports{}, nil)
		m.completeRecipe(&tt.rec)
		if tt.rec.Recipe != tt.want {
			t.Errorf("%s: %+v, want %+v", name, tt.rec.Recipe, tt.want)
		}
	}
}
