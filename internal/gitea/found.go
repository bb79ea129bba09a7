package gitea

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
)

// How long what is known of a server counts.
const (
	// routesAge is after how long its routes are asked again.
	routesAge = time.Hour
	// disputeAge takes its place where the routes are not those of the release,
	// and where a call was answered otherwise than the routes promise.
	disputeAge = time.Minute
	// versionAge is after how long its version is read again, where something
	// is missing whose coming is worth a small request, or is in doubt;
	// fullVersionAge where nothing is.
	versionAge     = time.Second
	fullVersionAge = time.Minute
)

// asking is what there is to ask the server.
type asking int

const (
	askNothing asking = iota
	askVersion
	askAll
)

// found is what was last known of the server: the capabilities that its version
// and its routes promise, and what the answers to calls have shown since.
type found struct {
	turn chan struct{} // holds one while the server is asked, so that one caller asks

	mu     sync.Mutex // guards all below
	caps   plan.Capabilities
	byGet  bool                     // a registration token is minted in the older form
	routes map[plan.Capability]bool // those that the routes decided
	// dispute is set where a route is not as the release has it.
	dispute bool
	asked   time.Time // when the routes were asked
	read    time.Time // when the version was read
	doubt   bool      // since then the server did not answer, or failed
	recheck bool      // since then a call was answered otherwise than promised
	answers map[plan.Capability]answered
	dereg   *capability
}

// answered is what calls have shown of a capability.
type answered struct {
	has   bool
	at    time.Time // the last time
	again bool      // it was tried again later, with the same answer
}

// counts reports whether the answer still counts against the word of the routes:
// something in front of the server may have answered in its place, so it is
// tried once more.
func (a answered) counts(now time.Time) bool { return a.again || now.Sub(a.at) < disputeAge }

func newFound() *found {
	return &found{turn: make(chan struct{}, 1), answers: make(map[plan.Capability]answered), dereg: &capability{}}
}

// enter waits for the turn to ask.
func (f *found) enter(ctx context.Context) error {
	select {
	case f.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for another's question: %w", ctx.Err())
	}
}

func (f *found) leave() { <-f.turn }

// due says what has to be asked.
func (f *found) due(now time.Time) asking {
	f.mu.Lock()
	defer f.mu.Unlock()
	age := routesAge
	if f.dispute {
		age = disputeAge
	}
	switch {
	case f.asked.IsZero() || now.Sub(f.asked) >= age:
		return askAll
	case now.Sub(f.read) < versionAge:
		return askNothing
	case f.recheck:
		return askAll
	case f.doubt || now.Sub(f.read) >= fullVersionAge || !f.now(now).Full():
		return askVersion
	}
	return askNothing
}

// latest is what is known, and whether anything is.
func (f *found) latest() (plan.Capabilities, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now(time.Now()), !f.asked.IsZero()
}

// now puts the answers to calls over what was promised. The caller holds f.mu.
func (f *found) now(now time.Time) plan.Capabilities {
	caps := f.caps
	for k, a := range f.answers {
		if !f.routes[k] || a.counts(now) {
			caps.Set(k, a.has)
		}
	}
	caps.Deregister = caps.Deregister || f.dereg.has()
	return caps
}

// confirm notes that the version is still the same.
func (f *found) confirm(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.caps.CheckedAt, f.read, f.doubt = now, now, false
}

// set takes what the server promises. Another version makes all that calls have
// shown of the old one void; so does the time.
func (f *found) set(p promise, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.caps.Version != f.caps.Version || now.Sub(f.asked) >= routesAge {
		clear(f.answers)
		f.dereg, f.byGet = &capability{}, mintsByGet(p.caps.Version)
	}
	f.caps, f.routes, f.dispute = p.caps, maps.Clone(p.routes), p.dispute
	f.caps.CheckedAt, f.asked, f.read, f.doubt, f.recheck = now, now, now, false, false
}

// distrust has the version read again: the server may be another one when it
// answers next.
func (f *found) distrust() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doubt = true
}

// shows takes what the answer to a call has shown.
func (f *found) shows(k plan.Capability, has bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k == "" || f.asked.IsZero() {
		return
	}
	now := time.Now()
	if f.now(now).Has(k) != has {
		f.recheck = true
	}
	before, known := f.answers[k]
	f.answers[k] = answered{has, now, known && before.has == has && (before.again || !before.counts(now))}
}

// mintsByGet says which form of minting the server has.
func (f *found) mintsByGet() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byGet
}

func (f *found) setMintsByGet(byGet bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byGet = byGet
}

// deregister is the memory of whether a runner can delete itself, which only a
// call can show.
func (f *found) deregister() *capability {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dereg
}
