package plan

import "time"

// result puts the plan into its order: what frees places first, then starts.
func (c *computation) result() Plan {
	if len(c.pools) > 0 {
		c.plan.Pools = make([]PoolCount, len(c.pools))
	}
	for i, p := range c.pools {
		p.count.Waiting = c.assigned.count[i] + p.bound
		p.count.Hold = p.hold
		p.count.Full = c.full(p)
		if p.ramp.left <= 0 {
			p.count.RampUntil = p.ramp.next
		}
		c.plan.Pools[p.index] = p.count
	}
	c.plan.Budgets = c.budget.list()
	c.plan.Decisions = c.jobs
	c.plan.Actions = inOrder(c.starts, c.plan.Actions)
	return c.plan
}

// ranks is how many kinds of action there are, and startRank the place of
// starts among them.
const (
	ranks     = 8
	startRank = 6
)

// rank is the place of a kind of action in a plan.
func rank(kind ActionKind) int {
	switch kind {
	case ActionRemove:
		return 0
	case ActionKill:
		return 1
	case ActionStop:
		return 2
	case ActionDrain:
		return 3
	case ActionNudge:
		return 4
	case ActionRestart:
		return 5
	case ActionPrepare:
		return ranks - 1
	}
	return startRank
}

// inOrder sorts actions by their kind and keeps the order of those of a kind,
// after the starts that are for jobs.
func inOrder(starts, others []Action) []Action {
	if len(starts)+len(others) == 0 {
		return nil
	}
	var place [ranks + 1]int
	for i := range others {
		place[rank(others[i].Kind)+1]++
	}
	for k := range ranks {
		place[k+1] += place[k]
	}
	sorted := make([]Action, len(starts)+len(others))
	place[startRank] += copy(sorted[place[startRank]:], starts)
	place[ranks-1] += len(starts)
	for i := range others {
		k := rank(others[i].Kind)
		sorted[place[k]] = others[i]
		place[k]++
	}
	return sorted
}

// short prints a duration without the precision that nobody reads.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
