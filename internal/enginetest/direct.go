package enginetest

import (
	"maps"
	"slices"

	"scaler.io/scaler/internal/plan"
)

// What follows directs the engine: what it has, how it fails, and what happens
// behind the daemon's back.

// SetPools says which pools there are, for all instances, and with what error
// the image of each cannot be had, nil for none. Before, there is any pool.
func (e *Engine) SetPools(pools map[string]error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pools = maps.Clone(pools)
}

// Cut makes all calls fail with the error, as while the engine cannot be
// reached. With nil it can be again, and the watchers are told to look.
func (e *Engine) Cut(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cut = err
	if err != nil {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(e.watchers)) {
		go e.watchers[id].notify("")
	}
}

// Print adds a line to the log of the container in which a process runs, which
// the process knows from its IDFile.
func (e *Engine) Print(id, line string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.containers[id]; c != nil {
		c.printed = append(c.printed, line)
		c.stir()
	}
}

// SetProcess changes what runs in the containers that are started from now on.
func (e *Engine) SetProcess(p Process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.process = p
}

// Fail makes the call named (Create, Start, Signal, Remove, List, Inspect,
// Logs, ReadFile) answer with the error from now on; nil lets it work again.
func (e *Engine) Fail(call string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults[call] = err
}

// SetImage changes the id of the image that containers are made from.
func (e *Engine) SetImage(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.image = id
}

// Image implements pool.Images.
func (e *Engine) Image(string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.image
}

// Before has f called once, before the next call of that name is processed, as
// for something that happens just then.
func (e *Engine) Before(call string, f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hooks[call] = f
}

// Calls returns how often a call was made.
func (e *Engine) Calls(call string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[call]
}

// Peak returns the largest number of containers that existed at one time.
func (e *Engine) Peak() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.peak
}

// MostWrites returns how many calls of WriteFile were under way at most at a time.
func (e *Engine) MostWrites() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mostWrites
}

// Add puts a container there that nobody created through this engine.
func (e *Engine) Add(c plan.Container, files map[string][]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.containers[c.ID] = &container{instance: e.instance, id: c.ID, runner: c.Runner, pool: c.Pool, state: c.State, code: c.ExitCode, files: files}
}

// Vanish removes a container behind everybody's back, killing what runs in it.
func (e *Engine) Vanish(runner string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, c := range e.containers {
		if c.runner == runner {
			if c.kill != nil {
				c.kill()
			}
			delete(e.containers, id)
			e.tell(c)
		}
	}
}

// Wait waits until nothing runs any more, as after all have been killed.
func (e *Engine) Wait() { e.running.Wait() }

// KillAll kills everything that runs, and waits for its end. What is started
// meanwhile goes on.
func (e *Engine) KillAll() {
	var ends []chan struct{}
	e.mu.Lock()
	for _, c := range e.containers {
		if c.kill != nil {
			c.kill()
			ends = append(ends, c.ended)
		}
	}
	e.mu.Unlock()
	for _, ended := range ends {
		if ended != nil {
			<-ended
		}
	}
}
