package simulate

import "time"

const (
	// activeFor is how long after something has happened the daemon looks more
	// often.
	activeFor = 5 * time.Second
	// cycleGap is the least time between two cycles.
	cycleGap = 50 * time.Millisecond
)

// pace knows when the daemon asks for jobs.
type pace struct {
	active, usual time.Duration
	last          time.Duration // cycle
	happened      time.Duration // when one found that something had happened
}

// next is the first poll at or after a moment, and after the last cycle.
func (p *pace) next(from time.Duration) time.Duration {
	at := p.last
	if until := p.happened + activeFor; at < until {
		active := steps(until-at, p.active)
		if n := max(steps(from-at, p.active), 1); n <= active {
			return at + n*p.active
		}
		at += active * p.active
	}
	return at + max(steps(from-at, p.usual), 1)*p.usual
}

// steps is how many steps of a length cover a distance.
func steps(distance, length time.Duration) time.Duration {
	return (max(distance, 0) + length - 1) / length
}
