package state

import (
	"path/filepath"
	"reflect"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func TestRecordKeepsItsCost(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	known, unknown := record("known"), record("unknown")
	known.Cost = &plan.Resources{MilliCPU: 1500, Memory: 4 << 30}
	if err := s.Put(known, unknown); err != nil {
		t.Fatal(err)
	}
	got, err := s.Records()
	if err != nil {
		t.Fatal(err)
	}
	if want := []Record{known, unknown}; !reflect.DeepEqual(got, want) {
		t.Errorf("records = %+v\nwant %+v", got, want)
	}
}
