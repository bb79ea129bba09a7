package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// labelStarted is set on a service once its task has been asked for, so that
// one that has ended is not taken for one that was never started. labelService
// names on a secret or config the service that it was made for.
const (
	labelStarted = "io.scaler.started"
	labelService = "io.scaler.service"
)

const (
	// lostAfter is how long a node must have been down for its runners to be
	// given up: a manager that restarts, or a short break of the network, must
	// not cost a job.
	lostAfter = time.Minute
	// nodesKnown is how long a list of the nodes serves.
	nodesKnown = 5 * time.Second
	// graceMargin is what a task gets beyond its runner's own time to finish.
	graceMargin = 30 * time.Second
)

// SwarmOptions is where and how a Swarm places the runners of a pool.
type SwarmOptions struct {
	Constraints   []string         // as for docker service create --constraint
	Spread        []string         // labels of nodes over whose values runners are spread
	Platforms     []string         // "os/architecture"
	ReserveCPUs   float64          // 0: the limit
	ReserveMemory int64            // bytes; 0: the limit
	Generic       map[string]int64 // generic resources by kind, such as GPUs
	// Finish is how long a runner that was told to stop may go on with its job.
	Finish time.Duration
}

// Swarm runs the runners as services of the Swarm that its engine is a manager
// of. It is an Engine in all that one engine answers for: images, networks,
// sizes of its own machine.
//
// Each runner is a service of one task that Swarm never starts a second time: two
// containers with one runner's identity would take each other's jobs. It is not
// one of the kind that Swarm calls a job: of those, Engine 20.10 leaves the
// containers on the nodes when the service is removed, even running ones. The id
// of a container is here that of its service. A service is made without a task,
// and gets it when it is started, together with the runner's files: as secrets
// where only their owner may read them, else as configs. The invariant of the
// package holds for services, secrets and configs too.
//
// Swarm can do less than an engine: files in containers are not reached
// (plan.ErrUnsupported), a task is killed only at the end of its stop grace, and
// the exit code of one that was told to stop is lost with it.
type Swarm struct {
	*Engine
	lost time.Duration // lostAfter, but in tests

	look   sync.Mutex // held while the nodes are asked for
	nodes  map[string]node
	asked  time.Time
	digest map[string]pinned // by pullKey

	names sync.Map // of runners, by the ids of services that were seen to be ours
}

// node is a machine of the Swarm as far as its tasks are concerned.
type node struct {
	name      string
	down      bool
	drained   bool
	downSince time.Time
	resources swarm.Resources
}

// NewSwarm checks the configuration and returns a Swarm. It does no I/O.
func NewSwarm(cfg Config) (*Swarm, error) {
	if err := validateSwarm(cfg.Pools); err != nil {
		return nil, fmt.Errorf("create swarm engine: %w", err)
	}
	e, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return &Swarm{Engine: e, lost: lostAfter, nodes: map[string]node{}, digest: map[string]pinned{}}, nil
}

// SetPools is that of Engine.
func (s *Swarm) SetPools(pools map[string]Options, refresh time.Duration) error {
	if err := validateSwarm(pools); err != nil {
		return fmt.Errorf("set pools: %w", err)
	}
	return s.Engine.SetPools(pools, refresh)
}

func validateSwarm(pools map[string]Options) error {
	var faults []error
	for _, pool := range slices.Sorted(maps.Keys(pools)) {
		if _, err := pools[pool].serviceSpec(identity{}, pools[pool].Image); err != nil {
			faults = append(faults, fmt.Errorf("pool %s: %w", pool, err))
		}
	}
	return errors.Join(faults...)
}

// IsManager asks whether the engine is a manager of a Swarm, and says what to do
// if it is not.
func (e *Engine) IsManager(ctx context.Context) error {
	return e.call(ctx, opInfo, "ask for the Swarm", func(ctx context.Context) error {
		info, err := e.client.Info(ctx)
		switch {
		case err != nil:
			return err
		case info.Swarm.LocalNodeState == swarm.LocalNodeStateInactive || info.Swarm.LocalNodeState == "":
			return errors.New("the engine is in no Swarm: run docker swarm init or docker swarm join on it, or set engine: docker")
		case !info.Swarm.ControlAvailable:
			return errors.New("the engine is a worker of its Swarm, and only managers give out tasks: write a manager's address into docker.host, or run docker node promote for this one")
		}
		return nil
	})
}
