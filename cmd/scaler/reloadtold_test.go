package main

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
)

// Each reload is counted once by how it ended. A bad file that is looked at again
// and again, as until somebody mends it, is counted once and is no reload that the
// service manager hears of.
func TestReloadsAreCountedAndTold(t *testing.T) {
	r, f, text, _ := reloading(t)
	counts, began, over := map[string]int{}, 0, 0
	r.count = func(outcome string) { counts[outcome]++ }
	r.reloading = func() func() { began++; return func() { over++ } }
	good := []byte(strings.Replace(text, "max: 15", "max: 4", 1))
	bad := []byte(strings.Replace(text, "max: 15", "max: many", 1))
	look := func(data []byte, wantErr bool) {
		t.Helper()
		if _, err := r.take(context.Background(), data); (err != nil) != wantErr {
			t.Errorf("take: %v", err)
		}
	}
	want := func(when string, wantBegan int, wantCounts map[string]int) {
		t.Helper()
		if began != wantBegan || over != began || !maps.Equal(counts, wantCounts) {
			t.Errorf("%s: %d begun and %d over, want %d; counts %v, want %v", when, began, over, wantBegan, counts, wantCounts)
		}
	}
	look(good, false)
	want("a good edit", 1, map[string]int{"taken": 1})
	look(good, false)
	want("the same again", 1, map[string]int{"taken": 1, "unchanged": 1})
	for range 3 {
		look(bad, true)
	}
	want("a bad edit", 1, map[string]int{"taken": 1, "unchanged": 1, "rejected": 1})
	look(append(bad, "nonsense: 1\n"...), true)
	want("another bad one", 1, map[string]int{"taken": 1, "unchanged": 1, "rejected": 2})
	f.err = errors.New("the loop is busy")
	look([]byte(text), true)
	want("one that is not taken over", 2, map[string]int{"taken": 1, "unchanged": 1, "rejected": 3})
	f.err = nil
	write(t, r.path, string(bad))
	if _, err := r.Reload(t.Context()); err == nil {
		t.Error("no error")
	}
	if began != 3 || over != 3 {
		t.Errorf("one that was asked for: %d begun and %d over, want 3", began, over)
	}
}
