package docker

import (
	"context"
	"errors"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"scaler.io/scaler/internal/plan"
)

// Watch is that of Engine, for the containers on this machine, the services of
// ours that somebody else removes, and the nodes. What containers do on other
// nodes is in no manager's event stream: the loop's own looks find it.
func (s *Swarm) Watch(ctx context.Context, notify func(runner string)) error {
	filter := filters.NewArgs()
	for _, kind := range []events.Type{events.ContainerEventType, events.ServiceEventType, events.NodeEventType} {
		filter.Add("type", string(kind))
	}
	for _, action := range []events.Action{events.ActionDie, events.ActionRemove, events.ActionUpdate} {
		filter.Add("event", string(action))
	}
	return s.watch(ctx, stream{filter: filter, runner: s.concerns}, notify)
}

// concerns returns whose event it is, empty for all of them.
func (s *Swarm) concerns(m events.Message) (runner string, ours bool) {
	switch {
	case m.Type == events.ContainerEventType && m.Action == events.ActionDie:
		return m.Actor.Attributes[LabelRunner], s.carriesOurs(m.Actor.Attributes)
	case m.Type == events.ServiceEventType && m.Action == events.ActionRemove:
		name, known := s.names.Load(m.Actor.ID)
		runner, _ = name.(string)
		return runner, known && !s.expected(m.Actor.ID)
	case m.Type == events.NodeEventType:
		return "", true
	}
	return "", false
}

// checkSwarmNetwork looks whether the network is one that reaches all nodes.
func (s *Swarm) checkSwarmNetwork(ctx context.Context, o Options) error {
	if o.Network == "" || !container.NetworkMode(o.Network).IsUserDefined() {
		return nil
	}
	var found network.Inspect
	err := s.call(ctx, opNetworkInspect, "inspect network "+o.Network, func(ctx context.Context) (err error) {
		found, err = s.client.NetworkInspect(ctx, o.Network, network.InspectOptions{})
		return err
	})
	switch {
	case errors.Is(err, plan.ErrNotFound):
		return &networkError{o.Network, "there is none"}
	case err != nil:
		return err
	case found.Scope != "swarm":
		return &networkError{o.Network, "it is on one machine only"}
	}
	return nil
}

// networkError is a network that services cannot use.
type networkError struct{ name, why string }

// Error says what to do.
func (n *networkError) Error() string {
	return "network " + n.name + ": " + n.why + ": run docker network create --driver overlay " + n.name + ", or correct container.network"
}
