package pool

import (
	"context"
	"errors"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// disable has the server give the runner no more jobs. What it was asked for
// before may still be answered with one: that is waited for.
func (m *Manager) disable(ctx context.Context, s step) result {
	rec := s.rec
	rec.Enter(plan.PhaseDraining, rec.Note, time.Now())
	if err := m.ports.Store.Put(rec); err != nil {
		return result{rec: s.rec, err: err}
	}
	res := result{rec: rec}
	if rec.Identity != nil {
		res.err = m.ports.Forge.SetRunnerDisabled(ctx, rec.Scope, rec.Identity.ID, true)
		if errors.Is(res.err, plan.ErrUnsupported) {
			res.cannotDisable = true
			res.err = m.ports.Voice.Withdraw(ctx, *rec.Identity, m.version)
		}
	}
	if res.err != nil && !errors.Is(res.err, plan.ErrNotFound) { // one that is gone gets no job either
		return res
	}
	rec.Disabled, rec.Since = true, time.Now()
	res.rec, res.err = rec, m.ports.Store.Put(rec)
	return res
}

// stop tells the runner to stop. If a job has come to it after all, it
// finishes that first: its shutdown_timeout says how long it may take.
func (m *Manager) stop(ctx context.Context, s step) result {
	rec := s.rec
	if t, err := m.lastWords(ctx, s); err != nil || t != nil {
		return result{rec: rec, err: err, busy: t != nil}
	}
	rec.Enter(plan.PhaseStopping, rec.Note, time.Now())
	if err := m.ports.Store.Put(rec); err != nil {
		return result{rec: s.rec, err: err}
	}
	if err := m.ports.Engine.Signal(ctx, rec.ContainerID, "SIGTERM"); err != nil {
		return result{rec: rec, err: err}
	}
	rec.Signalled = true
	return result{rec: rec, err: m.ports.Store.Put(rec)}
}

// kill ends a runner that does not obey, unless its log tells of a job.
func (m *Manager) kill(ctx context.Context, s step) result {
	if t, err := m.lastWords(ctx, s); err != nil || t != nil {
		return result{rec: s.rec, err: err, busy: t != nil}
	}
	return result{rec: s.rec, err: m.ports.Engine.Signal(ctx, s.rec.ContainerID, "SIGKILL")}
}

// remove deregisters a runner whose container has ended and removes the
// container. The record is forgotten last, by forget, so that all of it can be
// done again from the beginning.
func (m *Manager) remove(ctx context.Context, s step) result {
	rec := s.rec
	end, err := m.inquire(ctx, s)
	switch {
	case err != nil:
		return result{rec: rec, err: err}
	case end.state == plan.ContainerRunning:
		return result{rec: rec, alive: true}
	}
	// That it has ended is stored, and all of this can be done again: the phase
	// is for people.
	rec.Enter(plan.PhaseRemoving, end.note, time.Now())
	// The start of a container that has never run may still be under way in
	// the engine, from a daemon that has died. Once it is removed it cannot
	// come to life, and take a job, with a runner that is being deregistered.
	if end.state == plan.ContainerCreated {
		if err := m.ports.Engine.Remove(ctx, rec.ContainerID, false); err != nil {
			return result{rec: rec, err: err}
		}
	}
	if s.end.unlisted {
		rec.Deregistered = true
	}
	rec.Lost = rec.Lost || end.lost
	kept := false
	if !rec.Deregistered {
		rec.Existed, err = m.deregister(ctx, rec)
		switch {
		case errors.Is(err, plan.ErrUnsupported):
			kept = true // what remains of it is for forget, once its container is gone
		case err != nil:
			return result{rec: rec, err: err}
		default:
			rec.Deregistered = true
		}
	}
	if rec.ContainerID != "" {
		if err := m.ports.Engine.Remove(ctx, rec.ContainerID, false); err != nil {
			return result{rec: rec, err: err}
		}
	}
	if s.opts.SelfRegister != nil {
		if err := m.ports.Issuer.Retire(ctx, rec.Name); err != nil {
			return result{rec: rec, err: err}
		}
	}
	res := result{rec: rec, gone: true, kept: kept}
	if !s.end.leftNothing || len(rec.JobContainers) > 0 {
		res.sweepErr = m.clearJobs(ctx, rec)
	}
	res.worked, res.verdict = end.judge(rec)
	return res
}

// How long the record of a runner that is gone waits for others, to be deleted
// together with them: each sync holds up the engine, where it uses the same disk.
// It is short while jobs wait, to which the place of the runner is of use; and the
// first job that comes ends it.
const (
	togetherFor  = 500 * time.Millisecond
	togetherSoon = 25 * time.Millisecond
)

// patience is how long the record of a runner that goes now may wait.
func (m *Manager) patience() time.Duration {
	if m.jobsWait {
		return togetherSoon
	}
	return togetherFor
}

// forget ends a removal. It needs no place in the engine.
func (m *Manager) forget(res result, patience time.Duration) result {
	if !res.gone {
		return res
	}
	err := error(nil)
	if res.kept {
		err = m.ports.Store.Keep(res.rec.Name, corpseOf(res.rec, time.Now()), patience)
	} else {
		err = m.ports.Store.Delete(res.rec.Name, patience)
	}
	if err != nil {
		return result{rec: res.rec, err: err}
	}
	return res
}

// deregister deletes the runner at the server. Without an identity the
// registration may still have happened, with its answer lost. The error wraps
// plan.ErrUnsupported if the server has no way to delete it.
func (m *Manager) deregister(ctx context.Context, rec state.Record) (existed bool, err error) {
	switch {
	case rec.Identity != nil:
		err = m.measured(rec.Pool, plan.SpanDeregister, func() (err error) {
			existed, err = m.ports.Registrar.Deregister(ctx, rec.Scope, *rec.Identity)
			return err
		})
		return existed, err
	case rec.Unregistered:
		return false, nil
	}
	n, err := m.ports.Registrar.Forget(ctx, rec.Scope, rec.Name)
	return n > 0, err
}
