package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
)

// settled is how long a stream must have lasted for the next one to be tried
// at once.
const settled = 10 * time.Second

// backoff is the time between attempts: it doubles from first to max, and is
// spread by up to a half so that many daemons do not come back at one moment.
type backoff struct{ first, max time.Duration }

func (b backoff) delay(failures int) time.Duration {
	d := b.first
	for range failures {
		if d = min(2*d, b.max); d == b.max {
			break
		}
	}
	return d/2 + rand.N(d/2+1)
}

// Watch follows the engine's event stream and calls notify with the name of a
// runner whose container has died, or was destroyed by somebody else. What we do
// ourselves is no news. After each (re)connection it calls notify(""): anything may have
// happened before, so the caller must look at all containers. An event is a
// hint, may come twice, and never says more than "look again". notify must not
// block for long.
//
// Watch reconnects with back-off for as long as ctx lives, logs once when the
// stream is lost and once when it is back, and returns ctx's error.
func (e *Engine) Watch(ctx context.Context, notify func(runner string)) error {
	filter := e.ours()
	filter.Add("type", string(events.ContainerEventType))
	// Podman filters by words of its own for the same, which Docker never uses.
	for _, action := range []events.Action{events.ActionDie, events.ActionDestroy, "died", "remove"} {
		filter.Add("event", string(action))
	}
	return e.watch(ctx, stream{filter: filter, runner: func(m events.Message) (string, bool) {
		runner := m.Actor.Attributes[LabelRunner]
		return runner, runner != "" && !e.expected(m.Actor.ID)
	}}, notify)
}

// stream is what is followed of an engine's events.
type stream struct {
	filter filters.Args
	// runner returns whose event it is, empty if it may concern all, and
	// whether it is to be told.
	runner func(events.Message) (runner string, tell bool)
}

// watch is Watch for a stream.
func (e *Engine) watch(ctx context.Context, s stream, notify func(runner string)) error {
	failures, lost := 0, false
	for {
		began := time.Now()
		err := e.follow(ctx, s, func() {
			if lost {
				e.log.Info("docker event stream restored")
				lost = false
			}
			notify("")
		}, notify)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) >= settled {
			failures = 0
		}
		if !lost {
			e.log.Warn("docker event stream lost", "err", err)
			lost = true
		}
		select {
		case <-time.After(e.backoff.delay(failures)):
			failures++
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follow reads one stream until it breaks.
func (e *Engine) follow(ctx context.Context, s stream, connected func(), notify func(string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Events returns once the engine has answered, but the engine answers
	// before it subscribes. Asking for the last second as well leaves no gap.
	since := strconv.FormatInt(time.Now().Add(-time.Second).Unix(), 10)
	deadline := time.AfterFunc(e.timeout, cancel)
	e.agree(ctx)
	messages, errs := e.client.Events(ctx, events.ListOptions{Since: since, Filters: s.filter})
	if !deadline.Stop() {
		return fmt.Errorf("%w: no event stream within %s", ErrUnreachable, e.timeout)
	}
	// An error of the connection comes a moment after Events has returned. An
	// answer to another call tells the two outcomes apart.
	pingErr := e.call(ctx, opPing, "ping docker", func(ctx context.Context) error {
		_, err := e.client.Ping(ctx)
		return err
	})
	select {
	case err := <-errs:
		return streamError(err)
	default:
	}
	if pingErr != nil {
		return pingErr
	}
	connected()
	for {
		select {
		case m := <-messages:
			if runner, tell := s.runner(m); tell {
				notify(runner)
			}
		case err := <-errs:
			return streamError(err)
		}
	}
}

func streamError(err error) error {
	switch {
	case client.IsErrConnectionFailed(err):
		return connectionCause(err)
	case errors.Is(err, io.EOF):
		return errors.New("the engine closed it")
	}
	return err
}
