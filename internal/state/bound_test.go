package state

import (
	"path/filepath"
	"testing"

	"scaler.io/scaler/internal/plan"
)

// What a runner is bound to is known after a restart: it is none for other jobs.
func TestRecordKeepsItsBinding(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := mustOpen(t, dir)
	bound, free := record("a"), record("b")
	bound.Bound = &plan.Bound{Job: 7, Repo: "acme/app", Handle: "h-7"}
	if err := s.Put(bound, free); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	records, err := mustOpen(t, dir).Records()
	if err != nil || len(records) != 2 || records[0].Bound == nil || *records[0].Bound != *bound.Bound || records[1].Bound != nil {
		t.Errorf("%+v, %v", records, err)
	}
}
