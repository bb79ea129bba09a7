package pool

import (
	"maps"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// eventsAtOnce is how many events may wait for the loop.
	eventsAtOnce = 10_000
	// jobTold is how long after a runner has begun a task an event may tell which
	// job that is. Gitea sends them up to two seconds after the fact.
	jobTold = 10 * time.Second
)

// Tell tells what an event of the server has said of a job, and asks for a cycle
// now. It is safe for concurrent use.
func (m *Manager) Tell(e plan.JobEvent) {
	m.events.mu.Lock()
	if len(m.events.jobs) < eventsAtOnce {
		m.events.jobs = append(m.events.jobs, e)
	} else {
		m.heardSign.Store(true) // what it says is lost
	}
	m.events.mu.Unlock()
	m.Trigger()
}

// takeEvents puts the events that have come into the book, where the server has no
// list of jobs, which is the truth.
func (m *Manager) takeEvents(seen *observation) {
	if seen.source == "" {
		return // they wait until it is known what the server can do
	}
	m.events.mu.Lock()
	told := m.events.jobs
	m.events.jobs = nil
	m.events.mu.Unlock()
	if seen.source != plan.SourceEvents {
		m.book.Clear()
		return
	}
	for _, e := range told {
		m.book.Take(e)
	}
	if n := m.book.Overflow(); n > 0 {
		m.log.Warn("more jobs wait than are kept in mind: the oldest are forgotten", "jobs", n)
	}
}

// guessJobs finds out which jobs the runners have that have begun a task of which
// no event has told yet, so that no other runner is started for them.
func (m *Manager) guessJobs(seen *observation) {
	if seen.source != plan.SourceEvents || seen.heard == nil {
		return
	}
	seen.guessed = make(map[string]int64)
	named := make(map[int64]bool)
	for _, j := range m.book.Running() {
		named[j.RunnerID] = true
	}
	for name, said := range seen.heard {
		r := m.runners[name]
		if r == nil || said.task.id == 0 || said.task.id == r.rec.Task && r.rec.TaskOver {
			continue
		}
		id := r.rec.Identity
		if id == nil || named[id.ID] || m.book.Ended(id.ID, said.task.at) {
			continue
		}
		if seen.at.Sub(said.task.at) < jobTold {
			if job := m.book.Guess(id.ID, said.task.repo, m.fits(r)); job != 0 {
				seen.guessed[name] = job
			}
			continue
		}
		if r.rec.Task == said.task.id && r.rec.Job == 0 && r.unannounced != said.task.id {
			// Where one event was lost, others may have been.
			r.unannounced, m.signAt = said.task.id, seen.at
		}
	}
}

// fits returns what tells whether a runner may take a job.
func (m *Manager) fits(r *runner) func(plan.Job) bool {
	p := plan.Pool{Scope: r.rec.Scope, Labels: labelNames(m.optionsOf(r.rec.Pool).Labels)}
	return p.Serves
}

// viewBook takes the jobs of one scope from the book.
func (m *Manager) viewBook(scope plan.Scope, n *need, v *scopeView) {
	if n.queue {
		left, counts := max(m.readLimit(n.limit), 1), m.demand(scope)
		for _, j := range m.book.Queued() {
			if !scope.Covers(j.Repo) {
				continue
			}
			if v.total++; left == 0 {
				continue
			}
			if counts(j) {
				left--
			}
			v.queued = append(v.queued, j)
		}
	}
	for _, j := range m.book.Running() {
		if scope.Covers(j.Repo) {
			v.runs(j)
		}
	}
}

// correctBook takes out of the book what the runners show to be wrong or old, and
// stores what has changed.
func (m *Manager) correctBook(seen *observation) {
	if seen.source == plan.SourceEvents && seen.capsErr == nil && seen.engineErr == nil {
		ours := make(map[int64]bool)
		for _, r := range m.runners {
			if id := r.rec.Identity; id != nil && r.rec.Phase != plan.PhaseExited && r.rec.Phase != plan.PhaseRemoving {
				ours[id.ID] = true
			}
		}
		m.book.Expire(seen.at, func(runner int64) bool { return ours[runner] })
		m.noteLeft(seen)
	}
	m.keepBook(seen.at)
}

// noteLeft notes which jobs are left alone by runners that came online after
// everything else, which would have taken them.
func (m *Manager) noteLeft(seen *observation) {
	var took time.Time
	for _, at := range m.tookAt {
		if at.After(took) {
			took = at
		}
	}
	for name, r := range m.runners {
		if r.rec.Phase != plan.PhaseIdle || r.op != "" || r.job != nil || r.unsure != "" || r.gone || !r.rec.Since.After(took) || r.rec.Since.Before(m.answering) {
			continue
		}
		for _, j := range m.book.Left(name, r.rec.Since, seen.at, m.fits(r)) {
			m.log.Info("job taken for gone: runners that it fits have left it alone", "job", j.ID, "repo", j.Repo, "labels", strings.Join(j.Labels, ","))
		}
	}
}

// keepBook stores what has changed in the book, now or, if that fails, by another
// cycle.
func (m *Manager) keepBook(now time.Time) {
	maps.Copy(m.unsaved, m.book.Changes())
	if m.ports.History == nil || len(m.unsaved) == 0 {
		return
	}
	err := m.ports.History.PutJobs(m.unsaved)
	m.conditions.set("jobs told by events", text(err), now)
	if err == nil {
		clear(m.unsaved)
	}
}

// recallBook takes up what events have told before. What was missed since, the
// runners find out.
func (m *Manager) recallBook() {
	if m.ports.History == nil {
		return
	}
	stored, err := m.ports.History.Jobs()
	if err != nil {
		m.log.Warn("what events told of jobs before is not known", "err", err)
	}
	m.book.Restore(stored)
}
