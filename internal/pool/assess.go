package pool

import (
	"log/slog"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// assess moves each runner to the phase that the observation shows. A runner
// on which a step is under way is left to that step, but for the job that it
// has: that is always looked at. It returns the runners of which only their end
// is not stored yet.
func (m *Manager) assess(seen *observation) (ended []*runner) {
	m.conditions.set(plan.SubjectDocker, text(seen.engineErr), seen.at)
	for scope, v := range seen.scopes {
		m.conditions.set(plan.SubjectGitea+scope.String(), text(v.err), seen.at)
	}
	m.findPlaces(seen)
	defer m.noteUnsure(seen.at)
	var changed, moved []*runner
	for _, r := range m.runners {
		before := r.rec
		m.findJob(r, seen)
		m.meterWait(r, seen.at)
		if r.op != "" {
			continue
		}
		m.look(r, seen)
		now := r.rec
		learnt := now.Used != before.Used || now.Online != before.Online || now.Job != before.Job || now.Task != before.Task ||
			now.TaskOver != before.TaskOver || now.Lost != before.Lost
		switch {
		case !learnt && now.Phase != before.Phase && now.Phase == plan.PhaseExited:
			ended = append(ended, r)
		case learnt || now.Phase != before.Phase:
			changed = append(changed, r)
		}
		if r.rec.Phase != before.Phase {
			moved = append(moved, r)
		}
	}
	m.save(changed...)
	for _, r := range moved {
		m.pace.happens(seen.at)
		m.announce(r)
		if r.rec.Phase == plan.PhaseExited {
			m.meterDrain(r.rec, seen.at)
		}
	}
	for scope, v := range seen.scopes {
		if v.err == nil {
			m.jobsRead[scope] = seen.at
		}
	}
	return ended
}

// saveEnds stores the end of the runners that are not removed at once. That of
// the others is seen again, in their containers or in that these are gone, if
// the daemon dies before their records are deleted.
func (m *Manager) saveEnds(ended []*runner, p plan.Plan) {
	if len(ended) == 0 {
		return
	}
	removed := make(map[string]bool)
	for _, a := range p.Actions {
		removed[a.Runner] = removed[a.Runner] || a.Kind == plan.ActionRemove
	}
	m.save(slices.DeleteFunc(ended, func(r *runner) bool { return removed[r.rec.Name] })...)
}

// work names what a runner has: its job or, where that alone is known, its task.
func (r *runner) work() slog.Attr {
	if r.rec.Job == 0 {
		return slog.Int64("task", r.rec.Task)
	}
	return slog.Int64("job", r.rec.Job)
}

// announce logs that a runner has come into another phase.
func (m *Manager) announce(r *runner) {
	log := m.log.With("cycle", m.cycle, "pool", r.rec.Pool, "runner", r.rec.Name)
	switch r.rec.Phase {
	case plan.PhaseBusy:
		log.Info("runner has a job", r.work(), "repo", r.job.Repo)
	case plan.PhaseIdle:
		log.Info("runner is idle", "note", r.rec.Note)
	case plan.PhaseFinishing:
		log.Debug("runner has done its job", r.work())
	case plan.PhaseExited:
		log.Debug("runner has ended", "note", r.rec.Note)
	}
}

// findJob looks for an in_progress job that names the runner, by its id and by
// its name: a server that was restored from a backup gives ids out again. Where
// the server names no runners, their logs say which has a job.
func (m *Manager) findJob(r *runner, seen *observation) {
	r.job = nil
	v := seen.scopes[r.rec.Scope]
	if id := r.rec.Identity; v != nil && id != nil {
		if found, given := v.jobOf(id.ID, r.rec.ServerName()); given {
			j := found // only what a runner has is to outlive this
			r.job, r.jobSeen = &j, seen.at
		}
	}
	m.findTask(r, v, seen)
}

// look moves one runner, of which no step is under way, by what was seen.
func (m *Manager) look(r *runner, seen *observation) {
	if seen.engineErr == nil && m.ended(r, seen) {
		return
	}
	v := seen.scopes[r.rec.Scope]
	if r.job != nil {
		m.up(r, seen.at)
		m.noteJob(r, r.job, seen.at)
		r.rec.Used = r.rec.Used || r.rec.Ephemeral
		if r.rec.Phase == plan.PhaseStarting || r.rec.Phase == plan.PhaseIdle || r.rec.Phase == plan.PhaseFinishing {
			r.rec.Enter(plan.PhaseBusy, "has "+nameOf(r.job.ID, r.job.TaskID)+" of "+r.job.Repo, seen.at)
		}
		return
	}
	if v == nil || v.err != nil {
		return // whether it has a job is not known
	}
	switch {
	case r.rec.Phase == plan.PhaseIdle && r.rec.Ephemeral && r.rec.TaskOver:
		r.rec.Enter(plan.PhaseFinishing, nameOf(r.rec.Job, r.rec.Task)+" is over", seen.at)
	case r.rec.Phase == plan.PhaseBusy && r.rec.Ephemeral:
		r.rec.Enter(plan.PhaseFinishing, nameOf(r.rec.Job, r.rec.Task)+" is over", seen.at)
	case r.rec.Phase == plan.PhaseBusy:
		if b := m.breakers[r.rec.Pool]; b != nil && !b.token && !m.aside {
			b.succeed()
		}
		r.rec.LastJobAt = seen.at
		r.rec.Enter(plan.PhaseIdle, nameOf(r.rec.Job, r.rec.Task)+" is over", seen.at)
	case r.rec.Phase == plan.PhaseStarting && !seen.caps.Runners:
		m.comeOnline(r, seen)
	case r.rec.Phase == plan.PhaseStarting && r.rec.Identity != nil:
		if s, listed := v.runners[r.rec.Identity.ID]; listed && s.Online && s.Name == r.rec.ServerName() && !r.echoes(seen) {
			m.up(r, seen.at)
			r.rec.Enter(plan.PhaseIdle, "online", seen.at)
		}
	}
}

// onlineFor is how long after its last contact a server lists a runner as online
// (RunnerOfflineTime in models/actions/runner.go of Gitea and Forgejo).
const onlineFor = time.Minute

// echoes reports whether the server may list a runner as online on account of the
// one that had its identity before.
func (r *runner) echoes(seen *observation) bool {
	if r.rec.ServerName() == r.rec.Name {
		return false
	}
	if said, heard := seen.heard[r.rec.Name]; heard {
		return !said.online
	}
	return seen.at.Sub(r.rec.StartedAt) < onlineFor
}

// up notes that a runner has come online, and tells its pool's breaker.
func (m *Manager) up(r *runner, now time.Time) {
	if !r.rec.Online && !m.aside {
		m.cameOnline(r, now)
		m.meterBoot(r.rec, now)
		if b := m.breakers[r.rec.Pool]; b != nil {
			b.online()
		}
	}
	r.rec.Online = true
}

// ended finds out whether the runner's container has ended, or was never
// started because the daemon died in between.
func (m *Manager) ended(r *runner, seen *observation) bool {
	c, exists := seen.containers[r.rec.Name]
	if r.rec.Phase == plan.PhaseExited || r.rec.Phase == plan.PhaseRemoving {
		if exists && c.State == plan.ContainerRunning && !r.rec.Deregistered {
			m.revive(r, seen.at)
		}
		return true
	}
	if exists && r.rec.ContainerID == "" {
		r.rec.ContainerID = c.ID
	}
	if r.rec.Phase == plan.PhaseStandby && exists && r.rec.Identity != nil {
		switch c.State {
		case plan.ContainerCreated:
			return true // as it is to be
		case plan.ContainerRunning:
			r.rec.Enter(plan.PhaseStarting, "somebody else has started its container", seen.at)
		}
	}
	told := r.rec.Phase == plan.PhaseStopping
	if c.Lost() {
		if r.lives(seen.scopes[r.rec.Scope]) {
			return false
		}
		r.lost, r.rec.Lost = true, true
	}
	switch {
	case !exists && r.rec.Phase == plan.PhaseStarting:
		r.rec.Enter(plan.PhaseExited, "its start was interrupted, or its container was removed", seen.at)
	case !exists:
		r.rec.Enter(plan.PhaseExited, "its container is gone", seen.at)
	case c.State == plan.ContainerCreated:
		// It has never run, so nothing is lost by making another one.
		r.rec.Enter(plan.PhaseExited, "its start was interrupted", seen.at)
	case c.State == plan.ContainerExited || c.State == "dead":
		r.suspect = !told && !c.Withdrawn
		note := "its container has ended"
		if told {
			note = "stopped as told"
		}
		if c.Reason != "" {
			note = c.Reason
		}
		if c.Withdrawn {
			m.reportLoss(r, c)
		}
		r.rec.Enter(plan.PhaseExited, note, seen.at)
	default:
		if r.rec.StartedAt.IsZero() { // the daemon died before it could note it
			r.rec.StartedAt = seen.at
		}
		return false
	}
	return true
}

// revive takes back a runner whose container runs after all: its start was
// still under way in the engine when it was taken for interrupted.
func (m *Manager) revive(r *runner, now time.Time) {
	phase := plan.PhaseStarting
	switch {
	case r.rec.Signalled:
		phase = plan.PhaseStopping
	case r.rec.Used:
		phase = plan.PhaseFinishing
	}
	r.rec.Enter(phase, "its container runs after all", now)
	r.rec.StartedAt, r.suspect = now, false
	if m.aside {
		return
	}
	m.save(r)
	m.log.Info("runner taken back: its container runs after all", "pool", r.rec.Pool, "runner", r.rec.Name, "phase", phase)
}

func (m *Manager) scopeOf(pool string) plan.Scope {
	if p := m.cfg.Spec.Pool(pool); p != nil {
		return p.Scope
	}
	return plan.Scope{}
}

// costOf returns what a runner of the pool takes that is made now, nil if there
// is no such pool.
func (m *Manager) costOf(pool string) *plan.Resources {
	p := m.cfg.Spec.Pool(pool)
	if p == nil {
		return nil
	}
	cost := p.Cost
	return &cost
}

// save writes the records at once and says so if it cannot. In memory they stay
// as they are, and the next change writes them again.
func (m *Manager) save(runners ...*runner) bool {
	if len(runners) == 0 {
		return true
	}
	records := make([]state.Record, len(runners))
	for i, r := range runners {
		records[i] = r.rec
	}
	err := m.ports.Store.Put(records...)
	m.conditions.set(plan.SubjectState, text(err), time.Now())
	return err == nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
