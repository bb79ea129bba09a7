package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"scaler.io/scaler/internal/plan"
)

var (
	// ErrUnreachable: the engine cannot be reached or did not answer in
	// time. Nothing is known about its containers.
	ErrUnreachable = errors.New("docker engine unreachable")
	// ErrForeign: the container or image does not carry our instance id.
	// It was left alone.
	ErrForeign = errors.New("not made by this instance")
)

// callWithin runs fn with a deadline and says of its error what it means:
// ErrUnreachable, plan.ErrNotFound, or the engine's own words.
func callWithin(ctx context.Context, limit time.Duration, what string, fn func(context.Context) error) error {
	callCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := fn(callCtx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: no answer within %s: %w", what, ErrUnreachable, limit, err)
	case client.IsErrConnectionFailed(err):
		return fmt.Errorf("%s: %w: %w", what, ErrUnreachable, connectionCause(err))
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%s: %w: %w", what, plan.ErrNotFound, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// isConflict reports whether the engine refuses since the thing is there already,
// or is not in a state for that. Podman says both as an error of its own making
// (500), in these words.
func isConflict(err error) bool {
	if err == nil || errdefs.IsConflict(err) {
		return err != nil
	}
	text := err.Error()
	return strings.Contains(text, "that name is already in use") || strings.Contains(text, "container state improper")
}

// connectionCause strips the SDK's general advice from a connection error
// whose cause is known.
func connectionCause(err error) error {
	if d, ok := errors.AsType[*dialError](err); ok {
		return d
	}
	if s, ok := errors.AsType[*sshError](err); ok {
		return s
	}
	return err
}

// dialError is a connection to the engine that could not be made. The SDK
// replaces errors that it knows by their text ("connection refused", "dial
// unix") with one sentence for all; this type keeps them apart by not using
// those words.
type dialError struct {
	host  string
	cause error
}

// Error says what is wrong and how to mend it.
func (d *dialError) Error() string {
	const check = `; check with "docker info"`
	switch {
	case errors.Is(d.cause, fs.ErrPermission):
		return "no permission to use " + d.host + ": run as root or add this user to the group docker" + check
	case errors.Is(d.cause, syscall.ECONNREFUSED):
		return "nothing listens on " + d.host + ": start Docker" + check
	case errors.Is(d.cause, fs.ErrNotExist):
		return d.host + " does not exist: start Docker, or correct the address" + check
	}
	return "cannot connect to " + d.host + ": " + rootCause(d.cause).Error() + check
}

// Unwrap returns the cause.
func (d *dialError) Unwrap() error { return d.cause }

// rootCause returns the innermost error, without the address that the outer
// ones repeat.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
