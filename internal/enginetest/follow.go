package enginetest

import (
	"context"
	"fmt"
	"time"

	"scaler.io/scaler/internal/plan"
)

// FollowLogs implements pool.Follower. What is in the log already is all that
// comes; it ends when the container does.
func (e *Engine) FollowLogs(ctx context.Context, id string, lines int, line func(string) error) error {
	all, err := e.Logs(ctx, id, lines)
	if err != nil {
		return err
	}
	for _, l := range all {
		if err := line(l); err != nil {
			return err
		}
	}
	for {
		if c, err := e.Inspect(ctx, id); err != nil || c.State != plan.ContainerRunning {
			return err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
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
