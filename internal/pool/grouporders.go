package pool

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// Pause is Manager.Pause.
func (g *Group) Pause(ctx context.Context, actor, pool, reason string) error {
	m, err := g.owner("pause pool", pool)
	if err != nil {
		return err
	}
	return m.Pause(ctx, actor, pool, reason)
}

// Drain is Manager.Drain. All is all pools of all servers.
func (g *Group) Drain(ctx context.Context, actor string, t plan.DrainTarget) error {
	switch {
	case t.All && t.Pool == "" && t.Runner == "":
		return g.each(func(_ int, m *Manager) error { return m.Drain(ctx, actor, t) })
	case t.Pool != "":
		m, err := g.owner("drain pool", t.Pool)
		if err != nil {
			return err
		}
		return m.Drain(ctx, actor, t)
	}
	return g.ofRunner(t.Runner).Drain(ctx, actor, t)
}

// Resume is Manager.Resume. A pool that is not configured at the moment is looked
// for at all servers.
func (g *Group) Resume(ctx context.Context, actor, pool string) error {
	if m := g.of(pool); m != nil {
		return m.Resume(ctx, actor, pool)
	}
	if len(g.members) == 1 {
		return g.members[0].Resume(ctx, actor, pool)
	}
	paused := make([]bool, len(g.members))
	err := g.each(func(i int, m *Manager) error {
		err := m.ask(ctx, func() { _, paused[i] = m.orders.pools[pool] })
		if err != nil || !paused[i] {
			return err
		}
		return m.Resume(ctx, actor, pool)
	})
	if err == nil && !slices.Contains(paused, true) {
		_, err = g.owner("resume pool", pool)
	}
	return err
}

// StartOne is Manager.StartOne.
func (g *Group) StartOne(ctx context.Context, actor, pool string) (runner string, err error) {
	m, err := g.owner("start a runner of pool", pool)
	if err != nil {
		return "", err
	}
	return m.StartOne(ctx, actor, pool)
}

// owner returns whose a pool is, or an error like that of a Manager that does not
// have it.
func (g *Group) owner(what, pool string) (*Manager, error) {
	m := g.of(pool)
	switch {
	case m != nil:
		return m, nil
	case len(g.members) == 1:
		return g.members[0], nil // which says so itself
	}
	var names []string
	for _, p := range g.Status().Pools {
		names = append(names, p.Name)
	}
	return nil, fmt.Errorf("%s %s: %w: the pools are %s", what, pool, plan.ErrNotFound, strings.Join(names, ", "))
}

// ofRunner returns whose a runner is by the last cycles, else the first Manager,
// which says that there is none.
func (g *Group) ofRunner(name string) *Manager {
	for _, m := range g.members {
		if _, err := m.handleOf(name); err == nil {
			return m
		}
	}
	return g.members[0]
}

// DotRunner is Manager.DotRunner.
func (g *Group) DotRunner(name string) ([]byte, error) { return g.ofRunner(name).DotRunner(name) }

// Logs is Manager.Logs.
func (g *Group) Logs(ctx context.Context, runner string, lines int) ([]string, error) {
	return g.ofRunner(runner).Logs(ctx, runner, lines)
}

// FollowLogs is Manager.FollowLogs.
func (g *Group) FollowLogs(ctx context.Context, runner string, lines int, line func(string) error) error {
	return g.ofRunner(runner).FollowLogs(ctx, runner, lines, line)
}

// Usage is Manager.Usage.
func (g *Group) Usage(ctx context.Context, runners []string) []plan.Usage {
	var all []plan.Usage
	for _, m := range g.members {
		var its []string
		for _, name := range runners {
			if _, err := m.handleOf(name); err == nil {
				its = append(its, name)
			}
		}
		if len(its) > 0 {
			all = append(all, m.Usage(ctx, its)...)
		}
	}
	return all
}

// Reap is Manager.Reap for all servers. What was found at those that answer is
// returned beside the errors of the others.
func (g *Group) Reap(ctx context.Context, dryRun bool) ([]plan.Finding, error) {
	lists := make([][]plan.Finding, len(g.members))
	err := g.each(func(i int, m *Manager) (err error) {
		lists[i], err = m.Reap(ctx, dryRun)
		return err
	})
	all := []plan.Finding{}
	for i, list := range lists {
		for _, f := range list {
			f.Server = g.members[i].server
			all = append(all, f)
		}
	}
	return all, err
}

// ForgetCorpses is Manager.ForgetCorpses, at the servers that have them.
func (g *Group) ForgetCorpses(ctx context.Context, actor string, f plan.ForgetCorpses) (forgotten []string, err error) {
	if f.All || len(f.Names) == 0 || len(g.members) == 1 {
		lists := make([][]string, len(g.members))
		err := g.each(func(i int, m *Manager) (err error) {
			lists[i], err = m.ForgetCorpses(ctx, actor, f)
			return err
		})
		return slices.Concat(lists...), err
	}
	of := make(map[*Manager][]string)
	for _, name := range f.Names {
		m := g.ofCorpse(name)
		of[m] = append(of[m], name)
	}
	for _, m := range g.members {
		if len(of[m]) == 0 {
			continue
		}
		names, err := m.ForgetCorpses(ctx, actor, plan.ForgetCorpses{Names: of[m]})
		if forgotten = append(forgotten, names...); err != nil {
			return forgotten, m.named(err)
		}
	}
	return forgotten, nil
}

// ofCorpse returns whose a corpse is by the last cycles, else the first Manager,
// which says that there is none.
func (g *Group) ofCorpse(name string) *Manager {
	for _, m := range g.members {
		if slices.ContainsFunc(m.Status().Corpses, func(c plan.CorpseStatus) bool { return c.Name == name }) {
			return m
		}
	}
	return g.members[0]
}

// Reconfigure has the Manager of a server go on with another configuration.
func (g *Group) Reconfigure(ctx context.Context, server string, cfg Config) error {
	m, err := g.member(server)
	if err != nil {
		return err
	}
	if err := m.Reconfigure(ctx, cfg); err != nil {
		return m.named(err)
	}
	g.assign(m, cfg)
	return nil
}

// NoteConfig is Manager.NoteConfig. The first Manager shows it for all.
func (g *Group) NoteConfig(ctx context.Context, c plan.ConfigStatus) error {
	return g.members[0].NoteConfig(ctx, c)
}

// NoteProblem is Manager.NoteProblem. The first Manager shows it for all.
func (g *Group) NoteProblem(ctx context.Context, subject, message string) error {
	return g.members[0].NoteProblem(ctx, subject, message)
}
