package pool

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/register"
	"scaler.io/scaler/internal/state"
)

// adopt takes up containers of ours that have no record, as after the loss of
// the state: who they are stands in their .runner file.
func (m *Manager) adopt(ctx context.Context, seen *observation) {
	for name, c := range seen.containers {
		if m.runners[name] != nil {
			continue
		}
		subject := "container " + name
		if _, known := m.cfg.Pools[c.Pool]; !known && c.State == plan.ContainerCreated {
			m.conditions.set(subject, text(m.discard(ctx, c)), seen.at)
			continue
		}
		rec, err := m.recover(ctx, c, seen.at)
		if err != nil {
			m.conditions.set(subject, err.Error(), seen.at)
			continue
		}
		m.completeRecipe(&rec)
		r := &runner{rec: rec}
		if !m.save(r) {
			continue
		}
		m.conditions.set(subject, "", seen.at)
		m.runners[name] = r
		m.log.Info("container adopted", "pool", rec.Pool, "runner", name, "registered", rec.Identity != nil)
	}
}

// discard removes a container that was never started and has neither a record
// nor a pool: a daemon was killed while it was made, and its pool was removed
// before the next one ran. If its start is under way after all, the engine
// refuses. A runner that was registered for it is then a corpse at the server.
func (m *Manager) discard(ctx context.Context, c plan.Container) error {
	if err := m.ports.Engine.Remove(ctx, c.ID, false); err != nil {
		return fmt.Errorf("remove container %s, which was never started and whose pool %s is not configured: %w", c.ID, c.Pool, err)
	}
	m.ports.Meter.Reaped(plan.RemainsContainer, 1)
	m.log.Info("container removed that was never started and whose pool is not configured", "pool", c.Pool, "runner", c.Runner)
	m.tell(plan.Event{Kind: plan.EventOrphan, Pool: c.Pool, Runner: c.Runner, Text: "a container that was never started and whose pool is not configured"})
	return nil
}

// recover makes a record for a container that has none.
func (m *Manager) recover(ctx context.Context, c plan.Container, now time.Time) (state.Record, error) {
	opts, known := m.cfg.Pools[c.Pool]
	if !known {
		return state.Record{}, fmt.Errorf("container %s is ours and has no record, and its pool %s is not configured, so its scope is unknown: "+
			"it is left alone; configure the pool again, or remove the container and delete the runner %s in Gitea", c.ID, c.Pool, c.Runner)
	}
	rec := state.Record{
		Name: c.Runner, Pool: c.Pool, Token: opts.Token, Scope: m.scopeOf(c.Pool), ContainerID: c.ID,
		Ephemeral: opts.Ephemeral, DataDir: opts.DataDir, CreatedAt: now, Reason: "found as a container without a record",
	}
	if c.State != plan.ContainerCreated {
		rec.StartedAt = now
	}
	rec.Enter(plan.PhaseStarting, "adopted", now)
	data, err := m.ports.Inspector.ReadFile(ctx, c.ID, path.Join(opts.DataDir, register.DotRunnerName))
	switch {
	case errors.Is(err, plan.ErrNotFound):
		return rec, nil // it never got one
	case unreachable(err), err == nil && len(data) == 0: // it has been emptied
		return m.recoverByName(ctx, rec)
	case err != nil:
		return state.Record{}, fmt.Errorf("read .runner of container %s: %w", c.ID, err)
	}
	id, err := register.ParseDotRunner(data)
	if err != nil || id.Name != c.Runner && !m.madeName(id.Name) {
		return state.Record{}, fmt.Errorf("container %s has a .runner file that is not its own; it is left alone: %w", c.ID, err)
	}
	rec.Identity, rec.Ephemeral = &id, id.Ephemeral
	return rec, nil
}

// recoverByName finds a runner whose .runner file has been emptied at the
// server, by the name that was given to it alone. Its token is lost with the
// state; deleting it needs none. Where the server cannot delete runners it may
// have the identity of an earlier one, and then nothing tells who it is.
func (m *Manager) recoverByName(ctx context.Context, rec state.Record) (state.Record, error) {
	if rec.Concealed = true; m.caps.Product != "" && !m.caps.Delete {
		rec.Online = true // it had been, or the file would be there
		rec.Enter(plan.PhaseIdle, "adopted, and its identity was lost with the state", rec.CreatedAt)
		return rec, nil
	}
	list, err := m.ports.Forge.Runners(ctx, rec.Scope)
	if err != nil {
		return state.Record{}, fmt.Errorf("find runner %s at the server: %w", rec.Name, err)
	}
	for _, s := range list.Runners {
		if s.Name == rec.Name {
			rec.Identity = &plan.Identity{ID: s.ID, Name: s.Name, Ephemeral: s.Ephemeral}
			return rec, nil
		}
	}
	if !list.Complete {
		return state.Record{}, fmt.Errorf("find runner %s at the server: the list changed while it was read", rec.Name)
	}
	return rec, nil // its job is over, or it was deleted: it ends, or is ended
}
