package state

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestUseInstance(t *testing.T) {
	const id, other = "5ca1e4000001", "5ca1e4000002"
	dir := filepath.Join(t.TempDir(), "state")
	for range 2 { // the second time it has the id
		if err := UseInstance(dir, id); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if s.Instance() != id {
			t.Errorf("instance %s, want %s", s.Instance(), id)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	err := UseInstance(dir, other)
	if !errors.Is(err, ErrInstance) || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), other) {
		t.Errorf("another id: %v, want ErrInstance with both", err)
	}
}
