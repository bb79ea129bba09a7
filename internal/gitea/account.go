package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"scaler.io/scaler/internal/plan"
)

// Credentials are what a person logs in with. They are for a set-up only: the
// daemon has a token.
type Credentials struct {
	Name     string
	Password plan.Secret
}

// Account is whom an API token or a password belongs to.
type Account struct {
	Login string
	Admin bool // a site administrator
	// Orgs and Repos ("owner/name") are those that the user is a member or an
	// administrator of, the first of each; nil if the token may not list them.
	// Whether the user owns an organization is not among what the list says.
	Orgs, Repos []string
}

// Account returns whom the API token belongs to. It needs the permission
// read:user. An error that wraps plan.ErrDenied for a good token means that
// the token is for less than that, as a narrow one is.
func (c *Client) Account(ctx context.Context) (Account, error) {
	token, err := c.apiToken()
	if err != nil {
		return Account{}, err
	}
	return c.account(func(call *call) (*sdk.Client, error) { return c.newSDK(ctx, call, token) }, func(call *call, err error) error { return c.fail(ctx, call, err) })
}

// AccountOf is Account for a name and a password. The error wraps
// plan.ErrDenied if the server does not accept them.
func (c *Client) AccountOf(ctx context.Context, who Credentials) (Account, error) {
	return c.account(func(call *call) (*sdk.Client, error) { return c.loginSDK(ctx, call, who) }, func(call *call, err error) error { return c.failLogin(ctx, call, who, err) })
}

func (c *Client) account(client func(*call) (*sdk.Client, error), fail func(*call, error) error) (Account, error) {
	get := &call{kind: KindAccount, what: "read the user", repeat: true, scope: plan.Scope{Kind: plan.ScopeUser}, access: access{level: "read"}}
	api, err := client(get)
	if err != nil {
		return Account{}, fail(get, err)
	}
	user, _, err := api.GetMyUserInfo()
	if err == nil && user.UserName == "" {
		err = errors.New("the answer is JSON but has no login in it")
	}
	if err != nil {
		return Account{}, fail(get, err)
	}
	a := Account{Login: user.UserName, Admin: user.IsAdmin}
	lists := &call{kind: KindAccount, what: "list organizations and repositories", repeat: true}
	if api, err = client(lists); err != nil {
		return Account{}, fail(lists, err)
	}
	orgs, _, err := api.ListMyOrgs(sdk.ListOrgsOptions{ListOptions: sdk.ListOptions{Page: 1, PageSize: pageSize}})
	if err != nil && !forbidden(lists) {
		return Account{}, fail(lists, err)
	}
	repos, _, err := api.ListMyRepos(sdk.ListReposOptions{ListOptions: sdk.ListOptions{Page: 1, PageSize: pageSize}})
	if err != nil && !forbidden(lists) {
		return Account{}, fail(lists, err)
	}
	for _, o := range orgs {
		a.Orgs = append(a.Orgs, o.Name)
	}
	for _, r := range repos {
		if r.Permissions != nil && r.Permissions.Admin {
			a.Repos = append(a.Repos, r.FullName)
		}
	}
	return a, nil
}

// forbidden reports whether the last answer is that the token is for less.
func forbidden(call *call) bool {
	return call.answer.status == http.StatusForbidden || call.answer.status == http.StatusUnauthorized
}

// MakeToken makes an API token with the permissions, such as "write:admin", in
// the name of a user, whose password it needs: Gitea makes none by a token. It
// is never repeated. The error wraps plan.ErrConflict if there is a token of
// that name, and plan.ErrDenied if the server does not accept the password.
func (c *Client) MakeToken(ctx context.Context, who Credentials, name string, permissions ...string) (plan.Secret, error) {
	call := &call{kind: KindTokenMake, what: fmt.Sprintf("make API token %s", name)}
	client, err := c.loginSDK(ctx, call, who)
	if err != nil {
		return "", c.failLogin(ctx, call, who, err)
	}
	opt := sdk.CreateAccessTokenOption{Name: name}
	for _, p := range permissions {
		opt.Scopes = append(opt.Scopes, sdk.AccessTokenScope(p))
	}
	made, _, err := client.CreateAccessToken(opt)
	switch {
	case err == nil && made.Token == "":
		err = errors.New("the answer is JSON but has no token in it")
	case err != nil && call.answer.status == http.StatusBadRequest && strings.Contains(newStatusError(call.answer).Message, "used already"):
		return "", fmt.Errorf("%s: %w: there is one of that name already; delete it under Settings > Applications, or choose another name", call.what, plan.ErrConflict)
	}
	if err != nil {
		return "", c.failLogin(ctx, call, who, err)
	}
	return plan.Secret(made.Token), nil
}

// DropToken deletes an API token of a user by its name. One that is not there is
// success.
func (c *Client) DropToken(ctx context.Context, who Credentials, name string) error {
	call := &call{kind: KindTokenMake, what: fmt.Sprintf("delete API token %s", name), repeat: true}
	client, err := c.loginSDK(ctx, call, who)
	if err == nil {
		_, err = client.DeleteAccessToken(name)
	}
	if err != nil && call.answer.status == http.StatusNotFound {
		return nil
	}
	return c.failLogin(ctx, call, who, err)
}

// loginSDK is newSDK with a name and a password.
func (c *Client) loginSDK(ctx context.Context, call *call, who Credentials) (*sdk.Client, error) {
	return sdk.NewClient(c.url, sdk.SetGiteaVersion(""), sdk.SetHTTPClient(c.http), sdk.SetContext(withCall(ctx, call)),
		sdk.SetBasicAuth(who.Name, who.Password.Reveal()))
}

// failLogin is fail for what was asked with a password.
func (c *Client) failLogin(ctx context.Context, call *call, who Credentials, err error) error {
	status := newStatusError(call.answer)
	if err != nil && call.answer.status == http.StatusUnauthorized && status.fromGitea {
		err = fmt.Errorf("%s: %w: the name or the password is wrong, or the account has two-factor authentication, "+
			"with which a token has to be made under Settings > Applications (%w)", call.what, plan.ErrDenied, status)
	} else {
		err = c.fail(ctx, call, err)
	}
	return scrub(err, who.Password)
}

// Permission is what an API token needs, and nothing beyond it, for all that
// the daemon does at a scope: "write:admin", for one.
func Permission(s plan.Scope) string {
	switch s.Kind {
	case plan.ScopeOrg:
		return "write:organization"
	case plan.ScopeUser:
		return "write:user"
	case plan.ScopeRepo:
		return "write:repository"
	}
	return "write:admin"
}

// PermissionAdvice is Permission with whose token it has to be, in words.
func PermissionAdvice(s plan.Scope) string { return access{level: "write", manage: true}.needs(s) }
