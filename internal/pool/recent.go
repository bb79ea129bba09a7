package pool

import (
	"cmp"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
)

// recentOf is what a pool did lately, for its ramp, its cool_down and the wait
// before surplus runners go. It is kept in memory; after a restart of the daemon
// the records tell most of it.
func (m *Manager) recentOf(pool string) *plan.Recent {
	r := m.recent[pool]
	if r == nil {
		r = &plan.Recent{}
		m.recent[pool] = r
	}
	return r
}

// recallRecent learns from the records when their runners were started and had
// jobs.
func (m *Manager) recallRecent() {
	for _, r := range m.runners {
		if r.rec.Phase == plan.PhaseStandby {
			continue
		}
		recent, start := m.recentOf(r.rec.Pool), r.rec.StartedAt
		if start.IsZero() {
			start = r.rec.CreatedAt
		}
		recent.Starts = append(recent.Starts, start)
		for _, at := range []time.Time{start, r.rec.LastJobAt} {
			if at.After(recent.Active) {
				recent.Active = at
			}
		}
	}
	for _, recent := range m.recent {
		slices.SortFunc(recent.Starts, time.Time.Compare)
	}
}

// noteJob notes the job that a runner has. It counts once, whether it is known by
// its own number, by that of the task, or by one first and by the other later.
func (m *Manager) noteJob(r *runner, job *plan.Job, now time.Time) {
	rec := &r.rec
	switch {
	case job.TaskID != 0 && job.TaskID == rec.Task:
		rec.Job = cmp.Or(job.ID, rec.Job)
		return
	case job.ID != 0 && job.ID == rec.Job:
		rec.Task, rec.TaskOver = cmp.Or(job.TaskID, rec.Task), false
		return
	}
	rec.Job, rec.Task, rec.TaskOver, rec.LastJobAt = job.ID, job.TaskID, false, now
	m.tookAt[rec.Pool] = now
	r.rec.Jobs++
	m.recentOf(r.rec.Pool).Active = now
}

// noteSurplus notes how many runners of each pool were not needed, where that
// is known.
func (m *Manager) noteSurplus(p plan.Plan, now time.Time) {
	for _, c := range p.Pools {
		m.recentOf(c.Name).NoteSurplus(now, c.Surplus)
	}
}
