package pool

import (
	"context"
	"fmt"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// enrolRetry is how soon a registration looks again whether the step that
// starts its container is done.
const enrolRetry = 20 * time.Millisecond

// makeSelfRegistered creates a container that registers itself: its only token
// is good for one registration under the runner's own name.
func (m *Manager) makeSelfRegistered(ctx context.Context, s step) (state.Record, error) {
	rec, self := s.rec, s.opts.SelfRegister
	rec.Unregistered = false // it registers once it is started
	token, err := m.ports.Issuer.Issue(ctx, rec.Name, rec.Pool, rec.Scope, labelNames(s.opts.Labels), time.Now().Add(self.TokenLifetime))
	if err != nil {
		rec.Unregistered = true
		return rec, fmt.Errorf("issue registration token: %w", err)
	}
	rec.ContainerID, err = m.create(ctx, rec.Pool, rec.Name, &plan.Launch{Env: self.Env(rec.Name, token)})
	if err != nil {
		rec.Unregistered = true // what was not started registers nothing
	}
	rec.Recipe.Image = m.imageOf(rec.Pool)
	return rec, err
}

func labelNames(labels []plan.Label) []string {
	names := make([]string, 0, len(labels))
	for _, l := range labels {
		names = append(names, l.Name)
	}
	return names
}

// Enrolled takes note of what the server gave a runner whose container has
// registered itself, and returns once it is on disk. Errors wrap
// plan.ErrNotFound for a runner that is not ours, and plan.ErrConflict for one
// that is registered already or on its way out.
func (m *Manager) Enrolled(ctx context.Context, name string, id plan.Identity) error {
	for {
		var busy bool
		var err error
		if askErr := m.ask(ctx, func() { busy, err = m.enrol(name, id) }); askErr != nil {
			return fmt.Errorf("note registration of runner %s: %w", name, askErr)
		}
		if !busy {
			return err
		}
		select { // its start is about to be confirmed
		case <-time.After(enrolRetry):
		case <-ctx.Done():
			return fmt.Errorf("note registration of runner %s: %w", name, context.Cause(ctx))
		}
	}
}

// enrol is called by the loop. It reports busy while a step is under way,
// which alone may change the record.
func (m *Manager) enrol(name string, id plan.Identity) (busy bool, err error) {
	r := m.runners[name]
	switch {
	case r == nil:
		return false, fmt.Errorf("runner %s: %w", name, plan.ErrNotFound)
	case r.op != "":
		return true, nil
	case r.rec.Phase != plan.PhaseStarting || r.rec.Identity != nil:
		return false, fmt.Errorf("register runner %s: %w: it is in phase %s", name, plan.ErrConflict, r.rec.Phase)
	}
	id.Labels = id.Labels[:0:0]
	for _, l := range m.optionsOf(r.rec.Pool).Labels {
		id.Labels = append(id.Labels, l.String())
	}
	rec := r.rec
	rec.Identity = &id
	if err := m.ports.Store.Put(rec); err != nil {
		return false, err
	}
	r.rec = rec
	m.log.Info("runner has registered itself", "cycle", m.cycle, "pool", rec.Pool, "runner", name, "id", id.ID)
	m.Trigger()
	return false, nil
}
