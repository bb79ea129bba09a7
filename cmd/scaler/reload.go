package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/pool"
	"scaler.io/scaler/internal/register"
	"scaler.io/scaler/internal/server"
)

// reloadSite is what a configuration is taken over by for one server.
type reloadSite struct {
	server   string // its name, empty where there is only one
	instance string
	// setPools changes what containers are made from; its error changes nothing.
	setPools  func(*config.Config) error
	setTokens func(tokens []register.Token, perMinute int)
	// reconfigure has the loop go on with it, or with an error as before.
	reconfigure func(ctx context.Context, cfg pool.Config) error
}

// reloads are what takes a configuration over for the servers.
func (p parts) reloads() []reloadSite {
	var all []reloadSite
	for _, s := range p.sites {
		all = append(all, reloadSite{server: s.server, instance: s.store.Instance(), setTokens: s.registrar.SetTokens,
			setPools:    func(c *config.Config) error { return s.engine.SetPools(dockerPools(c), pullHolds(c.Docker)) },
			reconfigure: func(ctx context.Context, cfg pool.Config) error { return p.fleet.Reconfigure(ctx, s.server, cfg) },
		})
	}
	return all
}

// reloader takes over the configuration file while the daemon runs. Whatever is
// wrong with it, the last good one holds.
type reloader struct {
	path  string
	log   *slog.Logger
	level *slog.LevelVar
	sites []reloadSite
	// setLimits changes what binds all servers together, nil with only one.
	setLimits  func(*config.Config)
	noteConfig func(ctx context.Context, c plan.ConfigStatus) error
	tell       func(plan.Event)
	// taken is told of a configuration that was taken over.
	taken func(*config.Config)
	// reloading is told when a reload begins, and its result when that is over;
	// count, how one has ended. Nil for nobody.
	reloading func() (done func())
	count     func(outcome string)

	mu      sync.Mutex
	running *config.Config // what the daemon runs with
	noted   plan.ConfigStatus
}

// begin notes what the daemon has started with.
func (r *reloader) begin(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(ctx, plan.ConfigStatus{Path: r.path, LoadedAt: time.Now()})
}

// Reload reads the file and takes it over. It returns what has changed. On an
// error nothing has; the error says what is wrong, and where.
func (r *reloader) Reload(ctx context.Context) (server.Reloaded, error) {
	defer r.begins()()
	data, err := os.ReadFile(r.path)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		return server.Reloaded{}, r.refuse(ctx, fmt.Errorf("read configuration: %w", err))
	}
	return r.take(ctx, data)
}

// take takes over the content of the file.
func (r *reloader) take(ctx context.Context, data []byte) (server.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted, err := config.Parse(r.path, data)
	if err != nil {
		return server.Reloaded{}, r.refuse(ctx, err)
	}
	next := config.Applicable(r.running, wanted)
	var out server.Reloaded
	for _, c := range config.Diff(r.running, next) {
		out.Changes = append(out.Changes, c.String())
	}
	if len(out.Changes) > 0 { // a look at a file that is as it was, or is not good, is no reload
		defer r.begins()()
	}
	if err := r.apply(ctx, next); err != nil {
		return server.Reloaded{}, r.refuse(ctx, err)
	}
	for _, c := range config.Diff(next, wanted) {
		out.Restart = append(out.Restart, c.String())
	}
	status := plan.ConfigStatus{Path: r.path, LoadedAt: r.noted.LoadedAt, Restart: out.Restart}
	if len(out.Changes) > 0 {
		status.LoadedAt = time.Now()
	}
	r.running = next
	if len(out.Changes) > 0 {
		r.taken(next)
		r.counts(server.ReloadTaken)
	} else {
		r.counts(server.ReloadUnchanged)
	}
	for _, c := range out.Changes {
		r.log.Info("configuration changed", "change", c)
	}
	if len(out.Changes) > 0 {
		r.tell(plan.Event{Kind: plan.EventConfigTaken, Text: strings.Join(out.Changes, "; ")})
	}
	for _, w := range next.Warnings() {
		r.log.Warn("configuration: " + w)
	}
	r.note(ctx, status)
	return out, nil
}

// apply takes over a configuration. For each server that is all of it, or nothing
// with an error: what one of them cannot take over now keeps it from no other, and
// is tried again with the next look at the file.
func (r *reloader) apply(ctx context.Context, next *config.Config) error {
	for _, p := range next.Pools {
		switch {
		case !r.runs(p.Server):
			return fmt.Errorf("pool %s is of %s, which does not run yet: restart scaler to take the file over", p.Name, serverText(p.Server))
		case p.Registration == config.RegisterByContainer && next.Gateway == nil:
			return fmt.Errorf("pool %s registers its runners by the gateway, which does not run yet: restart scaler to take the file over", p.Name)
		}
	}
	for _, t := range next.RegistrationTokens {
		if !r.runs(t.Server) {
			return fmt.Errorf("registration token %s is of %s, which does not run yet: restart scaler to take the file over", t.Name, serverText(t.Server))
		}
	}
	if r.setLimits != nil {
		r.setLimits(next)
	}
	errs := make([]error, len(r.sites))
	var all sync.WaitGroup
	for i, s := range r.sites {
		all.Go(func() { errs[i] = s.apply(ctx, next.ForServer(s.server), r.running.ForServer(s.server)) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.level.Set(next.Log.Level)
	return nil
}

// runs reports whether the daemon runs for a server.
func (r *reloader) runs(server string) bool {
	return slices.ContainsFunc(r.sites, func(s reloadSite) bool { return s.server == server })
}

// serverText names a server, of which the one of gitea has no name.
func serverText(name string) string {
	if name == "" {
		return "the server under gitea"
	}
	return "server " + name
}

// apply takes over a configuration for the server, or nothing of it.
func (s reloadSite) apply(ctx context.Context, next, running *config.Config) error {
	if err := s.setPools(next); err != nil {
		return err
	}
	// Tokens come before the pools that use them.
	s.setTokens(registrationTokens(next), next.Limits.Registrations)
	if err := s.reconfigure(ctx, fleetConfig(next, s.instance)); err != nil {
		// Back to what the fleet still runs with.
		s.setTokens(registrationTokens(running), running.Limits.Registrations)
		return errors.Join(err, s.setPools(running))
	}
	return nil
}

// refuse notes why the file is not taken over, and returns it.
func (r *reloader) refuse(ctx context.Context, err error) error {
	status := r.noted
	status.Error = "the file has changed and is not good, so the last good one holds: " + err.Error()
	if status.Error != r.noted.Error { // or it is the same file, looked at again
		r.counts(server.ReloadRejected)
		r.tell(plan.Event{Kind: plan.EventConfigRejected, Text: err.Error()})
	}
	r.note(ctx, status)
	return err
}

// begins tells that a reload does. The result is to be called when it is over.
func (r *reloader) begins() (done func()) {
	if r.reloading == nil {
		return func() {}
	}
	return r.reloading()
}

func (r *reloader) counts(outcome string) {
	if r.count != nil {
		r.count(outcome)
	}
}

// note shows the status. It is the loop that logs what is wrong.
func (r *reloader) note(ctx context.Context, status plan.ConfigStatus) {
	r.noted = status
	if err := r.noteConfig(ctx, status); err != nil {
		r.log.Debug("state of the configuration not shown", "err", err)
	}
}
