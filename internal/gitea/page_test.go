package gitea

import (
	"testing"

	"scaler.io/scaler/internal/plan"
)

func TestRunnerPage(t *testing.T) {
	old, gitea := plan.Capabilities{Product: plan.ProductGitea, Version: "1.22.3"}, plan.Capabilities{Product: plan.ProductGitea, Version: "1.23.8"}
	forgejo := plan.Capabilities{Product: plan.ProductForgejo, Version: "11.0.3+gitea-1.22.0"}
	instance := plan.Scope{Kind: plan.ScopeInstance}
	tests := map[string]struct {
		caps  plan.Capabilities
		scope plan.Scope
		want  string
	}{
		"administrator":              {gitea, instance, "/-/admin/actions/runners/7"},
		"administrator before 1.23":  {old, instance, "/admin/actions/runners/7"},
		"administrator of a Forgejo": {forgejo, instance, "/admin/actions/runners/7"},
		"organization":               {gitea, plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, "/org/acme/settings/actions/runners/7"},
		"user":                       {old, plan.Scope{Kind: plan.ScopeUser, Owner: "alice"}, "/user/settings/actions/runners/7"},
		"repository":                 {forgejo, plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "a b"}, "/acme/a%20b/settings/actions/runners/7"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := &Client{runnerURL: "https://git.example/gitea"}
			if got := c.RunnerPage(tt.caps, tt.scope, 7); got != "https://git.example/gitea"+tt.want {
				t.Errorf("%s, want it to end in %s", got, tt.want)
			}
		})
	}
}
