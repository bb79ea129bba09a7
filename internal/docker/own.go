package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

// ours selects our containers. The second label keeps out a container that
// somebody made by hand from an image of ours and that has inherited the
// first.
func (e *Engine) ours() filters.Args {
	return filters.NewArgs(
		filters.Arg("label", LabelInstance+"="+e.instance),
		filters.Arg("label", LabelRunner),
	)
}

// byInstance selects all that carries an instance id.
func byInstance(instance string) filters.Args {
	return filters.NewArgs(filters.Arg("label", LabelInstance+"="+instance))
}

func (e *Engine) carriesOurs(labels map[string]string) bool {
	return labels[LabelInstance] == e.instance && labels[LabelRunner] != ""
}

// inspect returns a container of ours, by id or name, or ErrForeign.
func (e *Engine) inspect(ctx context.Context, id string) (container.InspectResponse, error) {
	what := "inspect container " + id
	var found container.InspectResponse
	err := e.call(ctx, opContainerInspect, what, func(ctx context.Context) (err error) {
		found, err = e.client.ContainerInspect(ctx, id)
		return err
	})
	if err != nil {
		return found, err
	}
	if found.ContainerJSONBase == nil || found.State == nil || found.Config == nil {
		return found, fmt.Errorf("%s: %w", what, errors.New("incomplete answer"))
	}
	if !e.carriesOurs(found.Config.Labels) {
		return found, fmt.Errorf("%s: %w", what, ErrForeign)
	}
	e.remember(found.ID)
	return found, nil
}

// own returns the full id of a container once it is known to be ours. What is
// done next is done by that id, which the engine never gives to another
// container, rather than by a name that may change hands in between.
func (e *Engine) own(ctx context.Context, id string) (string, error) {
	e.mu.Lock()
	known := e.owned[id]
	e.mu.Unlock()
	if known {
		return id, nil
	}
	found, err := e.inspect(ctx, id)
	if err != nil {
		return "", err
	}
	return found.ID, nil
}

// remember keeps the full id of a container of ours. Labels of a container
// cannot be changed, so this needs no second look.
func (e *Engine) remember(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.owned[id] = true
}

func (e *Engine) forget(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.owned, id)
}

// expectGone notes whether we are removing a container, so that its event is no
// news. What succeeded is noted until a list shows that it is gone.
func (e *Engine) expectGone(id string, expect bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if expect {
		e.removing[id] = true
		return
	}
	delete(e.removing, id)
}

// expected reports whether the event of a container's end is of our own making.
func (e *Engine) expected(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.removing[id]
}

// name returns the container's name as people write it.
func name(c container.InspectResponse) string { return strings.TrimPrefix(c.Name, "/") }
