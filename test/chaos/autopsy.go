package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"scaler.io/scaler/internal/state"
)

// What the daemon makes.
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
	current := a.learn(records)
	for name, id := range a.stage.runners() {
		a.identify(name, id)
		a.mu.Lock()
		if _, known := a.known[name]; known && !current[name] && !a.late[name] {
			a.forgotten[name] = true
		}
		a.mu.Unlock()
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

// learn notes the runners that there are records of, and returns their names.
func (a *audit) learn(records []state.Record) map[string]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	names := map[string]bool{}
	for _, r := range records {
		names[r.Name] = true
		if _, known := a.known[r.Name]; !known {
			a.known[r.Name] = 0
		}
	}
	return names
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
		if strings.HasPrefix(what, kind+" ") {
			n++
		}
	}
	return n
}

// registers notes the runners that are registered after the death of the
// daemon that asked for it.
func (a *audit) registers(next http.Handler, d *daemon) http.Handler {
	name := regexp.MustCompile("scaler-" + a.stage.instance + "-[a-z0-9-]+-[a-z0-9]{8}")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if giteaCall(r) != "Register" {
			next.ServeHTTP(w, r)
			return
		}
		asked := d.alive()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		defer func() {
			if now := d.alive(); now == nil || now != asked {
				a.mu.Lock()
				a.late[string(name.Find(body))] = true
				a.mu.Unlock()
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// abandoned returns how many runners were forgotten while Gitea still had
// them, and 0 if there are so few that requests which were under way at a kill
// explain them.
func (a *audit) abandoned(kills int) int {
	a.mu.Lock()
	n := len(a.forgotten)
	a.mu.Unlock()
	if n <= 1+kills/100 {
		return 0
	}
	a.find("%d runners were forgotten and left in Gitea for the reaper", n)
	return n
}
