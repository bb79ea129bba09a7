package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	pingv1 "code.gitea.io/actions-proto-go/ping/v1"
	"connectrpc.com/connect"

	"scaler.io/scaler/internal/plan"
)

// Server is what a probe found.
type Server struct {
	Version string // as the server writes it, such as "1.26.0+dev-g423cdd4d94"
	// Forgejo is true if the version is one of Forgejo, whose API for runners
	// and jobs is a different one.
	Forgejo bool
	// Actions is true if the runners' protocol is served.
	Actions bool
}

// Product is whose server it is.
func (s Server) Product() plan.Product {
	if s.Forgejo {
		return plan.ProductForgejo
	}
	return plan.ProductGitea
}

// Probe asks the server for its version and pings the runners' protocol. Its
// errors tell apart: no connection; something that is not Gitea (the URL is
// wrong, or a proxy answers); and Gitea without Actions (plan.ErrUnsupported), with which the Server is returned all
// the same. It works without an API token.
func (c *Client) Probe(ctx context.Context) (Server, error) {
	version, err := c.version(ctx)
	if err != nil {
		return Server{}, fmt.Errorf("probe server: %w", err)
	}
	server := Server{Version: version, Forgejo: productOf(version) == plan.ProductForgejo}
	call := &call{kind: KindPing, repeat: true}
	_, err = c.ping.Ping(withCall(ctx, call), connect.NewRequest(&pingv1.PingRequest{Data: "scaler"}))
	switch {
	case err == nil:
		server.Actions = true
		return server, nil
	case connect.CodeOf(err) == connect.CodeUnimplemented:
		return server, fmt.Errorf("probe server: %w: Gitea %s answers at %s, but not its Actions: "+
			"set ENABLED = true in the section [actions] of app.ini, or let the proxy pass /api/actions", plan.ErrUnsupported, version, c.url)
	}
	return server, fmt.Errorf("probe server: ping Actions: %w", err)
}

// version reads the server's version. It does so without the API token, since
// a wrong one would hide it, unless the server tells its version to users only
// ([service] REQUIRE_SIGNIN_VIEW).
func (c *Client) version(ctx context.Context) (string, error) {
	version, err := c.versionBy(ctx, "")
	if !errors.Is(err, plan.ErrDenied) {
		return version, err
	}
	token, tokenErr := c.apiToken()
	if tokenErr != nil {
		return "", tokenErr
	}
	return c.versionBy(ctx, token)
}

func (c *Client) versionBy(ctx context.Context, token plan.Secret) (string, error) {
	call := &call{kind: KindVersion, what: "read version", repeat: true}
	client, err := c.newSDK(ctx, call, token)
	if err != nil {
		return "", err
	}
	version, _, err := client.ServerVersion()
	switch {
	case call.answer.status == http.StatusNotFound || call.answer.status == http.StatusMethodNotAllowed:
		err = fmt.Errorf("no Gitea at %s (HTTP %d): %s", c.url, call.answer.status, urlAdvice)
	case err == nil && version == "":
		err = errors.New("the answer is JSON but has no version in it")
	case err != nil:
		err = c.explain(ctx, call, err)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", call.what, err)
	}
	return version, nil
}

// Login returns the name of the user that the API token belongs to. It is
// asked for once for each token.
func (c *Client) Login(ctx context.Context) (string, error) {
	call := &call{kind: KindLogin, what: "read the API token's user", repeat: true,
		scope: plan.Scope{Kind: plan.ScopeUser}, access: access{level: "read"}}
	token, err := c.apiToken()
	if err != nil {
		return "", c.fail(ctx, call, err)
	}
	c.login.Lock()
	name, known := c.login.name, c.login.token == token
	c.login.Unlock()
	if known {
		return name, nil
	}
	client, err := c.newSDK(ctx, call, token)
	if err != nil {
		return "", c.fail(ctx, call, err)
	}
	user, _, err := client.GetMyUserInfo()
	if err == nil && user.UserName == "" {
		err = errors.New("the answer is JSON but has no login in it")
	}
	if err != nil {
		return "", c.fail(ctx, call, err)
	}
	c.login.Lock()
	c.login.name, c.login.token = user.UserName, token
	c.login.Unlock()
	return user.UserName, nil
}
