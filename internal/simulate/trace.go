package simulate

import (
	"cmp"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Job is one job of a trace.
type Job struct {
	Arrival  time.Duration // when it could first be taken, since the trace's start
	Duration time.Duration // how long a runner has it
	Labels   []string      // what runs-on asks for; empty matches any runner
	Repo     string        // "owner/name"
}

// Trace is the load of some time.
type Trace struct {
	// Start is when the trace begins, in the zone that counts for people. It
	// matters to schedules.
	Start time.Time
	Jobs  []Job // by arrival
}

// sort puts the jobs into the order of their arrival. Those that came together
// keep theirs.
func (t Trace) sort() {
	slices.SortStableFunc(t.Jobs, func(a, b Job) int { return cmp.Compare(a.Arrival, b.Arrival) })
}

// last is when the last job arrives.
func (t Trace) last() time.Duration { return t.Jobs[len(t.Jobs)-1].Arrival }

// end is when the last job would have ended if none had waited.
func (t Trace) end() time.Duration {
	end := time.Duration(0)
	for i := range t.Jobs {
		end = max(end, t.Jobs[i].Arrival+t.Jobs[i].Duration)
	}
	return end
}

// Share returns the jobs that fall to one of several daemons, while all of them do
// their part. A trace has no ids, by which the jobs are split, so the jobs are
// numbered. Without others all jobs are its own.
func (t Trace) Share(s plan.Sharing) Trace {
	if len(s.Peers) == 0 {
		return t
	}
	jobs := make([]plan.Job, len(t.Jobs))
	for i := range jobs {
		jobs[i].ID = int64(i + 1)
	}
	shares := plan.NewSplit(s).Look(plan.Sight{Now: t.Start, Jobs: jobs})
	own := Trace{Start: t.Start}
	for i, j := range t.Jobs {
		if shares[jobs[i].ID].After == 0 {
			own.Jobs = append(own.Jobs, j)
		}
	}
	return own
}

// NewTrace makes a trace of jobs in any order.
func NewTrace(start time.Time, jobs []Job) Trace {
	t := Trace{Start: start, Jobs: jobs}
	t.sort()
	return t
}
