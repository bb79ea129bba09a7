package pool

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/register"
)

// edited returns a copy of the rig's configuration with a change.
func (r *rig) edited(change func(*Config)) Config {
	c := r.config
	c.Spec.Pools = append([]plan.Pool{}, c.Spec.Pools...)
	c.Pools = maps.Clone(c.Pools)
	change(&c)
	return c
}

// reconfigure gives the daemon another configuration.
func (r *rig) reconfigure(c Config) {
	r.t.Helper()
	if err := r.m.Reconfigure(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
	r.after(time.Second)
}

func TestAnotherMaxHoldsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.config.Spec.Pools[0].Max = 2
		r.run()
		r.queue(6, time.Minute)
		r.after(10 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 2)
		r.reconfigure(r.edited(func(c *Config) { c.Spec.Pools[0].Max = 5 }))
		r.after(10 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 5)
		r.reconfigure(r.edited(func(c *Config) { c.Spec.Pools[0].Max = 1 }))
		r.after(10 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 5) // nobody is stopped who works
		r.after(5 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 6)
		r.stop()
		r.wantNothingLeft()
	})
}

func TestRemovedPoolDrains(t *testing.T) {
	for name, ephemeral := range map[string]bool{"ephemeral": true, "persistent": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{})
				if !ephemeral {
					persistent(&r.config)
				}
				r.config.Spec.Pools[0].Idle = 2
				r.run()
				r.queue(3, 2*time.Minute)
				r.after(20 * time.Second)
				r.wantJobs(giteatest.StatusInProgress, 3)
				full := r.config
				r.reconfigure(r.edited(func(c *Config) { c.Spec.Pools, c.Pools = nil, nil }))
				r.after(time.Minute)
				r.wantJobs(giteatest.StatusInProgress, 3)
				if n := len(r.m.Status().Runners); n != 3 {
					t.Errorf("%d runners are left, want the 3 that work", n)
				}
				r.queue(1, time.Second)
				r.after(3 * time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 3)
				if n := len(r.m.Status().Runners); n != 0 {
					t.Errorf("%d runners are left of a pool that is not configured any more", n)
				}
				full.Spec.Pools[0].Idle = 0
				r.reconfigure(full)
				r.after(30 * time.Second)
				r.wantJobs(giteatest.StatusSuccess, 4)
				r.after(time.Hour)
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}

// A start that is under way when its pool is removed ends as it began.
func TestPoolIsRemovedDuringAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.engine.StartTime = 20 * time.Second
		r.run()
		r.queue(2, time.Minute)
		r.after(5 * time.Second)
		r.reconfigure(r.edited(func(c *Config) { c.Spec.Pools, c.Pools = nil, nil }))
		r.after(10 * time.Minute)
		if n := len(r.m.Status().Runners); n != 0 {
			t.Errorf("%d runners are left", n)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

// The daemon was killed while a container was made, and the pool is gone when the
// next one runs. Where it never ran, nobody can need it.
func TestContainersOfARemovedPoolWithoutRecord(t *testing.T) {
	for name, started := range map[string]bool{"never started": false, "started": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{})
				id, err := r.engine.Create(t.Context(), "windows", "scaler-x-windows-abcdefgh", nil)
				if err == nil && started {
					err = r.engine.Start(t.Context(), id, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
				r.run()
				r.after(5 * time.Second)
				list, err := r.engine.List(t.Context())
				if err != nil || (len(list) == 1) != started {
					t.Errorf("containers %+v, %v", list, err)
				}
				if told := r.problem("container scaler-x-windows-abcdefgh") != ""; told != started {
					t.Errorf("problem %q", r.problem("container scaler-x-windows-abcdefgh"))
				}
				r.stop()
			})
		})
	}
}

// A runner's files are where its container was made with them, wherever its pool
// has them today: what is to be emptied must not be looked for elsewhere.
func TestRunnersFileIsEmptiedWhereItWasPut(t *testing.T) {
	for name, edit := range map[string]func(*Config){
		"another directory": func(c *Config) {
			o := c.Pools["linux"]
			o.DataDir = "/elsewhere"
			c.Pools["linux"] = o
		},
		"pool removed": func(c *Config) { c.Spec.Pools, c.Pools = nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{})
				r.engine.Fail("WriteFile", errors.New("no space left on device")) // so that it is still to be done
				r.run()
				r.queue(1, 5*time.Minute)
				r.after(20 * time.Second)
				r.stop()
				r.engine.Fail("WriteFile", nil)
				r.config = r.edited(edit) // and what the daemon remembers is gone
				r.run()
				r.after(time.Minute)
				file, err := r.engine.ReadFile(t.Context(), r.only().Container, "/data/"+register.DotRunnerName)
				if err != nil || len(file) != 0 {
					t.Errorf("the runner's file has %d bytes, %v", len(file), err)
				}
				r.after(10 * time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 1)
				r.stop()
			})
		})
	}
}

func TestConfigProblemsAreShownAndLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.after(time.Second)
		for range 3 {
			if err := r.m.NoteConfig(t.Context(), plan.ConfigStatus{Path: "/f", Error: "line 3: no"}); err != nil {
				t.Fatal(err)
			}
			r.after(2 * time.Second)
		}
		if s := r.m.Status(); s.Config.Error != "line 3: no" || r.problem("configuration") != "line 3: no" {
			t.Errorf("status %+v, problems %+v", s.Config, s.Problems)
		}
		if n := strings.Count(r.log.String(), "line 3: no"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
		if err := r.m.NoteConfig(t.Context(), plan.ConfigStatus{Path: "/f", Restart: []string{"gitea.url: a → b"}}); err != nil {
			t.Fatal(err)
		}
		r.after(2 * time.Second)
		if got := r.problem("configuration"); got != "restart scaler to take over: gitea.url: a → b" {
			t.Errorf("problem %q", got)
		}
		if err := r.m.NoteConfig(t.Context(), plan.ConfigStatus{Path: "/f"}); err != nil {
			t.Fatal(err)
		}
		r.after(2 * time.Second)
		if got := r.problem("configuration"); got != "" {
			t.Errorf("problem %q stays", got)
		}
		r.stop()
	})
}
