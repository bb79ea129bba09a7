package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// clearPace is how soon after the last try the corpses that are known are tried to
// be deleted, and clearAtOnce how many of them one try takes.
const (
	clearPace   = 30 * time.Second
	clearAtOnce = 20
)

// kept are the corpses that the server could not delete.
type kept struct {
	list  []plan.Corpse // as of the last cycle
	shown []plan.CorpseStatus
	stale bool // steps may have changed them since
	// inUse says why a runner may have one of their identities all the same, empty
	// if none has.
	inUse     string
	clearing  bool // some of them are being deleted
	clearedAt time.Time
}

// recallCorpses reads the corpses that the server cannot delete, which are shown,
// if steps may have changed them.
func (m *Manager) recallCorpses(now time.Time) {
	if !m.kept.stale {
		return
	}
	all, err := m.ports.Store.Corpses()
	if err != nil {
		m.conditions.set(plan.SubjectState, err.Error(), now)
		return
	}
	m.kept.list, m.kept.stale = all, false
	m.kept.shown = m.showCorpses(all)
}

// showCorpses says of corpses what may be shown, with the pages on which they can
// be deleted. While it is not known which server it is they are shown without.
func (m *Manager) showCorpses(list []plan.Corpse) []plan.CorpseStatus {
	if len(list) == 0 {
		return nil
	}
	m.kept.stale = m.caps.Product == ""
	shown := make([]plan.CorpseStatus, 0, len(list))
	for _, c := range list {
		s := c.Status()
		if !m.kept.stale && s.ID != 0 && m.ports.Pages != nil {
			s.URL = m.ports.Pages.RunnerPage(m.caps, c.Scope, s.ID)
		}
		shown = append(shown, s)
	}
	return shown
}

// ForgetCorpses takes corpses that somebody has deleted at the server out of the
// list, and returns their names. The error wraps plan.ErrInvalid if none is named,
// and plan.ErrNotFound if one is named that there is not.
func (m *Manager) ForgetCorpses(ctx context.Context, actor string, f plan.ForgetCorpses) (forgotten []string, err error) {
	if f.All == (len(f.Names) > 0) {
		return nil, fmt.Errorf("forget corpses: %w: name some, or all", plan.ErrInvalid)
	}
	err = m.order(ctx, "forget corpses", "", func() error {
		if forgotten, err = m.forgetCorpses(actor, f); err != nil {
			return err
		}
		if i := slices.IndexFunc(f.Names, func(name string) bool { return !slices.Contains(forgotten, name) }); i >= 0 {
			return fmt.Errorf("corpse %s: %w: scaler corpses has the names", f.Names[i], plan.ErrNotFound)
		}
		return nil
	})
	return forgotten, err
}

func (m *Manager) forgetCorpses(actor string, f plan.ForgetCorpses) ([]string, error) {
	forgotten, err := m.ports.Store.ForgetCorpses(f, &plan.AuditEntry{At: time.Now(), Action: "corpse.forget", Actor: actor})
	m.kept.stale = true
	if err == nil && len(forgotten) > 0 {
		m.log.Info("corpses forgotten", "by", actor, "names", strings.Join(forgotten, ", "))
	}
	return forgotten, err
}

// bury keeps in mind a corpse that the server cannot delete.
func (m *Manager) bury(c corpse) {
	err := m.ports.Store.PutCorpse(plan.Corpse{
		Identity: plan.Identity{ID: c.id, Name: c.name}, Scope: c.scope, Since: m.corpses[c], Why: "offline at the server, with neither record nor container",
	})
	m.conditions.set("corpse "+c.name, text(err), time.Now())
	if err == nil {
		delete(m.corpses, c)
		m.kept.stale = true
	}
}

// clearDue begins to delete corpses at a server that can do so by now, as after an
// upgrade. It does so beside the loop, some at a time.
func (m *Manager) clearDue(ctx context.Context, now time.Time) {
	if !m.caps.Delete || len(m.kept.list) == 0 || m.kept.clearing || m.kept.inUse != "" || now.Sub(m.kept.clearedAt) < clearPace {
		return
	}
	m.kept.clearing = true
	some := m.kept.list[:min(len(m.kept.list), clearAtOnce)]
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTimeout)
		defer cancel()
		err := m.clear(ctx, some)
		select {
		case m.requests <- func() { m.cleared(err) }:
		case <-m.stopping.Done(): // the next start finds them again
		}
	}()
}

// cleared takes note of how that ended.
func (m *Manager) cleared(err error) {
	now := time.Now()
	m.kept.clearing, m.kept.clearedAt, m.kept.stale = false, now, true
	m.conditions.set("corpses", text(err), now)
}

// clear deletes corpses, by id and name or by the name alone. None of them may be
// given to a runner from then on.
func (m *Manager) clear(ctx context.Context, some []plan.Corpse) error {
	for _, c := range some {
		if err := m.clearOne(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) clearOne(ctx context.Context, c plan.Corpse) error {
	if withdrawn, err := m.ports.Store.WithdrawSpare(c.Identity.Name); err != nil || !withdrawn {
		return err // a runner has it, or it was forgotten
	}
	var err error
	if c.Identity.ID != 0 {
		_, err = m.ports.Registrar.Deregister(ctx, c.Scope, c.Identity)
	} else {
		_, err = m.ports.Registrar.Forget(ctx, c.Scope, c.Identity.Name)
	}
	if errors.Is(err, plan.ErrUnsupported) {
		return m.ports.Store.PutCorpse(c) // as it was
	}
	if err != nil {
		return fmt.Errorf("delete corpse %s: %w", c.Identity.Name, err)
	}
	if _, err := m.ports.Store.ForgetCorpses(plan.ForgetCorpses{Names: []string{c.Identity.Name}}, nil); err != nil {
		return err
	}
	m.ports.Meter.Reaped(plan.RemainsCorpse, 1)
	m.log.Info("corpse deleted", "runner", c.Identity.Name, "scope", c.Scope.String(), "id", c.Identity.ID)
	m.tell(plan.Event{Kind: plan.EventCorpse, Runner: c.Identity.Name, Text: "the server can delete runners now"})
	return nil
}
