package plan

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"
)

// unbounded is more runners than there ever are.
const unbounded = math.MaxInt

// Pace is how quickly a pool grows and shrinks.
type Pace struct {
	// Starts is how many runners are started at most within any stretch of Per;
	// 0 is no limit.
	Starts int
	Per    time.Duration
	// CoolDown is how long no surplus runner goes after the pool has started
	// one, or after one of its runners was given a job.
	CoolDown time.Duration
}

// Recent is what a pool did lately. A pool of which nothing is known has none.
type Recent struct {
	// Starts are the moments at which runners were started, the oldest first,
	// as far back as Pace.Per.
	Starts []time.Time
	// Active is when it last started a runner or one was given a job.
	Active time.Time
	// Surplus is how many runners were not needed, and since when.
	Surplus Surplus
	// FullAt is when the pool could last start no runner more. It matters where
	// jobs are split among daemons.
	FullAt time.Time
}

// Started notes that a runner is being started.
func (r *Recent) Started(at time.Time) {
	r.Starts = append(r.Starts, at)
	r.Active = at
}

// NoteSurplus notes how many runners are not needed, a negative number for not
// known.
func (r *Recent) NoteSurplus(now time.Time, n int) {
	if n >= 0 {
		r.Surplus = r.Surplus.Note(now, n)
	}
}

// Within forgets the starts that are too long ago for the pace, and returns a
// copy of what is left, which does not change any more.
func (r *Recent) Within(p Pace, now time.Time) Recent {
	if p.Starts == 0 {
		r.Starts = r.Starts[:0]
	}
	old := 0
	for old < len(r.Starts) && now.Sub(r.Starts[old]) >= p.Per {
		old++
	}
	r.Starts = slices.Delete(r.Starts, 0, old)
	return Recent{Starts: slices.Clone(r.Starts), Active: r.Active, Surplus: r.Surplus, FullAt: r.FullAt}
}

// ramp is what a Pace lets start.
type ramp struct {
	left int       // how many more runners may start now
	next time.Time // from when on another one may, once these have been started
}

// left says what may start beside what was started lately.
func (p Pace) left(starts []time.Time, now time.Time) ramp {
	if p.Starts <= 0 {
		return ramp{left: unbounded}
	}
	first := len(starts)
	for first > 0 && now.Sub(starts[first-1]) < p.Per {
		first--
	}
	starts = starts[first:]
	if len(starts) == 0 {
		return ramp{p.Starts, now.Add(p.Per)}
	}
	return ramp{max(p.Starts-len(starts), 0), starts[max(len(starts)-p.Starts, 0)].Add(p.Per)}
}

// setPace works out what the pace lets the pool do.
func (p *pool) setPace(now time.Time) {
	p.ramp = p.Pace.left(p.Recent.Starts, now)
	p.count.Surplus, p.count.CoolingUntil = none, p.cooling(now)
}

// atRamp is that a pool has started as many runners lately as it may.
func (p *pool) atRamp() Obstacle {
	at := p.ramp.next.UTC().Format("15:04:05 MST")
	return Obstacle{Kind: ObstacleRamp, Until: p.ramp.next, Next: "at " + at + ", when pool " + p.Name + " may start the next one",
		Reason: "pool " + p.Name + " starts at most " + strconv.Itoa(p.Pace.Starts) + " in " + short(p.Pace.Per) + " (ramp), and may start the next one at " + at}
}

// cooling is until when no surplus runner of the pool goes, zero if one may.
func (p *pool) cooling(now time.Time) time.Time {
	if until := p.Recent.Active.Add(p.Pace.CoolDown); p.Pace.CoolDown > 0 && until.After(now) {
		return until
	}
	return time.Time{}
}

// colder puts the runner first whose caches are worth least: one that never had
// a job, then the one whose job was longest ago, then the oldest.
func colder(a, b *Runner) int {
	if last := a.LastJobAt.Compare(b.LastJobAt); last != 0 {
		return last
	}
	if age := a.CreatedAt.Compare(b.CreatedAt); age != 0 {
		return age
	}
	return cmp.Compare(a.Name, b.Name)
}

// Surplus remembers how many runners of a pool were not needed, so that only
// what was surplus all the time is given up. It is a value that never changes:
// Note returns another one. It takes no more room than there were runners.
type Surplus []lasted

// lasted says that from a moment on there were so many at least, up to now.
type lasted struct {
	since time.Time
	least int
}

// Note returns the memory with what is surplus from now on. Moments must not go
// back.
func (s Surplus) Note(now time.Time, n int) Surplus {
	n = max(n, 0)
	keep := len(s)
	for keep > 0 && s[keep-1].least > n {
		keep--
	}
	since := now
	if keep < len(s) {
		since = s[keep].since // until now there were more than that
	}
	if keep > 0 && s[keep-1].least == n {
		if keep == len(s) {
			return s
		}
		return slices.Clone(s[:keep])
	}
	return append(s[:keep:keep], lasted{since, n})
}

// Lasting is how many runners were surplus at any moment since d ago. Without
// memory nothing is known, and it bounds nothing; so it is for a d of 0, which
// asks for no patience.
func (s Surplus) Lasting(now time.Time, d time.Duration) int {
	if d <= 0 || len(s) == 0 {
		return unbounded
	}
	from := now.Add(-d)
	n := s[0].least
	for _, l := range s[1:] {
		if l.since.After(from) {
			break
		}
		n = l.least
	}
	return n
}

// Grows is when the surplus that has lasted for d next becomes more if nothing
// changes, zero for never.
func (s Surplus) Grows(now time.Time, d time.Duration) time.Time {
	for i := 1; i < len(s) && d > 0; i++ {
		if at := s[i].since.Add(d); at.After(now) {
			return at
		}
	}
	return time.Time{}
}
