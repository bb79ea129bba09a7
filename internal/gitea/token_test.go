package gitea

import (
	"errors"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func TestMintToken(t *testing.T) {
	const (
		adminNew = "POST /api/v1/admin/actions/runners/registration-token"
		adminOld = "GET /api/v1/admin/runners/registration-token"
		orgNew   = "POST /api/v1/orgs/acme/actions/runners/registration-token"
		orgOld   = "GET /api/v1/orgs/acme/actions/runners/registration-token"
		repoOld  = "GET /api/v1/repos/acme/app/actions/runners/registration-token"
		userOld  = "GET /api/v1/user/actions/runners/registration-token"
	)
	token := jsonReply(200, object{"token": regToken})
	tests := []struct {
		name    string
		scope   plan.Scope
		replies map[string][]reply
		want    string // error
		is      error
		first   int // requests of the first call
		second  int // and of the second
	}{
		{"current", instance, map[string][]reply{adminNew: {token}}, "", nil, 1, 1},
		{"old instance", instance, map[string][]reply{adminOld: {token}}, "", nil, 2, 1},
		{"old org", orgAcme, map[string][]reply{orgNew: {{status: 405}}, orgOld: {token}}, "", nil, 2, 1},
		{"old repo", repoApp, map[string][]reply{repoOld: {token}}, "", nil, 2, 1},
		{"old user", userAnn, map[string][]reply{userOld: {token}}, "", nil, 3, 1},
		{"no such org", orgAcme, map[string][]reply{orgNew: {apiMessage(404, "GetOrgByName")}}, "there is no organization acme", plan.ErrNotFound, 1, 1},
		{"no permission", instance, map[string][]reply{adminNew: {apiMessage(403, "no")}}, "write:admin, and its user must be a site administrator", plan.ErrDenied, 1, 1},
		{"no permission, old", instance, map[string][]reply{adminOld: {apiMessage(403, "no")}}, "read:admin, and", plan.ErrDenied, 2, 2},
		{"neither", instance, map[string][]reply{}, "the server is Gitea 1.26.0", plan.ErrUnsupported, 3, 3},
		{"no token in it", instance, map[string][]reply{adminNew: {{body: "{}"}}}, "no token in it", nil, 1, 1},
		{"no token in it, old", instance, map[string][]reply{adminOld: {{body: "<html>", kind: "text/html"}}}, "is gitea.url right", nil, 2, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.replies["GET /api/v1/user"] = []reply{jsonReply(200, object{"login": "ann"})}
			s := newStub(tt.replies)
			c := serve(t, s, nil)
			before := 0
			for i, want := range []int{tt.first, tt.second} {
				got, err := c.MintToken(t.Context(), tt.scope)
				if tt.want == "" && (err != nil || got.Reveal() != regToken) {
					t.Errorf("call %d: wrong token, error %v", i, err)
				}
				if tt.want != "" {
					wantError(t, err, "mint registration token of "+tt.scope.String(), tt.want)
				}
				if tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("error %v is not %v", err, tt.is)
				}
				if n := s.count("") - before; n != want {
					t.Errorf("call %d: %d requests, want %d", i, n, want)
				}
				before = s.count("")
			}
			for _, r := range s.seen {
				if strings.HasPrefix(r.URL.Path, "/api/v1/") && r.URL.Path != "/api/v1/version" && r.Header.Get("Authorization") != "token "+apiToken {
					t.Errorf("%s %s without the API token", r.Method, r.URL.Path)
				}
			}
		})
	}
}

// TestMintTokenAfterUpgrade: the older form goes away with Gitea 1.26, which
// then takes its last part for a runner's id.
func TestMintTokenAfterUpgrade(t *testing.T) {
	const path = "/api/v1/orgs/acme/actions/runners/registration-token"
	token := jsonReply(200, object{"token": regToken})
	s := newStub(map[string][]reply{
		"POST " + path: {{status: 405}, token},
		"GET " + path:  {token, apiMessage(404, "Runner not found")},
	})
	c := serve(t, s, nil)
	for range 3 {
		if _, err := c.MintToken(t.Context(), orgAcme); err != nil {
			t.Error(err)
		}
	}
	if n := s.count(""); n != 5 {
		t.Errorf("%d requests, want 2 + 2 + 1", n)
	}
}
