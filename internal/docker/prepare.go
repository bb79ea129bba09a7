package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"

	"scaler.io/scaler/internal/plan"
)

// maxPreparing is how many pools are prepared side by side: pulls share the
// host's network and disk with the jobs.
const maxPreparing = 4

// Unprepared is what keeps a pool from starting runners, found before one has
// to be started.
type Unprepared struct {
	Pool string
	What string // "image" or "network"
	Err  error
}

// Error says which pool it is about.
func (u *Unprepared) Error() string { return "pool " + u.Pool + ": " + u.Err.Error() }

// Unwrap returns the cause.
func (u *Unprepared) Unwrap() error { return u.Err }

// Prepare does for all pools what a start would have to wait for otherwise: it
// makes their images available and looks whether their networks exist. An
// image with PullAlways is pulled, unless its last pull is so recent that the
// next Prepare is soon enough; call it again after four fifths of
// Config.Refresh at the latest, and a start never has to pull. Starts under
// way share its pulls.
//
// Its error joins an *Unprepared for each image and network that is not there.
// If no engine answers it is one error that wraps ErrUnreachable.
func (e *Engine) Prepare(ctx context.Context) error {
	return e.eachPool(ctx, func(ctx context.Context, pool string, o Options) error {
		return errors.Join(
			unprepared(pool, "image", e.prepareImage(ctx, pool, o)),
			unprepared(pool, "network", e.checkNetwork(ctx, o)))
	})
}

// CheckNetworks is Prepare without the images.
func (e *Engine) CheckNetworks(ctx context.Context) error {
	return e.eachPool(ctx, func(ctx context.Context, pool string, o Options) error {
		return unprepared(pool, "network", e.checkNetwork(ctx, o))
	})
}

// eachPool calls work for all pools, some side by side, and joins the errors
// in the order of the pools' names.
func (e *Engine) eachPool(ctx context.Context, work func(context.Context, string, Options) error) error {
	e.mu.Lock()
	all := e.pools // replaced as a whole, never changed
	e.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	if _, err := e.Ping(ctx); err != nil {
		return err // said once, and not for each pool
	}
	pools := slices.Sorted(maps.Keys(all))
	faults := make([]error, len(pools))
	var group errgroup.Group
	group.SetLimit(maxPreparing)
	for i, pool := range pools {
		group.Go(func() error {
			faults[i] = work(ctx, pool, all[pool])
			return nil
		})
	}
	_ = group.Wait() // the faults are kept one by one
	if ctx.Err() != nil {
		return fmt.Errorf("prepare pools: %w", ctx.Err())
	}
	return errors.Join(faults...)
}

func unprepared(pool, what string, err error) error {
	if err == nil {
		return nil
	}
	return &Unprepared{Pool: pool, What: what, Err: err}
}

func (e *Engine) prepareImage(ctx context.Context, pool string, o Options) error {
	if o.Pull == PullAlways && e.pulledLately(pool, o) {
		return nil
	}
	return e.fetchImage(ctx, pool, o)
}

// pulledLately reports whether a pull holds for longer than until the next
// Prepare. So one that is repeated soon, since another pool was in trouble,
// does not ask every registry again.
func (e *Engine) pulledLately(pool string, o Options) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, done := e.pulled[pullKey(pool, o)]
	return done && e.present[o.Image] && (e.refresh <= 0 || time.Since(at) < e.refresh/5)
}

// checkNetwork looks whether the network exists that the pool names. Those
// that every engine has, and that of another container, are not looked up.
func (e *Engine) checkNetwork(ctx context.Context, o Options) error {
	if o.Network == "" || !container.NetworkMode(o.Network).IsUserDefined() {
		return nil
	}
	err := e.call(ctx, opNetworkInspect, "inspect network "+o.Network, func(ctx context.Context) error {
		_, err := e.client.NetworkInspect(ctx, o.Network, network.InspectOptions{})
		return err
	})
	if errors.Is(err, plan.ErrNotFound) {
		return fmt.Errorf("network %s: %w: run docker network create %s, or correct container.network", o.Network, plan.ErrNotFound, o.Network)
	}
	return err
}
