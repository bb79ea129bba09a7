package main

import (
	"context"
	"fmt"
)

// kinds of things that the daemon makes.
const (
	kindRunner    = "runner"
	kindContainer = "container"
)

// autopsy looks at what a daemon has left that was just killed. Its state must
// be whole, and whatever there is of the daemon's at Gitea and in the engine
// must have been in the state before it came into being: without a record it
// would be found by a search only, and until then counts for nothing. A runner
// must not have changed its id either.
func (a *audit) autopsy(ctx context.Context) error {
	records, err := a.stage.records()
	if err != nil {
		return fmt.Errorf("look at the state of the killed daemon: %w", err)
	}
	a.mu.Lock()
	for _, r := range records {
		if _, known := a.known[r.Name]; !known {
			a.known[r.Name] = 0
		}
	}
	a.mu.Unlock()
	for name, id := range a.stage.runners() {
		a.identify(name, id)
	}
	names, err := a.stage.containers(ctx)
	if err != nil {
		return nil // the engine is away
	}
	for _, name := range names {
		a.recorded(kindContainer, name)
	}
	return nil
}

// recorded notes a thing of which no record was ever seen.
func (a *audit) recorded(kind, name string) bool {
	a.mu.Lock()
	_, known := a.known[name]
	what := kind + " " + name
	news := !known && !a.unknown[what]
	if !known {
		a.unknown[what] = true
	}
	a.mu.Unlock()
	if news {
		a.find("%s has no record", what)
	}
	return known
}

// identify notes a runner that has another id than before.
func (a *audit) identify(name string, id int64) {
	if !a.recorded(kindRunner, name) {
		return
	}
	a.mu.Lock()
	was := a.known[name]
	a.known[name] = id
	a.mu.Unlock()
	if was != 0 && was != id {
		a.find("runner %s had the id %d and now has %d", name, was, id)
	}
}

// unrecorded counts the things of a kind that were seen without a record.
func (a *audit) unrecorded(kind string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for what := range a.unknown {
		if len(what) > len(kind) && what[:len(kind)] == kind {
			n++
		}
	}
	return n
}
