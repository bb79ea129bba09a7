package plan

import (
	"fmt"
	"slices"
	"time"
)

// exitGrace is how long an ephemeral runner may take to exit after its job,
// and again after it was told to stop.
const exitGrace = time.Minute

// An idle runner asks for work every 2 s to 5 s. One that has not taken a job
// of its own after nudgeAfter has missed it; it is nudged again after
// nudgeAgain.
const (
	nudgeAfter = 8 * time.Second
	nudgeAgain = 15 * time.Second
)

// Compute decides what to do about the world as it is seen in the snapshot.
// It is a pure function: the same input gives the same plan, in the same
// order. It never stops a runner that has a job, nor one in a scope whose
// jobs could not be read, and never plans more runners than a pool's max or
// the limit over all pools.
func Compute(spec Spec, snap Snapshot) Plan {
	c := served(spec, snap)
	if snap.Hold == "" {
		c.renew()
		c.keepReady()
	}
	c.startAsked()
	if snap.Hold == "" {
		c.nudge()
		c.shrink()
		c.useStandby()
		c.keepStandby()
	}
	return c.result()
}

// served is a computation that has decided what becomes of the queued jobs.
func served(spec Spec, snap Snapshot) *computation {
	c := newComputation(spec, snap)
	if snap.Hold == "" {
		c.leave()
	}
	c.serve()
	return c
}

type computation struct {
	spec     Spec
	snap     Snapshot
	pools    []*pool // in the order of preference
	byName   map[string]*pool
	matcher  *Matcher
	jobs     []Decision // the queued jobs, and what becomes of them
	assigned *assignment
	plan     Plan
	starts   []Action // those for jobs
	budget   budget
	text     []byte // of a reason that is being written
}

func newComputation(spec Spec, snap Snapshot) *computation {
	c := &computation{spec: spec, snap: snap, byName: make(map[string]*pool, len(spec.Pools)),
		jobs: byAge(snap.Jobs), pools: make([]*pool, 0, len(spec.Pools)), budget: newBudget(&spec, snap.Engine)}
	pools := make([]pool, len(spec.Pools))
	for i, p := range spec.Pools {
		q := &pools[i]
		q.span = p.Windows.at(snap.Now)
		q.Pool, q.own, q.index, q.cost = p.under(q.span.window), &spec.Pools[i], i, p.Cost.amounts()
		q.keepAhead()
		holds := c.holds(q)
		if len(holds) > 0 {
			q.hold = holds[0].Reason
		}
		q.count = PoolCount{Name: q.Name, Min: q.Min, IdleWant: q.Idle, IdleWhy: q.IdleWhy, Max: q.Max, Schedule: q.span.state}
		if len(holds) > 0 {
			q.count.HoldKind = holds[0].Kind
		}
		q.setPace(snap.Now)
		c.pools = append(c.pools, q)
		c.byName[p.Name] = q
	}
	for i := range snap.Runners {
		r := &snap.Runners[i]
		p := c.byName[r.Pool]
		if p != nil {
			p.add(r)
			p.noteStale(r, snap.Now)
		}
		if r.Phase != PhaseStandby {
			c.budget.take(r.cost(p))
		}
	}
	c.bindJobs()
	c.owe()
	byPreference(c.pools)
	c.matcher = newMatcher(len(c.pools), func(i int) *Pool { return &c.pools[i].Pool })
	leaving := 0 // about as many actions come of it
	for _, p := range c.pools {
		leaving += p.count.Leaving
		slices.SortFunc(p.idle, colder)
	}
	c.plan.Actions = make([]Action, 0, leaving)
	return c
}

func (c *computation) act(kind ActionKind, r *Runner, reason string) {
	c.end(kind, r, "", reason)
}

// end is act for the beginning of a runner's way out.
func (c *computation) end(kind ActionKind, r *Runner, cause Cause, reason string) {
	c.plan.Actions = append(c.plan.Actions, Action{Kind: kind, Pool: r.Pool, Runner: r.Name, Cause: cause, Reason: reason})
}

// grow counts one more runner that the plan starts.
func (c *computation) grow(p *pool) {
	p.all++
	p.alive++
	p.boot++
	p.ramp.left--
	p.count.Starting++
	p.count.Total++
}

// keepReady starts what min and idle ask for beyond the queued jobs: what all
// pools need for min, before any gets what it needs for idle.
func (c *computation) keepReady() {
	want := make([]int, len(c.pools))
	spare := make([]int, len(c.pools))
	for i, p := range c.pools {
		spare[i] = c.assigned.capacity[i] - c.assigned.count[i]
		want[i] = min(max(p.Min-p.alive, 0), p.room())
	}
	c.share(want)
	for i, p := range c.pools {
		for range want[i] {
			c.start(p, CauseMin, fmt.Sprintf("the pool keeps min %d and has %d", p.Min, p.alive)+c.window(p, p.span.window.Min != nil))
			spare[i]++
		}
	}
	for i, p := range c.pools {
		want[i] = min(max(p.Idle-spare[i], 0), p.room())
	}
	c.share(want)
	for i, p := range c.pools {
		for range want[i] {
			c.start(p, CauseIdle, fmt.Sprintf("the pool keeps %d idle and has %d", p.Idle, spare[i])+p.idleWhy()+c.window(p, p.setsIdle()))
			spare[i]++
		}
	}
}

// start starts a runner that no job waits for.
func (c *computation) start(p *pool, cause Cause, reason string) {
	c.grow(p)
	c.plan.Actions = append(c.plan.Actions, Action{Kind: ActionStart, Pool: p.Name, Cause: cause, Reason: reason})
}

// shrink takes surplus idle runners out of service, the coldest first, if they
// have been surplus for long enough.
func (c *computation) shrink() {
	for i, p := range c.pools {
		if _, unknown := c.snap.Unknown[p.Scope]; unknown {
			continue
		}
		surplus := min(p.supply-c.assigned.count[i]-p.Idle, p.alive-p.Min)
		p.count.Surplus = max(surplus, 0)
		if !p.count.CoolingUntil.IsZero() {
			continue
		}
		surplus = min(surplus, p.Recent.Surplus.Lasting(c.snap.Now, p.IdleTimeout))
		for _, r := range p.idle {
			idle := c.snap.Now.Sub(r.Since)
			if surplus <= 0 {
				break
			}
			if idle < p.IdleTimeout || c.unknown(r) || p.misfit(r) {
				continue
			}
			surplus--
			w := p.span.window
			c.takeOut(r, CauseSurplus, fmt.Sprintf("idle for %s, and the pool keeps %d idle and min %d", short(idle), p.Idle, p.Min)+
				p.idleWhy()+c.window(p, p.setsIdle() || w.Min != nil || w.IdleTimeout != nil))
		}
	}
}

// nudge makes an idle runner look again that leaves a job waiting. Gitea looks
// for work only when something has changed since the runner last asked; of two
// runners that race for one job, the loser is told of the change but not of the
// next job, and does not ask again (gitea#33497). Any change of a runner's
// state at the server wakes it.
func (c *computation) nudge() {
	for _, p := range c.pools {
		if p.Eager || !p.overdue || c.snap.Now.Sub(p.NudgedAt) < nudgeAgain {
			continue
		}
		k := c.lazy(p)
		if k == none {
			continue
		}
		r := p.idle[k]
		reason := fmt.Sprintf("a job for it has waited for %s or more", short(nudgeAfter))
		if c.spec.CanNudge {
			c.act(ActionNudge, r, reason)
			continue
		}
		p.idle = slices.Delete(p.idle, k, k+1)
		c.lose(p, r)
		c.takeOut(r, CauseUnwoken, reason+", and the server has no way to wake it")
	}
}

// lazy is the first idle runner of a pool that had the time to take a job, or
// none.
func (c *computation) lazy(p *pool) int {
	return slices.IndexFunc(p.idle, func(r *Runner) bool { return c.snap.Now.Sub(r.Since) >= nudgeAfter && !c.unknown(r) && !p.misfit(r) })
}

// window names the pool's window behind a reason, if it sets the number that
// the reason is about.
func (c *computation) window(p *pool, sets bool) string { return p.span.note(sets, c.snap.Now) }

// takeOut begins the way down of a free runner.
func (c *computation) takeOut(r *Runner, cause Cause, reason string) {
	if p := c.byName[r.Pool]; p != nil {
		p.noteOut(r, c.snap.Now)
	}
	c.end(ActionDrain, r, cause, reason)
}

// unknown reports whether it could not be read which jobs the runner has.
func (c *computation) unknown(r *Runner) bool {
	_, unknown := c.snap.Unknown[r.Scope]
	return unknown
}
