package plan

import "time"

// aside is why a job is not placed now, though a pool fits it: another daemon is
// to serve it. The zero value is a job that is placed.
type aside struct {
	owner string    // the daemon that it is left to; empty if some runner is counted for it
	until time.Time // from when on this daemon serves it
}

// isAside reports whether a job is left to others.
func (a *assignment) isAside(j int) bool { return a.aside != nil && !a.aside[j].until.IsZero() }

// setAside takes those of the waiting jobs out for which there is a reason.
func (a *assignment) setAside(reason func(j int32) (aside, bool)) {
	waiting := a.waiting[:0]
	for _, j := range a.waiting {
		why, is := reason(j)
		if !is {
			waiting = append(waiting, j)
			continue
		}
		if a.aside == nil {
			a.aside = make([]aside, len(a.pool))
		}
		a.aside[j] = why
	}
	a.waiting = waiting
}

// leaveToPeers sets the jobs aside that belong to another daemon, until it is
// this one's turn. That comes only after some pool has had room for the job for
// as long as others wait for it: of many daemons that have room at the same
// moment, for a job that is old, the first takes it and the others see that.
func (c *computation) leaveToPeers() {
	if len(c.snap.Shares) == 0 {
		return
	}
	a, now := c.assigned, c.snap.Now
	roomSince := make(map[int32]time.Time) // by kind of job
	a.setAside(func(j int32) (aside, bool) {
		share, known := c.snap.Shares[c.jobs[j].Job.ID]
		if !known || share.After == 0 || share.Pool != "" {
			return aside{}, false
		}
		kind := a.kind[j]
		since, found := roomSince[kind]
		if !found {
			since = c.roomSince(kind)
			roomSince[kind] = since
		}
		until := later(share.Since, since).Add(share.After)
		return aside{share.Owner, until}, now.Before(until)
	})
}

// leaveCounted sets the jobs aside whose runner has taken the job of another
// daemon: the runner that was started for that one is to take this one.
func (c *computation) leaveCounted() {
	if len(c.snap.Balances) == 0 {
		return
	}
	used := make(map[string]int)
	c.assigned.setAside(func(j int32) (aside, bool) {
		pool := c.snap.Shares[c.jobs[j].Job.ID].Pool
		credit := c.snap.Balances[pool].Credit
		if pool == "" || used[pool] == len(credit) {
			return aside{}, false
		}
		used[pool]++
		return aside{until: credit[used[pool]-1]}, true
	})
}

// owe takes the runners out of the pools' supply that the jobs of other daemons
// will take.
func (c *computation) owe() {
	for name, b := range c.snap.Balances {
		if p := c.byName[name]; p != nil {
			p.supply = max(p.supply-b.Owed, 0)
		}
	}
}

// roomSince is since when some pool has had room for a job of a kind.
func (c *computation) roomSince(kind int32) time.Time {
	since, any := c.snap.Now, false
	for i := range c.assigned.kinds.set(kind).all {
		p := c.pools[i]
		if c.full(p) {
			continue
		}
		if at := p.Recent.FullAt; !any || at.Before(since) {
			since, any = at, true
		}
	}
	return since
}

// full reports whether a pool can start no runner more, as things are.
func (c *computation) full(p *pool) bool { return p.room() == 0 || c.budget.lacks(p.cost) != none }

// explainAside says of a job why it is left to others.
func (c *computation) explainAside(j int) {
	d, o := &c.jobs[j], c.assigned.aside[j].obstacle()
	d.Reason, d.Next, d.Kind = o.Reason, o.Next, o.Kind
	for i := range c.assigned.kinds.set(c.assigned.kind[j]).all {
		d.Fits = c.pools[i].Name
		break
	}
}

// obstacle says that the job is left to another daemon.
func (a aside) obstacle() Obstacle {
	at := a.until.UTC().Format("15:04:05 MST")
	o := Obstacle{Kind: ObstaclePeer, Until: a.until, Next: "at " + at + " from this daemon, if it still waits by then"}
	if o.Reason = "left to " + a.owner + " until " + at; a.owner == "" {
		o.Reason = "a runner that was counted for it has taken another daemon's job; the one that was started for that takes this one, or another is started at " + at
	}
	return o
}
