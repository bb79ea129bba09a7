package pool

import (
	"math/rand/v2"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// quietAfter is how long nothing must have happened for the polls to
	// become rarer, where events are known to arrive.
	quietAfter = 5 * time.Minute
	// eventDelay is how much later than a poll an event may come. Gitea sends
	// them up to two seconds after the fact.
	eventDelay = 10 * time.Second
	// eventsTrusted is how many jobs in a row must have been announced by an
	// event for events to count as arriving.
	eventsTrusted = 3
)

// Pace says how often the server is asked for jobs.
type Pace struct {
	plan.Polls
	// Quiet holds when nothing has happened for long and events are known to
	// arrive, by which the next job is seen at once all the same.
	Quiet time.Duration
}

// pace decides how long to wait for the next poll. Only the loop uses it.
type pace struct {
	Pace
	happened time.Time           // when something last did
	awaited  map[int64]time.Time // jobs that a poll saw first, and when
	told     map[int64]time.Time // jobs that an event has named, and when
	trust    int                 // jobs in a row that an event has named
}

func newPace(p Pace) *pace {
	p.Active = min(orElse(p.Active, p.Usual), p.Usual)
	p.Quiet = max(p.Quiet, p.Usual)
	return &pace{Pace: p, awaited: make(map[int64]time.Time), told: make(map[int64]time.Time)}
}

func orElse(d, other time.Duration) time.Duration {
	if d <= 0 {
		return other
	}
	return d
}

// happens notes that something has happened: a job came, began or ended, a
// container ended, an event arrived.
func (p *pace) happens(now time.Time) { p.happened = now }

// announced notes that an event has named a job, 0 for one without a job.
func (p *pace) announced(job int64, now time.Time) {
	p.happens(now)
	if job == 0 {
		return
	}
	p.told[job] = now
	if _, waiting := p.awaited[job]; waiting {
		delete(p.awaited, job)
		p.trust++
	}
}

// found notes that a poll has seen a job queued for the first time.
func (p *pace) found(job int64, now time.Time) {
	p.happens(now)
	if _, told := p.told[job]; told {
		p.trust++
		return
	}
	p.awaited[job] = now
}

// arrive reports whether events are known to arrive. One that is missing for
// longer than it can be late ends that.
func (p *pace) arrive(now time.Time) bool {
	for job, at := range p.awaited {
		if now.Sub(at) > eventDelay {
			delete(p.awaited, job)
			p.trust = 0
		}
	}
	for job, at := range p.told {
		if now.Sub(at) > eventDelay {
			delete(p.told, job)
		}
	}
	return p.trust >= eventsTrusted
}

// interval is how long after a poll the next one is due.
func (p *pace) interval(now time.Time) time.Duration {
	arrive := p.arrive(now)
	since := now.Sub(p.happened)
	switch {
	case arrive && since >= quietAfter:
		return p.Quiet
	case p.happened.IsZero():
		return p.Usual
	}
	return p.After(since)
}

// jittered is the interval, less up to a tenth, so that many daemons of one
// server do not ask in step.
func (p *pace) jittered(now time.Time) time.Duration {
	d := p.interval(now)
	if tenth := int64(d / 10); tenth > 0 {
		d -= time.Duration(rand.Int64N(tenth))
	}
	return d
}
