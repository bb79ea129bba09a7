package pool

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

func TestRampSlowsStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Pace = plan.Pace{Starts: 2, Per: time.Minute} }))
		r.run()
		r.queue(5, 10*time.Second) // ephemeral runners: those that are gone count
		for i, want := range []int{2, 4, 5} {
			r.after(30 * time.Second)
			r.wantJobs(giteatest.StatusSuccess, want)
			if s := r.m.Status(); i < 2 && (len(s.Queue) == 0 || !strings.Contains(s.Queue[0].Reason, "at most 2 in 1m0s (ramp), and may start the next one at ") || s.Pools[0].RampUntil.IsZero()) {
				t.Errorf("after %d: %+v, %+v", want, s.Queue, s.Pools[0])
			}
			r.after(30 * time.Second)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

func TestCoolDownKeepsSurplusRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) {
			p.IdleTimeout, p.Pace.CoolDown = time.Minute, 10*time.Minute
		}))
		r.run()
		r.queue(3, 20*time.Second)
		r.after(time.Minute) // idle for half a minute
		r.stop()
		r.run() // which forgets nothing of this
		r.after(7 * time.Minute)
		if s := r.m.Status(); len(s.Runners) != 3 || s.Pools[0].CoolingUntil.IsZero() {
			t.Fatalf("%d runners are left, want all 3: %+v", len(s.Runners), s.Pools[0])
		}
		r.queue(1, time.Second)
		r.after(8 * time.Minute) // the job came a few minutes ago
		if n := len(r.m.Status().Runners); n != 3 {
			t.Errorf("%d runners are left after another job, want all 3", n)
		}
		r.after(3 * time.Minute)
		if n := len(r.m.Status().Runners); n != 0 {
			t.Errorf("%d runners are left after the cool-down", n)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

// A window that lowers idle for less than idle_timeout costs no runner, however
// long they have been idle, and one that lasts longer does.
func TestSurplusHasToLast(t *testing.T) {
	for d, want := range map[time.Duration]int{4 * time.Minute: 2, 6 * time.Minute: 0} {
		synctest.Test(t, func(t *testing.T) {
			none := 0
			r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.Idle = 2 }),
				sole(window(15*time.Minute, d, func(w *plan.Window) { w.Idle = &none })))
			r.run()
			r.after(15*time.Minute + d - time.Second)
			if n := r.m.Status().Pools[0].Idle; n != want {
				t.Errorf("%d are idle at the end of %s, want %d", n, d, want)
			}
			r.stop()
			r.killAll()
		})
	}
}

func TestWarmRunnersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.IdleTimeout = time.Hour }))
		r.run()
		r.queue(3, time.Minute)
		r.after(2 * time.Minute)
		r.queue(1, time.Second)
		r.after(2 * time.Minute)
		warm := ""
		for _, x := range r.m.Status().Runners {
			if x.Jobs == 2 {
				warm = x.Name
			}
		}
		r.stop()
		r.run()
		r.reconfigure(r.edited(func(c *Config) { c.Spec.Pools[0].Max = 1 }))
		r.after(time.Minute)
		if x := r.only(); x.Name != warm || x.Jobs != 2 || x.LastJobAt.IsZero() {
			t.Errorf("%+v is left, want %s, which had the last job", x, warm)
		}
		r.stop()
		r.killAll()
	})
}
