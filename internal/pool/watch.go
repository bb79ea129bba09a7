package pool

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"scaler.io/scaler/internal/plan"
)

// usageAtOnce is how many containers are asked for their usage at a time.
const usageAtOnce = 8

// Logs returns the last lines of what a runner's container has written, fit to
// be shown. The error wraps plan.ErrNotFound if there is no such runner, or it
// has no container.
func (m *Manager) Logs(ctx context.Context, runner string, lines int) ([]string, error) {
	id, err := m.containerOf(runner)
	if err != nil {
		return nil, fmt.Errorf("read log of runner %s: %w", runner, err)
	}
	return m.ports.Inspector.Logs(ctx, id, lines)
}

// FollowLogs calls line with the last lines of a runner's container and then with
// each that it writes, until it has ended, ctx ends or line returns an error.
// Errors are those of Logs.
func (m *Manager) FollowLogs(ctx context.Context, runner string, lines int, line func(string) error) error {
	id, err := m.containerOf(runner)
	if err != nil {
		return fmt.Errorf("follow log of runner %s: %w", runner, err)
	}
	return m.ports.Follower.FollowLogs(ctx, id, lines, line)
}

// Usage returns what the containers of runners take at the moment. Those that do
// not run, or cannot be asked, are left out.
func (m *Manager) Usage(ctx context.Context, runners []string) []plan.Usage {
	var mu sync.Mutex
	var all []plan.Usage
	var group errgroup.Group
	group.SetLimit(usageAtOnce)
	for _, name := range runners {
		id, err := m.containerOf(name)
		if err != nil {
			continue
		}
		group.Go(func() error {
			u, err := m.ports.Follower.Usage(ctx, id)
			if err != nil {
				m.log.Debug("usage of a runner not known", "runner", name, "err", err)
				return nil
			}
			u.Runner = name
			mu.Lock()
			defer mu.Unlock()
			all = append(all, u)
			return nil
		})
	}
	_ = group.Wait() // it has no errors
	return all
}

// containerOf returns the container of a runner, as of the last cycle.
func (m *Manager) containerOf(runner string) (id string, err error) {
	h, err := m.handleOf(runner)
	if err == nil && h.container == "" {
		err = fmt.Errorf("%w: it has no container yet", plan.ErrNotFound)
	}
	return h.container, err
}
