package pool

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/register"
	"scaler.io/scaler/internal/state"
)

// concealWithin is how long after its start a runner's .runner file may wait to
// be emptied while as many runners are being started as the engine sustains: it
// costs the engine a fifth of a start.
const concealWithin = time.Minute

// toConceal reports whether the runner's .runner file is to be emptied.
func (r *runner) toConceal() bool {
	return r.rec.Online && r.rec.Ephemeral && !r.rec.Concealed && (r.rec.Phase == plan.PhaseIdle || r.rec.Phase == plan.PhaseBusy)
}

// concealSome begins to empty the .runner files of runners that have read them,
// those that were started first before others. It takes the places in the engine
// that no start wants, and for files that have waited for concealWithin half of
// the places, even so.
func (m *Manager) concealSome(ctx context.Context) {
	now := time.Now()
	var waiting []*runner
	for _, r := range m.runners {
		if r.op == "" && r.toConceal() && !now.Before(r.retryAt) {
			waiting = append(waiting, r)
		}
	}
	slices.SortFunc(waiting, func(a, b *runner) int { return a.rec.StartedAt.Compare(b.rec.StartedAt) })
	places := m.starts.bound()
	free, ofOverdue := places-m.making()-m.under[opConceal], max(places/2, 1)-m.under[opConceal]
	for _, r := range waiting {
		overdue := now.Sub(r.rec.StartedAt) >= concealWithin
		if free <= 0 && (!overdue || ofOverdue <= 0) {
			return
		}
		m.begin(ctx, r, opConceal, evidence{})
		free, ofOverdue = free-1, ofOverdue-1
	}
}

// conceal empties the .runner file of an ephemeral runner that has read it, so
// that no job on the same file system finds the runner's own token there. The
// file that a container has written itself is read before.
func (m *Manager) conceal(ctx context.Context, s step) result {
	rec, opts := s.rec, s.opts
	file := path.Join(dataDir(rec, opts), register.DotRunnerName)
	if opts.SelfRegister != nil {
		if id, err := m.readBack(ctx, rec, file); err == nil {
			rec.Identity = &id
		}
	}
	err := m.ports.Inspector.WriteFile(ctx, rec.ContainerID, plan.File{Path: file, Mode: 0o600})
	if err != nil && !errors.Is(err, plan.ErrNotFound) && !unreachable(err) {
		return result{rec: s.rec, err: err}
	}
	rec.Concealed = true // or as well as this engine can
	return result{rec: rec, err: m.ports.Store.Put(rec)}
}

// readBack returns the identity as the container has written it, if it is the
// one that the server gave.
func (m *Manager) readBack(ctx context.Context, rec state.Record, file string) (plan.Identity, error) {
	data, err := m.ports.Inspector.ReadFile(ctx, rec.ContainerID, file)
	if err != nil {
		return plan.Identity{}, err
	}
	id, err := register.ParseDotRunner(data)
	if err != nil {
		return plan.Identity{}, err
	}
	known := rec.Identity
	if id.ID != known.ID || id.UUID != known.UUID || id.Token != known.Token {
		return plan.Identity{}, fmt.Errorf("read .runner of runner %s: it is another's", rec.Name)
	}
	id.Name = known.Name
	return id, nil
}
