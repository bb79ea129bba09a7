package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

func TestEventIsFollowedByACycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, func(c *Config) { c.Pace = Pace{Polls: plan.Polls{Active: time.Hour, Usual: time.Hour}} })
		r.run()
		r.after(time.Second)
		before := r.m.Status().Cycle
		id := r.queue(1, time.Second)[0]
		for range 1000 {
			r.m.Announce(id)
		}
		r.after(time.Second)
		// One for the thousand events; the rest is for the runner's own life.
		if got := r.m.Status().Cycle - before; got < 1 || got > 5 {
			t.Errorf("%d cycles after a thousand events", got)
		}
		r.after(10 * time.Second)
		r.wantJobs(giteatest.StatusSuccess, 1)
		r.stop()
		r.wantNothingLeft()
	})
}

func TestPollsAreQuickWhileSomethingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, func(c *Config) { c.Pace = Pace{Polls: plan.Polls{Active: 250 * time.Millisecond, Usual: time.Second}} })
		r.run()
		r.after(time.Minute)
		cycles := func(d time.Duration) uint64 {
			before := r.m.Status().Cycle
			r.after(d)
			return r.m.Status().Cycle - before
		}
		if n := cycles(20 * time.Second); n < 18 || n > 25 {
			t.Errorf("%d cycles in 20 s of silence", n)
		}
		r.queue(1, 30*time.Second)
		r.after(time.Second)
		if n := cycles(4 * time.Second); n < 14 || n > 25 {
			t.Errorf("%d cycles in 4 s after a job came", n)
		}
		r.after(5 * time.Second)
		if n := cycles(10 * time.Second); n < 17 || n > 30 {
			t.Errorf("%d cycles from 10 s to 20 s after", n)
		}
		r.after(10 * time.Second) // the job is over
		r.after(30 * time.Second)
		if n := cycles(10 * time.Second); n < 9 || n > 13 {
			t.Errorf("%d cycles in 10 s, half a minute after anything happened", n)
		}
		r.after(time.Minute)
		r.stop()
		r.wantNothingLeft()
	})
}
