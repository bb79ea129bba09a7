package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// A server that cannot delete runners (Gitea < 1.24, Forgejo < 15) would list
// each runner that ever was for good. There the identity of a runner of which
// nothing is left is kept, and given to the next one of its scope.

// enlist gives a runner that is to be made an identity: a spare one where the
// server cannot delete what it has, else a new one. Labels and what else there is
// to a registration are the same for both.
func (m *Manager) enlist(ctx context.Context, s step) (state.Record, error) {
	rec, reg := s.rec, plan.Registration{Name: s.rec.Name, Labels: s.opts.Labels, Ephemeral: s.rec.Ephemeral, Version: m.version}
	if s.keepsIdentities() && !s.keepSpares {
		var err error
		if rec, err = m.reuse(ctx, rec, reg); err != nil || rec.Identity != nil {
			return rec, err
		}
	}
	if rec.Unregistered {
		rec.Unregistered = false // from now on it may be, with the answer lost
		if err := m.ports.Store.Put(rec); err != nil {
			return s.rec, err
		}
	}
	id, err := m.ports.Registrar.Register(ctx, rec.Token, reg)
	switch {
	case err == nil:
		rec.Identity = &id
		err = m.ports.Store.Put(rec)
	case errors.Is(err, plan.ErrTokenRejected):
		rec.Unregistered = true
	}
	return rec, err
}

// keepsIdentities reports whether the server is known to be one that cannot delete
// runners. There it is noted before a registration that one is to be made: without
// that, each start that a crash cuts short would leave a corpse that people look
// for in vain.
func (s step) keepsIdentities() bool { return s.caps.Product != "" && !s.caps.Delete }

// reuse gives a runner the spare identity that has not been used for longest and
// that the server still knows, if there is one. It is the runner's from the moment
// that this is on disk, so that whatever follows it goes back with the runner.
func (m *Manager) reuse(ctx context.Context, rec state.Record, reg plan.Registration) (state.Record, error) {
	for {
		taken, found, err := m.ports.Store.TakeSpare(rec)
		if err != nil || !found {
			return rec, err
		}
		name := taken.Identity.Name
		taken.Unregistered = false
		id, err := m.ports.Registrar.Reuse(ctx, *taken.Identity, reg)
		switch {
		case err == nil:
			taken.Identity = &id
			return taken, m.ports.Store.Put(taken)
		case !errors.Is(err, plan.ErrNotFound):
			return taken, fmt.Errorf("give runner %s the identity of %s: %w", rec.Name, name, err)
		}
		m.log.Info("spare identity dropped: the server does not know it any more", "pool", rec.Pool, "runner", rec.Name, "identity", name, "err", err)
		if err := m.ports.Store.Put(rec); err != nil {
			return rec, err
		}
	}
}

// corpseOf is what remains at the server of a runner of which nothing else does,
// and whose deletion it does not support. It is spare unless somebody else may
// still be using it.
func corpseOf(rec state.Record, now time.Time) plan.Corpse {
	c := plan.Corpse{Scope: rec.Scope, Since: now}
	if rec.Identity == nil {
		c.Identity.Name = rec.Name
		if c.Why = "the answer to its registration was lost: it may not exist"; rec.Concealed {
			c.Why = "its identity was lost with an earlier state: it may have this name or that of an earlier runner"
		}
		return c
	}
	c.Identity = *rec.Identity
	c.Identity.Name = rec.ServerName()
	switch {
	case rec.Lost:
		c.Why = "the machine of its container was lost with it: it may still run there"
	case c.Identity.ID == 0 || c.Identity.UUID == "" || c.Identity.Token == "":
		c.Why = "its token was lost with an earlier state"
	default:
		c.Spare, c.Why = true, "runner "+rec.Name+" has ended"
	}
	return c
}

// mayBeInUse says why no identity may be taken from the spare ones now, or
// deleted: a container of ours is there of which it is not known whose identity
// it has, as after an older copy of the state was put back.
func (m *Manager) mayBeInUse(seen *observation) string {
	if seen.engineErr != nil {
		return "the containers are not known"
	}
	for name, c := range seen.containers {
		r := m.runners[name]
		if r == nil || c.State != plan.ContainerCreated && r.rec.Identity == nil && r.rec.Concealed {
			return "it is not known which identity container " + name + " has"
		}
	}
	return ""
}
