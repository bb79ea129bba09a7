package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/docker"
)

// Pace of the tries to prepare what the pools need, when some of it fails.
const (
	prepareRetryMin = 5 * time.Second
	prepareRetryMax = 10 * time.Minute
)

// preparation keeps ready what starts need, before they need it: images and
// networks. A start never relies on it, and tries by itself.
type preparation struct {
	engine  preparer
	prepare func(context.Context) error
	refresh time.Duration // 0: once, and after each change
	changes chan config.Docker
	log     *slog.Logger
	open    map[need]string // what is wrong with it
}

// need is what a pool needs for a start: its image or its network.
type need struct{ pool, what string }

func newPreparation(cfg config.Docker, engine preparer, log *slog.Logger) *preparation {
	p := &preparation{engine: engine, changes: make(chan config.Docker, 1), log: log}
	p.set(cfg)
	return p
}

// preparations are those of all servers. What their pools need is made ready for
// each, since each sees its own containers only.
func (p parts) preparations(cfg *config.Config, log *slog.Logger) []*preparation {
	var all []*preparation
	for _, s := range p.sites {
		all = append(all, newPreparation(cfg.Docker, s.engine, serverLog(log, s.server)))
	}
	return all
}

func (p *preparation) set(cfg config.Docker) {
	p.prepare, p.refresh = p.engine.Prepare, cfg.Refresh
	if !cfg.Prepull {
		p.prepare = p.engine.CheckNetworks
	}
}

// change has all pools prepared anew, with other settings. It is not called
// concurrently.
func (p *preparation) change(cfg config.Docker) {
	select {
	case <-p.changes: // not taken yet, and old
	default:
	}
	p.changes <- cfg
}

// pullHolds is how long the pull of an image with policy always holds: without
// preparation each start pulls.
func pullHolds(cfg config.Docker) time.Duration {
	if !cfg.Prepull {
		return 0
	}
	return cfg.Refresh
}

// follow prepares at once and then on schedule, until ctx ends. After a failure
// it tries again, more and more slowly.
func (p *preparation) follow(ctx context.Context) {
	retry := prepareRetryMin
	for {
		good := p.attempt(ctx)
		wait := p.interval()
		switch {
		case !good && (wait == 0 || retry < wait):
			wait = retry
			retry = min(2*retry, prepareRetryMax)
		case good:
			retry = prepareRetryMin
		}
		var next <-chan time.Time // never, if there is nothing to wait for
		if wait > 0 {
			next = time.After(wait)
		}
		select {
		case <-next:
		case cfg := <-p.changes:
			p.set(cfg)
			retry = prepareRetryMin
		case <-ctx.Done():
			return
		}
	}
}

// interval is the time to the next preparation on schedule: early enough for
// images to be pulled before their last pull is too old, and not in step with
// other daemons.
func (p *preparation) interval() time.Duration {
	if p.refresh <= 0 {
		return 0
	}
	return p.refresh*4/5 - rand.N(p.refresh/10+1)
}

// attempt prepares once. What is wrong is logged when it begins or changes, and
// when it is over.
func (p *preparation) attempt(ctx context.Context) (good bool) {
	began := time.Now()
	err := p.prepare(ctx)
	switch {
	case ctx.Err() != nil:
		return false
	case errors.Is(err, docker.ErrUnreachable):
		// The cycle says so, and nothing is known of what was wrong before.
		p.log.Debug("pools not prepared", "err", err)
		return false
	}
	p.report(eachUnprepared(err))
	p.log.Debug("pools prepared", "took", time.Since(began).Round(time.Millisecond).String(), "err", err)
	return err == nil
}

func (p *preparation) report(unprepared []*docker.Unprepared) {
	found := make(map[need]string, len(unprepared))
	for _, u := range unprepared {
		n, message := need{u.Pool, u.What}, u.Err.Error()
		if p.open[n] != message {
			p.log.Warn("not ready for starts", "pool", n.pool, "what", n.what, "err", message)
		}
		found[n] = message
	}
	for n := range p.open {
		if _, still := found[n]; !still {
			p.log.Info("ready for starts again", "pool", n.pool, "what", n.what)
		}
	}
	p.open = found
}

// eachUnprepared returns the parts of a joined error.
func eachUnprepared(err error) []*docker.Unprepared {
	if u, ok := err.(*docker.Unprepared); ok {
		return []*docker.Unprepared{u}
	}
	var all []*docker.Unprepared
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, part := range joined.Unwrap() {
			all = append(all, eachUnprepared(part)...)
		}
	}
	return all
}
