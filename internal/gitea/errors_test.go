package gitea

import (
	"errors"
	"net/http"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func TestListErrors(t *testing.T) {
	lacking := apiMessage(403, "token does not have at least one of required scope(s), required=[read:admin], token scope=read:user")
	missing := jsonReply(404, object{"message": "GetOrgByName", "errors": []string{"user redirect does not exist"}})
	jobs := func(c *Client, t *testing.T, s plan.Scope) error {
		_, err := c.QueuedJobs(t.Context(), s, 1, nil)
		return err
	}
	runners := func(c *Client, t *testing.T, s plan.Scope) error {
		_, err := c.Runners(t.Context(), s)
		return err
	}
	tests := []struct {
		name  string
		scope plan.Scope
		list  func(*Client, *testing.T, plan.Scope) error
		path  string
		reply reply
		is    error
		want  []string
	}{
		{"wrong token", instance, jobs, "/admin/actions/jobs", apiMessage(401, "invalid username, password or token"), plan.ErrDenied,
			[]string{"list queued jobs of instance: access denied: the API token is missing, wrong or expired; check gitea.api_token (HTTP 401 Unauthorized: invalid username"}},
		{"instance jobs", instance, jobs, "/admin/actions/jobs", lacking, plan.ErrDenied,
			[]string{"read:admin, and its user must be a site administrator", "required=[read:admin]"}},
		{"org jobs", orgAcme, jobs, "/orgs/acme/actions/jobs", lacking, plan.ErrDenied, []string{"read:organization, and its user must be a member", "of acme"}},
		{"user jobs", userAnn, jobs, "/user/actions/jobs", lacking, plan.ErrDenied, []string{"of user:ann", "the permission read:user"}},
		{"repo jobs", repoApp, jobs, "/repos/acme/app/actions/jobs", lacking, plan.ErrDenied, []string{"read:repository", "read the Actions", "acme/app"}},
		{"org runners", orgAcme, runners, "/orgs/acme/actions/runners", lacking, plan.ErrDenied, []string{"read:organization, and its user must be an owner of acme"}},
		{"a proxy's 403", instance, jobs, "/admin/actions/jobs", reply{status: 403, body: "<html>", kind: "text/html"}, plan.ErrDenied,
			[]string{"by something that is not Gitea", "is gitea.url right"}},
		{"no jobs lists", instance, jobs, "/none", noRoute(), plan.ErrUnsupported, []string{"this needs Gitea 1.25 or later, and the server is 1.26.0"}},
		{"no runners lists", instance, runners, "/none", noRoute(), plan.ErrUnsupported, []string{"this needs Gitea 1.24 or later"}},
		{"no runners lists, said in JSON", instance, runners, "/admin/actions/runners", apiMessage(404, "Not Found"), plan.ErrUnsupported, []string{"this needs Gitea 1.24 or later"}},
		{"no such org", orgAcme, jobs, "/orgs/acme/actions/jobs", missing, plan.ErrNotFound,
			[]string{"there is no organization acme, or the API token's user cannot see it", "GetOrgByName; user redirect does not exist"}},
		{"no such repo", repoApp, runners, "/repos/acme/app/actions/runners", apiMessage(404, "not found"), plan.ErrNotFound,
			[]string{"there is no repository acme/app, or"}},
		{"server error", instance, jobs, "/admin/actions/jobs", apiMessage(500, "database is locked"), nil, []string{"HTTP 500 Internal Server Error: database is locked"}},
		{"gateway error", instance, jobs, "/admin/actions/jobs", reply{status: 502, body: "<html>a\nlong page", kind: "text/html"}, nil, []string{"of instance: HTTP 502 Bad Gateway"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{
				"GET /api/v1" + tt.path: {tt.reply},
				"GET /api/v1/user":      {jsonReply(200, object{"login": "Ann"})},
			})
			err := tt.list(serve(t, s, nil), t, tt.scope)
			wantError(t, err, tt.want...)
			for _, sentinel := range []error{plan.ErrDenied, plan.ErrNotFound, plan.ErrUnsupported} {
				if errors.Is(err, sentinel) != (sentinel == tt.is) {
					t.Errorf("error %v: errors.Is %v is %t", err, sentinel, errors.Is(err, sentinel))
				}
			}
			if status := (*StatusError)(nil); tt.reply.status >= 500 && (!errors.As(err, &status) || status.Status != tt.reply.status) {
				t.Errorf("error %v is not a StatusError of %d", err, tt.reply.status)
			}
		})
	}
}

func TestWrongURL(t *testing.T) {
	s := newStub(map[string][]reply{"GET /api/v1/version": {noRoute()}})
	_, err := serve(t, s, nil).QueuedJobs(t.Context(), instance, 1, nil)
	wantError(t, err, "no Gitea at http://127.0.0.1:", "is gitea.url right")
	if errors.Is(err, plan.ErrUnsupported) || errors.Is(err, plan.ErrNotFound) {
		t.Errorf("error %v says more than is known", err)
	}
}

func TestUserScope(t *testing.T) {
	s := newStub(map[string][]reply{
		"GET /api/v1/user":              {jsonReply(200, object{"login": "Ann"})},
		"GET /api/v1/user/actions/jobs": {jobsPage(1, 4)},
	})
	token := plan.Secret(apiToken)
	c := serve(t, s, func(o *Options) { o.Token = func() (plan.Secret, error) { return token, nil } })
	for range 2 {
		if list, err := c.QueuedJobs(t.Context(), userAnn, 1, nil); err != nil || len(list.Jobs) != 1 {
			t.Fatalf("jobs %v, %v", list, err)
		}
	}
	for range 2 {
		_, err := c.Runners(t.Context(), plan.Scope{Kind: plan.ScopeUser, Owner: "bob"})
		wantError(t, err, "list runners of user:bob: access denied", "the API token belongs to Ann", "use a token of bob")
		if !errors.Is(err, plan.ErrDenied) {
			t.Errorf("error %v is not ErrDenied", err)
		}
	}
	if n := s.count("GET /api/v1/user"); n != 1 {
		t.Errorf("%d requests for the login, want 1", n)
	}
	token = "another-token"
	if _, err := c.QueuedJobs(t.Context(), userAnn, 1, nil); err != nil {
		t.Fatal(err)
	}
	if n := s.count("GET /api/v1/user"); n != 2 {
		t.Errorf("%d requests for the login after a rotation, want 2", n)
	}
}

func TestTokenIsReadEachTime(t *testing.T) {
	s := newStub(map[string][]reply{adminJobs: {jobsPage(0)}})
	n := 0
	values := []plan.Secret{"one", "two", ""}
	failure := errors.New("permission denied")
	c := serve(t, s, func(o *Options) {
		o.Token = func() (plan.Secret, error) {
			n++
			if n > len(values) {
				return "", failure
			}
			return values[n-1], nil
		}
	})
	for range 2 {
		if _, err := c.QueuedJobs(t.Context(), instance, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"token one", "token two"} {
		if got := s.seen[i].Header.Get("Authorization"); got != want {
			t.Errorf("request %d has %q, want %q", i, got, want)
		}
	}
	_, err := c.QueuedJobs(t.Context(), instance, 1, nil)
	wantError(t, err, "the API token is missing")
	_, err = c.QueuedJobs(t.Context(), instance, 1, nil)
	wantError(t, err, "list queued jobs of instance: read API token: permission denied")
	if !errors.Is(err, failure) {
		t.Errorf("error %v does not wrap its cause", err)
	}
	if n := s.count(""); n != 2 {
		t.Errorf("%d requests, want none without a token", n)
	}
}

func TestStatusErrorText(t *testing.T) {
	tests := []struct {
		err  StatusError
		want string
	}{
		{StatusError{Status: http.StatusBadGateway}, "HTTP 502 Bad Gateway"},
		{StatusError{Status: 599}, "HTTP 599"},
		{StatusError{Status: 429, Message: "slow down", RetryAfter: "60"}, "HTTP 429 Too Many Requests: slow down (retry after 60)"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	if got := excerpt(" a\n\tb\x00c\xff "); got != "a b c?" {
		t.Errorf("got %q", got)
	}
	long := make([]byte, 500)
	for i := range long {
		long[i] = 'x'
	}
	if got := excerpt(string(long)); len(got) != 203 {
		t.Errorf("%d bytes", len(got))
	}
}
