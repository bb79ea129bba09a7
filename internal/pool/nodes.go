package pool

import (
	"errors"
	"fmt"
	"time"

	"scaler.io/scaler/internal/plan"
)

// placeDoubt is how long a runner may wait for a machine before that is a
// problem: an engine of many machines says at once that none has room, and one
// often has a moment later.
const placeDoubt = 10 * time.Second

// heed takes in what the engine says of a runner's container beside its state:
// that no machine has a place for it yet, or that its machine is to be emptied.
func (r *runner) heed(c plan.Container, now time.Time) {
	waits, leaves := "", ""
	if c.State == plan.ContainerRunning {
		if waits = c.Reason; c.Withdrawn {
			waits, leaves = "", c.Reason
		}
		r.noPlace = waits
	}
	if waits != "" && r.waits == "" {
		r.waitsSince = now
	}
	r.waits = waits
	switch {
	case leaves == "":
		r.leave = nil
	case r.leave == nil:
		r.leave = &plan.Pause{Since: now, By: "the engine", Reason: leaves, Drain: true}
	}
}

// leaveOf says who wants the runner to go, nil for nobody.
func (m *Manager) leaveOf(r *runner) *plan.Pause {
	if p := m.orders.drainedBy(r.rec.Name); p != nil {
		return p
	}
	return r.leave
}

// findPlaces heeds what the engine says of all containers, and notes which
// pools have a runner that finds no machine: a second one would only wait beside
// it.
func (m *Manager) findPlaces(seen *observation) {
	if seen.engineErr != nil {
		return
	}
	m.noPlace = make(map[string]string)
	long := make(map[string]string)
	for name, r := range m.runners {
		r.heed(seen.containers[name], seen.at)
		if r.waits == "" {
			continue
		}
		m.noPlace[r.rec.Pool] = r.waits
		if seen.at.Sub(r.waitsSince) >= placeDoubt {
			long[r.rec.Pool] = "its next runner waits for a machine: " + r.waits
		}
	}
	for pool := range m.breakers {
		m.conditions.set("place for pool "+pool, long[pool], seen.at)
	}
}

// lives reports whether a runner is still at work whose machine the engine has
// lost: the way between the two may be broken and the one to the server not. What
// is not known counts as alive.
func (r *runner) lives(v *scopeView) bool {
	if r.rec.Identity == nil {
		return false // it can have no job
	}
	if v == nil || v.err != nil {
		return true
	}
	s, listed := v.runners[r.rec.Identity.ID]
	return listed && s.Name == r.rec.ServerName() && s.Online || !listed && !v.listed
}

// killPause is how long a runner has to end after it was killed.
const killPause = 30 * time.Second

// killAgain reports whether it is time to kill the runner, and notes that it is
// done.
func (r *runner) killAgain(now time.Time) bool {
	if now.Sub(r.killedAt) < killPause {
		return false
	}
	r.killedAt = now
	return true
}

// reportLoss says that a job has gone with the machine that it ran on. The
// server finds out by itself, when it has heard nothing of it for long enough.
func (m *Manager) reportLoss(r *runner, c plan.Container) {
	if r.job == nil {
		m.log.Info("runner taken by the engine", "pool", r.rec.Pool, "runner", r.rec.Name, "reason", c.Reason)
		return
	}
	m.log.Warn("job lost", "pool", r.rec.Pool, "runner", r.rec.Name, "job", r.job.ID, "repo", r.job.Repo, "reason", c.Reason)
	rec := r.rec
	rec.Job = r.job.ID
	m.tellFailure(rec, fmt.Errorf("%s, and job %d of %s with it: run it again", c.Reason, r.job.ID, r.job.Repo))
}

// unreachable reports whether the engine cannot reach the files of containers.
func unreachable(err error) bool { return errors.Is(err, plan.ErrUnsupported) }
