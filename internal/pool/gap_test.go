package pool

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// slowOnce is an engine that takes long for its next list.
type slowOnce struct {
	engine
	next atomic.Int64 // how long, a time.Duration
}

func (s *slowOnce) List(ctx context.Context) ([]plan.Container, error) {
	time.Sleep(time.Duration(s.next.Swap(0)))
	return s.engine.List(ctx)
}

// After one answer that was late the daemon looks again as soon as ever.
func TestOneLateAnswerDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, func(c *Config) { c.Pace.Usual = time.Hour })
		slow := &slowOnce{}
		r.run(func(p *Ports) { slow.engine, p.Engine = p.Engine, slow })
		r.after(time.Minute)
		slow.next.Store(int64(3 * time.Second))
		r.m.Trigger()
		r.after(3*time.Second + time.Millisecond)
		r.queue(1, time.Second)
		r.m.Trigger()
		r.after(2 * cycleGap)
		if n := len(r.m.Status().Runners); n != 1 {
			t.Errorf("%d runners are being made %s after a job came", n, 2*cycleGap)
		}
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 1)
		r.stop()
		r.wantNothingLeft()
	})
}

// While more runners are to be started than the engine may start at a time the
// daemon looks seldom, whatever happens; and at once when there is a place again.
func TestACrowdOfStartsIsLookedAtSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, func(c *Config) { c.Pace.Usual = 250 * time.Millisecond })
		r.engine.StartTime = time.Second
		r.config.Spec.Pools[0].Max, r.config.ParallelStarts = 40, 4
		r.run()
		r.queue(20, time.Hour)
		r.m.Trigger()
		r.after(500 * time.Millisecond)
		looks := r.engine.Calls("List")
		for range 30 {
			r.m.Trigger() // as each runner that comes online makes the server send an event
			r.after(100 * time.Millisecond)
		}
		if n := r.engine.Calls("List") - looks; n < 2 || n > 3 {
			t.Errorf("%d looks in three seconds while starts queue, want one a second", n)
		}
		if every := r.m.Status().PollEvery; every != crowdedGap {
			t.Errorf("the status tells of a look each %s meanwhile, want %s", every, crowdedGap)
		}
		r.after(30 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 20)
		r.stop()
		r.killAll()
	})
}

// Once there is a place again the daemon looks at what has come meanwhile.
func TestTheEndOfACrowdIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, func(c *Config) { c.Pace.Usual = time.Hour })
		r.engine.StartTime = 400 * time.Millisecond
		r.config.ParallelStarts = 1
		r.run(func(p *Ports) { p.Inspector = deaf{p.Inspector} })
		r.after(time.Minute)
		r.queue(2, time.Hour)
		r.m.Trigger()
		r.after(2 * cycleGap)
		looks := r.engine.Calls("List")
		r.queue(1, time.Hour)
		r.m.Trigger()
		r.after(300 * time.Millisecond)
		if n := r.engine.Calls("List") - looks; n != 0 {
			t.Errorf("%d looks while a start has no place, want none within a second", n)
		}
		r.after(200 * time.Millisecond) // the first start has taken 470 ms
		if n := len(r.m.Status().Runners); n != 3 {
			t.Errorf("%d runners once there was a place again, want that of the last job with them, 3", n)
		}
		r.stop()
		r.killAll()
	})
}
