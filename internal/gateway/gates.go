package gateway

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// gates keep runners from asking for jobs while they are made to leave. A
// runner that does not ask gets none, whatever the server can do to stop it.
type gates struct {
	mu   sync.Mutex
	open map[string]*gate // by UUID, those that are in use
}

// gate is that of one runner.
type gate struct {
	held     bool
	inflight int           // requests for a job that are under way
	waiting  int           // callers of hold that wait
	changed  chan struct{} // closed, and replaced, at each change
}

func newGates() *gates { return &gates{open: make(map[string]*gate)} }

// of returns a runner's gate. The caller has the lock.
func (g *gates) of(uuid string) *gate {
	if g.open[uuid] == nil {
		g.open[uuid] = &gate{changed: make(chan struct{})}
	}
	return g.open[uuid]
}

// change tells who waits that the gate has changed, and drops one that nobody
// uses.
func (g *gates) change(uuid string, t *gate) {
	close(t.changed)
	t.changed = make(chan struct{})
	if !t.held && t.inflight == 0 && t.waiting == 0 {
		delete(g.open, uuid)
	}
}

// beginFetch reports whether the runner may ask for a job now; done must be
// called once the answer has been sent on. One that may not gets an empty
// answer, and done does nothing.
func (g *Gateway) beginFetch(uuid string) (done func(), allowed bool) {
	if !plainUUID(uuid) {
		return func() {}, false // no server gives such, but its database may take it for another
	}
	uuid = key(uuid)
	g.gates.mu.Lock()
	defer g.gates.mu.Unlock()
	// One that leaves for being offline may prove that it is not.
	if e, known := g.registry.enrolment(uuid); known && e.GoneAt.IsZero() && e.Leaving != "" && !reaping(e.Enrolment) {
		return func() {}, false
	}
	t := g.gates.of(uuid)
	if t.held {
		return func() {}, false
	}
	t.inflight++
	return sync.OnceFunc(func() {
		g.gates.mu.Lock()
		defer g.gates.mu.Unlock()
		t.inflight--
		g.gates.change(uuid, t)
	}), true
}

// plainUUID reports whether a UUID is made of what UUIDs are made of.
func plainUUID(uuid string) bool {
	return strings.Trim(key(uuid), "0123456789abcdefghijklmnopqrstuvwxyz-") == ""
}

// hold keeps the runner from asking for jobs and waits until no request of it
// is under way; release undoes it. One caller at a time has a runner's hold,
// others wait for it. With an error the runner is not held.
func (g *Gateway) hold(ctx context.Context, uuid string) error {
	uuid = key(uuid)
	g.gates.mu.Lock()
	defer g.gates.mu.Unlock()
	t, mine := g.gates.of(uuid), false
	t.waiting++
	for {
		if !t.held {
			t.held, mine = true, true
		}
		if mine && t.inflight == 0 {
			t.waiting--
			return nil
		}
		changed := t.changed
		g.gates.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		g.gates.mu.Lock()
		if err := ctx.Err(); err != nil {
			t.waiting--
			t.held = t.held && !mine
			g.gates.change(uuid, t)
			return fmt.Errorf("wait for the runner's requests to end: %w", err)
		}
	}
}

// release lets the runner ask again.
func (g *Gateway) release(uuid string) {
	uuid = key(uuid)
	g.gates.mu.Lock()
	defer g.gates.mu.Unlock()
	if t := g.gates.open[uuid]; t != nil {
		t.held = false
		g.gates.change(uuid, t)
	}
}
