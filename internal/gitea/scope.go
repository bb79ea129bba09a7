package gitea

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"scaler.io/scaler/internal/plan"
)

// access says what a function asks of the API token and its user.
type access struct {
	level string // read or write
	// manage is true if the user must own the scope, as for everything about
	// runners; jobs are for everyone who can see them.
	manage bool
}

// needs says in words what a token must have for a scope. Source: the routes
// of Gitea's API (routers/api/v1/api.go), where the method decides between
// read and write.
func (a access) needs(s plan.Scope) string {
	switch s.Kind {
	case plan.ScopeOrg:
		who := "a member (before Gitea 1.26 an owner)"
		if a.manage {
			who = "an owner"
		}
		return fmt.Sprintf("the permission %s:organization, and its user must be %s of %s", a.level, who, s.Owner)
	case plan.ScopeUser:
		return fmt.Sprintf("the permission %s:user", a.level)
	case plan.ScopeRepo:
		who := "be able to read the Actions (before Gitea 1.26 be an owner) of"
		if a.manage {
			who = "be an owner of"
		}
		return fmt.Sprintf("the permission %s:repository, and its user must %s %s/%s", a.level, who, s.Owner, s.Repo)
	}
	return fmt.Sprintf("the permission %s:admin, and its user must be a site administrator", a.level)
}

// endpoints are the SDK's functions for one scope: it has them four times.
type endpoints struct {
	jobs    func(sdk.ListRepoActionJobsOptions) (*sdk.ActionWorkflowJobsResponse, *sdk.Response, error)
	runners func(sdk.ListActionRunnersOptions) (*sdk.ActionRunnersResponse, *sdk.Response, error)
	runner  func(id int64) (*sdk.ActionRunner, *sdk.Response, error)
	update  func(id int64, opt sdk.EditActionRunnerOption) (*sdk.ActionRunner, *sdk.Response, error)
	delete  func(id int64) (*sdk.Response, error)
	mint    func() (*sdk.RegistrationToken, *sdk.Response, error)
}

func endpointsOf(c *sdk.Client, s plan.Scope) endpoints {
	switch s.Kind {
	case plan.ScopeOrg:
		return orgEndpoints(c, s.Owner)
	case plan.ScopeRepo:
		return repoEndpoints(c, s.Owner, s.Repo)
	case plan.ScopeUser:
		return endpoints{
			jobs:    c.ListUserActionJobs,
			runners: c.ListUserActionRunners,
			runner:  c.GetUserActionRunner,
			update:  c.UpdateUserActionRunner,
			delete:  c.DeleteUserActionRunner,
			mint:    c.CreateUserActionRunnerRegistrationToken,
		}
	}
	return endpoints{
		jobs:    c.ListAdminActionJobs,
		runners: c.ListAdminActionRunners,
		runner:  c.GetAdminActionRunner,
		update:  c.UpdateAdminActionRunner,
		delete:  c.DeleteAdminActionRunner,
		mint:    c.CreateAdminActionRunnerRegistrationToken,
	}
}

func orgEndpoints(c *sdk.Client, org string) endpoints {
	return endpoints{
		jobs: func(o sdk.ListRepoActionJobsOptions) (*sdk.ActionWorkflowJobsResponse, *sdk.Response, error) {
			return c.ListOrgActionJobs(org, o)
		},
		runners: func(o sdk.ListActionRunnersOptions) (*sdk.ActionRunnersResponse, *sdk.Response, error) {
			return c.ListOrgActionRunners(org, o)
		},
		runner: func(id int64) (*sdk.ActionRunner, *sdk.Response, error) { return c.GetOrgActionRunner(org, id) },
		update: func(id int64, o sdk.EditActionRunnerOption) (*sdk.ActionRunner, *sdk.Response, error) {
			return c.UpdateOrgActionRunner(org, id, o)
		},
		delete: func(id int64) (*sdk.Response, error) { return c.DeleteOrgActionRunner(org, id) },
		mint: func() (*sdk.RegistrationToken, *sdk.Response, error) {
			return c.CreateOrgActionRunnerRegistrationToken(org)
		},
	}
}

func repoEndpoints(c *sdk.Client, owner, repo string) endpoints {
	return endpoints{
		jobs: func(o sdk.ListRepoActionJobsOptions) (*sdk.ActionWorkflowJobsResponse, *sdk.Response, error) {
			return c.ListRepoActionJobs(owner, repo, o)
		},
		runners: func(o sdk.ListActionRunnersOptions) (*sdk.ActionRunnersResponse, *sdk.Response, error) {
			return c.ListRepoActionRunners(owner, repo, o)
		},
		runner: func(id int64) (*sdk.ActionRunner, *sdk.Response, error) {
			return c.GetRepoActionRunner(owner, repo, id)
		},
		update: func(id int64, o sdk.EditActionRunnerOption) (*sdk.ActionRunner, *sdk.Response, error) {
			return c.UpdateRepoActionRunner(owner, repo, id, o)
		},
		delete: func(id int64) (*sdk.Response, error) { return c.DeleteRepoActionRunner(owner, repo, id) },
		mint: func() (*sdk.RegistrationToken, *sdk.Response, error) {
			return c.CreateRepoActionRunnerRegistrationToken(owner, repo)
		},
	}
}

// at returns the endpoints of a scope for one operation, or plan.ErrUnsupported
// if the server is known to lack it. Those of a user are the API token owner's,
// whoever is meant, so the two must agree.
func (c *Client) at(ctx context.Context, s plan.Scope, call *call) (endpoints, error) {
	if err := c.may(ctx, s, call); err != nil {
		return endpoints{}, err
	}
	client, err := c.rest(ctx, call)
	if err != nil {
		return endpoints{}, err
	}
	return endpointsOf(client, s), nil
}

// may refuses the scope of a user that the API token does not belong to, and what
// the server is known to lack.
func (c *Client) may(ctx context.Context, s plan.Scope, call *call) error {
	if s.Kind == plan.ScopeUser {
		login, err := c.Login(ctx)
		if err != nil {
			return err
		}
		if !strings.EqualFold(login, s.Owner) {
			return fmt.Errorf("%w: the server shows a user's runners and jobs to that user only, and the API token belongs to %s; "+
				"use a token of %s, or the scope instance with a site administrator's", plan.ErrDenied, login, s.Owner)
		}
	}
	if call.needs == "" {
		return nil
	}
	return c.can(ctx, call)
}

// pathOf is where the API of a scope begins, below /api/v1.
func pathOf(s plan.Scope) string {
	switch s.Kind {
	case plan.ScopeOrg:
		return "/orgs/" + url.PathEscape(s.Owner)
	case plan.ScopeUser:
		return "/user"
	case plan.ScopeRepo:
		return "/repos/" + url.PathEscape(s.Owner) + "/" + url.PathEscape(s.Repo)
	}
	return "/admin"
}
