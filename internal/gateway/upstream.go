package gateway

import (
	"context"
	"fmt"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"

	"scaler.io/scaler/internal/plan"
)

// registrar uses the registration tokens of Gitea that are configured.
type registrar interface {
	// Scopes lists those that there is an enabled token for.
	Scopes() []plan.Scope
	// For returns the name of such a token.
	For(scope plan.Scope) (name string, err error)
	// Use calls register with the token's value, under the bound on
	// registrations.
	Use(ctx context.Context, name, runner string, register func(ctx context.Context, token plan.Secret) error) error
}

// relay asks Gitea for what a runner asks for.
type relay interface {
	RegisterAs(ctx context.Context, token plan.Secret, req *runnerv1.RegisterRequest) (*runnerv1.RegisterResponse, error)
}

// Upstream is the Enroller of a daemon: it registers runners with the
// registration tokens of its configuration.
type Upstream struct {
	Registrar registrar
	Relay     relay
}

// Scopes lists the scopes that there is a token for.
func (u Upstream) Scopes() []plan.Scope { return u.Registrar.Scopes() }

// Register registers a runner as it asks for it, with the scope's own token.
func (u Upstream) Register(ctx context.Context, scope plan.Scope, req *runnerv1.RegisterRequest) (resp *runnerv1.RegisterResponse, err error) {
	name, err := u.Registrar.For(scope)
	if err != nil {
		return nil, fmt.Errorf("register runner %s: %w: %w", req.GetName(), plan.ErrTokenRejected, err)
	}
	err = u.Registrar.Use(ctx, name, req.GetName(), func(ctx context.Context, token plan.Secret) (err error) {
		resp, err = u.Relay.RegisterAs(ctx, token, req)
		return err
	})
	return resp, err
}
