package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// A bound token's name cannot be that of any other, and its creator is the
// pool: so the pool of its runner is known from what is stored.
const (
	boundName   = "runner/"
	boundAuthor = "pool "
)

// poolOf returns the pool that a token's runner is of, empty for a token that
// is not bound to a runner.
func poolOf(t plan.Token) string {
	if t.Runner == "" {
		return ""
	}
	return strings.TrimPrefix(t.CreatedBy, boundAuthor)
}

// Issue makes a token for a runner of one of our own pools: for one
// registration under this name, with these labels, from the runner's own
// container, until a moment. An earlier one of the same runner is replaced.
// The error wraps plan.ErrInvalid if the scope is not served.
func (g *Gateway) Issue(_ context.Context, runner string, pool string, scope plan.Scope, labels []string, until time.Time) (plan.Secret, error) {
	scope, err := g.scopeOf(scope)
	if err != nil {
		return "", fmt.Errorf("issue registration token for runner %s: %w", runner, err)
	}
	names := make([]string, 0, len(labels))
	for _, l := range labels {
		names = append(names, labelName(l))
	}
	g.registry.mu.Lock()
	defer g.registry.mu.Unlock()
	made, c := mint(plan.Token{
		ID: newID(), Name: boundName + runner, Scope: scope, Enabled: true, ExpiresAt: until, Labels: names,
		Runner: runner, CreatedAt: time.Now(), CreatedBy: boundAuthor + pool,
	})
	c.DeleteTokens = g.registry.boundTo(runner)
	if err := g.registry.commit(c); err != nil {
		return "", fmt.Errorf("issue registration token for runner %s: %w", runner, err)
	}
	for _, id := range c.DeleteTokens {
		g.guard.forget(id)
	}
	return made.Secret, nil
}

// Retire forgets a runner of our own pools and its token. It can be repeated.
func (g *Gateway) Retire(_ context.Context, runner string) error {
	g.registry.mu.Lock()
	defer g.registry.mu.Unlock()
	c := state.TokenChanges{DeleteTokens: g.registry.boundTo(runner)}
	for _, e := range g.registry.enrolments {
		if e.Pool != "" && e.Name == runner {
			c.DeleteEnrolments = append(c.DeleteEnrolments, e.UUID)
		}
	}
	if len(c.DeleteTokens)+len(c.DeleteEnrolments) == 0 {
		return nil
	}
	if err := g.registry.commit(c); err != nil {
		return fmt.Errorf("forget registration token of runner %s: %w", runner, err)
	}
	for _, id := range c.DeleteTokens {
		g.guard.forget(id)
	}
	return nil
}
