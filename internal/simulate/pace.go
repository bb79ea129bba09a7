package simulate

import (
	"time"

	"scaler.io/scaler/internal/plan"
)

// cycleGap is the least time between two cycles.
const cycleGap = 50 * time.Millisecond

// pace knows when the daemon asks for jobs.
type pace struct {
	plan.Polls
	last     time.Duration // cycle
	happened time.Duration // when one found that something had happened
}

// next is the first poll at or after a moment, and after the last cycle.
func (p *pace) next(from time.Duration) time.Duration {
	at := p.last + p.After(p.last-p.happened)
	for at < from && at-p.happened < p.Faded() {
		at += p.After(at - p.happened)
	}
	return at + steps(from-at, p.Usual)*p.Usual
}

// steps is how many steps of a length cover a distance.
func steps(distance, length time.Duration) time.Duration {
	return (max(distance, 0) + length - 1) / length
}
