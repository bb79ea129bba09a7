package pool

import (
	"cmp"
	"fmt"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

const (
	// toldAtOnce is how many events of one kind about jobs one cycle tells at
	// most. Of more it tells how many there are.
	toldAtOnce = 50
	// forgetJobs is how long a job is remembered that is not seen any more, where
	// the lists are too long to prove that it waits no more.
	forgetJobs = time.Hour
)

// told is what the journal has been told, so that it is told of changes only.
// It is kept in memory: after a restart the jobs that wait are told anew.
type told struct {
	jobs     map[int64]toldJob // those that wait
	breakers map[string]bool   // pools whose breaker is open
	refused  map[string]bool   // registration tokens that cannot be used
}

// toldJob is what was told of a job.
type toldJob struct {
	seen  time.Time                  // when it was last seen waiting
	repo  string                     // "owner/name"
	kinds map[plan.ObstacleKind]bool // why it was not served, each told once
}

func newTold() told {
	return told{jobs: make(map[int64]toldJob), breakers: make(map[string]bool), refused: make(map[string]bool)}
}

// tell tells the journal, if there is one.
func (m *Manager) tell(e plan.Event) {
	if m.ports.Journal != nil {
		e.Server = m.server
		m.ports.Journal.Add(e)
	}
}

// chronicle tells what a cycle has found changed.
func (m *Manager) chronicle(spec plan.Spec, snap plan.Snapshot, seen *observation, p plan.Plan) {
	if m.ports.Journal == nil {
		return
	}
	for _, r := range m.runners {
		m.tellPhases(r)
	}
	m.tellBreakers(seen.at)
	m.tellTokens(spec)
	if !m.draining { // the queue is not read then
		m.tellJobs(snap, seen, p)
	}
}

// tellPhases tells the phases that a runner has come into.
func (m *Manager) tellPhases(r *runner) {
	steps := r.rec.History
	for ; r.told < len(steps); r.told++ {
		s := steps[r.told]
		e := plan.Event{At: s.At, Kind: plan.EventRunner, Pool: r.rec.Pool, Runner: r.rec.Name, Phase: s.Phase, Job: r.rec.Job, Text: s.Note}
		if r.told == 0 {
			e.Text = cmp.Or(s.Note, r.rec.Reason)
		}
		if s.Phase == plan.PhaseBusy && r.job != nil {
			e.Repo = r.job.Repo
		}
		m.tell(e)
	}
}

// tellFailure tells how a runner has failed.
func (m *Manager) tellFailure(rec state.Record, err error) {
	m.tell(plan.Event{Kind: plan.EventRunnerFailed, Pool: rec.Pool, Runner: rec.Name, Job: rec.Job, Text: err.Error()})
}

// tellBreakers tells which breakers have opened or closed.
func (m *Manager) tellBreakers(now time.Time) {
	opened := make(map[string]bool)
	for _, name := range m.poolNames() {
		b := m.breakers[name]
		open := b.probing || now.Before(b.until)
		opened[name] = open
		switch {
		case open == m.told.breakers[name]:
		case open:
			m.tell(plan.Event{At: now, Kind: plan.EventBreakerOpened, Pool: name, Text: b.message})
		default:
			m.tell(plan.Event{At: now, Kind: plan.EventBreakerClosed, Pool: name, Text: "its runners come online again"})
		}
	}
	m.told.breakers = opened
}

// tellTokens tells which registration tokens cannot be used any more. Most pools
// share one, so that it is told once.
func (m *Manager) tellTokens(spec plan.Spec) {
	refused := make(map[string]bool)
	for _, p := range spec.Pools {
		b, token := m.breakers[p.Name], m.cfg.Pools[p.Name].Token
		unusable := b.token || p.Hold != "" && p.HoldKind == plan.ObstacleToken
		if unusable && !refused[token] && !m.told.refused[token] {
			m.tell(plan.Event{Kind: plan.EventTokenRefused, Pool: p.Name, Text: cmp.Or(p.Hold, b.message)})
		}
		refused[token] = refused[token] || unusable
	}
	m.told.refused = refused
}

// tellJobs tells which jobs have come, which are not served and why, and which
// wait no more.
func (m *Manager) tellJobs(snap plan.Snapshot, seen *observation, p plan.Plan) {
	come := burst{kind: plan.EventJobQueued, tell: m.tell, at: seen.at}
	unserved := burst{kind: plan.EventJobUnserved, tell: m.tell, at: seen.at}
	for _, d := range p.Decisions {
		j, known := m.told.jobs[d.Job.ID]
		if !known {
			j = toldJob{repo: d.Job.Repo}
			come.add(plan.Event{Job: d.Job.ID, Repo: j.repo, Pool: d.Pool, Text: d.Job.Name})
		}
		if !d.Served() && d.Kind != plan.ObstaclePeer && !j.kinds[d.Kind] {
			if j.kinds == nil {
				j.kinds = make(map[plan.ObstacleKind]bool, 1)
			}
			j.kinds[d.Kind] = true
			unserved.add(plan.Event{Job: d.Job.ID, Repo: j.repo, Text: d.Reason})
		}
		j.seen = seen.at
		m.told.jobs[d.Job.ID] = j
	}
	come.end()
	unserved.end()
	m.tellGone(snap, seen)
}

// tellGone tells which jobs wait no more. Only complete lists prove that of one
// that does not run.
func (m *Manager) tellGone(snap plan.Snapshot, seen *observation) {
	gone := burst{kind: plan.EventJobGone, tell: m.tell, at: seen.at}
	complete := len(snap.Unknown) == 0 && seen.queueSize(len(snap.Jobs)) <= len(snap.Jobs)
	running := make(map[int64]string)
	for _, v := range seen.scopes {
		for j := range v.allRunning() {
			running[j.ID] = j.RunnerName
		}
	}
	for id, j := range m.told.jobs {
		runner, runs := running[id]
		switch {
		case j.seen.Equal(seen.at):
			continue
		case runs:
			gone.add(plan.Event{Job: id, Repo: j.repo, Runner: runner, Text: "it runs"})
		case complete:
			gone.add(plan.Event{Job: id, Repo: j.repo, Text: "it waits no more"})
		case seen.at.Sub(j.seen) < forgetJobs:
			continue
		}
		delete(m.told.jobs, id)
	}
	gone.end()
}

// burst tells of many alike no more than people can read.
type burst struct {
	kind plan.EventKind
	tell func(plan.Event)
	at   time.Time
	n    int
}

func (b *burst) add(e plan.Event) {
	if b.n++; b.n <= toldAtOnce {
		e.At, e.Kind = b.at, b.kind
		b.tell(e)
	}
}

// end tells how many were not told.
func (b *burst) end() {
	if more := b.n - toldAtOnce; more > 0 {
		b.tell(plan.Event{At: b.at, Kind: b.kind, Text: fmt.Sprintf("and %d more jobs", more)})
	}
}
