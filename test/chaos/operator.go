package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

const (
	// orderEvery is the longest pause between two orders.
	orderEvery = 150 * time.Millisecond
	// orderPatience bounds one order, and its being taken back in the end.
	orderPatience = 5 * time.Second
	orderEnd      = time.Minute
)

// operator pauses, drains and resumes pools, drains runners and starts some,
// whatever happens to the daemon. What a daemon has confirmed has to hold for
// those that come after it.
type operator struct {
	client *server.Client
	random *rand.Rand
	note   func(format string, args ...any)
	find   func(format string, args ...any)

	// known has what holds of a pool, as far as that is certain, and touched all
	// pools that orders were given to.
	known   map[string]standing
	touched map[string]bool
	// given counts the orders that were confirmed, drains those that have what was
	// made ahead removed, and starts the runners that were asked for.
	given, drains, starts int
	forgotten             int // orders that did not hold
}

// standing is what holds of a pool since a moment.
type standing struct {
	paused, drained bool
	since           time.Time
}

func newOperator(w *world) *operator {
	return &operator{
		client: server.NewClient(w.stage.controlSocket()), random: w.random("operator"), note: w.note, find: w.audit.find,
		known: map[string]standing{}, touched: map[string]bool{},
	}
}

// run gives orders until ctx ends.
func (o *operator) run(ctx context.Context) {
	for rest(ctx, time.Duration(o.random.Int64N(int64(orderEvery)))) {
		limited, cancel := context.WithTimeout(ctx, orderPatience)
		if s, err := o.client.Status(limited); err == nil && !s.Shutdown {
			o.compare(s)
			o.order(limited, s)
		}
		cancel()
	}
}

// compare holds a status to what was ordered.
func (o *operator) compare(s plan.Status) {
	for _, p := range s.Pools {
		want, known := o.known[p.Name]
		if !known || !s.CycleAt.After(want.since) {
			continue
		}
		paused, drained := p.Paused != nil, p.Paused != nil && p.Paused.Drain
		if paused != want.paused || drained != want.drained {
			o.forgotten++
			o.find("pool %s: paused %v, drained %v, and %+v was ordered", p.Name, paused, drained, want)
			delete(o.known, p.Name)
		}
	}
}

// order gives one order. One whose answer is lost may hold or not.
func (o *operator) order(ctx context.Context, s plan.Status) {
	if len(s.Pools) == 0 {
		return
	}
	pool := s.Pools[o.random.IntN(len(s.Pools))].Name
	switch o.random.IntN(10) {
	case 0, 1:
		o.settle(pool, standing{paused: true}, o.client.Pause(ctx, pool, "chaos"))
	case 2, 3:
		o.drains++
		o.settle(pool, standing{paused: true, drained: true}, o.client.Drain(ctx, plan.DrainTarget{Pool: pool, Reason: "chaos"}))
	case 4:
		if len(s.Runners) > 0 {
			name := s.Runners[o.random.IntN(len(s.Runners))].Name
			o.drains++
			o.confirm("drain "+name, o.client.Drain(ctx, plan.DrainTarget{Runner: name}))
		}
	case 5:
		o.starts++
		name, err := o.client.StartOne(ctx, pool)
		o.confirm("start "+name+" of "+pool, err)
	default:
		o.settle(pool, standing{}, o.client.Resume(ctx, pool))
	}
}

// settle notes what an order has come to.
func (o *operator) settle(pool string, is standing, err error) {
	o.touched[pool] = true
	is.since = time.Now()
	o.known[pool] = is
	if !o.confirm(fmt.Sprintf("pool %s: %+v", pool, is), err) {
		delete(o.known, pool)
	}
}

func (o *operator) confirm(what string, err error) bool {
	if err != nil {
		o.note("order not confirmed: %s: %v", what, err)
		return false
	}
	o.given++
	o.note("order: %s", what)
	return true
}

// end takes all back, with a daemon that runs undisturbed.
func (o *operator) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, orderEnd)
	defer cancel()
	for pool := range o.touched {
		for {
			err := o.client.Resume(ctx, pool)
			if err == nil || errors.Is(err, plan.ErrNotFound) {
				break
			}
			if !rest(ctx, checkPause) {
				return fmt.Errorf("resume pool %s in the end: %w", pool, err)
			}
		}
	}
	return nil
}
