package plan

import (
	"fmt"
	"strconv"
	"time"
)

// Recipe is what a runner is made from, in digests that tell only whether two
// are alike. What is empty is not known, and makes no difference.
type Recipe struct {
	Registration string // what it is registered with: labels, scope, kind
	Container    string // the settings of its container, and of the runner in it
	Image        string // the id of the image
}

// Renewal says when the runners of a pool are replaced by new ones.
type Renewal struct {
	// Recipe is what its runners are made from now.
	Recipe Recipe
	// MaxLifetime is how long the container of a persistent runner may run
	// before it is replaced; 0 is no limit.
	MaxLifetime time.Duration
	// MaxJobs is how many jobs a persistent runner has; 0 is no limit.
	MaxJobs int
	// Unavailable is how many runners may be missing at a time since they are
	// being replaced. With none, none is replaced.
	Unavailable Portion
}

// Portion is a number of runners, or a percentage of a pool's max.
type Portion struct{ Count, Percent int }

// Of is the portion of n, at least 1 if there is any.
func (p Portion) Of(n int) int {
	if p.Percent > 0 {
		return max((n*p.Percent+99)/100, 1)
	}
	return p.Count
}

// String is the portion as it is configured.
func (p Portion) String() string {
	if p.Percent > 0 {
		return strconv.Itoa(p.Percent) + "%"
	}
	return strconv.Itoa(p.Count)
}

// WhyReplaced says why a runner of the pool is to be replaced, "" if it is not.
func (p *Pool) WhyReplaced(r *Runner, now time.Time) string {
	if p.spent(r) {
		return fmt.Sprintf("it has had %d jobs (max_jobs %d)", r.Jobs, p.Renewal.MaxJobs)
	}
	switch p.change(r, now) {
	case otherRegistration:
		return "the pool's labels, scope or kind are others now than it was registered with"
	case otherContainer:
		return "the pool's container settings are others now than it was made with"
	case otherImage:
		return "the pool's image is another one now (" + p.Renewal.Recipe.Image + ")"
	case tooOld:
		return fmt.Sprintf("its container has run for %s (max_lifetime %s)", short(now.Sub(r.StartedAt)), short(p.Renewal.MaxLifetime))
	}
	return ""
}

// change is what makes a runner stale.
type change int

// The changes, the first of which counts.
const (
	noChange change = iota
	otherRegistration
	otherContainer
	otherImage
	tooOld
)

func (p *Pool) change(r *Runner, now time.Time) change {
	switch is, was := &p.Renewal.Recipe, &r.Recipe; {
	case differs(is.Registration, was.Registration):
		return otherRegistration
	case differs(is.Container, was.Container):
		return otherContainer
	case differs(is.Image, was.Image):
		return otherImage
	case p.old(r, now):
		return tooOld
	}
	return noChange
}

func differs(a, b string) bool { return a != b && a != "" && b != "" }

// spent reports whether the runner must have no other job after the one that it
// has.
func (p *Pool) spent(r *Runner) bool {
	return p.Renewal.MaxJobs > 0 && !r.Ephemeral && r.Jobs >= p.Renewal.MaxJobs
}

func (p *Pool) old(r *Runner, now time.Time) bool {
	return p.Renewal.MaxLifetime > 0 && !r.Ephemeral && !r.StartedAt.IsZero() && now.Sub(r.StartedAt) >= p.Renewal.MaxLifetime
}

// stale reports whether the runner is to be replaced once that does no harm.
func (p *Pool) stale(r *Runner, now time.Time) bool { return p.change(r, now) != noChange }

// misfit reports whether there may be jobs that the pool can serve and this
// runner of it cannot, since it was registered for others, or asks for one only.
func (p *Pool) misfit(r *Runner) bool {
	if r.Bound != nil {
		return true
	}
	if !differs(p.Renewal.Recipe.Registration, r.Recipe.Registration) {
		return false
	}
	return r.Scope != p.Scope || !hasAll(r.Labels, p.Labels)
}

// renewal is what is known of a pool's stale runners.
type renewal struct {
	stale   []*Runner        // those that are there
	leaving int              // those on their way out
	out     map[*Runner]bool // of stale, those that the plan has taken out already
}

// noteStale counts a runner that is to be replaced.
func (p *pool) noteStale(r *Runner, now time.Time) {
	stale := p.stale(r, now)
	if stale || p.spent(r) {
		p.count.Outdated++
	}
	switch {
	case !stale || r.Phase == PhaseStandby:
	case r.Phase == PhaseStarting || r.Phase == PhaseIdle || r.Phase == PhaseBusy:
		p.renewal.stale = append(p.renewal.stale, r)
	case r.Phase == PhaseFinishing || r.Ephemeral && r.Used: // it goes by itself
	default:
		p.renewal.leaving++
	}
}

// noteOut remembers that a stale runner has been taken out.
func (p *pool) noteOut(r *Runner, now time.Time) {
	if len(p.renewal.stale) == 0 || !p.stale(r, now) {
		return
	}
	if p.renewal.out == nil {
		p.renewal.out = make(map[*Runner]bool)
	}
	p.renewal.out[r] = true
}

// renew takes stale runners out of service, as many at a time as may be
// missing: those that no job needs first, then busy ones, which finish their
// job. What is starting is missing too, so that the next one goes when the
// new one has come; and none goes while the pool cannot start any, as with an
// image that does not work.
func (c *computation) renew() {
	for i, p := range c.pools {
		if len(p.renewal.stale) == 0 || p.hold != "" || p.Probe {
			continue
		}
		may := p.Renewal.Unavailable.Of(p.Max) - p.renewal.leaving - len(p.renewal.out) - p.boot
		may = c.renewIdle(i, may)
		for _, r := range p.renewal.stale {
			if may > 0 && r.HasJob && r.takesMore() && !c.unknown(r) && !p.renewal.out[r] {
				may--
				p.alive--
				c.takeOut(r, CauseRenewal, p.WhyReplaced(r, c.snap.Now)+": it finishes its job first")
			}
		}
	}
}

// renewIdle takes out idle stale runners beyond those that jobs need, and
// returns how many more may go.
func (c *computation) renewIdle(i, may int) int {
	p, a := c.pools[i], c.assigned
	kept := p.idle[:0]
	for _, r := range p.idle {
		needed := !p.misfit(r) && a.capacity[i] <= a.count[i]
		if may <= 0 || needed || !p.stale(r, c.snap.Now) || c.unknown(r) {
			kept = append(kept, r)
			continue
		}
		may--
		if !p.misfit(r) {
			a.capacity[i]--
		}
		c.lose(p, r)
		c.takeOut(r, CauseRenewal, p.WhyReplaced(r, c.snap.Now))
	}
	p.idle = kept
	return may
}

// retire takes a runner out that has had all the jobs that it may have. It
// reports whether it did; the caller takes it out of idle.
func (c *computation) retire(p *pool, r *Runner) bool {
	if p == nil || !p.spent(r) {
		return false
	}
	switch {
	case !r.HasJob && r.Phase == PhaseIdle:
		c.lose(p, r)
		c.takeOut(r, CauseRenewal, p.WhyReplaced(r, c.snap.Now))
	case r.HasJob && r.takesMore():
		p.alive--
		c.takeOut(r, CauseRenewal, p.WhyReplaced(r, c.snap.Now)+": it finishes its job first")
	default:
		return false
	}
	return true
}
