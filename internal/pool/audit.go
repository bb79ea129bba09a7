package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// auditInterval is how often all runners of a scope are compared with
	// ours.
	auditInterval = 30 * time.Second
	// finishingDoubt is how long after its job an ephemeral runner may take
	// to exit before the server is asked whether it still knows it.
	finishingDoubt = 30 * time.Second
	// corpseAge is how long a runner of ours has to be listed, offline and
	// without anything of ours behind it, before it is deleted.
	corpseAge = time.Minute
)

// corpse is a runner at the server of which we have neither a record nor a
// container, and whose name we have made.
type corpse struct {
	scope plan.Scope
	id    int64
	name  string
}

// audit compares the runners that the server lists with ours, both ways: one
// that is not listed any more has been deleted; one that is ours by its name
// and has no record is a corpse. Only complete lists prove anything.
func (m *Manager) audit(ctx context.Context, seen *observation) {
	due := false
	for scope, v := range seen.scopes {
		if !v.audited {
			continue
		}
		due = true
		m.findDeleted(ctx, scope, v, seen)
		m.findCorpses(scope, v, seen)
	}
	if due {
		m.auditedAt = seen.at
	}
	m.lookForLeftovers(seen)
}

// findDeleted marks the runners that the server has no more, after asking for
// each by its id. Those that have ended are on their way out in any case.
func (m *Manager) findDeleted(ctx context.Context, scope plan.Scope, v *scopeView, seen *observation) {
	for _, name := range slices.Sorted(maps.Keys(m.runners)) {
		r := m.runners[name]
		id := r.rec.Identity
		if r.rec.Scope != scope || r.op != "" || id == nil || seen.containers[name].Ended {
			continue
		}
		if listed, found := v.runners[id.ID]; found && listed.Name == r.rec.ServerName() {
			r.gone = false
			continue
		}
		found, err := m.ports.Forge.Runner(ctx, scope, id.ID)
		if gone := errors.Is(err, plan.ErrNotFound) || err == nil && found.Name != r.rec.ServerName(); gone && !r.gone {
			r.gone = true
			m.log.Debug("runner is not at the server any more", "pool", r.rec.Pool, "runner", name, "phase", r.rec.Phase)
		}
	}
}

// findCorpses notes since when runners that are provably ours have had nothing
// behind them. What is known as a corpse already is cleared away by clear.
func (m *Manager) findCorpses(scope plan.Scope, v *scopeView, seen *observation) {
	still, known := make(map[corpse]bool), m.knownNames()
	for _, s := range v.runners {
		c := corpse{scope: scope, id: s.ID, name: s.Name}
		_, busy := v.running[s.ID]
		_, container := seen.containers[s.Name]
		if !m.madeName(s.Name) || known[s.Name] || container || s.Online || s.Busy || busy {
			continue
		}
		still[c] = true
		if _, noted := m.corpses[c]; !noted {
			m.corpses[c] = seen.at
		}
	}
	maps.DeleteFunc(m.corpses, func(c corpse, _ time.Time) bool { return c.scope == scope && !still[c] })
}

// knownNames has the names of all runners, those that the server has for them, and
// those of the corpses that it cannot delete.
func (m *Manager) knownNames() map[string]bool {
	known := make(map[string]bool)
	for name, r := range m.runners {
		known[name], known[r.rec.ServerName()] = true, true
	}
	for _, c := range m.kept.list {
		known[c.Identity.Name] = true
	}
	return known
}

// madeName reports whether a name is one that this instance has given: the
// instance id in full, a pool, and a random end of the length that we give.
func (m *Manager) madeName(name string) bool {
	rest, ours := strings.CutPrefix(name, plan.RunnerPrefix+m.instance+"-")
	at := strings.LastIndexByte(rest, '-')
	return ours && at > 0 && len(rest)-at-1 == nameRandom
}

// reapDue deletes the corpses that have been that for long enough. An engine
// that was not read may have their containers.
func (m *Manager) reapDue(ctx context.Context, seen *observation) {
	if seen.engineErr != nil {
		return
	}
	for c, first := range m.corpses {
		if ctx.Err() != nil {
			return // the others are for the next cycle: the loop has to turn
		}
		if v := seen.scopes[c.scope]; v != nil && v.audited && v.err == nil && seen.at.Sub(first) >= corpseAge {
			m.reap(ctx, c)
		}
	}
}

// reap deletes a corpse, by its exact name.
func (m *Manager) reap(ctx context.Context, c corpse) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reapTimeout)
	defer cancel()
	_, err := m.ports.Registrar.Forget(ctx, c.scope, c.name)
	if errors.Is(err, plan.ErrUnsupported) {
		m.bury(c)
		return
	}
	m.conditions.set("corpse "+c.name, text(err), time.Now())
	if err == nil {
		m.ports.Meter.Reaped(plan.RemainsCorpse, 1)
		m.log.Info("corpse deleted", "runner", c.name, "scope", c.scope.String(), "id", c.id)
		m.tell(plan.Event{Kind: plan.EventCorpse, Runner: c.name, Text: "offline at the server, with neither record nor container"})
		delete(m.corpses, c)
	}
}

// Reap looks at once for what has nobody, or nothing, behind it, and returns
// it. Unless it is a dry run, what is due is cleared away; the rest follows
// when its time has come, as it would without this call.
func (m *Manager) Reap(ctx context.Context, dryRun bool) ([]plan.Finding, error) {
	var findings []plan.Finding
	var failed error
	err := m.ask(ctx, func() {
		m.auditedAt, m.lookedAt = time.Time{}, time.Time{}
		seen := m.observe(ctx)
		failed = seen.failure()
		if failed != nil {
			return
		}
		m.audit(ctx, seen)
		findings = m.findings(seen)
		if !dryRun {
			m.reapDue(ctx, seen)
			m.sweepDue(ctx)
			m.Trigger()
		}
	})
	return findings, errors.Join(err, failed)
}

// failure joins what could not be read.
func (o *observation) failure() error {
	errs := []error{o.engineErr}
	for _, v := range o.scopes {
		errs = append(errs, v.err)
	}
	return errors.Join(errs...)
}

// findings lists what has nobody, or nothing, behind it.
func (m *Manager) findings(seen *observation) []plan.Finding {
	out := []plan.Finding{}
	for c, first := range m.corpses {
		out = append(out, plan.Finding{Kind: "runner in Gitea", Name: c.name, Due: first.Add(corpseAge),
			Reason: fmt.Sprintf("ours by its name, offline in scope %s, and without record and container", c.scope)})
	}
	for name, r := range m.runners {
		if r.rec.Phase == plan.PhaseExited || r.rec.Phase == plan.PhaseRemoving {
			due := r.retryAt
			if due.IsZero() {
				due = seen.at
			}
			out = append(out, plan.Finding{Kind: "record", Name: name, Due: due, Reason: r.rec.Note})
		}
	}
	for name, c := range seen.containers {
		if m.runners[name] == nil {
			out = append(out, plan.Finding{Kind: "container", Name: name, Due: seen.at, Reason: "without record, " + string(c.State) + "; it is adopted by its .runner file"})
		}
	}
	out = append(out, m.leftoverFindings(seen.at)...)
	slices.SortFunc(out, func(a, b plan.Finding) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return out
}
