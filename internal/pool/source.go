package pool

import (
	"context"
	"time"

	"scaler.io/scaler/internal/plan"
)

// lookAnyway is how long after the last sign of jobs each pool looks for some with
// a runner, since events come once or not at all.
const lookAnyway = time.Hour

// Sign tells that something has happened at the server after which jobs may wait,
// and asks for a cycle now.
func (m *Manager) Sign() {
	m.heardSign.Store(true)
	m.Trigger()
}

// learn finds out what the server can do and, with it, how jobs are found. What
// was known before still counts where that fails.
func (m *Manager) learn(ctx context.Context, seen *observation) {
	caps, err := m.ports.Forge.Capabilities(ctx)
	if seen.capsErr = err; err == nil {
		m.noteCapabilities(caps)
		m.caps = caps
	}
	seen.caps = m.caps
	if m.caps.Product == "" {
		return
	}
	seen.source = m.caps.JobSource(m.cfg.Events)
	if err != nil || m.answering.IsZero() {
		m.answering = seen.at
	}
	if m.heardSign.Swap(false) || err != nil || m.source != seen.source || seen.at.Sub(m.signAt) >= lookAnyway {
		m.signAt = seen.at // what happened while the server could not be reached is not known
	}
	m.noteSource(seen)
}

// noteCapabilities says what has become different about the server, as after an
// upgrade.
func (m *Manager) noteCapabilities(caps plan.Capabilities) {
	if m.aside || m.caps.Product == "" {
		return
	}
	change := m.caps.Change(caps)
	if change == "" {
		return
	}
	m.log.Info("server changed", "change", change)
	m.tell(plan.Event{Kind: plan.EventServerChanged, Text: change})
}

// noteSource says how jobs are found, if that has changed.
func (m *Manager) noteSource(seen *observation) {
	if m.aside || m.source == seen.source {
		return
	}
	m.source = seen.source
	log := m.log.With("version", seen.caps.Version)
	switch {
	case seen.source == plan.SourceNone && seen.caps.JobEvents:
		log.Warn("this server tells which jobs wait by events only, and no webhook is configured: a runner of each pool is kept ahead of the jobs. " +
			"Set the section webhook and run scaler webhook create")
	case seen.source == plan.SourceNone:
		log.Warn("this server does not tell which jobs wait: a runner of each pool is kept ahead of the jobs")
	default:
		log.Info("jobs are found", "how", seen.source.Words())
	}
}

// aheadOf says why a pool keeps a runner ahead of its jobs, empty if it does not.
func (m *Manager) aheadOf(p plan.Pool, seen *observation) string {
	if m.draining || seen.source == plan.SourceList || seen.source == "" {
		return ""
	}
	if seen.source == plan.SourceNone && !m.cfg.Events {
		return "the server does not tell which jobs wait"
	}
	since := m.signAt
	if took := m.tookAt[p.Name]; seen.source == plan.SourceNone && took.After(since) {
		since = took
	}
	p, _ = p.At(seen.at)
	if seen.at.Sub(since) >= max(p.IdleTimeout, time.Minute) {
		return ""
	}
	if seen.source == plan.SourceEvents {
		return "some events of jobs may have been lost"
	}
	return "the server does not tell which jobs wait, and something has happened there lately"
}
