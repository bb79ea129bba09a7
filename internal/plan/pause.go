package plan

import "time"

// Pause says that somebody wants less of a pool, or a runner, until further
// notice. It is kept over restarts.
type Pause struct {
	Since time.Time `json:"since"`
	By    string    `json:"by"` // who asked for it
	// Reason is what they said of it, empty for nothing.
	Reason string `json:"reason,omitempty"`
	// Drain says that what is idle goes, too. Without it nothing is started, and
	// what runs goes on.
	Drain bool `json:"drain"`
}

// DrainTarget is what is to be drained: just one of a pool, a runner, or all
// pools.
type DrainTarget struct {
	Pool   string
	Runner string
	All    bool
	Reason string // what people are told, may be empty
}

// Ask is that somebody wants one runner of a pool beyond what the queue needs.
type Ask struct{ Pool, By string }

// Answer is what has become of an Ask.
type Answer struct {
	Ask
	// Why says what keeps the pool from starting one; empty if the plan has an
	// action for it.
	Why string
}

// why says who did it, since when and what for: "paused by alice since 10:42 UTC
// (new disks)".
func (p *Pause) why(now time.Time) string {
	done := "paused"
	if p.Drain {
		done = "drained"
	}
	text := done + " by " + orElse(p.By, "somebody") + " since " + sinceWhen(p.Since, now)
	if p.Reason != "" {
		text += " (" + p.Reason + ")"
	}
	return text
}

// sinceWhen writes a moment that is over, with its date if that is another one.
func sinceWhen(at, now time.Time) string {
	at = at.UTC()
	format := "15:04 MST"
	if y, m, d := at.Date(); time.Date(y, m, d, 0, 0, 0, 0, time.UTC) != now.UTC().Truncate(24*time.Hour) {
		format = "2006-01-02 " + format
	}
	return at.Format(format)
}

// paused is the obstacle that a pause is.
func (p *pool) paused(now time.Time) Obstacle {
	return Obstacle{Kind: ObstaclePaused, Reason: p.Paused.why(now), Next: "once pool " + p.Name + " is resumed"}
}

// drained reports whether the pool is to have no runners, but for the jobs that
// some have.
func (p *Pool) drained() bool { return p.Paused != nil && p.Paused.Drain }

// most is how many runners the pool is to have at most.
func (p *pool) most() int {
	if p.drained() {
		return 0
	}
	return p.Max
}

// withdraw takes a runner out that somebody wants to go. It reports whether it
// did; the caller takes it out of idle.
func (c *computation) withdraw(p *pool, r *Runner) bool {
	if r.Leave == nil {
		return false
	}
	reason := "it is " + r.Leave.why(c.snap.Now)
	switch {
	case r.HasJob && r.takesMore():
		if p != nil {
			p.alive--
		}
		c.takeOut(r, CauseDrained, reason+": it finishes its job first")
	case !r.HasJob && (r.Phase == PhaseIdle || r.Phase == PhaseStarting):
		if p != nil {
			c.lose(p, r)
		}
		c.takeOut(r, CauseDrained, reason)
	default:
		return false
	}
	return true
}

// startAsked starts what somebody has asked for, if its pool can start one more
// than all else needs.
func (c *computation) startAsked() {
	for _, ask := range c.spec.Asked {
		answer := Answer{Ask: ask}
		p := c.byName[ask.Pool]
		switch {
		case p == nil:
			answer.Why = "no pool " + ask.Pool + " is configured"
		case c.spec.Shutdown:
			answer.Why = "the daemon is draining to shut down"
		case p.room() > 0 && c.budget.lacks(p.cost) == none:
			c.budget.take(p.cost)
			c.start(p, CauseAsked, ask.By+" asked for one more")
			c.plan.Actions[len(c.plan.Actions)-1].By = ask.By
		default:
			answer.Why = c.ofFull(p).full()
		}
		c.plan.Answers = append(c.plan.Answers, answer)
	}
}

// full is the refusal in one line.
func (r refusal) full() string {
	if r.next == "" {
		return r.why
	}
	return r.why + "; try again " + r.next
}
