package pool

import (
	"maps"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// keepEvery is how often it is stored how jobs arrive.
	keepEvery = time.Minute
	// countedFor is how long after it was last seen a job is remembered as
	// counted: it may drop out of a list that has changed while it was read.
	countedFor = 10 * time.Minute
	// forgetAfter is how long what is known of a pool that does not choose its
	// ready runners any more is kept.
	forgetAfter = 8 * 7 * 24 * time.Hour
)

// arrivals are how the jobs of the pools arrive that choose by themselves how
// many runners are ready. Only the loop uses them.
type arrivals struct {
	pools   map[string]*plan.Arrivals
	counted map[int64]time.Time // jobs, and when each was last seen
	stale   map[string][]byte   // pools of which nothing is to be kept, with nil
	keptAt  time.Time
}

func newArrivals() *arrivals {
	return &arrivals{pools: make(map[string]*plan.Arrivals), counted: make(map[int64]time.Time), stale: make(map[string][]byte)}
}

// recall takes up what is stored of the pools that need it. What cannot be read
// is learned anew.
func (m *Manager) recall(now time.Time) {
	stored := make(map[string][]byte)
	if m.ports.History != nil {
		var err error
		if stored, err = m.ports.History.Arrivals(); err != nil {
			m.log.Warn("how jobs arrived before is not known", "err", err)
		}
	}
	for i := range m.cfg.Spec.Pools {
		p := &m.cfg.Spec.Pools[i]
		if p.EverAuto() == nil || m.arrivals.pools[p.Name] != nil {
			continue
		}
		a := &plan.Arrivals{}
		if data, known := stored[p.Name]; known {
			if err := a.UnmarshalBinary(data); err != nil {
				m.log.Warn("how jobs arrived before is not known", "pool", p.Name, "err", err)
			}
		}
		m.arrivals.pools[p.Name] = a
	}
	for name, data := range stored {
		var a plan.Arrivals
		if m.arrivals.pools[name] == nil && (a.UnmarshalBinary(data) != nil || now.Sub(a.LookedAt()) >= forgetAfter) {
			m.arrivals.stale[name] = nil
		}
	}
}

// setReady chooses how many runners a pool keeps ready, where that is for the
// pool to choose.
func (m *Manager) setReady(p *plan.Pool, now time.Time) {
	if a := m.arrivals.pools[p.Name]; a != nil {
		p.SetReady(a, now)
	}
}

// count takes note of the jobs that this cycle has seen for the first time,
// waiting or already with a runner.
func (m *Manager) count(snap plan.Snapshot, p plan.Plan) {
	if len(m.arrivals.pools) == 0 || m.draining {
		return
	}
	came := m.came(snap, p)
	for i := range m.cfg.Spec.Pools {
		q := &m.cfg.Spec.Pools[i]
		a := m.arrivals.pools[q.Name]
		if _, unknown := snap.Unknown[q.Scope]; a != nil && !unknown && a.Look(snap.Now) {
			a.Add(snap.Now, came[q.Name], q.EverAuto().Wait)
		}
	}
	if snap.Now.Sub(m.arrivals.keptAt) < keepEvery {
		return
	}
	m.keepArrivals(snap.Now)
	if len(snap.Unknown) == 0 {
		maps.DeleteFunc(m.arrivals.counted, func(_ int64, at time.Time) bool { return snap.Now.Sub(at) >= countedFor })
	}
}

// came is how many jobs are new to each pool: to the one that is to serve it or
// does, or else to the first that could.
func (m *Manager) came(snap plan.Snapshot, p plan.Plan) map[string]int {
	came := make(map[string]int)
	var matcher *plan.Matcher
	for i := range p.Decisions {
		d := &p.Decisions[i]
		if !m.arrivals.isNew(d.Job.ID, snap.Now) {
			continue
		}
		name := d.Pool
		if name == "" {
			if matcher == nil {
				matcher = plan.NewMatcher(m.cfg.Spec.Pools)
			}
			if k := matcher.First(*d.Job); k >= 0 {
				name = m.cfg.Spec.Pools[k].Name
			}
		}
		came[name]++
	}
	// A free runner may take a job before a poll sees it wait.
	for _, r := range m.runners {
		if r.job == nil {
			continue
		}
		job := r.job.ID
		if job == 0 {
			job = -r.job.TaskID // what is known by its task alone
		}
		if m.arrivals.isNew(job, snap.Now) {
			came[r.rec.Pool]++
		}
	}
	return came
}

// isNew reports whether a job was not seen before, and notes that it is now.
func (a *arrivals) isNew(job int64, now time.Time) bool {
	_, known := a.counted[job]
	a.counted[job] = now
	return !known
}

// cameOnline notes how long a runner took to start. Of one that was started before
// the daemon it is not known when it came online.
func (m *Manager) cameOnline(r *runner, now time.Time) {
	if r.rec.Phase != plan.PhaseStarting || r.rec.Since.Before(m.started) {
		return
	}
	took := now.Sub(r.rec.Since)
	if a := m.arrivals.pools[r.rec.Pool]; a != nil {
		a.Started(took)
	}
	m.noteBoot(took, now)
}

// keepArrivals stores how jobs arrive. A failure costs at most what is learned
// until it is over.
func (m *Manager) keepArrivals(now time.Time) {
	m.arrivals.keptAt = now
	if m.ports.History == nil || len(m.arrivals.pools)+len(m.arrivals.stale) == 0 {
		return
	}
	pools := maps.Clone(m.arrivals.stale)
	for name, a := range m.arrivals.pools {
		pools[name], _ = a.MarshalBinary()
	}
	err := m.ports.History.PutArrivals(pools)
	m.conditions.set("arrivals", text(err), now)
	if err == nil {
		clear(m.arrivals.stale)
	}
}
