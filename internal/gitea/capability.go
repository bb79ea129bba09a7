package gitea

import (
	"context"
	"errors"
	"sync"

	"scaler.io/scaler/internal/plan"
)

// capability remembers that the server lacks a function. Until the first
// definite answer one caller asks at a time, so that a server is probed once.
type capability struct {
	mu      sync.Mutex
	probing chan struct{} // closed when the probe under way is over
	known   bool
	missing bool
}

// do calls f unless the function is known to be missing, in which case it
// returns plan.ErrUnsupported. f says that it is by an error that wraps
// plan.ErrUnsupported; decided says which other outcomes prove that the
// function is there, after which calls no longer wait for each other.
func (p *capability) do(ctx context.Context, f func() error, decided func(error) bool) error {
	for {
		p.mu.Lock()
		if p.missing {
			p.mu.Unlock()
			return plan.ErrUnsupported
		}
		if p.known {
			p.mu.Unlock()
			return f()
		}
		probing := p.probing
		if probing == nil {
			probing = make(chan struct{})
			p.probing = probing
			p.mu.Unlock()
			return p.probe(probing, f, decided)
		}
		p.mu.Unlock()
		select {
		case <-probing:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// has reports whether the function is known to be there.
func (p *capability) has() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known && !p.missing
}

func (p *capability) probe(done chan struct{}, f func() error, decided func(error) bool) (err error) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.missing = errors.Is(err, plan.ErrUnsupported)
		p.known = p.missing || decided(err)
		p.probing = nil
		close(done)
	}()
	return f()
}
