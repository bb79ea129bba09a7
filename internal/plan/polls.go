package plan

import "time"

const (
	// pollShare is what share of the time since something last happened passes
	// between two polls, in whole steps of pollStep.
	pollShare = 30
	pollStep  = 50 * time.Millisecond
)

// Polls says how often the server is asked for jobs.
type Polls struct {
	Active time.Duration // while something happens, and no more often than this
	Usual  time.Duration // no less often than this
}

// After returns how long after a poll the next one is due, since something
// last happened: a thirtieth of that time, between Active and Usual. The longer
// nothing has happened, the less likely is a job just now, and the less is a
// wait for the poll beside the time that has passed already.
func (p Polls) After(since time.Duration) time.Duration {
	return min(max((since/pollShare).Truncate(pollStep), p.Active), p.Usual)
}

// Faded is how long after something has happened the polls come at their usual
// pace again.
func (p Polls) Faded() time.Duration { return pollShare * p.Usual }
