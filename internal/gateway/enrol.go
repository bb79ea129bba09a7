package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// stray is a runner that the gateway has made, could not keep, and could not
// delete yet. Nobody has its token, so it has no job.
type stray struct {
	scope plan.Scope
	id    int64
	name  string
}

// newEnrolment is the link from a runner that the server has just made to its
// token.
func newEnrolment(t state.TokenRecord, r registration, scope plan.Scope, made *runnerv1.Runner) state.EnrolmentRecord {
	labels := made.GetLabels()
	if len(labels) == 0 {
		labels = r.Request.GetLabels()
	}
	return state.EnrolmentRecord{
		Enrolment: plan.Enrolment{
			Token: t.ID, TokenName: t.Name, RunnerID: made.GetId(), UUID: made.GetUuid(),
			Name:  cmp.Or(made.GetName(), r.Request.GetName()), // the server cuts long names
			Scope: scope, Labels: slices.Clone(labels), Version: clip(r.Request.GetVersion()), Ephemeral: made.GetEphemeral(),
			Allowed: slices.Clone(t.Labels), Source: r.Source.String(), RegisteredAt: time.Now(), ReapAfter: t.ReapAfter,
			Pool: poolOf(t.Token),
		},
		Hash: sha256.Sum256([]byte(made.GetToken())),
	}
}

// keep stores a runner that the server has made, or says why it cannot be
// kept. A runner that has gone away will never have its token.
func (g *Gateway) keep(ctx context.Context, t state.TokenRecord, r registration, e state.EnrolmentRecord, own plan.Secret) *refusal {
	if err := ctx.Err(); err != nil {
		return goneAway(err)
	}
	if t.Runner != "" {
		id := plan.Identity{ID: e.RunnerID, UUID: e.UUID, Name: e.Name, Token: own, Address: g.cfg.PublicURL, Labels: slices.Clone(e.Labels), Ephemeral: e.Ephemeral}
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), enrolTimeout)
		defer cancel()
		if err := g.ports.Fleet.Enrolled(call, t.Runner, id); err != nil {
			return cannotStore(err)
		}
	}
	entry := r.entry("register", t.Token)
	entry.RunnerID = e.RunnerID
	g.registry.mu.Lock()
	defer g.registry.mu.Unlock()
	// The token may have been revoked while the server was asked.
	if now, known := g.registry.tokens[t.ID]; known && !now.RevokedAt.IsZero() && e.Pool == "" {
		e.Leaving = revokedReason(t.Name)
		g.hurry()
	}
	if err := g.registry.commit(state.TokenChanges{PutEnrolments: []state.EnrolmentRecord{e}, Audit: []plan.AuditEntry{entry}}); err != nil {
		return cannotStore(err)
	}
	return nil
}

// takeBack deletes a runner that could not be kept. If the server does not let
// it, the runner is stored as one that is to go, or at least remembered, and
// the janitor deletes it.
func (g *Gateway) takeBack(ctx context.Context, t state.TokenRecord, r registration, e state.EnrolmentRecord, no *refusal) *refusal {
	s := stray{scope: e.Scope, id: e.RunnerID, name: e.Name}
	if err := g.deleteStray(ctx, s); err != nil {
		g.log.Error("runner that could not be kept is not deleted yet", "runner", s.name, "id", s.id, "scope", s.scope.String(), "err", err)
		e.Pool, e.Leaving = "", "it was registered and could not be kept"
		g.registry.mu.Lock()
		stored := g.registry.commit(state.TokenChanges{PutEnrolments: []state.EnrolmentRecord{e}})
		g.registry.mu.Unlock()
		if stored != nil {
			g.mu.Lock()
			g.strays = append(g.strays, s)
			g.mu.Unlock()
		}
	}
	return g.giveBack(t, r, no)
}

// deleteStray deletes a runner by its id, if it has its name.
func (g *Gateway) deleteStray(ctx context.Context, s stray) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	found, err := g.ports.Forge.Runner(ctx, s.scope, s.id)
	switch {
	case errors.Is(err, plan.ErrNotFound), err == nil && found.Name != s.name:
		return nil
	case err != nil:
		return fmt.Errorf("find runner %s to delete it: %w", s.name, err)
	}
	err = g.ports.Forge.DeleteRunner(ctx, s.scope, s.id)
	if err != nil && !errors.Is(err, plan.ErrNotFound) {
		return fmt.Errorf("delete runner %s: %w", s.name, err)
	}
	return nil
}

// closeBooks notes the registrations that the daemon's end cut short: whether
// they made a runner is not known. Those are the last ones that began and have
// no end in the audit log.
func (g *Gateway) closeBooks() error {
	const lately = 1000
	entries, err := g.ports.Store.Audit(0, lately)
	if err != nil {
		return err
	}
	open := make(map[string][]plan.AuditEntry)
	for _, e := range entries {
		what := strings.Join([]string{e.TokenID, e.Runner, e.Source}, "\x00")
		switch e.Action {
		case "register.begin":
			open[what] = append(open[what], e)
		case "register", "register.failed", "register.unknown":
			if begun := open[what]; len(begun) > 0 {
				open[what] = begun[1:]
			}
		}
	}
	var ends []plan.AuditEntry
	for _, begun := range open {
		for _, e := range begun {
			g.log.Warn("registration was cut short, it may have left a runner in Gitea that nobody has", "token", e.Token, "runner", e.Runner, "begun", e.At)
			e.At, e.Action, e.Detail = time.Now(), "register.unknown", "cut short by the daemon's end; a runner of this name may be left in Gitea"
			ends = append(ends, e)
		}
	}
	if len(ends) == 0 {
		return nil
	}
	slices.SortFunc(ends, func(a, b plan.AuditEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	return g.registry.note(ends...)
}
