package pool

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// fakeSizer is a Docker host whose size a test sets.
type fakeSizer struct {
	mu    sync.Mutex
	size  plan.Resources
	err   error
	asked int
}

func (f *fakeSizer) Size(context.Context) (plan.Resources, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return f.size, f.err
}

func (f *fakeSizer) set(size plan.Resources, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size, f.err = size, err
}

func (f *fakeSizer) port(p *Ports) { p.Sizer = f }

func gib(n int64) plan.Resources { return plan.Resources{Memory: n << 30} }

func TestReserveIsKeptFromTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &fakeSizer{err: errors.New("no answer")}
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Cost = gib(4) }), func(c *Config) { c.Spec.Reserve = gib(2) })
		r.run(host.port)
		r.queue(5, 2*time.Minute)
		r.after(8 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 0)
		if q := r.m.Status().Queue; len(q) != 5 || !strings.HasSuffix(q[0].Reason, "that is not known: no answer") {
			t.Errorf("queue %+v", q)
		}
		if p := r.problem("limits.reserve"); p != "no answer" {
			t.Errorf("problem %q", p)
		}
		host.set(gib(11), nil)
		r.after(20 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 2)
		if p := r.problem("limits.reserve"); p != "" {
			t.Errorf("problem %q", p)
		}
		if b := r.m.Status().Budgets; len(b) != 1 || b[0] != (plan.Budget{Resource: "memory", Taken: 8 << 30, Limit: 9 << 30, Host: 11 << 30, Reserve: 2 << 30}) {
			t.Errorf("budgets %+v", b)
		}
		host.set(plan.Resources{}, errors.New("no answer")) // what was known holds
		r.after(30 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 5)
		if host.asked < 5 || host.asked > 400 {
			t.Errorf("the host was asked %d times", host.asked)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

// A live edit takes other limits over. Runners count as they were made, also
// after a restart of the daemon and without their pool.
func TestLimitsAreEdited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Cost = gib(3) }), func(c *Config) { c.Spec.Most = gib(7) })
		r.run()
		r.queue(6, 5*time.Minute)
		r.after(10 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 2)
		r.config = r.edited(func(c *Config) { c.Spec.Most, c.Spec.Pools[0].Cost = gib(9), gib(1) })
		r.reconfigure(r.config)
		r.after(10 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 5) // 3 + 3 + 1 + 1 + 1
		r.stop()
		r.run()
		r.after(10 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 5)
		if b := r.m.Status().Budgets; len(b) != 1 || b[0].Taken != 9<<30 {
			t.Errorf("budgets %+v", b)
		}
		r.after(20 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 6)
		r.stop()
		r.wantNothingLeft()
	})
}

// Two pools share what there is.
func TestPoolsShareTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, func(c *Config) {
			c.Spec.MaxRunners = 4
			other := c.Spec.Pools[0]
			other.Name, other.Labels = "other", []string{"other"}
			c.Spec.Pools = append(c.Spec.Pools, other)
			o := c.Pools["linux"]
			o.Labels = []plan.Label{{Name: "other", Schema: "host"}}
			c.Pools["other"] = o
		})
		r.run()
		r.queue(10, time.Minute)
		r.gitea.AddJobs(giteatest.JobSpec{Count: 2, Labels: []string{"other"}, Duration: time.Minute})
		r.after(10 * time.Second)
		for _, p := range r.m.Status().Pools {
			if p.Busy != 2 {
				t.Errorf("pool %s has %d busy runners, want 2", p.Name, p.Busy)
			}
		}
		r.after(10 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 12)
		r.stop()
		r.wantNothingLeft()
	})
}

// How many steps are under way at a time goes by the CPUs of the engine, unless it
// is configured; also after a live edit.
func TestParallelStartsGoByTheHost(t *testing.T) {
	for name, tt := range map[string]struct {
		configured int
		cpus       int64 // thousandths
		want       int
	}{
		"configured":       {3, 8000, 3},
		"two CPUs":         {0, 2000, 4},
		"one CPU":          {0, 1000, 2},
		"many CPUs":        {0, 96_000, 16},
		"size not known":   {0, 0, 4},
		"less than a CPU":  {0, 500, 4},
		"six CPUs of many": {0, 6000, 12},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				host := &fakeSizer{size: plan.Resources{MilliCPU: tt.cpus}}
				r := newRig(t, giteatest.Options{}, func(c *Config) { c.ParallelStarts = tt.configured })
				r.run(host.port)
				r.after(3 * time.Second)
				if starts, ends := r.m.starts.bound(), r.m.ends.bound(); starts != tt.want || ends != 2*tt.want {
					t.Errorf("%d starts and %d removals at a time, want %d and twice as many", starts, ends, tt.want)
				}
				if asked := host.asked > 0; asked != (tt.configured == 0) {
					t.Errorf("the host was asked %d times", host.asked)
				}
				r.reconfigure(r.edited(func(c *Config) { c.ParallelStarts = 7 }))
				if starts, ends := r.m.starts.bound(), r.m.ends.bound(); starts != 7 || ends != 14 {
					t.Errorf("%d starts and %d removals at a time after the edit, want 7 and 14", starts, ends)
				}
				r.stop()
			})
		})
	}
}
