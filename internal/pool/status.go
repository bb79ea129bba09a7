package pool

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
)

// publish makes what the cycle saw and decided visible to Status, Explain and
// DotRunner, which other goroutines call.
func (m *Manager) publish(spec plan.Spec, snap plan.Snapshot, seen *observation, p plan.Plan) {
	for _, q := range spec.Pools {
		cause, message := m.troubleOf(q)
		m.conditions.setCause("pool "+q.Name, cause, message, seen.at)
	}
	m.setHost(seen)
	m.judgeInstance(seen.at)
	m.conditions.set(plan.SubjectReserve, m.sizeUnknown(), seen.at)
	s := plan.NewStatus(spec, p)
	s.Host, s.Peers = seen.host, m.peers(seen.at)
	if seen.caps.Product != "" {
		s.Capabilities = &seen.caps
	}
	s.Version, s.Instance, s.StartedAt = m.version, m.instance, m.started
	s.Cycle, s.CycleAt, s.Shutdown = m.cycle, seen.at, m.draining
	s.PollEvery, s.EventsArrive = max(m.pace.interval(seen.at), m.crowd()), m.pace.arrive(seen.at)
	s.Problems, s.Corpses = m.conditions.list(), m.kept.shown
	for i := range s.Pools {
		p := &s.Pools[i]
		b := m.breakers[p.Name]
		p.BreakerOpen, p.Failures, p.Nudges = b.probing || seen.at.Before(b.until), b.failures, m.nudges[p.Name]
	}
	s.QueueSize = seen.queueSize(len(p.Decisions))
	handles, outdated := make(map[string]handle, len(m.runners)), outdated(spec, snap)
	s.Runners = make([]plan.RunnerStatus, 0, len(m.runners))
	for _, name := range slices.Sorted(maps.Keys(m.runners)) {
		rec := m.runners[name].rec
		shown := rec.Status()
		shown.Outdated, shown.Leave = outdated[name], m.leaveOf(m.runners[name])
		handles[name], s.Runners = handle{rec.ContainerID, rec.Identity, rec.Ephemeral}, append(s.Runners, shown)
	}
	m.handles.Store(&handles)
	m.lastView.Store(&plan.View{Spec: spec, Snap: snap, Running: seen.running(), Runners: s.Runners, QueueSize: s.QueueSize})
	m.status.Store(&s)
}

// queueSize is how many jobs wait at the server, of which some were read.
func (o *observation) queueSize(read int) int {
	for _, v := range o.scopes {
		read = max(read, v.total)
	}
	return read
}

// running has the jobs that some runner has, each once.
func (o *observation) running() []plan.Job {
	jobs := make(map[int64]plan.Job)
	for _, v := range o.scopes {
		for j := range v.allRunning() {
			jobs[j.ID] = j
		}
	}
	return slices.Collect(maps.Values(jobs))
}

// Explain says what the last cycle decided about a job and why. The error wraps
// plan.ErrInvalid or plan.ErrNotFound.
func (m *Manager) Explain(q plan.Query) (plan.Explanation, error) {
	v := m.lastView.Load()
	if v == nil {
		return plan.Explanation{}, fmt.Errorf("explain job: %w: the first cycle is not done yet", plan.ErrNotFound)
	}
	return v.Explain(q)
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
		status.DueAt = m.dueAt()
		return status
	}
	s := plan.NewStatus(plan.Spec{}, plan.Plan{})
	s.Version, s.Instance, s.DueAt = m.version, m.instance, m.dueAt()
	s.Problems = append(s.Problems, plan.Problem{Subject: "scaler", Since: time.Now(), Message: "the first cycle is not done yet"})
	return s
}

// dueAt is when the loop is to turn at the latest, zero before it has begun.
func (m *Manager) dueAt() time.Time {
	if at := m.due.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// handle is what is to be known of a runner, as of the last cycle, beside what
// the status shows.
type handle struct {
	container string         // id, empty if it has none
	identity  *plan.Identity // nil if it is not registered
	ephemeral bool
}

// handleOf returns that of the runner of the name. The error wraps
// plan.ErrNotFound.
func (m *Manager) handleOf(name string) (handle, error) {
	handles := m.handles.Load()
	if handles == nil {
		return handle{}, fmt.Errorf("%w: the first cycle is not done yet", plan.ErrNotFound)
	}
	h, known := (*handles)[name]
	if !known {
		return handle{}, fmt.Errorf("%w: scaler runner list has the names", plan.ErrNotFound)
	}
	return h, nil
}

// DotRunner returns the .runner file of a runner. It holds the runner's own
// token. The error wraps plan.ErrNotFound if there is no such runner, or it is
// not registered yet.
func (m *Manager) DotRunner(name string) ([]byte, error) {
	h, err := m.handleOf(name)
	if err == nil && h.identity == nil {
		err = fmt.Errorf("%w: it is not registered yet", plan.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("runner %s: %w", name, err)
	}
	return dotRunner(name, *h.identity, h.ephemeral)
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

// ViewOnce is what a cycle of a Manager that does not run would see and go by:
// it reads the records and looks at the world once.
func (m *Manager) ViewOnce(ctx context.Context) (plan.View, error) {
	if err := m.load(); err != nil {
		return plan.View{}, err
	}
	return m.lookAround(ctx), nil
}

// preview is a cycle on copies: it neither stores nor does anything.
func (m *Manager) preview(ctx context.Context) plan.Plan {
	v := m.lookAround(ctx)
	return plan.Compute(v.Spec, v.Snap)
}

// lookAround returns what a cycle would see and go by.
func (m *Manager) lookAround(ctx context.Context) plan.View {
	seen := m.observe(ctx)
	saved := m.runners
	defer func() { m.runners, m.aside = saved, false }()
	m.aside = true
	m.runners = make(map[string]*runner, len(saved))
	for name, r := range saved {
		copied := *r
		m.runners[name] = &copied
	}
	for _, r := range m.runners {
		m.findJob(r, seen)
		if r.op == "" {
			m.look(r, seen)
		}
	}
	v := plan.View{Spec: m.spec(seen), Snap: m.snapshot(seen), Running: seen.running()}
	for _, name := range slices.Sorted(maps.Keys(m.runners)) {
		v.Runners = append(v.Runners, m.runners[name].rec.Status())
	}
	v.QueueSize = seen.queueSize(len(v.Snap.Jobs))
	return v
}
