package state

import (
	"reflect"
	"testing"
)

func TestJobs(t *testing.T) {
	dir := stateDir(t, nil)
	s, err := Open(dir)
	must(t, err)
	if got, err := s.Jobs(); err != nil || len(got) != 0 {
		t.Errorf("at first %v, %v", got, err)
	}
	must(t, s.PutJobs(map[int64][]byte{7: []byte("a"), 1 << 40: []byte("b")}))
	must(t, s.PutJobs(map[int64][]byte{7: []byte("c"), 8: nil}), s.Close())

	s, err = OpenReadOnly(dir)
	must(t, err)
	want := map[int64][]byte{7: []byte("c"), 1 << 40: []byte("b")}
	if got, err := s.Jobs(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if s.PutJobs(want) == nil {
		t.Error("a read-only store was written to")
	}
	must(t, s.Close())

	s, err = Open(dir)
	must(t, err)
	must(t, s.PutJobs(map[int64][]byte{7: nil}))
	defer s.Close()
	if got, err := s.Jobs(); err != nil || len(got) != 1 {
		t.Errorf("after one was removed: %v, %v", got, err)
	}
	if got, err := (&Store{}).Jobs(); err != nil || len(got) != 0 {
		t.Errorf("of state that is not there: %v, %v", got, err)
	}
}
