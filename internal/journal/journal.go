// Package journal keeps the last things that have happened, for people who look
// and for what tells others.
//
// The invariant that it protects: whoever adds an event is never held up by
// those who read, and a reader that is too slow learns how much it has missed
// and never holds memory for it.
package journal

import (
	"context"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Journal keeps the last events in memory. Its methods may be called
// concurrently. Make one with New.
type Journal struct {
	mu     sync.Mutex
	events []plan.Event // a ring; the event numbered n is at (n-1) modulo its length
	last   uint64       // number of the newest event, 0 before the first
	added  chan struct{}
}

// New returns a Journal of the last size events, 1 at least.
func New(size int) *Journal {
	return &Journal{events: make([]plan.Event, max(size, 1)), added: make(chan struct{})}
}

// Add notes an event. It gives it its number, and the time if it has none.
func (j *Journal) Add(e plan.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.At.IsZero() {
		e.At = time.Now()
	}
	j.last++
	e.Seq = j.last
	j.events[(j.last-1)%uint64(len(j.events))] = e
	close(j.added)
	j.added = make(chan struct{})
}

// Since returns up to limit events after the one numbered seq, the oldest
// first, and how many after seq are not kept any more. With seq beyond the
// newest, as after a restart of the daemon, it begins with the oldest.
func (j *Journal) Since(seq uint64, limit int) (events []plan.Event, missed uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq > j.last {
		seq = 0
	}
	if kept := uint64(len(j.events)); j.last-seq > kept {
		missed = j.last - seq - kept
		seq += missed
	}
	for ; seq < j.last && len(events) < limit; seq++ {
		events = append(events, j.events[seq%uint64(len(j.events))])
	}
	return events, missed
}

// Last returns the number of the newest event, 0 if there is none.
func (j *Journal) Last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// Wait returns once there is an event after the one numbered seq, or ctx's
// error when that ends first.
func (j *Journal) Wait(ctx context.Context, seq uint64) error {
	for {
		j.mu.Lock()
		last, added := j.last, j.added
		j.mu.Unlock()
		if last != seq {
			return nil
		}
		select {
		case <-added:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
