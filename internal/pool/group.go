package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"scaler.io/scaler/internal/plan"
)

// Group is several Managers, each for a server of its own, seen as one. No call to
// one of them waits for another, unless it is for all. With one Manager, a Group is
// as that. The names of pools are unique over all of them.
type Group struct {
	members []*Manager
	ledger  *Ledger // nil with one
	ready   func()

	mu    sync.Mutex
	pools map[string]*Manager // whose configuration has which
}

// NewGroup returns a Group of the Managers, in the order of the servers. The first
// one speaks for the daemon itself. The ledger is theirs, nil with one.
func NewGroup(ledger *Ledger, members ...*Manager) *Group {
	g := &Group{members: members, ledger: ledger, ready: func() {}, pools: make(map[string]*Manager)}
	for _, m := range members {
		g.assign(m, m.cfg)
	}
	return g
}

// assign notes which pools are whose.
func (g *Group) assign(m *Manager, cfg Config) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, owner := range g.pools {
		if _, kept := cfg.Pools[name]; owner == m && !kept {
			delete(g.pools, name)
		}
	}
	for name := range cfg.Pools {
		g.pools[name] = m
	}
}

// of returns whose a pool is, nil if it is nobody's.
func (g *Group) of(pool string) *Manager {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pools[pool]
}

// Servers are the names of the servers, in their order.
func (g *Group) Servers() []string {
	names := make([]string, 0, len(g.members))
	for _, m := range g.members {
		names = append(names, m.server)
	}
	return names
}

// member returns the Manager of a server. The error wraps plan.ErrNotFound.
func (g *Group) member(server string) (*Manager, error) {
	for _, m := range g.members {
		if m.server == server {
			return m, nil
		}
	}
	return nil, fmt.Errorf("server %s: %w", server, plan.ErrNotFound)
}

// OnReady has f called once, when the first cycle of some server is done: one that
// cannot be reached keeps the others from nothing.
func (g *Group) OnReady(f func()) { g.ready = sync.OnceFunc(f) }

// Run runs all Managers until ctx ends, then shuts all of them down, side by side.
// What runs already counts for the limits of all before the first one starts
// anything. It returns an error only if records cannot be read.
func (g *Group) Run(ctx context.Context) error {
	for _, m := range g.members {
		if err := m.load(); err != nil {
			return m.named(err)
		}
		m.hold()
		m.OnReady(g.ready)
	}
	return g.each(func(_ int, m *Manager) error {
		m.run(ctx)
		return nil
	})
}

// named says in an error which server it is about, where there are several.
func (m *Manager) named(err error) error {
	if err == nil || m.server == "" {
		return err
	}
	return fmt.Errorf("server %s: %w", m.server, err)
}

// each calls f for each Manager and its place, side by side, and joins the errors.
func (g *Group) each(f func(i int, m *Manager) error) error {
	errs := make([]error, len(g.members))
	var all sync.WaitGroup
	for i, m := range g.members {
		all.Go(func() { errs[i] = m.named(f(i, m)) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Status returns what the last cycles saw and decided.
func (g *Group) Status() plan.Status {
	if len(g.members) == 1 {
		return g.members[0].Status()
	}
	parts := make([]plan.Part, 0, len(g.members))
	for _, m := range g.members {
		parts = append(parts, plan.Part{Server: m.server, Status: m.Status()})
	}
	s := plan.Merge(parts)
	s.Budgets = append(g.ledger.budgets(), s.Budgets...)
	return s
}

// Trigger asks for a cycle of each server now.
func (g *Group) Trigger() {
	for _, m := range g.members {
		m.Trigger()
	}
}

// Preview returns what a cycle of each server would do now, and changes nothing.
func (g *Group) Preview(ctx context.Context) (plan.Plan, error) {
	plans := make([]plan.Plan, len(g.members))
	err := g.each(func(i int, m *Manager) (err error) {
		plans[i], err = m.Preview(ctx)
		return err
	})
	if err != nil {
		return plan.Plan{}, err
	}
	return g.joined(plans), nil
}

// joined puts the plans of the servers together.
func (g *Group) joined(plans []plan.Plan) plan.Plan {
	var all plan.Plan
	for i, p := range plans {
		for _, a := range p.Actions {
			a.Server = g.members[i].server
			all.Actions = append(all.Actions, a)
		}
		for _, d := range p.Decisions {
			d.Server = g.members[i].server
			all.Decisions = append(all.Decisions, d)
		}
		all.Pools = append(all.Pools, p.Pools...)
	}
	return all
}

// PreviewOnce is what cycles of Managers that do not run would do: it reads the
// records and looks at the world once, and changes nothing.
func (g *Group) PreviewOnce(ctx context.Context) (plan.Plan, error) {
	views, err := g.viewsOnce(ctx)
	if err != nil {
		return plan.Plan{}, err
	}
	plans := make([]plan.Plan, len(views))
	for i, v := range views {
		plans[i] = plan.Compute(v.Spec, v.Snap)
	}
	return g.joined(plans), nil
}

// ExplainOnce is Explain for Managers that do not run.
func (g *Group) ExplainOnce(ctx context.Context, q plan.Query) (plan.Explanation, error) {
	views, err := g.viewsOnce(ctx)
	if err != nil {
		return plan.Explanation{}, err
	}
	return g.explain(q, func(m *Manager, q plan.Query) (plan.Explanation, error) {
		return views[slices.Index(g.members, m)].Explain(q)
	})
}

// viewsOnce looks at the world once for each server.
func (g *Group) viewsOnce(ctx context.Context) ([]plan.View, error) {
	for _, m := range g.members {
		if err := m.load(); err != nil {
			return nil, m.named(err)
		}
		m.hold()
	}
	views := make([]plan.View, len(g.members))
	err := g.each(func(i int, m *Manager) error {
		views[i] = m.lookAround(ctx)
		return nil
	})
	return views, err
}

// Explain says what the last cycle decided about a job and why. A job that several
// servers know is found once the query names its server. The error wraps
// plan.ErrInvalid or plan.ErrNotFound.
func (g *Group) Explain(q plan.Query) (plan.Explanation, error) {
	return g.explain(q, (*Manager).Explain)
}
