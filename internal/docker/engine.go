// Package docker runs runner containers on a Docker Engine.
//
// It is the only package that speaks to the engine, and it negotiates the API
// version, so that Engine 20.10 and newer ones serve alike. The invariant that
// it protects: no container, volume or image is ever changed, read or removed
// that does not carry this daemon's own instance id in its label
// io.scaler.instance. Names are never proof of ownership. The one exception is
// what the jobs of a runner that has ended left behind, see Sweep: containers
// with our instance id in a label of their own, and what has no labels but a
// name that the runner made from the name of such a container and its hash.
//
// Every call to the engine has a deadline. An engine that cannot be reached,
// or that does not answer in time, gives an error that wraps ErrUnreachable
// and says what to check.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"golang.org/x/sync/singleflight"
)

// The labels of everything that this package makes. A container is ours if
// LabelInstance has our instance id and LabelRunner is not empty; an image is
// ours by LabelInstance alone.
const (
	LabelInstance = "io.scaler.instance"
	LabelPool     = "io.scaler.pool"
	LabelRunner   = "io.scaler.runner"
)

// The labels of job containers: those that our runners make for their jobs, see
// JobOptions. They are not LabelInstance and LabelRunner, so that a job
// container is never taken for a runner.
const (
	LabelJobInstance = "io.scaler.job.instance"
	LabelJobRunner   = "io.scaler.job.runner"
)

const (
	defaultTimeout     = 30 * time.Second
	defaultPullTimeout = 10 * time.Minute
)

// Config is what an Engine is made from.
type Config struct {
	// Host is the engine's address, unix:///path, tcp://host:port or
	// ssh://user@host. Empty means DOCKER_HOST, or else the default socket.
	// DOCKER_CERT_PATH, DOCKER_TLS_VERIFY and DOCKER_API_VERSION are honoured
	// where neither TLS nor Context says otherwise.
	Host string
	// Context is a context of the docker command, instead of Host and TLS.
	Context string
	// TLS is for a Host at tcp://.
	TLS TLS
	// Instance is the id that owns everything this Engine makes. Required.
	Instance string
	// Pools holds what the runner containers of each pool are made from.
	Pools map[string]Options
	// Logger takes changes of state of the event stream. Nil discards them.
	Logger *slog.Logger
	// Timeout is the deadline of one call to the engine, 30 s if zero. Pulls
	// and image imports have longer ones.
	Timeout time.Duration
	// Refresh is how long a pull of an image with PullAlways counts: a start
	// within it uses that image and asks no registry. Zero: each start pulls.
	Refresh time.Duration
	// Observe, if not nil, is told of each call to the engine: what it was for,
	// how it ended, and how long it took. There are few words of both kinds. It
	// is called concurrently and must not block.
	Observe func(operation, outcome string, took time.Duration)
}

// Engine makes and looks after the runner containers of one instance. It is
// safe for concurrent use.
type Engine struct {
	client   *client.Client
	instance string
	log      *slog.Logger
	timeout  time.Duration
	backoff  backoff // of Watch
	observe  func(operation, outcome string, took time.Duration)

	pulls singleflight.Group

	agreeing sync.Mutex // held while agree asks the engine
	agreed   atomic.Bool

	mu       sync.Mutex
	pools    map[string]Options
	refresh  time.Duration        // see Config.Refresh
	present  map[string]bool      // images that were seen on the engine
	ids      map[string]string    // their ids, as far as they are known
	pulled   map[string]time.Time // when a pull was last done, by pullKey
	owned    map[string]bool      // full ids of containers that were seen to be ours
	removing map[string]bool      // full ids of containers that we are removing
	owners   map[string]owner     // numeric ids of user names, by pool, image and user
}

// New checks the configuration and returns an Engine. It reads no more than the
// files that are named: whether the engine answers is seen at the first call, or by Ping.
func New(cfg Config) (*Engine, error) {
	if cfg.Instance == "" {
		return nil, errors.New("create docker engine: no instance id")
	}
	at, err := endpointOf(cfg)
	if err != nil {
		return nil, fmt.Errorf("create docker engine: %w", err)
	}
	cli, err := newClient(at)
	if err := errors.Join(validate(cfg.Pools), err); err != nil {
		return nil, fmt.Errorf("create docker engine: %w", err)
	}
	e := &Engine{
		client:   cli,
		instance: cfg.Instance,
		pools:    maps.Clone(cfg.Pools),
		log:      cfg.Logger,
		timeout:  cfg.Timeout,
		backoff:  backoff{first: 250 * time.Millisecond, max: 15 * time.Second},
		refresh:  cfg.Refresh,
		observe:  cfg.Observe,
		present:  map[string]bool{},
		ids:      map[string]string{},
		pulled:   map[string]time.Time{},
		owned:    map[string]bool{},
		removing: map[string]bool{},
		owners:   map[string]owner{},
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.observe == nil {
		e.observe = func(string, string, time.Duration) {}
	}
	if e.timeout <= 0 {
		e.timeout = defaultTimeout
	}
	return e, nil
}

// validate says what is wrong with the options of the pools.
func validate(pools map[string]Options) error {
	var faults []error
	for _, pool := range slices.Sorted(maps.Keys(pools)) {
		if err := pools[pool].Validate(); err != nil {
			faults = append(faults, fmt.Errorf("pool %s: %w", pool, err))
		}
	}
	return errors.Join(faults...)
}

// SetPools replaces what containers are made from, and Config.Refresh, from the
// next call on. On an error nothing has changed.
func (e *Engine) SetPools(pools map[string]Options, refresh time.Duration) error {
	if err := validate(pools); err != nil {
		return fmt.Errorf("set pools: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pools, e.refresh = maps.Clone(pools), refresh
	return nil
}

// Close drops the idle connections to the engine.
func (e *Engine) Close() error { return e.client.Close() }

// Ping asks the engine for its version, such as "20.10.24".
func (e *Engine) Ping(ctx context.Context) (version string, err error) {
	err = e.call(ctx, opPing, "ping docker", func(ctx context.Context) error {
		v, err := e.client.ServerVersion(ctx)
		version = v.Version
		return err
	})
	return version, err
}

// Gateway returns the address of the host on the engine's default bridge
// network: where a container on that network reaches what listens on the
// host. It holds for an engine on this very machine only, not for Docker
// Desktop or a rootless engine, whose bridge is in a network of its own.
func (e *Engine) Gateway(ctx context.Context) (string, error) {
	var bridge network.Inspect
	err := e.call(ctx, opNetworkInspect, "inspect network bridge", func(ctx context.Context) (err error) {
		bridge, err = e.client.NetworkInspect(ctx, network.NetworkBridge, network.InspectOptions{})
		return err
	})
	if err != nil {
		return "", err
	}
	for _, c := range bridge.IPAM.Config {
		if gateway, err := netip.ParseAddr(c.Gateway); err == nil && gateway.Is4() {
			return gateway.String(), nil
		}
		// Engine 20.10 leaves the gateway out where it has chosen it by
		// itself, and it chooses the first address.
		if subnet, err := netip.ParsePrefix(c.Subnet); err == nil && subnet.Addr().Is4() {
			return subnet.Masked().Addr().Next().String(), nil
		}
	}
	return "", errors.New("inspect network bridge: it has no IPv4 gateway")
}

// options returns what the pool's containers are made from.
func (e *Engine) options(pool string) (Options, error) {
	e.mu.Lock()
	o, ok := e.pools[pool]
	e.mu.Unlock()
	if !ok {
		return Options{}, fmt.Errorf("unknown pool %q", pool)
	}
	return o, nil
}

// call runs one call to the engine under the usual deadline and gives its
// error a meaning.
func (e *Engine) call(ctx context.Context, op operation, what string, fn func(context.Context) error) error {
	return e.callWithin(ctx, e.timeout, op, what, fn)
}

// callWithin is call under another deadline.
func (e *Engine) callWithin(ctx context.Context, limit time.Duration, op operation, what string, fn func(context.Context) error) error {
	began := time.Now()
	err := callWithin(ctx, limit, what, func(ctx context.Context) error {
		e.agree(ctx)
		return fn(ctx)
	})
	e.observe(string(op), outcome(ctx, err), time.Since(began))
	return err
}

// agree has the SDK agree with the engine on a version of the API, once, before
// calls run side by side: it reads the version without a guard while another
// call may be setting it. That the engine does not answer is for the call itself
// to find.
func (e *Engine) agree(ctx context.Context) {
	if e.agreed.Load() {
		return
	}
	e.agreeing.Lock()
	defer e.agreeing.Unlock()
	if e.agreed.Load() {
		return
	}
	if ping, err := e.client.Ping(ctx); err == nil {
		e.client.NegotiateAPIVersionPing(ping)
		e.agreed.Store(true)
	}
}
