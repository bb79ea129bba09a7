package gitea

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

const hookSecret = "webhook-secret-0cc175b9c0f1"

func hookJSON(id int64, events ...string) object {
	return object{"id": id, "type": "gitea", "active": true, "events": events, "branch_filter": "main*", "authorization_header": "Bearer x",
		"config": object{"url": "http://scaler:8089/webhook", "content_type": "json"}}
}

// hookPage is a page of a list that has total entries, where known.
func hookPage(total string, ids ...int64) reply {
	hooks := []object{}
	for _, id := range ids {
		hooks = append(hooks, hookJSON(id, "workflow_job"))
	}
	r := jsonReply(200, hooks)
	if total != "" {
		r.header = http.Header{"X-Total-Count": {total}}
	}
	return r
}

func TestHooks(t *testing.T) {
	const path = "GET /api/v1/admin/hooks"
	tests := []struct {
		name    string
		scope   plan.Scope
		replies map[string][]reply
		want    []int64
		err     string
		is      error
	}{
		{"none", instance, map[string][]reply{path: {hookPage("0")}}, nil, "", nil},
		{"two pages", instance, map[string][]reply{path: {hookPage("3", 1, 2), hookPage("3", 3)}}, []int64{1, 2, 3}, "", nil},
		{"no count", instance, map[string][]reply{path: {hookPage("", 1, 2), hookPage("", 3), hookPage("")}}, []int64{1, 2, 3}, "", nil},
		{"none, no count", instance, map[string][]reply{path: {hookPage("")}}, nil, "", nil},
		{"one is missing", instance, map[string][]reply{path: {hookPage("3", 1, 2), hookPage("3")}}, nil, "only 2 of 3 came", nil},
		{"null", instance, map[string][]reply{path: {{body: "null"}}}, nil, "no list in it", nil},
		{"hole", instance, map[string][]reply{path: {{body: "[null]"}}}, nil, "no list in it", nil},
		{"a page", instance, map[string][]reply{path: {{body: "<html>", kind: "text/html"}}}, nil, "is gitea.url right", nil},
		{"a server error once", instance, map[string][]reply{path: {apiMessage(500, "database is locked"), hookPage("1", 1)}}, []int64{1}, "", nil},
		{"no permission", instance, map[string][]reply{path: {apiMessage(403, "token does not have")}}, nil, "the API token needs the permission read:admin", plan.ErrDenied},
		{"switched off", instance, map[string][]reply{path: {apiMessage(403, "webhooks disabled by administrator")}}, nil, "DISABLE_WEBHOOKS", plan.ErrUnsupported},
		{"no such function", instance, map[string][]reply{}, nil, "the server is Gitea 1.26.0", plan.ErrUnsupported},
		{"no such repository", repoApp, map[string][]reply{"GET /api/v1/repos/acme/app/hooks": {apiMessage(404, "not found")}}, nil, "there is no repository acme/app", plan.ErrNotFound},
		{"another user", plan.Scope{Kind: plan.ScopeUser, Owner: "bob"}, map[string][]reply{}, nil, "the API token belongs to ann", plan.ErrDenied},
		{"of the user", userAnn, map[string][]reply{"GET /api/v1/user/hooks": {hookPage("1", 7)}}, []int64{7}, "", nil},
		{"of an organisation", orgAcme, map[string][]reply{"GET /api/v1/orgs/acme/hooks": {hookPage("1", 7)}}, []int64{7}, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.replies["GET /api/v1/user"] = []reply{jsonReply(200, object{"login": "ann"})}
			s := newStub(tt.replies)
			got, err := serve(t, s, nil).Hooks(t.Context(), tt.scope)
			var ids []int64
			for _, h := range got {
				ids = append(ids, h.ID)
			}
			if !slices.Equal(ids, tt.want) || tt.err == "" && err != nil {
				t.Errorf("hooks %v, %v; want %v", got, err, tt.want)
			}
			if tt.err != "" {
				wantError(t, err, "list webhooks of "+tt.scope.String()+": ", tt.err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v is not %v", err, tt.is)
			}
			for _, r := range s.seen {
				if strings.HasSuffix(r.URL.Path, "/admin/hooks") && r.URL.Query().Get("type") != "system" {
					t.Errorf("asks for %s", r.URL)
				}
			}
		})
	}
}

func TestCreateHook(t *testing.T) {
	const path = "POST /api/v1/admin/hooks"
	tests := []struct {
		name    string
		replies []reply
		err     string
		is      error
	}{
		{"made", []reply{jsonReply(201, hookJSON(5, "workflow_job"))}, "", nil},
		{"no repetition", []reply{{status: 502, body: "bad"}, jsonReply(201, hookJSON(5, "workflow_job"))}, "HTTP 502", nil},
		{"no repetition without an answer", []reply{{drop: true}, jsonReply(201, hookJSON(5, "workflow_job"))}, "EOF", nil},
		{"bad URL", []reply{apiMessage(422, "Invalid url")}, "Invalid url", nil},
		{"not about a hook", []reply{jsonReply(201, object{})}, "not about a webhook", nil},
		{"no permission", []reply{apiMessage(403, "no")}, "write:admin, and its user must be a site administrator", plan.ErrDenied},
		{"older server", []reply{jsonReply(201, hookJSON(5))}, "needs Gitea 1.24", plan.ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{path: tt.replies, "DELETE /api/v1/admin/hooks/5": {{status: 204}}})
			h, err := serve(t, s, nil).CreateHook(t.Context(), instance, "http://scaler:8089/webhook", hookSecret)
			if s.count(path) != 1 || (tt.err == "") != (err == nil) || err == nil && (h.ID != 5 || h.Fault() != "") {
				t.Errorf("hook %+v, %v, %d requests", h, err, s.count(path))
			}
			if tt.err != "" {
				wantError(t, err, "create webhook of instance: ", tt.err)
				if strings.Contains(err.Error(), hookSecret) {
					t.Errorf("secret in %q", err)
				}
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v is not %v", err, tt.is)
			}
			if n := s.count("DELETE /api/v1/admin/hooks/5"); (n == 1) != (tt.name == "older server") {
				t.Errorf("%d deletes", n)
			}
		})
	}
}

func TestUpdateHook(t *testing.T) {
	tests := []struct {
		name   string
		create reply
		delete reply
		id     int64 // of the hook that is returned
		err    string
	}{
		{"replaced", jsonReply(201, hookJSON(6, "workflow_job")), reply{status: 204}, 6, ""},
		{"the old one was gone", jsonReply(201, hookJSON(6, "workflow_job")), apiMessage(404, "not found"), 6, ""},
		{"the old one stays", jsonReply(201, hookJSON(6, "workflow_job")), apiMessage(403, "no"), 6, "delete webhook 5 of org:acme: "},
		{"nothing is made", apiMessage(422, "Invalid url"), reply{status: 204}, 0, "create webhook of org:acme: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const gone = "DELETE /api/v1/orgs/acme/hooks/5"
			s := newStub(map[string][]reply{"POST /api/v1/orgs/acme/hooks": {tt.create}, gone: {tt.delete}})
			h, err := serve(t, s, nil).UpdateHook(t.Context(), orgAcme, 5, "http://scaler:8089/webhook", hookSecret)
			if h.ID != tt.id || (tt.err == "") != (err == nil) || s.count(gone) == 1 != (tt.id != 0) {
				t.Errorf("hook %+v, %v, %d deletes", h, err, s.count(gone))
			}
			if tt.err != "" {
				wantError(t, err, tt.err)
			}
		})
	}
}

func TestDeleteHook(t *testing.T) {
	tests := []struct {
		name  string
		scope plan.Scope
		path  string
		reply reply
		err   string
		is    error
	}{
		{"instance", instance, "/admin/hooks/5", reply{status: 204}, "", nil},
		{"repository", repoApp, "/repos/acme/app/hooks/5", reply{status: 204}, "", nil},
		{"gone", instance, "/admin/hooks/5", apiMessage(404, "not found"), "", plan.ErrNotFound},
		{"gone, or its owner", orgAcme, "/orgs/acme/hooks/5", apiMessage(404, "not found"), "it is gone, or there is no organization acme", plan.ErrNotFound},
		{"a page", instance, "/admin/hooks/5", reply{status: 200, body: "<html>", kind: "text/html"}, "HTTP 200", nil},
		{"no permission", instance, "/admin/hooks/5", apiMessage(403, "no"), "write:admin", plan.ErrDenied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{"DELETE /api/v1" + tt.path: {tt.reply}})
			err := serve(t, s, nil).DeleteHook(t.Context(), tt.scope, 5)
			if tt.err == "" && tt.is == nil && err != nil {
				t.Error(err)
			}
			if tt.err != "" {
				wantError(t, err, "delete webhook 5 of "+tt.scope.String()+": ", tt.err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v is not %v", err, tt.is)
			}
		})
	}
}

// TestTestHook: a hook that is not for pushes is one for as long as the test
// takes, and keeps what else it has.
func TestTestHook(t *testing.T) {
	const (
		one   = "/api/v1/repos/acme/app/hooks/5"
		edit  = "PATCH " + one
		tests = "POST " + one + "/tests"
	)
	cases := []struct {
		name   string
		events []string
		test   reply
		edits  int
		err    string
	}{
		{"of jobs", []string{"workflow_job"}, reply{status: 204}, 2, ""},
		{"of pushes too", []string{"workflow_job", "push"}, reply{status: 204}, 0, ""},
		{"refused", []string{"workflow_job"}, apiMessage(500, "database is locked"), 2, "HTTP 500"},
		{"empty repository", []string{"workflow_job"}, apiMessage(404, "repository is empty"), 2, "the repository has none"},
		{"gone", []string{"workflow_job"}, apiMessage(404, "not found"), 2, "it is gone"},
		{"a page", []string{"workflow_job"}, reply{status: 200, body: "<html>", kind: "text/html"}, 2, "HTTP 200"},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{"GET " + one: {jsonReply(200, hookJSON(5, tt.events...))}, edit: {jsonReply(200, object{})}, tests: {tt.test}})
			err := serve(t, s, nil).TestHook(t.Context(), repoApp, 5)
			if (tt.err == "") != (err == nil) || s.count(tests) != 1 || s.count(edit) != tt.edits {
				t.Errorf("error %v, %d tests, %d edits", err, s.count(tests), s.count(edit))
			}
			if tt.err != "" {
				wantError(t, err, "test webhook 5 of repo:acme/app: ", tt.err)
			}
			var edits []string
			for i, r := range s.seen {
				if r.Method == http.MethodPatch {
					edits = append(edits, s.bodies[i])
				}
			}
			if tt.edits == 0 {
				return
			}
			for i, want := range []string{`"events":["workflow_job","push"]`, `"events":["workflow_job"]`} {
				for _, part := range []string{want, `"branch_filter":"main*"`, `"authorization_header":"Bearer x"`, `"active":null`, `"config":null`} {
					if !strings.Contains(edits[i], part) {
						t.Errorf("edit %d is %s, lacks %s", i, edits[i], part)
					}
				}
			}
		})
	}
	for _, scope := range []plan.Scope{instance, orgAcme, userAnn} {
		s := newStub(map[string][]reply{})
		err := serve(t, s, nil).TestHook(t.Context(), scope, 5)
		if wantError(t, err, "test webhook 5 of "+scope.String()); !errors.Is(err, plan.ErrUnsupported) || s.count("") != 0 {
			t.Errorf("error %v after %d requests", err, s.count(""))
		}
	}
}

func TestHookFault(t *testing.T) {
	good := Hook{Type: "gitea", ContentType: "json", Active: true, Events: []string{"push", "workflow_job"}}
	tests := []struct {
		want   string
		change func(*Hook)
	}{
		{"", func(*Hook) {}},
		{"it is not active", func(h *Hook) { h.Active = false }},
		{"it does not send the event workflow_job", func(h *Hook) { h.Events = []string{"push"} }},
		{"its type is slack", func(h *Hook) { h.Type = "slack" }},
		{"its content type is form", func(h *Hook) { h.ContentType = "form" }},
	}
	for _, tt := range tests {
		h := good
		if tt.change(&h); h.Fault() != tt.want {
			t.Errorf("fault %q, want %q", h.Fault(), tt.want)
		}
	}
}
