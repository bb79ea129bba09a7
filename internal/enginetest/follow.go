package enginetest

import (
	"context"
	"fmt"
	"time"

	"scaler.io/scaler/internal/plan"
)

// FollowLogs implements pool.Follower. It ends when the container does.
func (e *Engine) FollowLogs(ctx context.Context, id string, lines int, line func(string) error) error {
	next, printed, err := e.logOf(ctx, id, lines)
	if err != nil {
		return err
	}
	for {
		for _, l := range next {
			if err := line(l); err != nil {
				return err
			}
		}
		var news <-chan struct{}
		if next, news = e.printedSince(id, printed); len(next) > 0 {
			printed += len(next)
			continue
		}
		if news == nil {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// printedSince returns what a container has printed after so many lines, and what
// is closed when there may be more, nil if there will not.
func (e *Engine) printedSince(id string, printed int) (lines []string, news <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.find(id)
	if err != nil || e.cut != nil {
		return nil, nil
	}
	if c.state == plan.ContainerRunning {
		news = c.news
	}
	return c.printed[min(printed, len(c.printed)):], news
}

// Usage implements pool.Follower: a container that runs has used a tenth of a CPU
// all its life.
func (e *Engine) Usage(ctx context.Context, id string) (plan.Usage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "Usage"); err != nil {
		return plan.Usage{}, err
	}
	c, err := e.find(id)
	if err != nil {
		return plan.Usage{}, err
	}
	if c.state != plan.ContainerRunning {
		return plan.Usage{}, fmt.Errorf("read usage of %s: %w: it does not run", id, plan.ErrNotFound)
	}
	now := time.Now()
	return plan.Usage{At: now, CPU: now.Sub(c.started) / 10, Memory: 64 << 20, MemoryLimit: 1 << 30, Processes: 3}, nil
}
