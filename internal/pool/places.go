package pool

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// slowStart is how long the engine may take to start one container before it
// counts as overloaded. A start takes it a fraction of a second otherwise.
const slowStart = 5 * time.Second

// manyPlaces is how many places there are at most.
const manyPlaces = 1024

// places bounds how many steps may be under way, first come, first served. When
// the engine cannot keep up the bound falls by half; while it can, it rises
// again by one for as many steps as it allows, up to the most.
type places struct {
	free *semaphore.Weighted // has manyPlaces, of which shut are out of use

	mu    sync.Mutex
	most  int
	limit int
	shut  int
	good  int // steps since the bound last changed
}

func newPlaces(most int) *places {
	p := &places{free: semaphore.NewWeighted(manyPlaces)}
	p.setMost(most)
	return p
}

// setMost changes the most that the bound can be, which it then is.
func (p *places) setMost(most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if most = min(max(most, 1), manyPlaces); most == p.most {
		return
	}
	p.most, p.limit, p.good = most, most, 0
	for p.shut < manyPlaces-p.limit && p.free.TryAcquire(1) {
		p.shut++ // the rest follow as they are given back
	}
	p.open()
}

// open puts places into use that the bound allows.
func (p *places) open() {
	for ; p.shut > manyPlaces-p.limit; p.shut-- {
		p.free.Release(1)
	}
}

// enter waits for a place until ctx ends.
func (p *places) enter(ctx context.Context) error { return p.free.Acquire(ctx, 1) }

// leave gives the place back. It takes whether the engine kept up, and returns
// the bound and whether that has changed it.
func (p *places) leave(keptUp bool) (bound int, changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.limit
	p.good++
	switch {
	case !keptUp && p.good > 0: // those that were under way together count once
		p.limit, p.good = max(p.limit/2, 1), -p.limit
	case keptUp && p.good >= p.limit && p.limit < p.most:
		p.limit, p.good = p.limit+1, 0
	}
	if p.shut < manyPlaces-p.limit {
		p.shut++
		return p.limit, p.limit != before
	}
	p.free.Release(1)
	p.open()
	return p.limit, p.limit != before
}

// bound is how many steps may be under way now.
func (p *places) bound() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit
}
