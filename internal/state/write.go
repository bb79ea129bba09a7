package state

import (
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// writer brings changes that come at one time to disk together: while one
// transaction is being written, the changes that come gather for the next. A
// change that comes alone waits for nothing.
type writer struct {
	turn sync.Mutex // held while a batch is written

	mu      sync.Mutex
	pending *batch // gathers changes, nil if there are none
}

// batch is changes that are written in one transaction.
type batch struct {
	changes []func(*bbolt.Tx) error
	errs    []error       // one for each change, once done is closed
	hurry   chan struct{} // closed when they are not to wait for others any more
	done    chan struct{} // closed when all are on disk, or have failed
}

// write makes a change in a transaction and returns once it is on disk. On an
// error it has not been made. The change may be called twice, and only what
// the last call did holds.
func (s *Store) write(change func(*bbolt.Tx) error) error {
	w := &s.writer
	w.mu.Lock()
	b, first := w.pending, w.pending == nil
	if first {
		b = &batch{done: make(chan struct{})}
		w.pending = b
	}
	place := len(b.changes)
	b.changes = append(b.changes, change)
	w.mu.Unlock()
	if !first {
		<-b.done
		return b.errs[place]
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	w.pending = nil
	w.mu.Unlock()
	defer close(b.done)
	b.write(s.db)
	return b.errs[place]
}

// company gathers changes that are in no hurry.
type company struct {
	mu      sync.Mutex
	lastAt  time.Time // when the last such change came
	pending *batch    // nil if none gathers
}

// writeInCompany is write for a change that is in no hurry and that often comes
// with many of its kind, whose syncs would hold up what else uses the disk: it
// waits for them, for as long as it has patience. One that comes alone, the first
// for as long, waits for nothing.
func (s *Store) writeInCompany(patience time.Duration, change func(*bbolt.Tx) error) error {
	c := &s.company
	c.mu.Lock()
	now := time.Now()
	alone := now.Sub(c.lastAt) >= patience
	c.lastAt = now
	if alone {
		c.mu.Unlock()
		return s.write(change)
	}
	b, first := c.pending, c.pending == nil
	if first {
		b = &batch{errs: make([]error, 1), hurry: make(chan struct{}), done: make(chan struct{})}
		c.pending = b
	}
	b.changes = append(b.changes, change)
	c.mu.Unlock()
	if !first {
		<-b.done
		return b.errs[0]
	}
	select {
	case <-time.After(patience):
	case <-b.hurry:
	}
	c.mu.Lock()
	if c.pending == b {
		c.pending = nil
	}
	c.mu.Unlock()
	defer close(b.done)
	b.errs[0] = s.write(b.apply)
	return b.errs[0]
}

// Hurry has the records whose deletion waits for others deleted at once.
func (s *Store) Hurry() {
	c := &s.company
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending != nil {
		close(c.pending.hurry)
		c.pending = nil
	}
}

// apply makes all changes of the batch.
func (b *batch) apply(tx *bbolt.Tx) error {
	for _, change := range b.changes {
		if err := change(tx); err != nil {
			return err
		}
	}
	return nil
}

// write writes the batch. If one change fails, each is tried by itself, so that
// it hurts no other.
func (b *batch) write(db *bbolt.DB) {
	b.errs = make([]error, len(b.changes))
	err := db.Update(b.apply)
	if err == nil {
		return
	}
	if len(b.changes) == 1 {
		b.errs[0] = err
		return
	}
	for i, change := range b.changes {
		b.errs[i] = db.Update(change)
	}
}
