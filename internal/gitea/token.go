package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"scaler.io/scaler/internal/plan"
)

// MintToken returns the registration token of a scope: the newest active one,
// or a new one if there is none. It invalidates no token. Minted tokens are
// reusable.
//
// Gitea has this as POST …/actions/runners/registration-token since 1.25 and
// only so since 1.26, and before as GET …/registration-token. The client
// remembers which one the server has. Errors are those of Runners.
func (c *Client) MintToken(ctx context.Context, scope plan.Scope) (plan.Secret, error) {
	call := &call{
		kind:   KindMint,
		what:   fmt.Sprintf("mint registration token of %s", scope),
		repeat: true, // it gives the same token each time
		scope:  scope,
	}
	token, err := c.mint(ctx, scope, call)
	if err != nil {
		return "", c.fail(ctx, call, err)
	}
	if token == "" {
		return "", c.fail(ctx, call, errors.New("the answer is JSON but has no token in it"))
	}
	return plan.Secret(token), nil
}

// mint tries the form that worked last, and the other one if the server does
// not know it.
func (c *Client) mint(ctx context.Context, scope plan.Scope, call *call) (string, error) {
	byGet := c.found.mintsByGet()
	token, err := c.mintBy(ctx, scope, call, byGet)
	if err == nil || !lacksFunction(call.answer) {
		return token, err
	}
	token, err = c.mintBy(ctx, scope, call, !byGet)
	if err == nil {
		c.found.setMintsByGet(!byGet)
	}
	return token, err
}

func (c *Client) mintBy(ctx context.Context, scope plan.Scope, call *call, get bool) (string, error) {
	at, err := c.at(ctx, scope, call)
	if err != nil {
		return "", err
	}
	if get {
		call.access = access{level: "read", manage: true}
		return c.mintOld(ctx, scope, call)
	}
	call.access = access{level: "write", manage: true}
	token, _, err := at.mint()
	if err != nil {
		return "", err
	}
	return token.Token, nil
}

// lacksFunction reports whether an answer means that the server does not know
// the address or the method, rather than that an object is missing.
func lacksFunction(a answer) bool {
	switch a.status {
	case http.StatusMethodNotAllowed:
		return true
	case http.StatusNotFound:
		status := newStatusError(a)
		// Where GET …/runners/{id} is known but not …/registration-token,
		// the last part is taken for an id.
		return !status.fromGitea || status.Message == "Runner not found"
	}
	return false
}

// mintOld asks in the form of Gitea before 1.25. It is a plain request over
// the same client because the SDK has lost this form.
func (c *Client) mintOld(ctx context.Context, scope plan.Scope, call *call) (string, error) {
	var body struct {
		Token string `json:"token"`
	}
	_, err := c.send(ctx, call, http.MethodGet, oldMintPath(scope), nil, &body)
	return body.Token, err
}

// oldMintPath is the path below /api/v1. That of the instance is the one that
// has no "actions" in it.
func oldMintPath(s plan.Scope) string {
	if s.Kind == plan.ScopeInstance {
		return "/admin/runners/registration-token"
	}
	return pathOf(s) + "/actions/runners/registration-token"
}
