package pool

import (
	"context"
	"fmt"
	"maps"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/register"
	"scaler.io/scaler/internal/state"
)

// exitNoTask is how Forgejo's runner ends that has got no job, from 13 on; before
// it ended by 1, as after any failure.
const exitNoTask = 2

// launchOf says how the runner is started in its container, nil where that is not
// ours to say. Which program an image has that nobody has named depends on the
// server.
func (m *Manager) launchOf(ctx context.Context, rec state.Record, opts Options) (*plan.Launch, error) {
	if opts.Launched {
		return nil, nil
	}
	program := opts.Program
	if program == "" {
		caps, err := m.ports.Forge.Capabilities(ctx)
		if err != nil && caps.Product == "" {
			return nil, failing(plan.FailedCreate, fmt.Errorf("choose the command of runner %s: %w", rec.Name, err))
		}
		program = register.ProgramOf(caps.Product)
	}
	handle := ""
	if rec.Bound != nil {
		handle = rec.Bound.Handle
	}
	return register.Launch(program, dataDir(rec, opts), rec.Ephemeral, handle), nil
}

// setBinding says whether runners of the pool are started for one job alone, and
// whether they ask for any each time. Both takes the one-job mode of Forgejo's
// runner.
func (m *Manager) setBinding(p *plan.Pool) {
	opts := m.cfg.Pools[p.Name]
	program := opts.Program
	if program == "" {
		program = register.ProgramOf(m.caps.Product)
	}
	p.Eager = program == register.ProgramForgejo && opts.Ephemeral && !opts.Launched && opts.SelfRegister == nil
	p.Binds = p.Eager && m.caps.Bind
}

// noteMissed remembers the attempts whose runner has run and not got them. What
// waits by the server's word may not be to be had, as a job whose concurrency group
// is busy: the next runner for it is bound to none, and waits.
func (m *Manager) noteMissed(now time.Time) {
	for _, r := range m.runners {
		b := r.rec.Bound
		if b == nil || r.job != nil || r.rec.Used || r.rec.StartedAt.IsZero() {
			continue
		}
		switch r.rec.Phase {
		case plan.PhaseDraining, plan.PhaseStopping, plan.PhaseExited, plan.PhaseRemoving:
			m.missed[b.Handle] = now
		}
	}
}

// unbindMissed takes the handles of such attempts away, and forgets those that wait
// no more.
func (m *Manager) unbindMissed(snap *plan.Snapshot) {
	m.noteMissed(snap.Now)
	wait := make(map[string]bool, len(m.missed))
	for i := range snap.Jobs {
		j := &snap.Jobs[i]
		if _, missed := m.missed[j.Handle]; missed {
			wait[j.Handle] = true
			j.Handle = ""
		}
	}
	maps.DeleteFunc(m.missed, func(handle string, at time.Time) bool {
		return !wait[handle] && len(snap.Unknown) == 0 && snap.Now.Sub(at) >= missedAge
	})
}

// missedAge is how long an attempt that was missed is remembered at least: it may
// not be listed while its runner still is on its way out.
const missedAge = time.Minute

// missedJob reports whether a bound runner ended since its job was not to be had,
// which is no failure of its own.
func (e ending) missedJob(rec state.Record) bool {
	return rec.Bound != nil && e.coded && (e.code == exitNoTask || e.code == 1 && rec.Online)
}
