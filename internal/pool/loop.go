package pool

import (
	"context"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Run loads the records and runs cycles until ctx ends, then shuts down as
// configured. It returns an error only if the records cannot be read.
func (m *Manager) Run(ctx context.Context) error {
	if err := m.load(); err != nil {
		return err
	}
	m.run(ctx)
	return nil
}

// run runs cycles from the records that were loaded.
func (m *Manager) run(ctx context.Context) {
	m.started = time.Now()
	watch, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	m.ears.followUntil(watch)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		if err := m.ports.Inspector.Watch(watch, m.stirs.add); err != nil && watch.Err() == nil {
			m.log.Error("watching containers has ended, polling goes on", "err", err)
		}
	}()
	m.turn(ctx)
	stopWatching()
	<-watching
}

// turn is the loop itself. A trigger only moves the timer forward.
func (m *Manager) turn(ctx context.Context) {
	m.dueIn(0)
	next := m.timeCycle(ctx)
	m.ready()
	timer := time.NewTimer(m.dueIn(m.until(next)))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			m.shutdown(ctx)
			return
		case r := <-m.results:
			m.settle(r)
			if r.op == opConceal {
				m.concealSome(ctx) // there is a place again
			}
			timer.Reset(m.until(next)) // the engine may have caught up
		case f := <-m.requests:
			f()
			m.turned() // it may have taken as long as a cycle
		case <-m.trigger:
			m.hear(time.Now())
			next.pause = 0
			timer.Reset(m.until(next))
		case <-m.stirs.poke:
			if m.stir(time.Now()) {
				next.pause = 0
				timer.Reset(m.until(next))
			}
		case <-timer.C:
			m.turned()
			next = m.timeCycle(ctx)
			timer.Reset(m.dueIn(m.until(next)))
		}
	}
}

// wait is what keeps the next cycle from coming at once.
type wait struct {
	since time.Time     // the end of the last cycle
	gap   time.Duration // the least time between the two
	pause time.Duration // until the next poll; 0 once there is something to look at
}

// until returns how long the next cycle has to wait still.
func (m *Manager) until(w wait) time.Duration {
	return max(max(w.gap, w.pause, m.crowd())-time.Since(w.since), 0)
}

// crowd is the least time between two cycles while more runners are to be started
// than the engine may start at a time, and 0 otherwise. A look hastens none of those
// that wait for a place, and takes time from all.
func (m *Manager) crowd() time.Duration {
	if m.making() > m.starts.bound() {
		return crowdedGap
	}
	return 0
}

// dueIn notes that the loop turns, and when it is to turn again.
func (m *Manager) dueIn(d time.Duration) time.Duration {
	at := time.Now().Add(d)
	m.due.Store(&at)
	return d
}

// turned notes that the loop turns, if it is overdue.
func (m *Manager) turned() {
	if time.Now().After(m.dueAt()) {
		m.dueIn(0)
	}
}

// timeCycle runs a cycle and returns what the next one has to wait for.
func (m *Manager) timeCycle(ctx context.Context) wait {
	began := time.Now()
	m.runCycle(ctx)
	now := time.Now()
	took, before := now.Sub(began), m.cycleTook
	m.cycleTook = took
	// One answer that was late says nothing of the next.
	gap := min(max(min(took, before), cycleGap), cycleGapMost)
	return wait{since: now, gap: gap, pause: m.pace.jittered(now)}
}

// runCycle is observe, plan, apply.
func (m *Manager) runCycle(ctx context.Context) {
	m.cycle++
	seen := m.observe(ctx)
	if ctx.Err() != nil && !m.draining {
		return // what was cut short proves nothing
	}
	bounded, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	m.adopt(bounded, seen)
	m.kept.inUse = m.mayBeInUse(seen)
	m.recallCorpses(seen.at)
	ended := m.assess(seen)
	m.correctBook(seen)
	m.audit(bounded, seen)
	m.reapDue(bounded, seen)
	m.clearDue(ctx, seen.at)
	m.sweepDue(ctx)
	m.hold()
	spec, snap := m.spec(seen), m.snapshot(seen)
	if m.jobsWait = len(snap.Jobs) > 0; m.jobsWait && m.under[opRemove] > 0 {
		m.ports.Store.Hurry() // a job may wait for the place of what goes
	}
	p := plan.Compute(spec, snap)
	m.saveEnds(ended, p)
	m.noteSurplus(p, seen.at)
	m.noteShares(p, seen.at)
	m.awaitLimits(p)
	m.count(snap, p)
	m.apply(ctx, seen, p)
	m.chronicle(spec, snap, seen, p)
	m.publish(spec, snap, seen, p)
}

// load reads the records of the last run.
func (m *Manager) load() error {
	all, err := m.ports.Store.Records()
	if err != nil {
		return err
	}
	m.recall(time.Now())
	m.recallBook()
	for _, rec := range all {
		// The time since it was disabled is the wall clock's, which may have
		// been set since: the wait begins anew.
		rec.Disabled = false
		m.completeRecipe(&rec)
		m.runners[rec.Name] = &runner{rec: rec, told: len(rec.History)}
	}
	m.recallRecent()
	if err := m.recallOrders(); err != nil {
		return err
	}
	if len(all) > 0 {
		m.log.Info("runners of an earlier run found in the state", "count", len(all))
	}
	return nil
}

// shutdown ends the loop: it waits, for a bounded time, for what was begun.
func (m *Manager) shutdown(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	m.cutStarts()
	m.dueIn(shutdownWait)
	if m.cfg.DrainOnShutdown {
		m.drain(ctx)
	}
	m.keepArrivals(time.Now())
	deadline := time.NewTimer(m.dueIn(shutdownWait))
	defer deadline.Stop()
	for m.busyWithSteps() > 0 {
		select {
		case r := <-m.results:
			m.settle(r)
		case f := <-m.requests:
			f()
		case <-deadline.C:
			m.log.Warn("leaving steps unfinished, the next start takes them up", "count", m.busyWithSteps())
			return
		}
	}
	m.log.Info("stopped", "runners_left", len(m.runners))
}

// drain runs cycles that start nothing and stop what is free, until no runner
// is left or the time is up.
func (m *Manager) drain(ctx context.Context) {
	m.draining = true
	m.log.Info("draining: idle runners stop, busy ones finish their jobs", "runners", len(m.runners), "at_most", m.cfg.ShutdownTimeout.String())
	deadline := time.NewTimer(m.cfg.ShutdownTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for m.runCycle(ctx); len(m.runners) > 0; {
		m.dueIn(drainPoll)
		select {
		case <-deadline.C:
			m.log.Warn("drain is out of time, runners are left to the next start", "runners", len(m.runners))
			return
		case r := <-m.results:
			m.settle(r)
			continue
		case f := <-m.requests:
			f()
			continue
		case <-m.trigger:
		case <-m.stirs.poke:
			if !m.stir(time.Now()) {
				continue
			}
		case <-tick.C:
		}
		m.runCycle(ctx)
	}
}

func (m *Manager) busyWithSteps() (n int) {
	for _, count := range m.under {
		n += count
	}
	return n
}
