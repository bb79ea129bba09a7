package gitea

import (
	"fmt"
	"net/url"

	"scaler.io/scaler/internal/plan"
)

// RunnerPage is the address of the page on which people can look at a runner of a
// scope and delete it, as they reach it under Options.RunnerURL. Source: the
// routes of each release (routers/web/web.go in Gitea and Forgejo); the
// administrator's moved with Gitea 1.23.
func (c *Client) RunnerPage(caps plan.Capabilities, scope plan.Scope, id int64) string {
	owner, repo := url.PathEscape(scope.Owner), url.PathEscape(scope.Repo)
	at := "/admin"
	switch scope.Kind {
	case plan.ScopeOrg:
		at = "/org/" + owner + "/settings"
	case plan.ScopeUser:
		at = "/user/settings"
	case plan.ScopeRepo:
		at = "/" + owner + "/" + repo + "/settings"
	default:
		if caps.Product == plan.ProductGitea && releaseOf(caps.Version).atLeast(release{1, 23}) {
			at = "/-/admin"
		}
	}
	return fmt.Sprintf("%s%s/actions/runners/%d", c.runnerURL, at, id)
}
