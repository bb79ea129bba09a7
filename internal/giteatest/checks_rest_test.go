package giteatest_test

import (
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func checkVersion(t *testing.T, c client) {
	var got struct{ Version string }
	c.do(t, http.MethodGet, "/api/v1/version", nil).want(t, http.StatusOK, &got)
	if !strings.HasPrefix(got.Version, "1.") {
		t.Errorf("version %q", got.Version)
	}
}

func checkOffline(t *testing.T, c client) {
	id := c.register(t, false, "offline")
	if r, _ := c.runner(t, id); r.Status != "offline" || r.Busy || r.Disabled {
		t.Errorf("new runner %+v: want offline", r)
	}
	c.rpc(t, id, "Declare", map[string]any{"labels": []string{"offline"}}).want(t, http.StatusOK, nil)
	if r, _ := c.runner(t, id); r.Status != "online" {
		t.Errorf("declared runner %+v: want online", r)
	}
}

// listRunners returns the runners below the admin's prefix, all pages.
func listRunners(t *testing.T, c client, query string) map[int64]runnerView {
	t.Helper()
	found := map[int64]runnerView{}
	for page := 1; ; page++ {
		var got struct {
			Runners []runnerView
			Total   int `json:"total_count"`
		}
		c.rest(t, http.MethodGet, "/admin/actions/runners?limit=50&page="+strconv.Itoa(page)+query, nil).want(t, http.StatusOK, &got)
		for _, r := range got.Runners {
			found[r.ID] = r
		}
		if len(got.Runners) == 0 {
			return found
		}
	}
}

func checkRunners(t *testing.T, c client) {
	id := c.register(t, true, "crud")
	number, _ := strconv.ParseInt(id.ID, 10, 64)
	if r, ok := listRunners(t, c, "")[number]; !ok || r.Name != id.Name || !r.Ephemeral {
		t.Errorf("listed %+v, %v", r, ok)
	}
	if r, status := c.runner(t, id); status != http.StatusOK || r.ID != number {
		t.Errorf("got %+v, status %d", r, status)
	}
	a := c.rest(t, http.MethodDelete, "/admin/actions/runners/"+id.ID, nil)
	if a.status != http.StatusNoContent || a.body != "" {
		t.Errorf("delete: %d %q", a.status, a.body)
	}
	if _, ok := listRunners(t, c, "")[number]; ok {
		t.Error("still listed after the delete")
	}
}

func checkMissingRunner(t *testing.T, c client) {
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		c.rest(t, method, "/admin/actions/runners/999999", nil).wantMessage(t, http.StatusNotFound, "Runner not found")
	}
	c.rest(t, http.MethodPatch, "/admin/actions/runners/999999", map[string]any{"disabled": true}).
		wantMessage(t, http.StatusNotFound, "Runner not found")
	id := c.register(t, false, "elsewhere")
	c.rest(t, http.MethodGet, "/user/actions/runners/"+id.ID, nil).
		wantMessage(t, http.StatusNotFound, "No permission to access this runner")
}

func checkEmptyPatch(t *testing.T, c client) {
	id := c.register(t, false, "empty-patch")
	c.rest(t, http.MethodPatch, "/admin/actions/runners/"+id.ID, map[string]any{}).
		wantMessage(t, http.StatusUnprocessableEntity, "[Disabled]: Required")
}

// disable sets a runner's state.
func disable(t *testing.T, c client, id identity, disabled bool) {
	t.Helper()
	var got runnerView
	c.rest(t, http.MethodPatch, "/admin/actions/runners/"+id.ID, map[string]any{"disabled": disabled}).want(t, http.StatusOK, &got)
	if got.Disabled != disabled {
		t.Errorf("answer %+v, want disabled %v", got, disabled)
	}
}

func checkDisabledFilter(t *testing.T, c client) {
	id := c.register(t, false, "filter")
	number, _ := strconv.ParseInt(id.ID, 10, 64)
	disable(t, c, id, true)
	if _, ok := listRunners(t, c, "&disabled=true")[number]; !ok {
		t.Error("not among the disabled")
	}
	if _, ok := listRunners(t, c, "&disabled=false")[number]; ok {
		t.Error("among the enabled")
	}
}

func checkDisabled(t *testing.T, c client) {
	id := c.register(t, false, "disabled")
	disable(t, c, id, true)
	c.addJobs(t, 1, "disabled")
	task, version := c.fetch(t, id, "0")
	if task != "" || version == "" {
		t.Errorf("task %q, version %q: want a version only", task, version)
	}
	disable(t, c, id, false)
	if task, _ = c.fetch(t, id, version); task == "" {
		t.Error("no task once enabled, with the version of before")
	}
	disable(t, c, id, true)
	c.report(t, id, task, "RESULT_SUCCESS").want(t, http.StatusOK, nil)
}

func checkLifecycle(t *testing.T, c client) {
	id := c.register(t, false, "life")
	repo, ids := c.addJobs(t, 1, "life")
	j := c.job(t, repo, ids[0])
	if j.Status != "queued" || j.Conclusion != "" || j.RunnerID != 0 || j.RunAttempt != 0 || j.StartedAt.Unix() != 0 || j.CompletedAt.Unix() != 0 {
		t.Errorf("queued job %+v", j)
	}
	if time.Since(j.CreatedAt).Abs() > time.Minute || len(j.Labels) != 1 || j.Labels[0] != "life" {
		t.Errorf("queued job %+v", j)
	}
	if want := c.base() + "/api/v1/repos/" + repo + "/actions/jobs/" + strconv.FormatInt(j.ID, 10); j.URL != want {
		t.Errorf("url %s, want %s", j.URL, want)
	}
	task := c.take(t, id)
	j = c.job(t, repo, ids[0])
	if j.Status != "in_progress" || strconv.FormatInt(j.RunnerID, 10) != id.ID || j.RunnerName != id.Name || j.RunAttempt != 1 {
		t.Errorf("picked job %+v", j)
	}
	if a := c.report(t, id, task, ""); a.status != http.StatusOK || strings.Contains(a.body, "result") {
		t.Errorf("report without a result: %d %s", a.status, a.body)
	}
	c.report(t, id, task, "RESULT_SUCCESS").want(t, http.StatusOK, nil)
	j = c.job(t, repo, ids[0])
	if j.Status != "completed" || j.Conclusion != "success" || strconv.FormatInt(j.RunnerID, 10) != id.ID || j.CompletedAt.Unix() == 0 {
		t.Errorf("finished job %+v", j)
	}
}

func checkStatusRepeated(t *testing.T, c client) {
	id := c.register(t, false, "status")
	repo, _ := c.addJobs(t, 3, "status")
	done := c.take(t, id)
	c.report(t, id, done, "RESULT_FAILURE").want(t, http.StatusOK, nil)
	c.take(t, id)
	for query, want := range map[string]int{
		"":                                     3,
		"?status=queued":                       1,
		"?status=in_progress":                  1,
		"?status=queued&status=in_progress":    2,
		"?status=completed":                    1,
		"?status=failure":                      1,
		"?status=success":                      0,
		"?status=waiting":                      0,
		"?status=completed&status=in_progress": 2,
	} {
		jobs, total, header := c.jobs(t, "/repos/"+repo, query)
		if len(jobs) != want || total != want || header.Get("X-Total-Count") != strconv.Itoa(want) {
			t.Errorf("%s: %d jobs, total %d, X-Total-Count %s, want %d", query, len(jobs), total, header.Get("X-Total-Count"), want)
		}
	}
}

func checkBadStatus(t *testing.T, c client) {
	for _, query := range []string{"?status=running", "?status=queued&status=x"} {
		name := query[strings.LastIndexByte(query, '=')+1:]
		c.rest(t, http.MethodGet, "/admin/actions/jobs"+query, nil).wantMessage(t, http.StatusBadRequest, "Invalid status "+name)
	}
}

func checkPageCap(t *testing.T, c client) {
	const n = 53
	repo, _ := c.addJobs(t, n, "page-cap")
	for query, want := range map[string]int{
		"?limit=1000":        50,
		"?limit=1000&page=2": 3,
		"?limit=50&page=3":   0,
		"?limit=7":           7,
		"":                   30,
		"?limit=0":           30,
		"?limit=-1&page=-1":  30,
	} {
		jobs, total, header := c.jobs(t, "/repos/"+repo, query)
		if len(jobs) != want || total != n || header.Get("X-Total-Count") != strconv.Itoa(n) {
			t.Errorf("%q: %d jobs, total %d, X-Total-Count %s, want %d of %d", query, len(jobs), total, header.Get("X-Total-Count"), want, n)
		}
	}
	_, _, header := c.jobs(t, "/repos/"+repo, "?limit=20&page=2")
	links := regexp.MustCompile(`page=(\d+)>; rel="(\w+)"`).FindAllStringSubmatch(header.Get("Link"), -1)
	got := map[string]string{}
	for _, link := range links {
		got[link[2]] = link[1]
	}
	if want := map[string]string{"next": "3", "last": "3", "first": "1", "prev": "1"}; !maps.Equal(got, want) {
		t.Errorf("links %v, want %v", got, want)
	}
	all, total, _ := c.jobs(t, "/user", "?limit=1")
	if total < n || len(all) != 1 {
		t.Errorf("user's jobs: %d, total %d", len(all), total)
	}
}

func checkDeleteBusy(t *testing.T, c client) {
	id := c.register(t, false, "delete-busy")
	repo, ids := c.addJobs(t, 1, "delete-busy")
	task := c.take(t, id)
	c.report(t, id, task, "").want(t, http.StatusOK, nil)
	c.rest(t, http.MethodDelete, "/admin/actions/runners/"+id.ID, nil).want(t, http.StatusNoContent, nil)
	j := c.job(t, repo, ids[0])
	if j.Status != "in_progress" || strconv.FormatInt(j.RunnerID, 10) != id.ID || j.RunnerName != id.Name {
		t.Errorf("job %+v: want it to hang with the runner that is gone", j)
	}
	c.report(t, id, task, "RESULT_SUCCESS").wantError(t, unregistered)
}

func checkNoAPIToken(t *testing.T, c client) {
	for _, path := range []string{"/admin/actions/jobs", "/admin/actions/runners", "/user", "/user/actions/jobs"} {
		c.do(t, http.MethodGet, "/api/v1"+path, nil).wantMessage(t, http.StatusUnauthorized, "token is required")
	}
}

func checkWrongAPIToken(t *testing.T, c client) {
	for _, scheme := range []string{"token ", "Bearer "} {
		c.do(t, http.MethodGet, "/api/v1/admin/actions/jobs", nil, "Authorization", scheme+"wrong").
			wantMessage(t, http.StatusUnauthorized, "invalid username, password or token")
	}
	c.do(t, http.MethodGet, "/api/v1/admin/actions/jobs", nil, "Authorization", "Bearer "+c.apiToken()).want(t, http.StatusOK, nil)
}

func checkWeakAPIToken(t *testing.T, c client) {
	auth := "token " + c.limitedToken(t, "read:admin")
	c.do(t, http.MethodGet, "/api/v1/admin/actions/jobs", nil, "Authorization", auth).want(t, http.StatusOK, nil)
	c.do(t, http.MethodDelete, "/api/v1/admin/actions/runners/1", nil, "Authorization", auth).wantMessage(t, http.StatusForbidden,
		"token does not have at least one of required scope(s), required=[write:admin], token scope=read:admin")
	c.do(t, http.MethodGet, "/api/v1/user/actions/jobs", nil, "Authorization", auth).wantMessage(t, http.StatusForbidden,
		"token does not have at least one of required scope(s), required=[read:user], token scope=read:admin")
}

func checkUnknownViews(t *testing.T, c client) {
	c.rest(t, http.MethodGet, "/orgs/no-such/actions/runners", nil).wantMessage(t, http.StatusNotFound, "GetOrgByName")
	c.rest(t, http.MethodGet, "/repos/no-such/thing/actions/jobs", nil).wantMessage(t, http.StatusNotFound, "GetUserByName")
	var who struct{ Login string }
	c.rest(t, http.MethodGet, "/user", nil).want(t, http.StatusOK, &who)
	c.rest(t, http.MethodGet, "/orgs/"+who.Login+"/actions/runners", nil).wantMessage(t, http.StatusNotFound, "GetOrgByName")
	c.rest(t, http.MethodGet, "/repos/"+who.Login+"/no-such/actions/jobs", nil).wantMessage(t, http.StatusNotFound, "not found")
}

func checkMint(t *testing.T, c client) {
	var got struct{ Token string }
	for range 2 {
		c.rest(t, http.MethodPost, "/admin/actions/runners/registration-token", nil).want(t, http.StatusOK, &got)
		if got.Token != c.registrationToken() {
			t.Errorf("token %q, want the instance's", got.Token)
		}
	}
	c.rest(t, http.MethodGet, "/admin/actions/runners/registration-token", nil).wantMessage(t, http.StatusNotFound, "Runner not found")
}

func checkRepoScope(t *testing.T, c client) {
	mine, _ := c.addJobs(t, 1, "repo-scope")
	c.addJobs(t, 1, "repo-scope")
	var got struct{ Token string }
	c.rest(t, http.MethodPost, "/repos/"+mine+"/actions/runners/registration-token", nil).want(t, http.StatusOK, &got)
	id := c.registerAt(t, got.Token, false, "repo-scope")
	c.take(t, id)
	if task, _ := c.fetch(t, id, "0"); task != "" {
		t.Error("took a job of another repository")
	}
	if jobs, _, _ := c.jobs(t, "/repos/"+mine, "?status=in_progress"); len(jobs) != 1 {
		t.Errorf("jobs in progress: %+v", jobs)
	}
	c.rest(t, http.MethodGet, "/repos/"+mine+"/actions/runners/"+id.ID, nil).want(t, http.StatusOK, nil)
}

func checkUnknownRoutes(t *testing.T, c client) {
	a := c.rest(t, http.MethodGet, "/no-such-thing", nil)
	if a.want(t, http.StatusNotFound, nil); a.body != "404 page not found\n" {
		t.Errorf("body %q", a.body)
	}
	a = c.rest(t, http.MethodPut, "/admin/actions/runners", nil)
	if a.want(t, http.StatusMethodNotAllowed, nil); !strings.Contains(a.header.Get("Allow"), "GET") {
		t.Errorf("allow %q", a.header.Get("Allow"))
	}
	c.do(t, http.MethodGet, "/api/actions/runner.v1.RunnerService/Register", nil).want(t, http.StatusMethodNotAllowed, nil)
}
