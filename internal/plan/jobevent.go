package plan

import "time"

// JobCompleted is what an event says of a job that has ended in any way.
const JobCompleted JobStatus = "completed"

// JobEvent is what an event of the server tells of a job.
type JobEvent struct {
	Status JobStatus // queued, waiting, in_progress or completed
	Job    Job
	At     time.Time // when it came, by the daemon's clock
	// Attempt counts the runners that have been given the job, and Started is set
	// if one has it or had it last: a job that is to run again is neither started
	// nor counted yet.
	Attempt int64
	Started bool
}

// turn numbers the times that the job was to be run, from 1.
func (e *JobEvent) turn() int64 {
	if e.Started || e.Status == JobInProgress {
		return e.Attempt
	}
	return e.Attempt + 1
}
