package pool

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// publish makes what the cycle saw and decided visible to Status and
// DotRunner, which other goroutines call.
func (m *Manager) publish(spec plan.Spec, seen *observation, p plan.Plan) {
	for _, q := range spec.Pools {
		cause, message := m.troubleOf(q)
		m.conditions.setCause("pool "+q.Name, cause, message, seen.at)
	}
	m.setHost(seen)
	m.conditions.set("limits.reserve", m.sizeUnknown(), seen.at)
	s := plan.NewStatus(spec, p)
	s.Host = seen.host
	s.Version, s.Instance, s.StartedAt = m.version, m.instance, m.started
	s.Cycle, s.CycleAt, s.Shutdown = m.cycle, seen.at, m.draining
	s.PollEvery, s.EventsArrive = m.pace.interval(seen.at), m.pace.arrive(seen.at)
	s.Problems = m.conditions.list()
	for i := range s.Pools {
		p := &s.Pools[i]
		b := m.breakers[p.Name]
		p.BreakerOpen, p.Failures, p.Nudges = b.probing || seen.at.Before(b.until), b.failures, m.nudges[p.Name]
	}
	s.QueueSize = len(p.Decisions)
	for _, v := range seen.scopes {
		s.QueueSize = max(s.QueueSize, v.total)
	}
	records := make(map[string]state.Record, len(m.runners))
	for _, name := range slices.Sorted(maps.Keys(m.runners)) {
		records[name] = m.runners[name].rec
		s.Runners = append(s.Runners, m.runners[name].rec.Status())
	}
	m.noteOutdated(spec, s.Runners, seen.at)
	m.records.Store(&records)
	m.status.Store(&s)
}

// troubleOf says what is wrong with a pool itself; that the engine or the
// server cannot be reached is a problem of its own.
func (m *Manager) troubleOf(p plan.Pool) (cause, message string) {
	if b := m.breakers[p.Name]; b.probing {
		return b.cause, b.message
	}
	return p.Hold, p.Hold
}

// Status returns what the last cycle saw and decided. It holds no secret.
func (m *Manager) Status() plan.Status {
	if s := m.status.Load(); s != nil {
		status := *s
		if c := m.configStatus.Load(); c != nil {
			status.Config = *c
		}
		return status
	}
	s := plan.NewStatus(plan.Spec{}, plan.Plan{})
	s.Version, s.Instance = m.version, m.instance
	s.Problems = append(s.Problems, plan.Problem{Subject: "scaler", Since: time.Now(), Message: "the first cycle is not done yet"})
	return s
}

// DotRunner returns the .runner file of a runner. It holds the runner's own
// token. The error wraps plan.ErrNotFound if there is no such runner, or it is
// not registered yet.
func (m *Manager) DotRunner(name string) ([]byte, error) {
	records := m.records.Load()
	if records == nil {
		return nil, fmt.Errorf("runner %s: %w: the first cycle is not done yet", name, plan.ErrNotFound)
	}
	rec, found := (*records)[name]
	switch {
	case !found:
		return nil, fmt.Errorf("runner %s: %w", name, plan.ErrNotFound)
	case rec.Identity == nil:
		return nil, fmt.Errorf("runner %s: %w: it is not registered yet", name, plan.ErrNotFound)
	}
	return dotRunner(rec)
}

// Preview returns what a cycle would do now, and changes nothing.
func (m *Manager) Preview(ctx context.Context) (plan.Plan, error) {
	var p plan.Plan
	err := m.ask(ctx, func() { p = m.preview(ctx) })
	return p, err
}

// ask has the loop call f between two cycles, and waits for it.
func (m *Manager) ask(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case m.requests <- func() { f(); close(done) }:
	case <-ctx.Done():
		return fmt.Errorf("wait for the daemon's loop: %w", context.Cause(ctx))
	}
	<-done // f ends with ctx
	return nil
}

// PreviewOnce is Preview for a Manager that does not run: it reads the records
// and looks at the world once.
func (m *Manager) PreviewOnce(ctx context.Context) (plan.Plan, error) {
	if err := m.load(); err != nil {
		return plan.Plan{}, err
	}
	return m.preview(ctx), nil
}

// preview is a cycle on copies: it neither stores nor does anything.
func (m *Manager) preview(ctx context.Context) plan.Plan {
	seen := m.observe(ctx)
	saved := m.runners
	defer func() { m.runners = saved }()
	m.runners = make(map[string]*runner, len(saved))
	for name, r := range saved {
		copied := *r
		m.runners[name] = &copied
	}
	for _, r := range m.runners {
		r.findJob(seen.scopes[r.rec.Scope], seen.at)
		if r.op == "" {
			m.look(r, seen)
		}
	}
	return plan.Compute(m.spec(seen), m.snapshot(seen))
}
