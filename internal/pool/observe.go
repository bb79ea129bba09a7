package pool

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"scaler.io/scaler/internal/plan"
)

// observation is the world as one cycle saw it. What failed is kept as an
// error beside what was read: unknown is not zero.
type observation struct {
	at          time.Time
	caps        plan.Capabilities // as last known
	capsErr     error
	source      plan.JobSource
	heard       map[string]rumour         // by runner name; nil where logs need not tell
	guessed     map[string]int64          // by runner name, the job that it most likely has
	containers  map[string]plan.Container // by runner name
	engineErr   error
	scopes      map[plan.Scope]*scopeView
	madeForJobs *madeForJobs     // nil if it was not asked for
	host        *plan.HostStatus // nil where nobody looks at it
}

// scopeView is one scope at the server.
type scopeView struct {
	err     error
	queued  []plan.Job
	total   int                // queued jobs that the server counts
	running map[int64]plan.Job // by runner id
	counted bool               // running and unnamed have all of them
	unnamed []plan.Job         // those that run on a runner that is not named
	runners map[int64]plan.ServerRunner
	listed  bool // runners has all of the scope's runners
	audited bool // so it has, and it is time to compare them with ours
}

// need is what a cycle has to read of a scope.
type need struct {
	queue   bool // a pool serves it
	limit   int  // how many jobs its pools could serve
	running bool // a runner of ours is there
	runners bool // one is expected to come online, or many have ended
	audit   bool // it is time to compare all runners with ours
}

// observe reads everything once. Containers come first and the queue before
// the running jobs: a job that is picked in between is then seen in one of
// the two lists, or in both, but never in none.
func (m *Manager) observe(ctx context.Context) *observation {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	seen := &observation{at: time.Now(), scopes: make(map[plan.Scope]*scopeView)}
	seen.host = m.ports.host(seen.at)
	containers, err := m.ports.Engine.List(ctx)
	seen.engineErr, seen.containers = err, make(map[string]plan.Container, len(containers))
	for _, c := range containers {
		seen.containers[c.Runner] = c
	}
	m.learn(ctx, seen)
	m.takeEvents(seen)
	seen.heard = m.listen(ctx, seen)
	m.guessJobs(seen)
	var group errgroup.Group
	var mu sync.Mutex
	for scope, n := range m.needs(seen) {
		group.Go(func() error {
			view := m.view(ctx, seen, scope, n)
			mu.Lock()
			defer mu.Unlock()
			seen.scopes[scope] = view
			return nil
		})
	}
	if err == nil && m.jobContainersDue(seen) {
		group.Go(func() error {
			made, err := m.ports.Sweeper.JobContainers(ctx)
			seen.madeForJobs = &madeForJobs{made, err}
			return nil
		})
	}
	if err == nil && m.sizeDue(seen.at) {
		group.Go(func() error {
			m.size = m.askSize(ctx, m.size, seen.at)
			m.setPlaces()
			return nil
		})
	}
	group.Wait()
	m.countBusy(ctx, seen)
	return seen
}

// needs says what has to be read: nothing is asked for that no decision needs.
func (m *Manager) needs(seen *observation) map[plan.Scope]*need {
	now := seen.at
	needs := make(map[plan.Scope]*need)
	of := func(s plan.Scope) *need {
		if needs[s] == nil {
			needs[s] = &need{}
		}
		return needs[s]
	}
	for _, p := range m.cfg.Spec.Pools {
		n := of(p.Scope)
		n.queue = !m.draining
		current, _ := p.At(now)
		n.limit += current.Max
	}
	for _, r := range m.runners {
		switch r.rec.Phase {
		case plan.PhaseExited, plan.PhaseRemoving, plan.PhaseStandby:
			continue // none of them can have a job
		}
		n := of(r.rec.Scope)
		n.running = true
		if !seen.caps.Runners {
			continue
		}
		n.runners = n.runners || r.rec.Phase == plan.PhaseStarting && !r.rec.Online || seen.containers[r.rec.Name].Lost()
		// One that should have exited by now may have been deleted.
		n.audit = n.audit || r.rec.Phase == plan.PhaseFinishing && !r.gone && now.Sub(r.rec.Since) >= finishingDoubt
	}
	if !seen.caps.Runners {
		return needs
	}
	for scope := range m.endedTogether(seen.containers) {
		of(scope).runners = true
	}
	for _, n := range needs {
		if now.Sub(m.auditedAt) >= auditInterval {
			n.audit, n.running = true, true
		}
	}
	return needs
}

// spec is the configured one with what is true at the moment.
func (m *Manager) spec(seen *observation) plan.Spec {
	spec := m.cfg.Spec
	spec.CanNudge, spec.Shutdown, spec.Asked = seen.caps.Disable, m.draining, m.orders.asked()
	spec.Source = seen.source
	spec.Pools = slices.Clone(spec.Pools)
	if m.ports.Ledger != nil {
		spec.Shared = m.ports.Ledger.shared(m.instance)
	}
	tokens := make(map[string]error) // most pools share one, and to look at it is to read a file
	for i := range spec.Pools {
		p := &spec.Pools[i]
		name := m.cfg.Pools[p.Name].Token
		err, known := tokens[name]
		if !known {
			err = m.ports.Registrar.Check(name)
			tokens[name] = err
		}
		m.setHold(p, err, seen.at)
		p.Paused, p.NoPlace = m.orders.pausedBy(p.Name), m.noPlace[p.Name]
		p.Probe = m.breakers[p.Name].probing
		p.NudgedAt = m.nudged[p.Name]
		p.Ahead = m.aheadOf(*p, seen)
		p.Renewal.Recipe = m.recipeOf(p.Name)
		m.setBinding(p)
		p.Recent = m.recentOf(p.Name).Within(p.Pace, seen.at)
		if m.draining {
			p.Min, p.Idle, p.Max, p.Standby, p.IdleTimeout, p.Windows, p.Auto = 0, 0, 0, 0, 0, nil, nil
		}
		m.setReady(p, seen.at)
	}
	return spec
}

// setHold says why a pool may start nothing: its token cannot be used, which err
// says, or its runners fail. A token that has changed since it was refused is tried at once;
// an unchanged one only at the pace of the breaker.
func (m *Manager) setHold(p *plan.Pool, err error, now time.Time) {
	b := m.breakers[p.Name]
	switch {
	case err == nil && b.token:
		b.succeed()
	case err != nil && !b.token:
		p.Hold, p.HoldKind, p.RetryAt = err.Error(), plan.ObstacleToken, time.Time{}
		return
	}
	p.Hold, p.HoldKind, p.RetryAt = b.hold(now), plan.ObstacleToken, b.until
	if !b.token {
		p.HoldKind = plan.ObstacleBreaker
	}
}

// snapshot puts the observation into the planner's terms.
func (m *Manager) snapshot(seen *observation) plan.Snapshot {
	snap := plan.Snapshot{Now: seen.at, Unknown: make(map[plan.Scope]string)}
	if seen.engineErr != nil {
		snap.Hold = seen.engineErr.Error()
	}
	if seen.host != nil {
		snap.StartHold = seen.host.Hold
	}
	snap.Engine, snap.EngineUnknown = m.size.size, m.sizeUnknown()
	known := make(map[int64]bool)
	running := make(map[int64]bool)
	for scope, v := range seen.scopes {
		if v.err != nil {
			snap.Unknown[scope] = v.err.Error()
		}
		for j := range v.allRunning() {
			running[j.ID] = true
		}
	}
	for _, v := range seen.scopes {
		for _, j := range v.queued {
			// A job can be in the queue of several scopes, and be picked
			// between two listings.
			if !known[j.ID] && !running[j.ID] {
				known[j.ID] = true
				j.SeenAt = m.sawFirst(j.ID, seen.at)
				snap.Jobs = append(snap.Jobs, j)
			}
		}
	}
	if len(snap.Unknown) == 0 {
		m.forgetSeen(known, running, seen.at)
	}
	m.unbindMissed(&snap)
	snap.Runners = make([]plan.Runner, 0, len(m.runners))
	for _, name := range slices.Sorted(maps.Keys(m.runners)) {
		snap.Runners = append(snap.Runners, m.forPlan(m.runners[name], seen.at))
	}
	m.share(&snap, seen)
	return snap
}

// sighting is when a queued job was seen.
type sighting struct {
	first  time.Time
	runs   bool      // it was last seen running
	absent time.Time // of the look since which it is in no list, zero while it is in one
}

// sawFirst returns when a job was first seen queued, since it last ran.
func (m *Manager) sawFirst(job int64, now time.Time) time.Time {
	s, known := m.firstSeen[job]
	if !known || s.runs {
		s = sighting{first: now}
		m.pace.found(job, now)
	}
	s.absent = time.Time{}
	m.firstSeen[job] = s
	return s.first
}

// forgetSeen forgets when jobs were first seen that neither wait nor run. How long
// one has waited is told once it is seen with its runner, which can be later than
// that it is seen running, while the runner's start has not returned. One that was
// picked between the lists of a look is in neither of them, and running at the next.
func (m *Manager) forgetSeen(queued, running map[int64]bool, now time.Time) {
	for id, s := range m.firstSeen {
		switch {
		case queued[id]:
			continue
		case running[id]:
			s.runs, s.absent = true, time.Time{}
		case s.absent.IsZero():
			s.absent = now
		case s.absent.Before(now):
			delete(m.firstSeen, id)
			continue
		}
		m.firstSeen[id] = s
	}
}

// forPlan is the runner in the planner's terms.
func (m *Manager) forPlan(r *runner, now time.Time) plan.Runner {
	p := plan.Runner{
		Name: r.rec.Name, Pool: r.rec.Pool, Scope: r.rec.Scope, Phase: r.rec.Phase, Ephemeral: r.rec.Ephemeral,
		Bound: r.rec.Bound,
		Used:  r.rec.Used, HasJob: r.job != nil || r.unsure != "", JobSeen: r.jobSeen, LastJobAt: r.rec.LastJobAt, Jobs: r.rec.Jobs, Recipe: r.rec.Recipe, Labels: m.otherLabels(r), CreatedAt: r.rec.CreatedAt, StartedAt: r.rec.StartedAt, Since: r.rec.Since, Note: r.rec.Note,
		Registered: r.rec.Identity != nil, Gone: r.gone || r.lost, Told: r.rec.Signalled, Leave: m.leaveOf(r), Cost: r.rec.Cost,
		Prepared: r.op == "" && r.rec.Phase == plan.PhaseStandby && r.rec.Identity != nil && !now.Before(r.retryAt),
	}
	if r.job != nil {
		p.Repo = r.job.Repo
	}
	if r.rec.Phase == plan.PhaseDraining && !r.rec.Disabled {
		p.Since = now // the wait begins when the server has confirmed it
	}
	return p
}
