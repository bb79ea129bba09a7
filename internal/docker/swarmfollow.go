package docker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

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
	following, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	deadline := time.AfterFunc(s.timeout, func() { cancel(fmt.Errorf("%w: no log within %s", ErrUnreachable, s.timeout)) })
	stream, err := s.client.ServiceLogs(following, full, container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: true, Tail: strconv.Itoa(max(lines, 0)),
	})
	deadline.Stop()
	if err != nil {
		return fmt.Errorf("follow logs of service %s: %w", id, errors.Join(err, context.Cause(following)))
	}
	defer func() { _ = stream.Close() }()
	go s.awaitEnd(following, full, cancel)
	out, errs := &lineWriter{line: line}, &lineWriter{line: line}
	if _, err := stdcopy.StdCopy(out, errs, stream); err != nil && !errors.Is(context.Cause(following), errTaskOver) {
		return fmt.Errorf("follow logs of service %s: %w", id, err)
	}
	return errors.Join(out.end(), errs.end())
}

// errTaskOver ends the following of a log.
var errTaskOver = errors.New("the task is over")

// awaitEnd cancels once a service's task has ended and its last lines have had
// time to come.
func (s *Swarm) awaitEnd(ctx context.Context, id string, cancel context.CancelCauseFunc) {
	over := false
	for {
		select {
		case <-time.After(followPoll):
		case <-ctx.Done():
			return
		}
		if over {
			cancel(errTaskOver)
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
