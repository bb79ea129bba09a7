package plan

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

const (
	// bookMost is how many jobs a Book has at most.
	bookMost = 10_000
	// endedFor is how long it is remembered that a job has ended, so that events
	// that come late are known to be old. Gitea sends them within seconds.
	endedFor = 10 * time.Minute
	// assumedFor is the same for a job that is only thought to have ended.
	assumedFor = time.Minute
	// abandonedFor is after how long Gitea cancels a job that no runner has taken
	// ([actions] ABANDONED_JOB_TIMEOUT).
	abandonedFor = 24 * time.Hour
	// ranFor is how long a job may run at most: 3 h ([actions]
	// ENDLESS_TASK_TIMEOUT), looked at every 30 minutes.
	ranFor = 3*time.Hour + 30*time.Minute
	// leftFor is how long a runner alone with a job has to leave it, and twice as
	// many runners each.
	leftFor   = nudgeAfter
	leftTwice = 2
	// leftAlone is the same for one runner that stays.
	leftAlone = time.Minute
)

// Book is what events have told of jobs, for a server that cannot list them.
// Events come once, late, twice, in disorder or not at all, so the book corrects
// itself by what the runners do. It is used by one goroutine at a time.
type Book struct {
	jobs  map[int64]*entry
	dirty map[int64]bool // changed since the last Changes
	// overflow is how many jobs were given up since the last Overflow.
	overflow int
}

// entry is what is known of one job.
type entry struct {
	Job    Job       `json:"job"`
	Turn   int64     `json:"turn"`
	Status JobStatus `json:"status"`
	At     time.Time `json:"at"` // when that was told, by the daemon's clock
	// Guess is the runner, by the server's id, that is thought to have the job
	// though no event has said so.
	Guess int64 `json:"guess,omitempty"`
	// Assumed is set for a job that is thought to have ended.
	Assumed bool `json:"assumed,omitempty"`
	// left are the runners that had the time to take it and did not.
	left []string
	// leftAt is when the last one of these was noted.
	leftAt time.Time
}

// NewBook returns an empty book.
func NewBook() *Book { return &Book{jobs: make(map[int64]*entry), dirty: make(map[int64]bool)} }

// stage orders what may become of a job in one turn.
func stage(s JobStatus) int {
	return slices.Index([]JobStatus{JobQueued, JobInProgress, JobCompleted}, s)
}

// Take takes an event and reports whether it has told anything new.
func (b *Book) Take(e JobEvent) bool {
	id, turn := e.Job.ID, e.turn()
	if stage(e.Status) < 0 || id <= 0 {
		return false
	}
	if e.Job.RunnerID != 0 {
		b.release(e.Job.RunnerID, e)
	}
	was := b.jobs[id]
	if was != nil && !was.yields(turn, e.Status) {
		return false
	}
	is := &entry{Job: e.Job, Turn: turn, Status: e.Status, At: e.At}
	is.Job.Status, is.Job.TaskID = e.Status, 0
	if was != nil && was.Turn == turn && is.Job.RunnerID == 0 {
		is.Job.RunnerID, is.Job.RunnerName = was.Job.RunnerID, was.Job.RunnerName
	}
	b.put(is)
	if len(b.jobs) > bookMost {
		b.dropOldest()
	}
	return true
}

// yields reports whether what is known gives way to an event: a later turn, or more
// of the same. What is only assumed gives way to all but the job's having waited.
func (e *entry) yields(turn int64, s JobStatus) bool {
	switch {
	case turn != e.Turn:
		return turn > e.Turn
	case e.Assumed:
		return s != JobQueued
	}
	return stage(s) > stage(e.Status)
}

func (b *Book) put(e *entry) {
	b.jobs[e.Job.ID], b.dirty[e.Job.ID] = e, true
}

func (b *Book) drop(id int64) {
	delete(b.jobs, id)
	b.dirty[id] = true
}

// dropOldest makes room: first of what has ended, then of what was told first.
func (b *Book) dropOldest() {
	var oldest *entry
	for _, e := range b.jobs {
		if oldest == nil || older(e, oldest) {
			oldest = e
		}
	}
	b.drop(oldest.Job.ID)
	b.overflow++
}

// Overflow returns how many jobs had to be given up for want of room since the
// last call.
func (b *Book) Overflow() int {
	n := b.overflow
	b.overflow = 0
	return n
}

func older(a, b *entry) bool {
	if ended := a.Status == JobCompleted; ended != (b.Status == JobCompleted) {
		return ended
	}
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Job.ID, b.Job.ID)) < 0
}

// release takes back the guess that a runner has another job than an event says.
// If it has that one now, the one that it had before has ended.
func (b *Book) release(runner int64, told JobEvent) {
	for id, e := range b.jobs {
		switch {
		case id == told.Job.ID:
		case e.Guess == runner:
			e.Guess = 0
			b.dirty[id] = true
		case told.Status == JobInProgress && e.Status == JobInProgress && e.Job.RunnerID == runner:
			e.Status, e.Assumed, e.At = JobCompleted, true, later(e.At, told.At)
			b.dirty[id] = true
		}
	}
}

// Queued lists the jobs that wait, the oldest first.
func (b *Book) Queued() []Job {
	return b.list(func(e *entry) bool { return e.Status == JobQueued && e.Guess == 0 })
}

// Running lists the jobs that some runner has, as events have said.
func (b *Book) Running() []Job {
	return b.list(func(e *entry) bool { return e.Status == JobInProgress })
}

func (b *Book) list(wanted func(*entry) bool) []Job {
	var jobs []Job
	for _, e := range b.jobs {
		if wanted(e) {
			jobs = append(jobs, e.Job)
		}
	}
	slices.SortFunc(jobs, func(a, b Job) int { return cmp.Or(a.QueuedAt.Compare(b.QueuedAt), cmp.Compare(a.ID, b.ID)) })
	return jobs
}

// Guess says which job a runner most likely has that has begun a task of a
// repository, 0 if none that is known: the oldest that waits and that fits it.
// From then on that job waits no more, until an event says otherwise.
func (b *Book) Guess(runner int64, repo string, fits func(Job) bool) int64 {
	var best *entry
	for id, e := range b.jobs {
		if e.Guess == runner {
			return id
		}
		if e.Status != JobQueued || e.Guess != 0 || !strings.EqualFold(e.Job.Repo, repo) || !fits(e.Job) {
			continue
		}
		if best == nil || cmp.Or(e.Job.QueuedAt.Compare(best.Job.QueuedAt), cmp.Compare(id, best.Job.ID)) < 0 {
			best = e
		}
	}
	if best == nil {
		return 0
	}
	best.Guess = runner
	b.dirty[best.Job.ID] = true
	return best.Job.ID
}

// Ended reports whether an event has said, at since or later, that a job of the
// runner has ended.
func (b *Book) Ended(runner int64, since time.Time) bool {
	for _, e := range b.jobs {
		if e.Status == JobCompleted && !e.Assumed && e.Job.RunnerID == runner && !e.At.Before(since) {
			return true
		}
	}
	return false
}

// Left notes that a runner has been online without a job since a moment, and came
// online after any runner had last been given one. Jobs that it fits and that
// waited all the while are not there: it would have taken one. It returns those
// that the book gives up for it, which takes two such runners, or one for a minute.
func (b *Book) Left(runner string, since, now time.Time, fits func(Job) bool) []Job {
	var gone []Job
	for id, e := range b.jobs {
		alone := now.Sub(since)
		if e.Status != JobQueued || e.Guess != 0 || e.At.After(since) || alone < leftFor || !fits(e.Job) {
			continue
		}
		// Runners that were there at the same time may have been in each other's way.
		if !slices.Contains(e.left, runner) && !since.Before(e.leftAt) {
			e.left, e.leftAt = append(e.left, runner), now
		}
		if len(e.left) >= leftTwice || alone >= leftAlone {
			gone = append(gone, e.Job)
			b.drop(id)
		}
	}
	slices.SortFunc(gone, func(a, b Job) int { return cmp.Compare(a.ID, b.ID) })
	return gone
}

// Expire forgets what is too old to be true. Ours reports whether a runner, by the
// server's id, is one of the daemon's and still there: a job that was thought to be
// had by one that is no more has ended.
func (b *Book) Expire(now time.Time, ours func(runner int64) bool) {
	for id, e := range b.jobs {
		age := now.Sub(e.At)
		switch {
		case e.Guess != 0 && !ours(e.Guess):
			e.Status, e.Assumed, e.Guess, e.At = JobCompleted, true, 0, now
			b.dirty[id] = true
		case e.Status == JobCompleted && (age >= endedFor || e.Assumed && age >= assumedFor),
			e.Status == JobQueued && e.Guess == 0 && age >= abandonedFor,
			e.Status == JobInProgress && age >= ranFor:
			b.drop(id)
		}
	}
}

// Clear forgets all.
func (b *Book) Clear() {
	for id := range b.jobs {
		b.drop(id)
	}
}

// Len is how many jobs the book knows of.
func (b *Book) Len() int { return len(b.jobs) }

// Changes returns what has changed since the last call, by the jobs' ids: nil for
// a job that is forgotten.
func (b *Book) Changes() map[int64][]byte {
	if len(b.dirty) == 0 {
		return nil
	}
	changes := make(map[int64][]byte, len(b.dirty))
	for id := range b.dirty {
		changes[id] = nil
		if e := b.jobs[id]; e != nil {
			changes[id], _ = json.Marshal(e) // of times, texts and numbers
		}
	}
	clear(b.dirty)
	return changes
}

// Restore takes up what Changes has returned before. What cannot be read is
// forgotten.
func (b *Book) Restore(stored map[int64][]byte) {
	for id, data := range stored {
		var e entry
		if json.Unmarshal(data, &e) != nil || e.Job.ID != id || stage(e.Status) < 0 {
			b.drop(id)
			continue
		}
		b.jobs[id] = &e
	}
}
