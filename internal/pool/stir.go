package pool

import (
	"sync"
	"time"
)

// stirs are the runners whose containers have ended, as the engine tells it from
// a goroutine of its own, until the loop takes them.
type stirs struct {
	poke chan struct{} // has one value while there is something to take

	mu    sync.Mutex
	names []string
}

func newStirs() *stirs { return &stirs{poke: make(chan struct{}, 1)} }

// add notes a runner, "" for any of them.
func (s *stirs) add(runner string) {
	s.mu.Lock()
	s.names = append(s.names, runner)
	s.mu.Unlock()
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

func (s *stirs) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := s.names
	s.names = nil
	return names
}

// stir reports whether what the engine has told is worth another look. That a
// container has ended whose removal is under way is not: a look has seen it, and
// where many end at once most of what the engine tells comes during that look.
func (m *Manager) stir(now time.Time) bool {
	for _, name := range m.stirs.take() {
		if r := m.runners[name]; r == nil || r.op != opRemove {
			m.hear(now)
			return true
		}
	}
	return false
}
