package enginetest

import (
	"maps"
	"slices"
)

// SetRoom has what is started from now on wait for a place, for the reason; an
// empty one lets all of it begin.
func (e *Engine) SetRoom(reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.noRoom = reason
	if reason != "" {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(e.containers)) {
		if c := e.containers[id]; c.begin != nil {
			c.reason = ""
			c.begin()
		}
	}
}

// Drain says of all containers that run that their machine is to be emptied.
func (e *Engine) Drain(reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.kill != nil && c.begin == nil {
			c.reason, c.withdrawn = reason, true
			e.tell(c)
		}
	}
}

// Lose loses the machine of a runner's container: what is in it goes on, and
// nobody is told how it ends.
func (e *Engine) Lose(runner, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.runner == runner {
			c.reason, c.lost = reason, true
			e.tell(c)
		}
	}
}

// Crash ends what is in the container of a runner whose machine was lost.
func (e *Engine) Crash(runner string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.runner == runner && c.kill != nil {
			c.kill()
		}
	}
}
