package pool

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// The steps that can be under way on a runner.
const (
	opPrepare = "prepare"
	opStart   = "start"
	opRestart = "restart"
	opNudge   = "nudge"
	opDrain   = "drain"
	opStop    = "stop"
	opKill    = "kill"
	opConceal = "conceal"
	opRemove  = "remove"
)

// makes reports whether a step makes or starts a container.
func makes(op string) bool { return op == opPrepare || op == opStart || op == opRestart }

// making is how many steps are under way, or wait for their place, that make or
// start a container.
func (m *Manager) making() int { return m.under[opPrepare] + m.under[opStart] + m.under[opRestart] }

// Pace of a step that fails again and again.
const (
	retryMin = time.Second
	retryMax = time.Minute
)

// retryPause is how long to wait after so many failures, 1 or more.
func retryPause(failures int) time.Duration { return min(retryMin<<min(failures-1, 10), retryMax) }

// apply begins what the plan says. Each step runs beside the loop, under a
// deadline of its own, and is finished even if the daemon is told to end.
func (m *Manager) apply(ctx context.Context, seen *observation, p plan.Plan) {
	asked := make(named)
	for _, a := range p.Actions {
		if a.Kind == plan.ActionPrepare || a.Kind == plan.ActionStart && a.Runner == "" {
			r := m.newRunner(a)
			if a.Kind == plan.ActionStart && !m.mayStart(a.Pool, r.rec.Name) {
				delete(m.runners, r.rec.Name)
				continue
			}
			m.meterAction(a)
			asked.note(a, r)
			m.begin(ctx, r, string(a.Kind), evidence{})
			continue
		}
		r := m.runners[a.Runner]
		if r == nil || r.op != "" || time.Now().Before(r.retryAt) {
			continue
		}
		if a.Kind == plan.ActionKill && !r.killAgain(time.Now()) {
			continue
		}
		if makes(string(a.Kind)) && !m.mayStart(r.rec.Pool, r.rec.Name) {
			continue
		}
		m.meterAction(a)
		switch a.Kind {
		case plan.ActionNudge:
			m.nudged[a.Pool] = time.Now()
			m.nudges[a.Pool]++
		case plan.ActionStart:
			r.rec.Reason = a.Reason
			asked.note(a, r)
		default:
			r.rec.Note = a.Reason
		}
		var end evidence
		if a.Kind == plan.ActionRemove {
			end = m.evidence(seen, r)
		}
		m.begin(ctx, r, string(a.Kind), end)
	}
	m.answerAsks(p.Answers, asked)
	m.resume(ctx)
}

// resume takes up steps whose intent is stored and whose effect has not been
// confirmed: they failed, or the daemon ended in between.
func (m *Manager) resume(ctx context.Context) {
	for _, r := range m.runners {
		if r.op != "" || time.Now().Before(r.retryAt) {
			continue
		}
		switch {
		case r.rec.Phase == plan.PhaseDraining && !r.rec.Disabled:
			m.begin(ctx, r, opDrain, evidence{})
		case r.rec.Nudging:
			m.begin(ctx, r, opNudge, evidence{})
		case r.rec.Phase == plan.PhaseStopping && !r.rec.Signalled && r.job == nil:
			m.begin(ctx, r, opStop, evidence{})
		}
	}
	m.concealSome(ctx)
}

// nameRandom is how many random characters end a runner's name. Before them come
// plan.RunnerPrefix, the instance id, and the pool.
const nameRandom = 8

// newRunner makes the record of a runner that is to be started. Its name
// carries the instance id, which makes it provably ours at the server.
func (m *Manager) newRunner(a plan.Action) *runner {
	now := time.Now()
	opts := m.cfg.Pools[a.Pool]
	rec := state.Record{
		Name: fmt.Sprintf("%s%s-%s-%s", plan.RunnerPrefix, m.instance, a.Pool, strings.ToLower(rand.Text()[:nameRandom])),
		Pool: a.Pool, Token: opts.Token, Scope: m.scopeOf(a.Pool), Ephemeral: opts.Ephemeral, Cost: m.costOf(a.Pool), CreatedAt: now, Reason: a.Reason,
		DataDir: opts.DataDir, Recipe: opts.Recipe, Bound: a.Bound,
	}
	phase := plan.PhaseStarting
	if a.Kind == plan.ActionPrepare {
		phase = plan.PhaseStandby
	}
	rec.Enter(phase, "", now)
	r := &runner{rec: rec}
	m.runners[rec.Name] = r
	return r
}

// begin runs one step on a copy of the runner's record.
func (m *Manager) begin(ctx context.Context, r *runner, op string, end evidence) {
	r.op = op
	m.under[op]++
	if op == opRestart {
		r.rec.Cost = m.costOf(r.rec.Pool)
	}
	s := step{patience: m.patience(), rec: r.rec, opts: m.optionsOf(r.rec.Pool), suspect: r.suspect, noPlace: r.noPlace, byLog: m.byLog(), caps: m.caps, end: end}
	if op == opStart {
		r.rec.Enter(plan.PhaseStarting, "", time.Now()) // if it was on standby
		m.recentOf(r.rec.Pool).Started(time.Now())
	}
	timeout := stepTimeout
	if makes(op) {
		timeout += s.opts.StartTimeout
		s.careful = m.breakerOf(r.rec.Pool).probing
		s.keepSpares = m.kept.inUse != ""
	}
	go func() {
		began := time.Now()
		res := m.inTurn(op, s, func() result {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
			defer cancel()
			return m.do(ctx, op, s)
		})
		res.op, res.took = op, time.Since(began)
		m.results <- res
	}()
}

// inTurn does a step once there is a place for it. A start that has waited for
// its place until the shutdown is not made.
func (m *Manager) inTurn(op string, s step, do func() result) result {
	switch {
	case makes(op):
		if m.starts.enter(m.stopping) != nil {
			return result{rec: s.rec, gone: op != opRestart && !s.ahead()} // nothing has been made yet
		}
		res := do()
		if bound, changed := m.starts.leave(!res.overload); changed && res.overload {
			m.log.Warn("the engine cannot keep up: fewer runners are started at a time", "at_most", bound, "err", res.err)
		}
		return res
	case op == opRemove && m.ends.enter(context.Background()) == nil:
		res := do()
		m.ends.leave(true)
		return m.forget(res, s.patience)
	}
	return do()
}

func (m *Manager) do(ctx context.Context, op string, s step) result {
	switch op {
	case opPrepare:
		return m.prepare(ctx, s)
	case opStart:
		return m.start(ctx, s)
	case opRestart:
		return m.restart(ctx, s)
	case opNudge:
		return m.nudge(ctx, s)
	case opDrain:
		return m.disable(ctx, s)
	case opStop:
		return m.stop(ctx, s)
	case opKill:
		return m.kill(ctx, s)
	case opConceal:
		return m.conceal(ctx, s)
	default:
		return m.remove(ctx, s)
	}
}

// settle takes the result of a step into the loop's own state.
func (m *Manager) settle(res result) {
	r := m.runners[res.rec.Name]
	r.op, r.rec = "", res.rec
	m.under[res.op]--
	log := m.log.With("cycle", m.cycle, "pool", res.rec.Pool, "runner", res.rec.Name)
	m.judge(res)
	m.meterEnd(r, res)
	m.tellPhases(r)
	r.gone = r.gone || res.deleted
	if res.alive {
		m.revive(r, time.Now())
		return
	}
	m.kept.stale = m.kept.stale || makes(res.op) || res.op == opRemove
	if res.gone {
		m.noteUnseenJob(res)
		delete(m.runners, res.rec.Name)
		m.giveBack(res.rec.Name)
		delete(m.orders.runners, res.rec.Name)
		m.remember(res.rec, res.sweepErr)
		if m.cfg.OnRemoved != nil {
			m.cfg.OnRemoved(res.rec.Status())
		}
	}
	subject := "runner " + res.rec.Name
	switch {
	case res.err != nil && makes(res.op):
		// The pool's problem says it; here it goes to those who look closer.
		log.Debug("runner not started", "err", res.err)
	case res.err != nil:
		r.retries++
		r.retryAt = time.Now().Add(retryPause(r.retries))
		m.conditions.set(subject, res.op+": "+res.err.Error(), time.Now())
		return
	default:
		r.retries, r.retryAt = 0, time.Time{}
		m.conditions.set(subject, "", time.Now())
		m.report(res, log)
	}
	// A place is free, or something is to be cleaned up. Of many removals with
	// nobody waiting for their places the last one is soon enough.
	if res.err != nil || res.gone && (m.jobsWait || m.under[opRemove] == 0) {
		m.Trigger()
	}
}
