package plan

import (
	"fmt"
	"slices"
	"time"
)

// leave moves each runner that is on its way out by one step, and takes out
// the ones that must go whatever the queue says. It runs before the queue is
// served, so that such a runner is no supply.
func (c *computation) leave() {
	for i := range c.snap.Runners {
		r := &c.snap.Runners[i]
		switch {
		case r.Phase == PhaseExited && c.restart(r):
		case r.Phase == PhaseExited, r.Phase == PhaseRemoving:
			c.act(ActionRemove, r, orElse(r.Note, "its container has ended"))
		case r.Phase == PhaseStandby:
			c.standBy(r)
		case c.unknown(r):
		case r.HasJob:
			p := c.byName[r.Pool]
			switch {
			case c.withdraw(p, r):
			case p == nil && r.takesMore():
				c.takeOut(r, CauseNoPool, "its pool is no longer configured: it finishes its job first")
			default:
				c.retire(p, r)
			}
		case r.Gone:
			c.bury(r)
		default:
			c.step(r)
		}
	}
	for _, p := range c.pools {
		// All that were buried at once: one by one would take long.
		p.idle = slices.DeleteFunc(p.idle, func(r *Runner) bool {
			return (r.Gone || r.Leave != nil || p.spent(r) || r.missed(c.snap.Now)) && !c.unknown(r)
		})
	}
	c.shed()
}

// restart gives a persistent runner whose container has ended another one. Its
// identity stays, whatever ended the container: a crash, a reboot of the host,
// somebody's docker rm. It reports whether the runner stays, be it that it has
// to wait.
func (c *computation) restart(r *Runner) bool {
	p := c.byName[r.Pool]
	if p == nil || r.Ephemeral || r.Told || r.Gone || !r.Registered || r.Leave != nil || p.alive >= p.most() {
		return false
	}
	if p.spent(r) || differs(p.Renewal.Recipe.Registration, r.Recipe.Registration) {
		return false // another one comes in its place
	}
	if p.hold != "" || p.Probe && p.boot > 0 {
		return true
	}
	p.alive++
	p.boot++
	p.supply++
	p.ending--
	p.count.Starting++
	p.count.Leaving--
	c.end(ActionRestart, r, CauseRestart, orElse(r.Note, "its container has ended"))
	return true
}

// bury ends a runner that the server has deleted. It gets no job any more and
// does not end by itself, so it is no supply. One that has just had a job may
// still be clearing up.
func (c *computation) bury(r *Runner) {
	if p := c.byName[r.Pool]; p != nil && (r.Phase == PhaseIdle || r.Phase == PhaseStarting) {
		c.lose(p, r)
	}
	if since := later(r.JobSeen, r.StartedAt); c.snap.Now.Sub(since) >= exitGrace {
		c.act(ActionKill, r, "the server has deleted it, it has no job and still runs")
	}
}

// step decides about one runner that is known to have no job.
func (c *computation) step(r *Runner) {
	p := c.byName[r.Pool]
	age := c.snap.Now.Sub(later(r.Since, r.JobSeen))
	switch r.Phase {
	case PhaseFinishing:
		if age >= exitGrace {
			c.act(ActionStop, r, fmt.Sprintf("its job ended %s ago and it has not exited", short(age)))
		}
	case PhaseDraining:
		if age >= c.spec.DrainSettle {
			c.act(ActionStop, r, "disabled, and no job has come to it since")
		}
	case PhaseStopping:
		if limit, known := stopLimit(p, r); known && age >= limit {
			c.act(ActionKill, r, fmt.Sprintf("told to stop, has had no job for %s and still runs", short(age)))
		}
	case PhaseStarting:
		if c.withdraw(p, r) {
			return
		}
		if boot := c.snap.Now.Sub(r.StartedAt); p != nil && p.BootTimeout > 0 && !r.StartedAt.IsZero() && boot >= p.BootTimeout {
			c.lose(p, r)
			c.takeOut(r, CauseBoot, fmt.Sprintf("not online %s after its start (boot_timeout %s)", short(boot), short(p.BootTimeout)))
		} else if p == nil {
			c.takeOut(r, CauseNoPool, "its pool is no longer configured")
		}
	case PhaseIdle:
		switch {
		case c.withdraw(p, r):
		case p == nil:
			c.takeOut(r, CauseNoPool, "its pool is no longer configured")
		case r.missed(c.snap.Now):
			c.lose(p, r)
			c.takeOut(r, CauseSurplus, fmt.Sprintf("it was started for job %d alone, and has not got it", r.Bound.Job))
		default:
			c.retire(p, r)
		}
	}
}

// stopLimit is how long a runner without a job may take to obey. A used
// ephemeral runner has nothing to finish; any other may have been given a job
// that no list shows yet, so it keeps the time that it was promised.
func stopLimit(p *pool, r *Runner) (limit time.Duration, known bool) {
	if r.Ephemeral && r.Used {
		return exitGrace, true
	}
	if p == nil {
		return 0, false
	}
	return p.ShutdownTimeout + exitGrace, true
}

// shed takes out idle runners above a pool's max, as after an edit that
// lowered it, or in a window that does, and all of them if it is drained.
func (c *computation) shed() {
	for _, p := range c.pools {
		for len(p.idle) > 0 && p.alive > p.most() && !c.unknown(p.idle[0]) {
			r := p.idle[0]
			cause, reason := c.whyShed(p)
			c.takeOut(r, cause, reason+c.window(p, cause == CauseMax && p.span.window.Max != nil))
			p.idle = p.idle[1:]
			c.lose(p, r)
		}
		c.shedBusy(p)
	}
}

// shedBusy takes out busy runners above a pool's max that would take job after
// job: they finish the one that they have, and get no other. Ephemeral ones go
// by themselves.
func (c *computation) shedBusy(p *pool) {
	if p.alive <= p.most() {
		return
	}
	for i := range c.snap.Runners {
		r := &c.snap.Runners[i]
		if p.alive <= p.most() {
			return
		}
		if r.Pool != p.Name || !r.HasJob || !r.takesMore() || r.Leave != nil || c.unknown(r) || p.spent(r) {
			continue
		}
		cause, reason := c.whyShed(p)
		c.takeOut(r, cause, reason+": it finishes its job first")
		p.alive--
	}
}

// whyShed is why a pool gives up runners with which nothing is wrong.
func (c *computation) whyShed(p *pool) (Cause, string) {
	if c.spec.Shutdown {
		return CauseShutdown, "the daemon is draining to shut down"
	}
	if p.drained() {
		return CauseDrained, "the pool is " + p.Paused.why(c.snap.Now)
	}
	return CauseMax, fmt.Sprintf("the pool's max is %d and it has %d", p.Max, p.alive)
}

// takesMore reports whether a runner with a job is to take another one after it.
func (r *Runner) takesMore() bool {
	return !r.Ephemeral && (r.Phase == PhaseStarting || r.Phase == PhaseIdle || r.Phase == PhaseBusy)
}

// lose takes a runner that is leaving out of the pool's supply; the caller takes
// it out of idle.
func (c *computation) lose(p *pool, r *Runner) {
	p.alive--
	p.supplied(r, -1)
	p.count.Leaving++
	if r.Phase == PhaseStarting {
		p.boot--
		p.count.Starting--
		return
	}
	p.count.Idle--
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
