package pool

import (
	"sync"

	"scaler.io/scaler/internal/plan"
)

// Ledger keeps what the runners of several Managers take together, so that they
// never exceed the limits that bind them all: each takes from it before it starts
// a runner. It may be used concurrently.
type Ledger struct {
	mu     sync.Mutex
	limits plan.Limits
	size   plan.Resources // of the Docker host, as it was told last
	taken  map[string]map[string]plan.Resources
	waits  map[string]func() // by server, what to call when something is given back
}

// NewLedger returns a Ledger in which nothing is taken.
func NewLedger(limits plan.Limits) *Ledger {
	return &Ledger{limits: limits, taken: make(map[string]map[string]plan.Resources), waits: make(map[string]func())}
}

// SetLimits changes the limits. What is taken beyond them stays until it is given
// back.
func (l *Ledger) SetLimits(limits plan.Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = limits
}

// shared says what binds the runners of one server together with the others'.
func (l *Ledger) shared(server string) *plan.Shared {
	l.mu.Lock()
	defer l.mu.Unlock()
	others := l.load(func(s string) bool { return s != server })
	return &plan.Shared{Limits: l.limits, OtherRunners: others.Runners, Others: others.Resources}
}

// reserve is what the runners leave of the Docker host.
func (l *Ledger) reserve() plan.Resources {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits.Reserve
}

// load adds up what the runners of some servers take.
func (l *Ledger) load(of func(server string) bool) plan.Load {
	var sum plan.Load
	for server, runners := range l.taken {
		if !of(server) {
			continue
		}
		for _, cost := range runners {
			sum = sum.Add(plan.Load{Runners: 1, Resources: cost})
		}
	}
	return sum
}

// hold says which runners a server has, whatever the limits: they are there.
func (l *Ledger) hold(server string, runners map[string]plan.Resources, size plan.Resources) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if size != (plan.Resources{}) {
		l.size = size
	}
	gone := false
	for name := range l.taken[server] {
		if _, kept := runners[name]; !kept {
			gone = true
		}
	}
	l.taken[server] = runners
	if gone {
		l.wake(server)
	}
}

// take takes what a runner needs that is to be started, and reports whether the
// limits allow it. One that is there already is given another amount.
func (l *Ledger) take(server, runner string, cost plan.Resources) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, had := l.taken[server][runner]
	if l.taken[server] == nil {
		l.taken[server] = make(map[string]plan.Resources)
	}
	delete(l.taken[server], runner)
	less := had && cost.MilliCPU <= before.MilliCPU && cost.Memory <= before.Memory
	allowed := less || l.limits.Allow(l.load(func(string) bool { return true }), cost, l.size)
	switch {
	case allowed:
		l.taken[server][runner] = cost
	case had:
		l.taken[server][runner] = before
	}
	return allowed
}

// give gives back what a runner took.
func (l *Ledger) give(server, runner string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, had := l.taken[server][runner]; had {
		delete(l.taken[server], runner)
		l.wake(server)
	}
}

// await has wake be called when another server gives something back, or nothing
// if wake is nil.
func (l *Ledger) await(server string, wake func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wake == nil {
		delete(l.waits, server)
		return
	}
	l.waits[server] = wake
}

// wake tells the servers that wait for another one to give something back.
func (l *Ledger) wake(giver string) {
	for server, wake := range l.waits {
		if server != giver {
			wake()
		}
	}
}

// budgets lists what is limited over all servers, and what is taken of it.
func (l *Ledger) budgets() []plan.Budget {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits.Budgets(l.load(func(string) bool { return true }), l.size)
}

// held has what the loop's runners take: all but those that are made ahead and
// not started.
func (m *Manager) held() map[string]plan.Resources {
	all := make(map[string]plan.Resources, len(m.runners))
	for name, r := range m.runners {
		if r.rec.Phase != plan.PhaseStandby {
			all[name] = m.takes(r)
		}
	}
	return all
}

// takes is what a runner takes, by its record or else by its pool.
func (m *Manager) takes(r *runner) plan.Resources {
	if r.rec.Cost != nil {
		return *r.rec.Cost
	}
	if cost := m.costOf(r.rec.Pool); cost != nil {
		return *cost
	}
	return plan.Resources{}
}

// hold tells the ledger what there is.
func (m *Manager) hold() {
	if m.ports.Ledger != nil {
		m.ports.Ledger.hold(m.instance, m.held(), m.size.size)
	}
}

// giveBack gives back what a runner took that is gone.
func (m *Manager) giveBack(runner string) {
	if m.ports.Ledger != nil {
		m.ports.Ledger.give(m.instance, runner)
	}
}

// mayStart takes what a runner of a pool needs from the ledger. Where there is
// none, the plan alone has seen to the limits.
func (m *Manager) mayStart(pool, runner string) bool {
	if m.ports.Ledger == nil {
		return true
	}
	var cost plan.Resources
	if c := m.costOf(pool); c != nil {
		cost = *c
	}
	return m.ports.Ledger.take(m.instance, runner, cost)
}

// awaitLimits has the loop turn when another server gives something back, if jobs
// wait for that.
func (m *Manager) awaitLimits(p plan.Plan) {
	if m.ports.Ledger == nil {
		return
	}
	var wake func()
	for _, d := range p.Decisions {
		if d.Kind == plan.ObstacleBudget {
			wake = m.Trigger
			break
		}
	}
	m.ports.Ledger.await(m.instance, wake)
}
