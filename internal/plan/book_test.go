package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var bookStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// told is an event of a job at its attempt, so many seconds after bookStart.
func told(id int64, s JobStatus, attempt int64, started bool, seconds float64) JobEvent {
	e := JobEvent{Status: s, Attempt: attempt, Started: started, At: bookAt(seconds),
		Job: Job{ID: id, Repo: "demo/app", Labels: []string{"linux"}, QueuedAt: bookStart.Add(time.Duration(id) * time.Second)}}
	if started {
		e.Job.RunnerID = 70 + id
	}
	return e
}

func bookAt(seconds float64) time.Time {
	return bookStart.Add(time.Duration(seconds * float64(time.Second)))
}

// The life of a job, and what follows when it is run again.
func queued(id int64, s float64) JobEvent     { return told(id, JobQueued, 0, false, s) }
func inProgress(id int64, s float64) JobEvent { return told(id, JobInProgress, 1, true, s) }
func completed(id int64, s float64) JobEvent  { return told(id, JobCompleted, 1, true, s) }
func cancelled(id int64, s float64) JobEvent  { return told(id, JobCompleted, 0, false, s) }
func again(id int64, s float64) JobEvent      { return told(id, JobQueued, 1, false, s) }

func ids(jobs []Job) []int64 {
	out := []int64{}
	for _, j := range jobs {
		out = append(out, j.ID)
	}
	return out
}

// wantBook checks what a book knows.
func wantBook(t *testing.T, when string, b *Book, queued, running []int64) {
	t.Helper()
	if q, r := ids(b.Queued()), ids(b.Running()); !slices.Equal(q, queued) || !slices.Equal(r, running) {
		t.Errorf("%s: queued %v, running %v; want %v and %v", when, q, r, queued, running)
	}
}

func TestBookTakesEvents(t *testing.T) {
	none := []int64{}
	one := []int64{1}
	for _, tt := range []struct {
		name            string
		events          []JobEvent
		queued, running []int64
	}{
		{"a job waits", []JobEvent{queued(1, 0)}, one, none},
		{"it is blocked", []JobEvent{told(1, "waiting", 0, false, 0)}, none, none},
		{"it runs", []JobEvent{queued(1, 0), inProgress(1, 1)}, none, one},
		{"it has ended", []JobEvent{queued(1, 0), inProgress(1, 1), completed(1, 2)}, none, none},
		{"it was cancelled before it ran", []JobEvent{queued(1, 0), cancelled(1, 2)}, none, none},
		{"twice each", []JobEvent{queued(1, 0), queued(1, 0), inProgress(1, 1), queued(1, 1), inProgress(1, 1)}, none, one},
		{"backwards", []JobEvent{completed(1, 0), inProgress(1, 1), queued(1, 2)}, none, none},
		{"the first event is lost", []JobEvent{inProgress(1, 1)}, none, one},
		{"only its end comes", []JobEvent{completed(1, 1), queued(1, 2)}, none, none},
		{"it is run again", []JobEvent{queued(1, 0), inProgress(1, 1), completed(1, 2), again(1, 3)}, one, none},
		{"the end of the first turn comes late", []JobEvent{queued(1, 0), inProgress(1, 1), again(1, 3), completed(1, 4)}, one, none},
		{"the second turn is cancelled", []JobEvent{completed(1, 2), again(1, 3), told(1, JobCompleted, 1, false, 4)}, none, none},
		{"the second turn runs", []JobEvent{completed(1, 2), told(1, JobInProgress, 2, true, 4), again(1, 5)}, none, one},
		{"no id", []JobEvent{queued(0, 0)}, none, none},
		{"another status", []JobEvent{told(1, "tired", 0, false, 0)}, none, none},
		{"oldest first", []JobEvent{queued(3, 0), queued(2, 1)}, []int64{2, 3}, none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := NewBook()
			for _, e := range tt.events {
				b.Take(e)
			}
			wantBook(t, "at once", b, tt.queued, tt.running)
			restored := NewBook()
			restored.Restore(b.Changes())
			wantBook(t, "restored", restored, tt.queued, tt.running)
		})
	}
}

// Whatever the order and however often the events come, a job that has ended
// never waits.
func TestBookInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		b, done := NewBook(), map[int64]bool{}
		var events []JobEvent
		for id := range int64(6) {
			events = append(events, queued(id+1, 0), inProgress(id+1, 1), queued(id+1, 0))
			if rng.IntN(2) == 0 {
				events, done[id+1] = append(events, completed(id+1, 2), completed(id+1, 3)), true
			}
		}
		rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for _, e := range events {
			b.Take(e)
		}
		running := ids(b.Running())
		if len(b.Queued()) != 0 || len(running) != 6-len(done) || slices.ContainsFunc(running, func(id int64) bool { return done[id] }) {
			t.Fatalf("queued %v, running %v, ended %v after %v", ids(b.Queued()), running, done, events)
		}
	}
}

func anyJob(Job) bool { return true }

func TestBookGuesses(t *testing.T) {
	b := NewBook()
	for id := range int64(3) {
		b.Take(queued(id+1, 0))
	}
	other := queued(9, 0)
	other.Job.Repo = "demo/other"
	b.Take(other)
	if got := b.Guess(71, "demo/none", anyJob); got != 0 {
		t.Errorf("of a repository without jobs: %d", got)
	}
	if got := b.Guess(71, "demo/app", func(j Job) bool { return j.ID != 1 }); got != 2 {
		t.Errorf("the oldest that fits: %d, want 2", got)
	}
	if got := b.Guess(71, "demo/app", anyJob); got != 2 {
		t.Errorf("again: %d, want 2", got)
	}
	wantBook(t, "guessed", b, []int64{1, 3, 9}, []int64{})
	b.Take(queued(2, 1))
	wantBook(t, "the event of its queueing again", b, []int64{1, 3, 9}, []int64{})
	e := inProgress(1, 2)
	e.Job.RunnerID = 71
	b.Take(e)
	wantBook(t, "it was the other one", b, []int64{2, 3, 9}, []int64{1})

	b.Guess(73, "demo/app", anyJob)
	stored := b.Changes()
	b = NewBook()
	b.Restore(stored)
	wantBook(t, "restored", b, []int64{3, 9}, []int64{1})
	b.Expire(bookAt(60), func(runner int64) bool { return runner != 73 })
	b.Take(queued(2, 61))
	wantBook(t, "its runner is gone", b, []int64{3, 9}, []int64{1})
	b.Take(inProgress(2, 62))
	wantBook(t, "and yet it runs", b, []int64{3, 9}, []int64{1, 2})
}

func TestBookOfARunnersNextJob(t *testing.T) {
	b := NewBook()
	first, second := inProgress(1, 0), inProgress(2, 100)
	second.Job.RunnerID = first.Job.RunnerID
	b.Take(first)
	b.Take(second)
	wantBook(t, "the end of the first is lost", b, []int64{}, []int64{2})
	if b.Ended(second.Job.RunnerID, bookAt(0)) {
		t.Error("what is assumed is told as the end")
	}
	b.Take(completed(1, 101))
	if b.Ended(first.Job.RunnerID, bookAt(102)) || !b.Ended(first.Job.RunnerID, bookAt(50)) {
		t.Error("the end of the first is not told by its time")
	}
}

func TestBookOfJobsThatAreLeft(t *testing.T) {
	fill := func() *Book {
		b := NewBook()
		b.Take(queued(1, 0))
		b.Take(queued(2, 30))
		return b
	}
	type look struct {
		runner     string
		since, now float64
	}
	for _, tt := range []struct {
		name  string
		looks []look
		gone  []int64
	}{
		{"too short", []look{{"a", 10, 17}}, nil},
		{"one runner", []look{{"a", 10, 18}, {"a", 10, 60}}, nil},
		{"one runner for long", []look{{"a", 10, 70}}, []int64{1}},
		{"two in turn", []look{{"a", 10, 18}, {"b", 20, 28}}, []int64{1}},
		{"two at once", []look{{"a", 10, 18}, {"b", 11, 19}}, nil},
		{"after both jobs", []look{{"a", 31, 40}, {"b", 41, 50}}, []int64{1, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, gone := fill(), []Job(nil)
			for _, l := range tt.looks {
				gone = append(gone, b.Left(l.runner, bookAt(l.since), bookAt(l.now), anyJob)...)
				b.Left("misfit"+l.runner, bookAt(l.since), bookAt(l.now), func(Job) bool { return false })
			}
			if got := ids(gone); !slices.Equal(got, append([]int64{}, tt.gone...)) {
				t.Errorf("given up %v, want %v", got, tt.gone)
			}
			for _, j := range gone {
				if b.Take(queued(j.ID, 100)); !slices.Contains(ids(b.Queued()), j.ID) {
					t.Errorf("job %d is not taken as new", j.ID)
				}
			}
		})
	}
}

func TestBookForgets(t *testing.T) {
	ours := func(int64) bool { return false }
	for _, tt := range []struct {
		e     JobEvent
		after time.Duration
	}{
		{queued(1, 0), 24 * time.Hour}, {inProgress(1, 0), 3*time.Hour + 30*time.Minute}, {completed(1, 0), 10 * time.Minute},
	} {
		b := NewBook()
		b.Take(tt.e)
		if b.Expire(bookStart.Add(tt.after-time.Second), ours); b.Len() != 1 {
			t.Errorf("%s is forgotten before %s", tt.e.Status, tt.after)
		}
		b.Changes()
		b.Expire(bookStart.Add(tt.after), ours)
		if data, told := b.Changes()[1]; b.Len() != 0 || !told || data != nil {
			t.Errorf("%s is not forgotten after %s", tt.e.Status, tt.after)
		}
	}
	b := NewBook()
	b.Take(completed(1, 0))
	for id := range int64(bookMost + 2) {
		b.Take(queued(id+2, float64(id)))
	}
	if q := b.Queued(); b.Len() != bookMost || len(q) != bookMost || q[0].ID != 4 || b.Overflow() != 3 || b.Overflow() != 0 {
		t.Errorf("a full book has %d jobs, %d queued, first %d", b.Len(), len(q), q[0].ID)
	}
	b.Clear()
	if n := len(b.Changes()); b.Len() != 0 || n != bookMost+3 {
		t.Errorf("cleared: %d jobs, %d changes", b.Len(), n)
	}
}

func TestBookOfDamage(t *testing.T) {
	b := NewBook()
	b.Restore(map[int64][]byte{1: []byte("{"), 2: []byte(`{"job":{"ID":3},"status":"queued"}`), 4: []byte(`{"job":{"ID":4},"status":"odd"}`),
		5: []byte(`{"job":{"ID":5},"status":"queued"}`)})
	wantBook(t, "restored", b, []int64{5}, []int64{})
	if got := fmt.Sprint(len(b.Changes())); got != "3" {
		t.Errorf("%s are to be removed, want 3", got)
	}
}
