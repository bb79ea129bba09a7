package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types/container"

	"scaler.io/scaler/internal/plan"
)

// followPoll is how often FollowLogs looks whether the task has ended: the log of
// a service has no end.
const followPoll = 2 * time.Second

// FollowLogs is that of Engine, for a service of ours.
func (s *Swarm) FollowLogs(ctx context.Context, id string, lines int, line func(string) error) error {
	full, err := s.ownService(ctx, id)
	if err != nil {
		return fmt.Errorf("follow logs: %w", err)
	}
	following, end := context.WithCancelCause(ctx)
	defer end(nil)
	open := func(ctx context.Context, o container.LogsOptions) (io.ReadCloser, error) {
		stream, err := s.logOfService(full)(ctx, o)
		if err == nil {
			go s.awaitEnd(following, full, end)
		}
		return stream, err
	}
	return s.followLines(following, "follow logs of service "+id, open, lines, line)
}

// awaitEnd ends the following once a service's task has ended and its last lines have had
// time to come.
func (s *Swarm) awaitEnd(ctx context.Context, id string, end context.CancelCauseFunc) {
	over := false
	for {
		select {
		case <-time.After(followPoll):
		case <-ctx.Done():
			return
		}
		if over {
			end(errLogOver)
			return
		}
		c, err := s.Inspect(ctx, id)
		over = errors.Is(err, plan.ErrNotFound) || err == nil && c.State == plan.ContainerExited
	}
}

// Usage returns plan.ErrUnsupported for a service of ours: what a container takes
// only its own node knows.
func (s *Swarm) Usage(ctx context.Context, id string) (plan.Usage, error) {
	_, err := s.ownService(ctx, id)
	if err == nil {
		err = fmt.Errorf("%w: what a container on another node of a Swarm takes cannot be asked for", plan.ErrUnsupported)
	}
	return plan.Usage{}, fmt.Errorf("read usage: %w", err)
}
