package pool

import (
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
)

// tempo is what a pool did lately, for its ramp, its cool_down and the wait
// before surplus runners go. It is kept in memory; after a restart of the
// daemon the records tell most of it.
type tempo struct {
	starts  []time.Time // oldest first
	active  time.Time   // last start, or job that came to a runner
	surplus plan.Surplus
}

// tempoOf returns the tempo of a pool.
func (m *Manager) tempoOf(pool string) *tempo {
	t := m.tempos[pool]
	if t == nil {
		t = &tempo{}
		m.tempos[pool] = t
	}
	return t
}

// start notes that a runner is being started.
func (t *tempo) start(at time.Time) {
	t.starts = append(t.starts, at)
	t.active = at
}

// recent puts the tempo into the planner's terms, and forgets starts that are
// too long ago for the pace. The result does not change with the tempo.
func (t *tempo) recent(p plan.Pace, now time.Time) plan.Recent {
	if p.Starts == 0 {
		t.starts = t.starts[:0]
	}
	old := 0
	for old < len(t.starts) && now.Sub(t.starts[old]) >= p.Per {
		old++
	}
	t.starts = slices.Delete(t.starts, 0, old)
	return plan.Recent{Starts: slices.Clone(t.starts), Active: t.active, Surplus: t.surplus}
}

// recallTempos learns from the records when their runners were started and had
// jobs.
func (m *Manager) recallTempos() {
	for _, r := range m.runners {
		if r.rec.Phase == plan.PhaseStandby {
			continue
		}
		t, start := m.tempoOf(r.rec.Pool), r.rec.StartedAt
		if start.IsZero() {
			start = r.rec.CreatedAt
		}
		t.starts = append(t.starts, start)
		for _, at := range []time.Time{start, r.rec.LastJobAt} {
			if at.After(t.active) {
				t.active = at
			}
		}
	}
	for _, t := range m.tempos {
		slices.SortFunc(t.starts, time.Time.Compare)
	}
}

// noteJob notes the job that a runner has. It counts once.
func (m *Manager) noteJob(r *runner, now time.Time) {
	if r.rec.Job == r.job.ID {
		return
	}
	r.rec.Job, r.rec.LastJobAt = r.job.ID, now
	r.rec.Jobs++
	m.tempoOf(r.rec.Pool).active = now
}

// noteSurplus notes how many runners of each pool were not needed, where that
// is known.
func (m *Manager) noteSurplus(p plan.Plan, now time.Time) {
	for _, c := range p.Pools {
		if c.Surplus >= 0 {
			t := m.tempoOf(c.Name)
			t.surplus = t.surplus.Note(now, c.Surplus)
		}
	}
}
