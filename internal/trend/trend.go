// Package trend remembers how the queue, the runners and the waits were over
// the last hours, and draws them.
//
// The invariant that it protects: its memory is bounded by the time that it
// looks back, whatever the number of jobs and runners, and it begins anew with
// the daemon.
package trend

import (
	"context"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// every is how long a slot is, slots how many there are: 12 hours.
	every = 15 * time.Second
	slots = 12 * 60 * 60 / 15
)

// slot is what was seen in one stretch of time.
type slot struct {
	number   int64 // since the epoch; another one is of an earlier round
	looked   bool  // the counts below were taken
	waiting  int32 // jobs that the server had queued
	unserved int32 // of those that were read, the ones that no pool serves
	starting int32
	idle     int32
	busy     int32
	leaving  int32
	oldest   time.Duration // how long the job had waited that waited longest
	waits    *histogram    // of the jobs that began, nil without any
}

// Recorder takes samples. Its methods may be called concurrently. Make one with
// New.
type Recorder struct {
	status func() plan.Status

	mu    sync.Mutex
	ring  []slot
	first int64 // number of the slot that it began in
	last  int64 // number of the slot that was looked at last

	// drawing is held while a picture is drawn, so that Began never waits for
	// one.
	drawing sync.Mutex
	drawn   map[picture]drawn
}

// drawn is a picture as of the sample of that number.
type drawn struct {
	last int64
	svg  []byte
}

// New returns a Recorder of the states that status returns.
func New(status func() plan.Status) *Recorder {
	now := numberOf(time.Now())
	return &Recorder{status: status, ring: make([]slot, slots), first: now, last: now, drawn: make(map[picture]drawn)}
}

// Run takes a sample at once and then each 15 s until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		r.look(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Began notes that a job began after a wait.
func (r *Recorder) Began(wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slot(numberOf(time.Now()))
	if s.waits == nil {
		s.waits = new(histogram)
	}
	s.waits.add(wait)
}

// Version counts up with each sample.
func (r *Recorder) Version() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(r.last)
}

// look takes a sample, unless no cycle has looked yet.
func (r *Recorder) look(now time.Time) {
	s := r.status()
	seen := slot{looked: !s.CycleAt.IsZero(), waiting: int32(max(s.QueueSize, len(s.Queue)))}
	for _, j := range s.Queue {
		if j.Pool == "" {
			seen.unserved++
		}
		if !j.QueuedAt.IsZero() {
			seen.oldest = max(seen.oldest, now.Sub(j.QueuedAt))
		}
	}
	for _, p := range s.Pools {
		seen.starting += int32(p.Starting)
		seen.idle += int32(p.Idle)
		seen.busy += int32(p.Busy)
		seen.leaving += int32(p.Leaving)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.slot(numberOf(now))
	seen.number, seen.waits = at.number, at.waits
	*at = seen
	r.last = max(r.last, seen.number)
}

// slot returns that of the number, emptied if it was of an earlier round.
func (r *Recorder) slot(number int64) *slot {
	s := &r.ring[number%slots]
	if s.number != number {
		*s = slot{number: number}
	}
	return s
}

func numberOf(t time.Time) int64 { return t.UnixNano() / int64(every) }
