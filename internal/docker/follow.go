package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"scaler.io/scaler/internal/plan"
)

// FollowLogs calls line with the last lines of a container of ours, and then with
// each that it writes, cleaned as Logs does. It returns nil once the container
// has ended, and else the error of ctx, of line or of the stream.
func (e *Engine) FollowLogs(ctx context.Context, id string, lines int, line func(string) error) error {
	full, err := e.own(ctx, id)
	if err != nil {
		return fmt.Errorf("follow logs: %w", err)
	}
	return e.followLines(ctx, "follow logs of "+id, e.logOf(full), lines, line)
}

// errLogOver is the cause with which a context ends the following of a log whose
// lines have all come.
var errLogOver = errors.New("the log is over")

// followLines is FollowLogs for any log.
func (e *Engine) followLines(ctx context.Context, what string, open openLog, lines int, line func(string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	deadline := time.AfterFunc(e.timeout, func() { cancel(fmt.Errorf("%w: no log within %s", ErrUnreachable, e.timeout)) })
	stream, err := open(ctx, container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: true, Tail: strconv.Itoa(max(lines, 0))})
	deadline.Stop()
	if err != nil {
		return fmt.Errorf("%s: %w", what, because(ctx, err))
	}
	defer func() { _ = stream.Close() }()
	out, errs := &lineWriter{line: line}, &lineWriter{line: line}
	if _, err := stdcopy.StdCopy(out, errs, stream); err != nil && !errors.Is(context.Cause(ctx), errLogOver) {
		return fmt.Errorf("%s: %w", what, because(ctx, err))
	}
	return errors.Join(out.end(), errs.end())
}

// because puts before an error why its context has ended, if it says nothing of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// lineWriter is a writer that passes on whole lines.
type lineWriter struct {
	line func(string) error
	part []byte
}

// Write implements io.Writer. A line that never ends is passed on in pieces.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.part = append(w.part, p...)
	for {
		line, rest, whole := bytes.Cut(w.part, []byte("\n"))
		if !whole && len(w.part) < maxLog {
			w.part = bytes.Clone(w.part)
			return len(p), nil
		}
		w.part = rest
		if err := w.line(cleanLine(string(bytes.TrimRight(line, "\r")))); err != nil {
			return 0, err
		}
	}
}

// end passes on what has no line break behind it.
func (w *lineWriter) end() error {
	if len(w.part) == 0 {
		return nil
	}
	return w.line(cleanLine(string(w.part)))
}

// Usage returns what a container of ours takes at the moment, without its
// runner's name. The engine answers at once, and does not measure for a second
// as docker stats does.
func (e *Engine) Usage(ctx context.Context, id string) (plan.Usage, error) {
	full, err := e.own(ctx, id)
	if err != nil {
		return plan.Usage{}, fmt.Errorf("read usage: %w", err)
	}
	var s container.StatsResponse
	err = e.call(ctx, opContainerUsage, "read usage of "+id, func(ctx context.Context) error {
		answer, err := e.client.ContainerStatsOneShot(ctx, full)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		return json.NewDecoder(answer.Body).Decode(&s)
	})
	if err != nil {
		return plan.Usage{}, err
	}
	if s.Read.IsZero() || s.CPUStats.CPUUsage.TotalUsage == 0 {
		return plan.Usage{}, fmt.Errorf("read usage of %s: %w: it does not run", id, plan.ErrNotFound)
	}
	u := plan.Usage{At: s.Read, CPU: time.Duration(s.CPUStats.CPUUsage.TotalUsage), Processes: int(s.PidsStats.Current)}
	u.Memory = int64(s.MemoryStats.Usage)
	for _, name := range []string{"inactive_file", "total_inactive_file"} { // cgroup v2 and v1
		if cache, known := s.MemoryStats.Stats[name]; known && int64(cache) < u.Memory {
			u.Memory -= int64(cache)
			break
		}
	}
	u.MemoryLimit = int64(min(s.MemoryStats.Limit, math.MaxInt64))
	return u, nil
}
