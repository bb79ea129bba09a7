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
