package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"go.etcd.io/bbolt"
)

// together makes changes that come while another one is being written, and
// returns their errors and how many transactions they took.
func together(t *testing.T, s *Store, changes []func() error) (errs []error, transactions int) {
	t.Helper()
	lastTx := func() (id int) {
		must(t, s.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }))
		return id
	}
	before := lastTx()
	errs = make([]error, len(changes))
	var all sync.WaitGroup
	s.writer.turn.Lock() // as while another batch is written
	for i, change := range changes {
		all.Go(func() { errs[i] = change() })
	}
	for gathered := 0; gathered < len(changes); runtime.Gosched() {
		s.writer.mu.Lock()
		if s.writer.pending != nil {
			gathered = len(s.writer.pending.changes)
		}
		s.writer.mu.Unlock()
	}
	s.writer.turn.Unlock()
	all.Wait()
	return errs, lastTx() - before
}

func TestChangesThatComeTogetherShareATransaction(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	var changes []func() error
	for i := range 20 {
		changes = append(changes, func() error { return s.Put(record(fmt.Sprintf("runner-%02d", i))) })
	}
	errs, transactions := together(t, s, changes)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if transactions != 1 {
		t.Errorf("%d changes took %d transactions, want 1", len(changes), transactions)
	}
	all, err := s.Records()
	if err != nil || len(all) != 20 {
		t.Errorf("%d records are there, want 20 (%v)", len(all), err)
	}
}

func TestAChangeThatFailsHurtsNoOther(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	nameless := record("")
	errs, _ := together(t, s, []func() error{
		func() error { return s.Put(record("a")) },
		func() error { return s.Put(record("b"), nameless) },
		func() error { return s.Put(record("c"), record("d")) },
	})
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("the good changes fail: %v, %v", errs[0], errs[2])
	}
	if errs[1] == nil {
		t.Error("the bad change does not fail")
	}
	all, err := s.Records()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range all {
		names = append(names, r.Name)
	}
	if got := fmt.Sprint(names); got != "[a c d]" {
		t.Errorf("records are %s, want [a c d]: a change is made whole or not at all", got)
	}
}
