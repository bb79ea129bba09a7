package plan

import (
	"slices"
	"strconv"
)

// serve assigns the queued jobs: first to free runners beyond those that a
// pool keeps idle, then to these too, then to runners that are to be started.
// Where the budget does not suffice for those, it is shared among the pools, and
// in each the youngest jobs wait.
func (c *computation) serve() {
	a := newAssignment(c.jobs, len(c.pools), c.matcher, newCeilings(c.pools, c.snap.Runners))
	c.assigned = a
	c.leaveToPeers()
	for i, p := range c.pools {
		a.capacity[i] = max(p.supply-p.Idle, 0)
	}
	a.placeAll(nil)
	for i, p := range c.pools {
		a.capacity[i] = max(p.supply, a.capacity[i])
	}
	a.placeAll(nil)
	c.leaveCounted()
	starts, room := make([]int, len(c.pools)), make([]int, len(c.pools))
	for i, p := range c.pools {
		room[i] = p.room()
	}
	grow := func(i int) bool {
		if starts[i] == room[i] {
			return false
		}
		a.capacity[i]++
		starts[i]++
		return true
	}
	a.placeAll(grow)
	if granted := slices.Clone(starts); !c.share(granted) {
		a.withdraw(starts, granted)
		starts = granted
		// Who waits may find a runner that costs less in another pool.
		a.placeAll(func(i int) bool {
			cost := c.pools[i].cost
			if c.budget.lacks(cost) != none || !grow(i) {
				return false
			}
			c.budget.take(cost)
			return true
		})
	}
	for i, p := range c.pools {
		for range starts[i] {
			c.grow(p)
		}
	}
	c.explain(starts)
}

// explain writes the start actions, each for a job that waits for it, and
// what becomes of every job.
func (c *computation) explain(starts []int) {
	// The youngest jobs of a pool are the ones that need the new runners: the
	// free ones go to the oldest.
	free, all := make([]int, len(c.pools)), 0
	for i, n := range c.assigned.count {
		free[i] = n - starts[i]
		all += starts[i]
	}
	refusals := &refusals{computation: c}
	c.starts = make([]Action, 0, all)
	for j := range c.jobs {
		d := &c.jobs[j]
		job := d.Job
		i := c.assigned.pool[j]
		if d.bound != nil {
			d.Pool, d.Reason = d.bound.Pool, "runner "+d.bound.Name+" was started for it"
			continue
		}
		if i == none && c.assigned.isAside(j) {
			c.explainAside(j)
			continue
		}
		if i == none {
			r := refusals.of(job, c.assigned.kind[j])
			d.Reason, d.Next, d.Kind, d.Fits = r.why, r.next, r.kind, r.fits
			continue
		}
		p := c.pools[i]
		p.overdue = p.overdue || !job.SeenAt.IsZero() && c.snap.Now.Sub(job.SeenAt) >= nudgeAfter
		d.Pool, d.Reason = p.Name, "a runner is free or starting"
		if free[i] > 0 {
			free[i]--
			continue
		}
		d.Reason = "a runner is being started for it"
		c.starts = append(c.starts, Action{Kind: ActionStart, Pool: p.Name, Job: job.ID, Bound: p.bindTo(job), Cause: CauseJob, Reason: c.whyStart(job)})
	}
}

// whyStart is the reason of a start for a job. There are many of them.
func (c *computation) whyStart(job *Job) string {
	c.text = strconv.AppendInt(append(c.text[:0], "job "...), job.ID, 10)
	c.text = append(append(c.text, " of "...), job.Repo...)
	return string(append(c.text, " waits and no runner of the pool is free"...))
}
