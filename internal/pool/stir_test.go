package pool

import (
	"log/slog"
	"testing"
	"time"
)

// TestStir: that a container has ended is worth a look, unless one has seen it
// and its removal is under way.
func TestStir(t *testing.T) {
	m := New(Config{}, Ports{}, slog.New(slog.DiscardHandler))
	m.runners["removed"] = &runner{op: opRemove}
	m.runners["idle"] = &runner{}
	m.runners["starting"] = &runner{op: opStart}
	for _, tt := range []struct {
		name  string
		names []string
		want  bool
	}{
		{"nothing", nil, false},
		{"under removal", []string{"removed", "removed"}, false},
		{"nothing under way", []string{"idle"}, true},
		{"another step under way", []string{"starting"}, true},
		{"unknown", []string{"stranger"}, true},
		{"any", []string{""}, true},
		{"one of several", []string{"removed", "idle"}, true},
	} {
		for _, name := range tt.names {
			m.stirs.add(name)
		}
		if got := m.stir(time.Now()); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
		if m.stir(time.Now()) {
			t.Errorf("%s: taken twice", tt.name)
		}
	}
}
