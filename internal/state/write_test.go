package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
)

// together makes changes that come while another one is being written, and
// returns their errors and how many transactions they took.
func together(t *testing.T, s *Store, changes []func() error) (errs []error, transactions int) {
	t.Helper()
	before := lastTransaction(t, s)
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
	return errs, lastTransaction(t, s) - before
}

// lastTransaction numbers the last one that changed something.
func lastTransaction(t *testing.T, s *Store) (id int) {
	t.Helper()
	must(t, s.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }))
	return id
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

// Records that go one soon after the other share transactions. The first waits
// for nothing.
func TestRecordsGoInCompany(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	const n, patience = 20, 25 * time.Millisecond
	for i := range n {
		must(t, s.Put(record(fmt.Sprintf("runner-%02d", i))))
	}
	synctest.Test(t, func(t *testing.T) {
		began, before := time.Now(), lastTransaction(t, s)
		must(t, s.Delete("runner-00", patience))
		if took := time.Since(began); took != 0 {
			t.Errorf("the first waited %s", took)
		}
		var all sync.WaitGroup
		for i := range n - 1 {
			all.Go(func() {
				if err := s.Delete(fmt.Sprintf("runner-%02d", i+1), patience); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took, transactions := time.Since(began), lastTransaction(t, s)-before; took != patience || transactions != 2 {
			t.Errorf("%d deletions took %s and %d transactions, want %s and 2", n, took, transactions, patience)
		}
		if left, err := s.Records(); err != nil || len(left) != 0 {
			t.Errorf("%d records are left (%v)", len(left), err)
		}
	})
}

// Records that wait for others go at once when somebody waits for them.
func TestRecordsGoInAHurry(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	for i := range 4 {
		must(t, s.Put(record(fmt.Sprintf("runner-%02d", i))))
	}
	synctest.Test(t, func(t *testing.T) {
		s.Hurry() // nothing waits
		const patience = time.Minute
		must(t, s.Delete("runner-00", patience))
		for round, pause := range []time.Duration{3 * time.Second, 5 * time.Second} {
			began := time.Now()
			var took time.Duration
			var gone sync.WaitGroup
			gone.Go(func() {
				if err := s.Delete(fmt.Sprintf("runner-%02d", round+1), patience); err != nil {
					t.Error(err)
				}
				took = time.Since(began)
			})
			time.Sleep(pause)
			s.Hurry()
			s.Hurry()
			gone.Wait()
			if took != pause {
				t.Errorf("a deletion took %s, want the %s until it was hurried", took, pause)
			}
		}
		began := time.Now()
		must(t, s.Delete("runner-03", patience))
		if took := time.Since(began); took != patience {
			t.Errorf("the one after took %s, want %s", took, patience)
		}
	})
}

func TestRecordsThatCannotGoStay(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	must(t, s.Put(record("one"), record("two"), record("three")))
	must(t, s.Delete("one", 0))
	must(t, s.Close())
	for _, name := range []string{"two", "three"} {
		if err := s.Delete(name, 0); err == nil {
			t.Errorf("%s was deleted from a closed state", name)
		}
	}
}
