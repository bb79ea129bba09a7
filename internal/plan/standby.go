package plan

import (
	"cmp"
	"fmt"
	"slices"
)

// standBy decides about one runner on standby. It has never run, so it has no
// job, whatever could not be read.
func (c *computation) standBy(r *Runner) {
	p := c.byName[r.Pool]
	switch {
	case p == nil:
		c.end(ActionRemove, r, CauseNoPool, "its pool is no longer configured")
	case r.Gone:
		c.end(ActionRemove, r, CauseDeleted, "the server has deleted it")
	case r.Leave != nil:
		c.end(ActionRemove, r, CauseDrained, "it is "+r.Leave.why(c.snap.Now))
	case p.stale(r, c.snap.Now):
		c.end(ActionRemove, r, CauseRenewal, p.WhyReplaced(r, c.snap.Now))
	case r.Prepared:
		p.ready = append(p.ready, r)
	}
}

// useStandby has the starts of the plan take the runners on standby that there
// are, oldest first.
func (c *computation) useStandby() {
	for _, p := range c.pools {
		slices.SortFunc(p.ready, func(a, b *Runner) int {
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name))
		})
	}
	for _, list := range [][]Action{c.starts, c.plan.Actions} {
		for i := range list {
			a := &list[i]
			if a.Kind != ActionStart {
				continue
			}
			p := c.byName[a.Pool]
			if len(p.ready) == 0 {
				continue
			}
			a.Runner, a.Bound = p.ready[0].Name, nil // it was made for no job in particular
			p.ready = p.ready[1:]
			p.standby--
			p.count.Standby--
			p.count.Total--
		}
	}
}

// keepStandby makes runners ahead, as long as nothing of their pool is being
// started, and removes those beyond the number that is kept.
func (c *computation) keepStandby() {
	for _, p := range c.pools {
		keep, cause, why := p.Standby, CauseSurplus, ""
		switch {
		case p.drained():
			keep, cause, why = 0, CauseDrained, "the pool is "+p.Paused.why(c.snap.Now)
		case p.Max == 0:
			keep = 0
		}
		for ; p.standby > keep && len(p.ready) > 0; p.standby-- {
			r := p.ready[len(p.ready)-1]
			p.ready = p.ready[:len(p.ready)-1]
			c.end(ActionRemove, r, cause, orElse(why, fmt.Sprintf("the pool keeps %d on standby and has %d", keep, p.standby)))
		}
		if p.boot > 0 || p.Probe {
			continue
		}
		for ; p.standby < min(keep, p.room()); p.standby++ {
			p.count.Standby++
			p.count.Total++
			c.plan.Actions = append(c.plan.Actions, Action{Kind: ActionPrepare, Pool: p.Name, Cause: CauseStandby,
				Reason: fmt.Sprintf("the pool keeps %d on standby and has %d", keep, p.standby)})
		}
	}
}
