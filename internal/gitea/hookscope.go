package gitea

import (
	"context"

	sdk "code.gitea.io/sdk/gitea"

	"scaler.io/scaler/internal/plan"
)

// hookEndpoints are the SDK's functions for the webhooks of one scope.
type hookEndpoints struct {
	list   func(sdk.ListOptions) ([]*sdk.Hook, *sdk.Response, error)
	create func(sdk.CreateHookOption) (*sdk.Hook, *sdk.Response, error)
	delete func(id int64) (*sdk.Response, error)
}

// hooksAt returns the endpoints of a scope for one operation.
func (c *Client) hooksAt(ctx context.Context, s plan.Scope, call *call) (hookEndpoints, error) {
	if _, err := c.at(ctx, s, call); err != nil {
		return hookEndpoints{}, err // also that a user's scope is another one's
	}
	client, err := c.rest(ctx, call)
	if err != nil {
		return hookEndpoints{}, err
	}
	return hookEndpointsOf(client, s), nil
}

func hookEndpointsOf(c *sdk.Client, s plan.Scope) hookEndpoints {
	switch s.Kind {
	case plan.ScopeOrg:
		return hookEndpoints{
			list: func(o sdk.ListOptions) ([]*sdk.Hook, *sdk.Response, error) {
				return c.ListOrgHooks(s.Owner, sdk.ListHooksOptions{ListOptions: o})
			},
			create: func(o sdk.CreateHookOption) (*sdk.Hook, *sdk.Response, error) { return c.CreateOrgHook(s.Owner, o) },
			delete: func(id int64) (*sdk.Response, error) { return c.DeleteOrgHook(s.Owner, id) },
		}
	case plan.ScopeRepo:
		return hookEndpoints{
			list: func(o sdk.ListOptions) ([]*sdk.Hook, *sdk.Response, error) {
				return c.ListRepoHooks(s.Owner, s.Repo, sdk.ListHooksOptions{ListOptions: o})
			},
			create: func(o sdk.CreateHookOption) (*sdk.Hook, *sdk.Response, error) {
				return c.CreateRepoHook(s.Owner, s.Repo, o)
			},
			delete: func(id int64) (*sdk.Response, error) { return c.DeleteRepoHook(s.Owner, s.Repo, id) },
		}
	case plan.ScopeUser:
		return hookEndpoints{
			list: func(o sdk.ListOptions) ([]*sdk.Hook, *sdk.Response, error) {
				return c.ListMyHooks(sdk.ListHooksOptions{ListOptions: o})
			},
			create: c.CreateMyHook,
			delete: c.DeleteMyHook,
		}
	}
	return hookEndpoints{
		list: func(o sdk.ListOptions) ([]*sdk.Hook, *sdk.Response, error) {
			return c.ListAdminHooks(sdk.ListAdminHooksOptions{ListOptions: o, Type: "system"})
		},
		create: c.CreateAdminHook,
		delete: c.DeleteAdminHook,
	}
}
