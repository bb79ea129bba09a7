package plan

import (
	"cmp"
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
	c := newComputation(spec, snap)
	if snap.Hold == "" {
		c.leave()
	}
	c.serve()
	if snap.Hold == "" {
		c.keepReady()
		c.nudge()
		c.shrink()
	}
	return c.result()
}

// pool is a Pool with what was counted of it.
type pool struct {
	Pool
	count  PoolCount
	all    int      // runners that occupy a place
	alive  int      // of these, the ones that are to stay
	boot   int      // of these, the ones that are starting
	ending int      // runners that have ended, whose verdict is not in yet
	supply int      // of these, the ones that are or will be free
	idle   []Runner // the free ones, longest idle first
	hold   string
}

type computation struct {
	spec    Spec
	snap    Snapshot
	pools   []*pool
	byName  map[string]*pool
	jobs    []Job
	match   *matching
	plan    Plan
	running int // runners of all pools, and those to be started
}

func newComputation(spec Spec, snap Snapshot) *computation {
	c := &computation{spec: spec, snap: snap, byName: make(map[string]*pool, len(spec.Pools)), running: len(snap.Runners)}
	for _, p := range spec.Pools {
		q := &pool{Pool: p, count: PoolCount{Name: p.Name}, hold: holdReason(p, snap)}
		c.pools = append(c.pools, q)
		c.byName[p.Name] = q
	}
	for _, r := range snap.Runners {
		if p := c.byName[r.Pool]; p != nil {
			p.add(r)
		}
	}
	for _, p := range c.pools {
		slices.SortFunc(p.idle, func(a, b Runner) int {
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
		})
	}
	c.jobs = slices.Clone(snap.Jobs)
	slices.SortFunc(c.jobs, func(a, b Job) int {
		return cmp.Or(a.QueuedAt.Compare(b.QueuedAt), cmp.Compare(a.ID, b.ID))
	})
	c.jobs = slices.CompactFunc(c.jobs, func(a, b Job) bool { return a.ID == b.ID })
	return c
}

// holdReason says why nothing may be started in a pool, or nothing.
func holdReason(p Pool, snap Snapshot) string {
	if snap.Hold != "" {
		return snap.Hold
	}
	if why, unknown := snap.Unknown[p.Scope]; unknown {
		return why
	}
	return p.Hold
}

// add counts a runner of the pool.
func (p *pool) add(r Runner) {
	p.all++
	p.count.Total++
	switch {
	case r.HasJob:
		p.count.Busy++
		if r.Phase == PhaseStarting || r.Phase == PhaseIdle || r.Phase == PhaseBusy {
			p.alive++
		}
	case r.Phase == PhaseStarting:
		p.count.Starting++
		p.alive++
		p.boot++
		p.supply++
	case r.Phase == PhaseIdle:
		p.count.Idle++
		p.alive++
		p.supply++
		p.idle = append(p.idle, r)
	case r.Phase == PhaseBusy:
		// Its job has just ended, or its scope could not be read.
		p.count.Busy++
		p.alive++
	case r.Phase == PhaseExited || r.Phase == PhaseRemoving:
		p.count.Leaving++
		p.ending++
	default:
		p.count.Leaving++
	}
}

// room is how many more runners the pool may start.
func (p *pool) room() int {
	if p.hold != "" {
		return 0
	}
	n := max(p.Max-p.all, 0)
	if p.Probe {
		n = min(n, max(1-p.boot-p.ending, 0))
	}
	return n
}

// globalRoom is how many more runners all pools may start.
func (c *computation) globalRoom() int {
	if c.spec.MaxRunners == 0 {
		return int(^uint(0) >> 1)
	}
	return max(c.spec.MaxRunners-c.running, 0)
}

func (c *computation) act(kind ActionKind, r Runner, reason string) {
	c.plan.Actions = append(c.plan.Actions, Action{Kind: kind, Pool: r.Pool, Runner: r.Name, Reason: reason})
}

// grow counts one more runner that the plan starts.
func (c *computation) grow(p *pool) {
	p.all++
	p.alive++
	p.boot++
	p.count.Starting++
	p.count.Total++
	c.running++
}

// keepReady starts what min and idle ask for beyond the queued jobs.
func (c *computation) keepReady() {
	for i, p := range c.pools {
		spare := c.match.capacity[i] - len(c.match.inPool[i])
		for p.room() > 0 && c.globalRoom() > 0 {
			var reason string
			switch {
			case p.alive < p.Min:
				reason = fmt.Sprintf("the pool keeps min %d and has %d", p.Min, p.alive)
			case spare < p.Idle:
				reason = fmt.Sprintf("the pool keeps %d idle and has %d", p.Idle, spare)
			}
			if reason == "" {
				break
			}
			c.grow(p)
			spare++
			c.plan.Actions = append(c.plan.Actions, Action{Kind: ActionStart, Pool: p.Name, Reason: reason})
		}
	}
}

// shrink takes surplus idle runners out of service, oldest first.
func (c *computation) shrink() {
	for i, p := range c.pools {
		if _, unknown := c.snap.Unknown[p.Scope]; unknown {
			continue
		}
		surplus := min(p.supply-len(c.match.inPool[i])-p.Idle, p.alive-p.Min)
		for _, r := range p.idle {
			idle := c.snap.Now.Sub(r.Since)
			if surplus <= 0 {
				break
			}
			if idle < p.IdleTimeout || c.unknown(r) {
				continue
			}
			surplus--
			c.takeOut(r, fmt.Sprintf("idle for %s, and the pool keeps %d idle and min %d", short(idle), p.Idle, p.Min))
		}
	}
}

// nudge makes an idle runner look again that leaves a job waiting. Gitea looks
// for work only when something has changed since the runner last asked; of two
// runners that race for one job, the loser is told of the change but not of the
// next job, and does not ask again (gitea#33497). Any change of a runner's
// state at the server wakes it.
func (c *computation) nudge() {
	for i, p := range c.pools {
		waits := slices.ContainsFunc(c.match.inPool[i], func(j int) bool {
			seen := c.jobs[j].SeenAt
			return !seen.IsZero() && c.snap.Now.Sub(seen) >= nudgeAfter
		})
		k := slices.IndexFunc(p.idle, func(r Runner) bool { return c.snap.Now.Sub(r.Since) >= nudgeAfter && !c.unknown(r) })
		if !waits || k < 0 || c.snap.Now.Sub(p.NudgedAt) < nudgeAgain {
			continue
		}
		r := p.idle[k]
		reason := fmt.Sprintf("a job for it has waited for %s or more", short(nudgeAfter))
		if c.spec.CanNudge {
			c.act(ActionNudge, r, reason)
			continue
		}
		c.lose(p, r)
		c.takeOut(r, reason+", and the server has no way to wake it")
	}
}

// takeOut begins the way down of a free runner.
func (c *computation) takeOut(r Runner, reason string) { c.act(ActionDrain, r, reason) }

// unknown reports whether it could not be read which jobs the runner has.
func (c *computation) unknown(r Runner) bool {
	_, unknown := c.snap.Unknown[r.Scope]
	return unknown
}

// result puts the plan into its order: what frees places first, then starts.
func (c *computation) result() Plan {
	for i, p := range c.pools {
		p.count.Waiting = len(c.match.inPool[i])
		p.count.Hold = p.hold
		c.plan.Pools = append(c.plan.Pools, p.count)
	}
	rank := map[ActionKind]int{ActionRemove: 0, ActionKill: 1, ActionStop: 2, ActionDrain: 3, ActionNudge: 4, ActionRestart: 5, ActionStart: 6}
	slices.SortStableFunc(c.plan.Actions, func(a, b Action) int { return cmp.Compare(rank[a.Kind], rank[b.Kind]) })
	return c.plan
}

// short prints a duration without the precision that nobody reads.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
