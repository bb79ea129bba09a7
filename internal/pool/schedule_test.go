package pool

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// window is one that begins once, some time after the start of the bubble.
func window(after, d time.Duration, set func(*plan.Window)) func(*plan.Pool) {
	start := time.Now().Add(after)
	w := plan.Window{Name: "`@daily` for an hour", Duration: d, Next: func(after time.Time) time.Time {
		if after.Before(start) {
			return start
		}
		return time.Time{}
	}}
	set(&w)
	return func(p *plan.Pool) { p.Windows = plan.NewWindows(w) }
}

func TestWindowWithMaxZeroIsMaintenance(t *testing.T) {
	for _, ephemeral := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			none := 0
			r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Idle = 1 }),
				sole(window(time.Minute, time.Hour, func(w *plan.Window) { w.Idle, w.Max = &none, &none })))
			if !ephemeral {
				persistent(&r.config)
			}
			r.run()
			r.after(10 * time.Second)
			r.queue(1, 10*time.Minute)
			r.after(30 * time.Second)
			if p := r.m.Status().Pools[0]; p.Busy != 1 || p.Idle != 1 || p.Max != 10 || p.NextWindow != "`@daily` for an hour" {
				t.Fatalf("before the window: %+v", p)
			}
			r.after(time.Minute)
			r.queue(1, time.Second)
			r.after(2 * time.Second)
			s := r.m.Status()
			if p := s.Pools[0]; p.Busy != 1 || p.Idle != 0 || p.Max != 0 || p.Window != "`@daily` for an hour" {
				t.Fatalf("in the window: %+v", p)
			}
			if len(s.Queue) != 1 || !strings.Contains(s.Queue[0].Reason, "at its max of 0 (window `@daily` for an hour, until ") {
				t.Errorf("the queue in the window: %+v", s.Queue)
			}
			r.after(40 * time.Minute)
			if ephemeral { // else the busy one takes the other job as it finishes
				r.wantJobs(giteatest.StatusSuccess, 1)
			}
			if s := r.m.Status(); len(s.Runners) != 0 {
				t.Errorf("runners late in the window: %+v", s.Runners)
			}
			r.after(20 * time.Minute)
			r.wantJobs(giteatest.StatusSuccess, 2) // the other one waited for the end
			r.stop()
			r.killAll()
		})
	}
}

// As many jobs are read as the pool may have runners now: no more jobs could
// be served in the window, and no fewer outside.
func TestWindowSaysHowManyJobsAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		many := 500
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Max = 3 }),
			sole(window(time.Minute, time.Hour, func(w *plan.Window) { w.Max = &many })))
		m := New(r.config, Ports{}, nil)
		for _, tt := range []struct {
			at   time.Duration
			want int
		}{{0, 3}, {time.Minute, 500}, {time.Hour, 500}, {time.Hour + time.Minute, 3}} {
			if n := m.needs(&observation{at: time.Now().Add(tt.at)})[instanceScope]; n.limit != tt.want {
				t.Errorf("after %s: reads %d jobs, want %d", tt.at, n.limit, tt.want)
			}
		}
	})
}

func TestWindowsDoNotHoldWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		two := 2
		r := newRig(t, giteatest.Options{}, func(c *Config) { c.DrainOnShutdown = true },
			sole(window(0, 24*time.Hour, func(w *plan.Window) { w.Min, w.Idle, w.Max = &two, &two, &two })))
		r.run()
		r.after(10 * time.Second)
		if p := r.m.Status().Pools[0]; p.Idle != 2 {
			t.Fatalf("before the shutdown: %+v", p)
		}
		began := time.Now()
		r.stop()
		if took := time.Since(began); took > time.Minute {
			t.Errorf("the drain took %s", took)
		}
		if n := slices.MaxFunc(r.m.Status().Pools, func(a, b plan.PoolStatus) int { return a.Max - b.Max }).Max; n != 0 {
			t.Errorf("max %d in the drain, want 0", n)
		}
		r.wantNothingLeft()
	})
}
