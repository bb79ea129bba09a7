package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"scaler.io/scaler/internal/plan"
)

// List returns all services of ours as containers. A task that finds no node
// counts as running, with the reason.
func (s *Swarm) List(ctx context.Context) ([]plan.Container, error) {
	services, err := s.services(ctx)
	if err != nil || len(services) == 0 {
		return nil, err
	}
	// The tasks after the services: a service that was started in between is
	// then seen as not started yet, and none as without the task that it has.
	tasks, err := s.tasks(ctx, filters.NewArgs(filters.Arg("label", LabelInstance+"="+s.instance)))
	if err != nil {
		return nil, err
	}
	nodes, err := s.nodeStates(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	list := make([]plan.Container, 0, len(services))
	for _, v := range services {
		list = append(list, containerOf(v, tasks[v.ID], nodes, s.lost, now))
	}
	return list, nil
}

// services lists the services of ours.
func (s *Swarm) services(ctx context.Context) ([]swarm.Service, error) {
	var ours []swarm.Service
	err := s.call(ctx, opServiceList, "list services", func(ctx context.Context) error {
		found, err := s.client.ServiceList(ctx, swarm.ServiceListOptions{Filters: s.ours()})
		for _, v := range found {
			if s.carriesOurs(v.Spec.Labels) && v.Spec.Mode.Replicated != nil {
				ours = append(ours, v)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	there := make(map[string]bool, len(ours))
	for _, v := range ours {
		there[v.ID] = true
		s.names.Store(v.ID, v.Spec.Labels[LabelRunner])
	}
	s.names.Range(func(id, _ any) bool {
		if !there[id.(string)] {
			s.names.Delete(id)
		}
		return true
	})
	s.mu.Lock()
	maps.DeleteFunc(s.removing, func(id string, _ bool) bool { return !there[id] })
	s.mu.Unlock()
	return ours, nil
}

// tasks lists tasks by the id of their service.
func (s *Swarm) tasks(ctx context.Context, by filters.Args) (map[string][]swarm.Task, error) {
	byService := make(map[string][]swarm.Task)
	err := s.call(ctx, opTaskList, "list tasks", func(ctx context.Context) error {
		found, err := s.client.TaskList(ctx, swarm.TaskListOptions{Filters: by})
		for _, t := range found {
			byService[t.ServiceID] = append(byService[t.ServiceID], t)
		}
		return err
	})
	return byService, err
}

// nodeStates returns the nodes, and since when each has been seen down. For a
// short while it is what was read before.
func (s *Swarm) nodeStates(ctx context.Context) (map[string]node, error) {
	s.look.Lock()
	defer s.look.Unlock()
	if len(s.nodes) > 0 && time.Since(s.asked) < min(nodesKnown, s.lost) {
		return s.nodes, nil
	}
	var found []swarm.Node
	err := s.call(ctx, opNodeList, "list nodes", func(ctx context.Context) (err error) {
		found, err = s.client.NodeList(ctx, swarm.NodeListOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	now, nodes := time.Now(), make(map[string]node, len(found))
	for _, f := range found {
		n := node{name: f.Description.Hostname, down: f.Status.State == swarm.NodeStateDown, drained: f.Spec.Availability == swarm.NodeAvailabilityDrain, downSince: now}
		if f.Status.State == swarm.NodeStateReady && f.Spec.Availability == swarm.NodeAvailabilityActive {
			n.resources = f.Description.Resources
		}
		if before := s.nodes[f.ID]; before.down && n.down {
			n.downSince = before.downSince
		}
		nodes[f.ID] = n
	}
	s.nodes, s.asked = nodes, now
	return nodes, nil
}

// stateOf is a service as a container.
func (s *Swarm) stateOf(ctx context.Context, v swarm.Service) (plan.Container, error) {
	tasks, err := s.tasks(ctx, filters.NewArgs(filters.Arg("service", v.ID)))
	if err != nil {
		return plan.Container{}, err
	}
	nodes, err := s.nodeStates(ctx)
	if err != nil {
		return plan.Container{}, err
	}
	return containerOf(v, tasks[v.ID], nodes, s.lost, time.Now()), nil
}

// Inspect returns one service of ours as a container. The error wraps
// plan.ErrNotFound or ErrForeign where that is the case.
func (s *Swarm) Inspect(ctx context.Context, id string) (plan.Container, error) {
	found, err := s.service(ctx, id)
	if err != nil {
		return plan.Container{}, err
	}
	return s.stateOf(ctx, found)
}

// Logs returns the last lines of a service of ours, as Engine does for a
// container. They come from the node that runs it.
func (s *Swarm) Logs(ctx context.Context, id string, lines int) ([]string, error) {
	full, err := s.ownService(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read logs: %w", err)
	}
	return s.lastLines(ctx, "read logs of service "+id, s.logOfService(full), lines)
}

func (s *Swarm) logOfService(id string) openLog {
	return func(ctx context.Context, o container.LogsOptions) (io.ReadCloser, error) {
		return s.client.ServiceLogs(ctx, id, o)
	}
}

// errNodes is why files in containers are not reached.
var errNodes = fmt.Errorf("%w: the files of a container on another node of a Swarm cannot be reached", plan.ErrUnsupported)

// ReadFile returns plan.ErrUnsupported for a service of ours.
func (s *Swarm) ReadFile(ctx context.Context, id, file string) ([]byte, error) {
	_, err := s.service(ctx, id)
	if err == nil {
		err = errNodes
	}
	return nil, fmt.Errorf("read file %s: %w", file, err)
}

// WriteFile returns plan.ErrUnsupported for a service of ours.
func (s *Swarm) WriteFile(ctx context.Context, id string, file plan.File) error {
	_, err := s.service(ctx, id)
	if err == nil {
		err = errNodes
	}
	return fmt.Errorf("write %s: %w", file.Path, err)
}

// Size returns how many CPUs and how much memory all nodes have together that
// take tasks.
func (s *Swarm) Size(ctx context.Context) (plan.Resources, error) {
	nodes, err := s.nodeStates(ctx)
	if err != nil {
		return plan.Resources{}, fmt.Errorf("ask for the size of the Swarm: %w", err)
	}
	var size plan.Resources
	for _, n := range nodes {
		size.MilliCPU += n.resources.NanoCPUs / 1e6
		size.Memory += n.resources.MemoryBytes
	}
	if size.MilliCPU <= 0 || size.Memory <= 0 {
		return plan.Resources{}, errors.New("ask for the size of the Swarm: no node takes tasks")
	}
	return size, nil
}
