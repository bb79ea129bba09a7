package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// neighbour is the instance of build-2.
const neighbour = "5ca1e4000002"

// crowded is a server on which runners of the neighbour have jobs, too.
type crowded struct {
	forge
	busy   int
	asked  atomic.Int32 // how often running jobs were read
	broken atomic.Bool  // they cannot be
}

func (c *crowded) RunningJobs(ctx context.Context, scope plan.Scope) (plan.JobList, error) {
	c.asked.Add(1)
	if c.broken.Load() {
		return plan.JobList{}, errors.New("list running jobs: HTTP 500")
	}
	list, err := c.forge.RunningJobs(ctx, scope)
	for i := range c.busy {
		id := int64(1<<30 + i)
		list.Jobs = append(list.Jobs, plan.Job{ID: id, RunnerID: id, RunnerName: fmt.Sprintf("scaler-%s-linux-%d", neighbour, i), Status: plan.JobInProgress})
		list.Total++
	}
	return list, err
}

// crowd runs a daemon beside a neighbour, of which so many runners are busy.
func crowd(r *rig, busy int, weights [2]int) *crowded {
	c := &crowded{busy: busy}
	r.run(func(p *Ports) { c.forge, p.Forge = p.Forge, c })
	r.config.Sharing = plan.Sharing{Self: "build-1", Handover: 10 * time.Second, Peers: []plan.Peer{
		{Name: "build-1", Weight: weights[0], Instance: r.config.Instance}, {Name: "build-2", Weight: weights[1], Instance: neighbour}}}
	r.reconfigure(r.config)
	return c
}

func TestFullNeighbourGetsNoJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		crowd(r, 10, [2]int{10, 10})
		r.queue(8, time.Minute)
		r.after(4 * time.Second)
		s := r.m.Status()
		if s.Pools[0].Busy != 8 {
			t.Errorf("%d of 8 jobs run: %+v", s.Pools[0].Busy, s.Queue)
		}
		if a, b := s.Peers[0].Free, s.Peers[1].Free; a == nil || *a != 2 || b == nil || *b != 0 {
			t.Errorf("peers %+v", s.Peers)
		}
		r.after(2 * time.Minute)
		r.stop()
		r.wantNothingLeft()
	})
}

// A daemon without runners reads what runs once for a job, and no more while that
// waits for another one.
func TestJobsOfNeighboursAreCountedOnceForAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		c := crowd(r, 0, [2]int{1, 1000})
		r.after(3 * time.Second)
		before := c.asked.Load()
		r.queue(1, time.Second)
		r.after(4 * time.Second)
		if q := r.m.Status().Queue; len(q) != 1 || !strings.HasPrefix(q[0].Reason, "left to build-2 until ") {
			t.Fatalf("queue %+v", q)
		}
		if asked := c.asked.Load() - before; asked != 1 {
			t.Errorf("running jobs were read %d times", asked)
		}
		r.after(time.Minute)
		r.stop()
		r.wantJobs(giteatest.StatusSuccess, 1)
	})
}

// Where the running jobs cannot be read, all are split by weight and served.
func TestUncountedNeighboursCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		c := crowd(r, 10, [2]int{10, 10})
		c.broken.Store(true)
		r.queue(8, time.Second)
		r.after(3 * time.Second)
		left := 0
		for _, j := range r.m.Status().Queue {
			if strings.HasPrefix(j.Reason, "left to build-2 until ") {
				left++
			}
		}
		if left == 0 || left == 8 {
			t.Errorf("%d of 8 jobs are left to a neighbour of the same weight", left)
		}
		c.broken.Store(false)
		r.after(2 * time.Minute)
		r.stop()
		r.wantJobs(giteatest.StatusSuccess, 8)
	})
}

func TestWrongInstanceInTheListIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		crowd(r, 0, [2]int{1, 1})
		if got := r.problem("peers.daemons"); got != "" {
			t.Errorf("with its own instance: %s", got)
		}
		wrong := r.edited(func(c *Config) {
			c.Sharing.Peers = []plan.Peer{{Name: "build-1", Weight: 1, Instance: "5ca1e4000009"}, {Name: "build-2", Weight: 1}}
		})
		r.reconfigure(wrong)
		if got, want := r.problem("peers.daemons"), "build-1 has instance 5ca1e4000009 there, but its own is "+r.config.Instance; !strings.HasPrefix(got, want) {
			t.Errorf("problem %q, want %q", got, want)
		}
		r.reconfigure(r.config)
		if got := r.problem("peers.daemons"); got != "" {
			t.Errorf("after it was put right: %s", got)
		}
		r.stop()
	})
}
