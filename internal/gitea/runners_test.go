package gitea

import (
	"errors"
	"slices"
	"testing"

	"scaler.io/scaler/internal/plan"
)

const (
	adminRunners = "/api/v1/admin/actions/runners"
	runner5      = adminRunners + "/5"
)

func TestRunners(t *testing.T) {
	tests := []struct {
		name     string
		pages    []reply
		want     []int64
		complete bool
	}{
		{"none", []reply{runnersPage(0)}, nil, true},
		{"one page", []reply{runnersPage(2, 8, 3)}, []int64{8, 3}, true},
		{"a runner moves to the first page between pages", []reply{
			runnersPage(51, ids(1, 50)...), runnersPage(51, 50),
			runnersPage(51, ids(2, 51)...), runnersPage(51, 1)}, append(ids(2, 51), 1), true},
		{"it keeps on moving", []reply{
			runnersPage(3, 1, 2), runnersPage(3, 2), runnersPage(3, 1, 2), runnersPage(3, 2)}, []int64{1, 2}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{"GET " + adminRunners: tt.pages})
			list, err := serve(t, s, nil).Runners(t.Context(), instance)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, r := range list.Runners {
				got = append(got, r.ID)
			}
			if !slices.Equal(got, tt.want) || list.Complete != tt.complete {
				t.Errorf("runners %v complete %t, want %v %t", got, list.Complete, tt.want, tt.complete)
			}
		})
	}
}

func TestRunnerFields(t *testing.T) {
	s := newStub(map[string][]reply{"GET " + runner5: {jsonReply(200, object{
		"id": 5, "name": "r5", "status": "online", "busy": true, "disabled": true, "ephemeral": true,
		"labels": []any{object{"id": 0, "name": "linux", "type": "custom"}, nil, object{"name": "gpu"}}})}})
	got, err := serve(t, s, nil).Runner(t.Context(), instance, 5)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != 5 || got.Name != "r5" || !got.Online || !got.Busy || !got.Disabled || !got.Ephemeral ||
		!slices.Equal(got.Labels, []string{"linux", "gpu"}) {
		t.Errorf("runner %+v", got)
	}
}

func TestRunnerAnswersForAnother(t *testing.T) {
	s := newStub(map[string][]reply{"GET " + runner5: {{body: `{}`}}})
	_, err := serve(t, s, nil).Runner(t.Context(), instance, 5)
	wantError(t, err, "read runner 5 of instance", "not about runner 5")
}

func TestSetRunnerDisabled(t *testing.T) {
	runner := func(disabled bool) reply { return jsonReply(200, object{"id": 5, "disabled": disabled}) }
	tests := []struct {
		name     string
		disabled bool
		reply    reply
		is       error
		want     string
	}{
		{"disable", true, runner(true), nil, ""},
		{"enable", false, runner(false), nil, ""},
		{"ignored", true, runner(false), nil, "disable runner 5 of instance: the server accepted this and did not do it"},
		{"gone", true, apiMessage(404, "Runner not found"), plan.ErrNotFound, "disable runner 5 of instance: not found"},
		{"another scope's", false, apiMessage(404, "No permission to access this runner"), plan.ErrDenied, "enable runner 5 of instance: access denied: it belongs to another scope"},
		{"no such method", true, reply{status: 405}, plan.ErrUnsupported, "this needs Gitea 1.26 or later, and the server is 1.26.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{"PATCH " + runner5: {tt.reply}})
			err := serve(t, s, nil).SetRunnerDisabled(t.Context(), instance, 5, tt.disabled)
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v is not %v", err, tt.is)
			}
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" {
				wantError(t, err, tt.want)
			}
			want := `{"disabled":true}`
			if !tt.disabled {
				want = `{"disabled":false}`
			}
			if s.bodies[0] != want {
				t.Errorf("body %s, want %s", s.bodies[0], want)
			}
		})
	}
}

func TestSetRunnerDisabledIsRemembered(t *testing.T) {
	s := newStub(map[string][]reply{"PATCH " + runner5: {{status: 405}}})
	c := serve(t, s, nil)
	for range 3 {
		if err := c.SetRunnerDisabled(t.Context(), instance, 5, true); !errors.Is(err, plan.ErrUnsupported) {
			t.Fatalf("error %v", err)
		}
	}
	if n := s.count("PATCH " + runner5); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestDeleteRunner(t *testing.T) {
	const path = "/api/v1/repos/acme/app/actions/runners/5"
	tests := []struct {
		name  string
		reply reply
		is    error
		want  string
	}{
		{"deleted", reply{status: 204}, nil, ""},
		{"gone", apiMessage(404, "Runner not found"), plan.ErrNotFound, "delete runner 5 of repo:acme/app: not found (HTTP 404"},
		{"repository gone", apiMessage(404, "not found"), plan.ErrNotFound, "it is gone, or there is no repository acme/app"},
		{"another scope's", apiMessage(404, "No permission to access this runner"), plan.ErrDenied, "belongs to another scope"},
		{"a proxy's 404 is not success", reply{status: 404, body: "<html>", kind: "text/html"}, plan.ErrUnsupported, "needs Gitea 1.24"},
		{"a proxy's 200 is not success", reply{status: 200, body: "<html>", kind: "text/html"}, nil, "is gitea.url right"},
		{"no owner", apiMessage(403, "user should be the owner of the repo"), plan.ErrDenied, "write:repository, and its user must be an owner of acme/app"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{"DELETE " + path: {tt.reply}})
			err := serve(t, s, nil).DeleteRunner(t.Context(), repoApp, 5)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, tt.want)
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v is not %v", err, tt.is)
			}
			if tt.is == nil && errors.Is(err, plan.ErrNotFound) {
				t.Errorf("error %v must not be ErrNotFound", err)
			}
		})
	}
}

// TestDeleteRunnerRepeats: a delete whose answer is lost is repeated, and then
// finds the runner gone.
func TestDeleteRunnerRepeats(t *testing.T) {
	s := newStub(map[string][]reply{"DELETE " + runner5: {{drop: true}, {status: 502}, apiMessage(404, "Runner not found")}})
	err := serve(t, s, nil).DeleteRunner(t.Context(), instance, 5)
	if !errors.Is(err, plan.ErrNotFound) {
		t.Error(err)
	}
	if n := s.count("DELETE " + runner5); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}
