package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// CreateToken makes a token. The error wraps plan.ErrInvalid or
// plan.ErrConflict if it cannot be as it should.
func (c *Client) CreateToken(ctx context.Context, spec plan.TokenSpec) (plan.NewToken, error) {
	body, err := json.Marshal(spec)
	if err != nil {
		return plan.NewToken{}, fmt.Errorf("encode token %s: %w", spec.Name, err)
	}
	answer, err := c.send(ctx, planTimeout, http.MethodPost, "/v1/tokens", bytes.NewReader(body))
	if err != nil {
		return plan.NewToken{}, err
	}
	made, err := decode[tokenSecret](c, "/v1/tokens", answer)
	return plan.NewToken{Token: made.Token, Secret: plan.Secret(made.Secret)}, err
}

// Tokens returns all tokens, by name.
func (c *Client) Tokens(ctx context.Context) ([]ListedToken, error) {
	return get[[]ListedToken](ctx, c, callTimeout, "/v1/tokens")
}

// Token returns one token and the runners that came by it, also those that are
// gone. The error wraps plan.ErrNotFound if there is none of that name.
func (c *Client) Token(ctx context.Context, name string) (plan.Token, []plan.Enrolment, error) {
	d, err := get[tokenDetail](ctx, c, callTimeout, tokenPath(name))
	return d.Token, d.Runners, err
}

// ChangeToken makes any change but plan.TokenDelete and returns the token as it
// is then.
func (c *Client) ChangeToken(ctx context.Context, name string, change plan.TokenChange) (plan.Token, error) {
	return ask[plan.Token](ctx, c, planTimeout, http.MethodPost, tokenPath(name)+"/"+string(change))
}

// ResetToken gives a token a new secret; the one that it had is refused from
// then on.
func (c *Client) ResetToken(ctx context.Context, name string) (plan.NewToken, error) {
	made, err := ask[tokenSecret](ctx, c, planTimeout, http.MethodPost, tokenPath(name)+"/"+changeReset)
	return plan.NewToken{Token: made.Token, Secret: plan.Secret(made.Secret)}, err
}

// DeleteToken deletes a token and leaves its runners as they are.
func (c *Client) DeleteToken(ctx context.Context, name string) error {
	_, err := c.call(ctx, planTimeout, http.MethodDelete, tokenPath(name))
	return err
}

// Audit returns entries of the audit log, oldest first: those after a number,
// at most limit, where 0 is all. With after 0 and a limit it returns the
// newest.
func (c *Client) Audit(ctx context.Context, server string, after uint64, limit int) ([]plan.AuditEntry, error) {
	return get[[]plan.AuditEntry](ctx, c, callTimeout, fmt.Sprintf("/v1/audit?server=%s&after=%d&limit=%d", url.QueryEscape(server), after, limit))
}

func tokenPath(name string) string { return "/v1/tokens/" + segment(name) }

// segment is a name as part of a path. Dots are escaped as well, so that none is
// taken for a step up.
func segment(name string) string { return strings.ReplaceAll(url.PathEscape(name), ".", "%2E") }
