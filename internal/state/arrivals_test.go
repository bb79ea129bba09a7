package state

import (
	"reflect"
	"testing"
)

func TestArrivals(t *testing.T) {
	dir := stateDir(t, nil)
	s, err := Open(dir)
	must(t, err)
	if got, err := s.Arrivals(); err != nil || len(got) != 0 {
		t.Errorf("at first %v, %v", got, err)
	}
	must(t, s.PutArrivals(map[string][]byte{"linux": {1, 2}, "gpu": {3}}))
	must(t, s.PutArrivals(map[string][]byte{"linux": {4}, "none": nil}), s.Close())

	s, err = OpenReadOnly(dir)
	must(t, err)
	want := map[string][]byte{"linux": {4}, "gpu": {3}}
	if got, err := s.Arrivals(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if s.PutArrivals(want) == nil {
		t.Error("a read-only store was written to")
	}
	must(t, s.Close())

	s, err = Open(dir)
	must(t, err)
	must(t, s.PutArrivals(map[string][]byte{"linux": nil}))
	defer s.Close()
	if got, err := s.Arrivals(); err != nil || !reflect.DeepEqual(got, map[string][]byte{"gpu": {3}}) {
		t.Errorf("after one was removed: %v, %v", got, err)
	}
}

func TestArrivalsOfStateThatIsNotThere(t *testing.T) {
	if got, err := (&Store{}).Arrivals(); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	old, err := OpenReadOnly(formatOne(t))
	must(t, err)
	defer old.Close()
	if got, err := old.Arrivals(); err != nil || len(got) != 0 {
		t.Errorf("of format 1: %v, %v", got, err)
	}
}
