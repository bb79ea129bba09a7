package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"

	"github.com/docker/docker/api/types/container"

	"scaler.io/scaler/internal/plan"
)

// Create makes the pool's image available and creates a container with the
// runner's name, without starting it. A container of that name which carries
// our instance and the runner's label is success, so that Create can be
// repeated; any other is left alone and gives ErrForeign.
//
// The launch, which may be nil, comes on top of what the pool says.
//
// When ctx ends or the deadline passes, the engine may have made the container
// all the same. It carries our labels, so that List shows it.
func (e *Engine) Create(ctx context.Context, pool, runner string, launch *plan.Launch) (id string, err error) {
	o, err := e.options(pool)
	if err != nil {
		return "", fmt.Errorf("create container %s: %w", runner, err)
	}
	for attempt := 1; ; attempt++ {
		if err := e.EnsureImage(ctx, pool); err != nil {
			return "", fmt.Errorf("create container %s: %w", runner, err)
		}
		id, err = e.create(ctx, o.with(launch), identity{e.instance, pool, runner})
		if !errors.Is(err, plan.ErrNotFound) {
			break
		}
		// The image went away after it had been seen.
		e.markImage(o.Image, false)
		if attempt == 2 {
			return "", err
		}
	}
	if isConflict(err) {
		return e.existing(ctx, runner, err)
	}
	if err != nil {
		return "", err
	}
	e.remember(id)
	return id, nil
}

func (e *Engine) create(ctx context.Context, o Options, id identity) (string, error) {
	what := "create container " + id.runner
	config, host, err := o.containerConfig(id)
	if err == nil {
		err = loadSeccomp(host.SecurityOpt)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	var created container.CreateResponse
	err = e.call(ctx, opContainerCreate, what, func(ctx context.Context) (err error) {
		created, err = e.client.ContainerCreate(ctx, config, host, nil, nil, id.runner)
		return err
	})
	return created.ID, err
}

// existing returns the id of the container that already has the runner's
// name, if it is this very runner's.
func (e *Engine) existing(ctx context.Context, runner string, conflict error) (string, error) {
	found, err := e.inspect(ctx, runner)
	switch {
	case errors.Is(err, plan.ErrNotFound):
		return "", conflict // it is being removed
	case err == nil && found.Config.Labels[LabelRunner] != runner:
		return "", fmt.Errorf("create container %s: the name is taken by runner %s: %w", runner, found.Config.Labels[LabelRunner], ErrForeign)
	case errors.Is(err, ErrForeign):
		return "", fmt.Errorf("create container %s: the name is taken: %w", runner, err)
	case err != nil:
		return "", err
	}
	return found.ID, nil
}

// Start puts the files into the container, owned by the user that it runs as,
// and starts it. A running container stays as it is, with the files replaced.
func (e *Engine) Start(ctx context.Context, id string, files []plan.File) error {
	found, err := e.inspect(ctx, id)
	if err != nil {
		return fmt.Errorf("start container: %w", err)
	}
	if err := e.putFiles(ctx, found, files); err != nil {
		return err
	}
	what := "start container " + name(found)
	var answer error
	err = e.call(ctx, opContainerStart, what, func(ctx context.Context) error {
		answer = e.client.ContainerStart(ctx, found.ID, container.StartOptions{})
		return answer
	})
	if errors.Is(err, plan.ErrNotFound) {
		// The engine says so too if, for one, the network does not exist.
		if _, inspectErr := e.inspect(ctx, found.ID); inspectErr == nil {
			return fmt.Errorf("%s: something that it needs is missing: %w", what, answer)
		}
	}
	return err
}

// Signal sends a signal such as "SIGTERM" or "SIGKILL" to the container's
// first process. A container that does not run or does not exist is success.
func (e *Engine) Signal(ctx context.Context, id, signal string) error {
	full, err := e.own(ctx, id)
	if err == nil {
		err = e.call(ctx, opContainerSignal, "signal container "+id, func(ctx context.Context) error {
			return e.client.ContainerKill(ctx, full, signal)
		})
	}
	if isConflict(err) {
		// The engine's answer for a container that has ended by itself.
		found, inspectErr := e.inspect(ctx, full)
		if errors.Is(inspectErr, plan.ErrNotFound) || inspectErr == nil && !found.State.Running {
			return nil
		}
	}
	if errors.Is(err, plan.ErrNotFound) {
		return nil
	}
	return err
}

// Remove removes the container and its anonymous volumes. Without force the
// engine refuses one that runs; with force it is killed first. A container
// that does not exist or is being removed already is success.
func (e *Engine) Remove(ctx context.Context, id string, force bool) error {
	full, err := e.own(ctx, id)
	if err == nil {
		e.expectGone(full, true)
		err = e.call(ctx, opContainerRemove, "remove container "+id, func(ctx context.Context) error {
			return e.client.ContainerRemove(ctx, full, container.RemoveOptions{RemoveVolumes: true, Force: force})
		})
	}
	if isConflict(err) {
		// Said of a running container, and of one whose removal has begun.
		found, inspectErr := e.inspect(ctx, full)
		if errors.Is(inspectErr, plan.ErrNotFound) || inspectErr == nil && found.State.Status == container.StateRemoving {
			err = nil
		}
	}
	if err != nil && !errors.Is(err, plan.ErrNotFound) {
		e.expectGone(full, false)
		return err
	}
	e.forget(full)
	return nil
}

// exitedStatus is how the engine's list words that a container has exited, in
// the API of every version: "Exited (0) 5 seconds ago".
var exitedStatus = regexp.MustCompile(`^Exited \((-?\d+)\)`)

// exitCode reads the exit code of a container from a list.
func exitCode(c container.Summary) (code int, known bool) {
	m := exitedStatus.FindStringSubmatch(c.Status)
	if m == nil || c.State != container.StateExited {
		return 0, false
	}
	code, err := strconv.Atoi(m[1])
	return code, err == nil
}

// List returns all our containers, whatever their state, with the exit codes
// as far as the list tells them.
func (e *Engine) List(ctx context.Context) ([]plan.Container, error) {
	var found []container.Summary
	err := e.call(ctx, opContainerList, "list containers", func(ctx context.Context) (err error) {
		found, err = e.client.ContainerList(ctx, container.ListOptions{All: true, Filters: e.ours()})
		return err
	})
	if err != nil {
		return nil, err
	}
	owned := make(map[string]bool, len(found))
	list := make([]plan.Container, 0, len(found))
	for _, c := range found {
		if !e.carriesOurs(c.Labels) {
			continue
		}
		owned[c.ID] = true
		one := plan.Container{ID: c.ID, Runner: c.Labels[LabelRunner], Pool: c.Labels[LabelPool], State: plan.ContainerState(c.State)}
		one.ExitCode, one.Ended = exitCode(c)
		list = append(list, one)
	}
	e.mu.Lock()
	e.owned = owned
	maps.DeleteFunc(e.removing, func(id string, _ bool) bool { return !owned[id] })
	e.mu.Unlock()
	return list, nil
}

// Inspect returns one container of ours with its exit code. The error wraps
// plan.ErrNotFound or ErrForeign where that is the case.
func (e *Engine) Inspect(ctx context.Context, id string) (plan.Container, error) {
	found, err := e.inspect(ctx, id)
	if err != nil {
		return plan.Container{}, err
	}
	c := plan.Container{
		ID: found.ID, Runner: found.Config.Labels[LabelRunner], Pool: found.Config.Labels[LabelPool],
		State: plan.ContainerState(found.State.Status),
	}
	if c.State == plan.ContainerExited {
		c.ExitCode, c.Ended = found.State.ExitCode, true
	}
	return c, nil
}
