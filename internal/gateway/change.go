package gateway

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// Tokens lists the tokens by name, without those that are bound to a runner
// of our own pools.
func (g *Gateway) Tokens() []plan.Token {
	g.registry.seen.RLock()
	defer g.registry.seen.RUnlock()
	out := []plan.Token{}
	for _, t := range g.registry.tokens {
		if t.Runner == "" {
			out = append(out, t.Clone())
		}
	}
	slices.SortFunc(out, func(a, b plan.Token) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Token returns a token and the runners that came by it, in the order of their
// registration, those that are gone included for a while. The error wraps
// plan.ErrNotFound.
func (g *Gateway) Token(name string) (plan.Token, []plan.Enrolment, error) {
	t, err := g.registry.named(name)
	if err != nil {
		return plan.Token{}, nil, err
	}
	return t.Clone(), g.registry.all(func(e plan.Enrolment) bool { return e.Token == t.ID }), nil
}

// Audit returns entries of the audit log, oldest first: those after a Seq, at
// most limit of them, or the last limit entries for after 0; with a limit of 0
// there is none.
func (g *Gateway) Audit(after uint64, limit int) ([]plan.AuditEntry, error) {
	return g.ports.Store.Audit(after, limit)
}

// Change changes a token and returns it as it is then, also if it was so
// before; TokenDelete returns what it was. It counts for the next registration
// and not for one that has begun. Errors: plan.ErrNotFound, plan.ErrInvalid
// for a change that there is not, plan.ErrConflict if the token is revoked,
// and those of the store.
func (g *Gateway) Change(_ context.Context, actor, name string, change plan.TokenChange) (plan.Token, error) {
	g.registry.mu.Lock()
	defer g.registry.mu.Unlock()
	t, err := g.registry.named(name)
	if err != nil {
		return plan.Token{}, err
	}
	is, err := changed(t, change, time.Now())
	if err != nil {
		return plan.Token{}, fmt.Errorf("%s registration token %s: %w", change, t.Name, err)
	}
	c := state.TokenChanges{Audit: []plan.AuditEntry{tokenEntry("token."+string(change), actor, t.Token, "")}}
	switch {
	case change == plan.TokenDelete:
		c.DeleteTokens = []string{t.ID}
	case is.Pinned == t.Pinned && is.Enabled == t.Enabled && is.RevokedAt.Equal(t.RevokedAt):
		return t.Clone(), nil
	case change == plan.TokenRevoke:
		c.PutEnrolments = g.registry.sentAway(t.Token)
		fallthrough
	default:
		c.PutTokens = []state.TokenRecord{is}
	}
	if err := g.registry.commit(c); err != nil {
		return plan.Token{}, fmt.Errorf("%s registration token %s: %w", change, t.Name, err)
	}
	g.log.Info("registration token changed", "token", t.Name, "change", string(change), "actor", actor, "runners_to_leave", len(c.PutEnrolments))
	if change == plan.TokenDelete {
		g.guard.forget(t.ID)
	}
	if len(c.PutEnrolments) > 0 {
		g.hurry()
	}
	return is.Clone(), nil
}

// changed returns a token as a change makes it.
func changed(t state.TokenRecord, change plan.TokenChange, now time.Time) (state.TokenRecord, error) {
	revoked := !t.RevokedAt.IsZero()
	switch change {
	case plan.TokenPin, plan.TokenUnpin, plan.TokenEnable:
		if revoked {
			return t, fmt.Errorf("%w: it was revoked, which is for good", plan.ErrConflict)
		}
	}
	switch change {
	case plan.TokenPin:
		t.Pinned = true
	case plan.TokenUnpin:
		t.Pinned = false
	case plan.TokenEnable:
		t.Enabled = true
	case plan.TokenDisable:
		t.Enabled = false
	case plan.TokenRevoke:
		t.Enabled = false
		if !revoked {
			t.RevokedAt = now
		}
	case plan.TokenDelete:
	default:
		return t, fmt.Errorf("%w: there is no such change", plan.ErrInvalid)
	}
	return t, nil
}

func revokedReason(token string) string { return "token " + token + " was revoked" }

// sentAway returns the runners that came by a token as they are once it is
// revoked. The caller has the lock.
func (r *registry) sentAway(t plan.Token) []state.EnrolmentRecord {
	var out []state.EnrolmentRecord
	for _, e := range r.enrolments {
		if e.Token == t.ID && e.GoneAt.IsZero() && e.Pool == "" {
			e.Leaving = revokedReason(t.Name)
			out = append(out, e)
		}
	}
	return out
}

// Reset gives a token a new secret; the old one is not accepted from then on.
// Its uses count from 0 again. Errors are those of Change.
func (g *Gateway) Reset(_ context.Context, actor, name string) (plan.NewToken, error) {
	g.registry.mu.Lock()
	defer g.registry.mu.Unlock()
	t, err := g.registry.named(name)
	if err != nil {
		return plan.NewToken{}, err
	}
	if !t.RevokedAt.IsZero() {
		return plan.NewToken{}, fmt.Errorf("reset registration token %s: %w: it was revoked, which is for good", t.Name, plan.ErrConflict)
	}
	t.Uses = 0
	made, c := mint(t.Token)
	c.Audit = []plan.AuditEntry{tokenEntry("token.reset", actor, t.Token, "")}
	if err := g.registry.commit(c); err != nil {
		return plan.NewToken{}, fmt.Errorf("reset registration token %s: %w", t.Name, err)
	}
	g.log.Info("registration token has a new secret", "token", t.Name, "actor", actor)
	return made, nil
}
