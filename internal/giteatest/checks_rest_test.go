package giteatest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

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
		a := c.rest(t, http.MethodGet, "/admin/actions/runners?limit=50&page="+strconv.Itoa(page)+query, nil)
		var got struct {
			Runners []runnerView
			Total   int `json:"total_count"`
		}
		if releaseOf(c.profile()).forgejo {
			var list []forgejoRunner
			a.want(t, http.StatusOK, &list)
			for _, r := range list {
				got.Runners = append(got.Runners, r.view())
			}
		} else {
			a.want(t, http.StatusOK, &got)
		}
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
	text := "Runner not found"
	r := releaseOf(c.profile())
	switch {
	case r.forgejo:
		text = "runner with ID 999999: resource does not exist"
	case r.number >= 27:
		text = "runner with id 999999: resource does not exist"
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		c.rest(t, method, "/admin/actions/runners/999999", nil).wantMessage(t, http.StatusNotFound, text)
	}
	if gitea(26)(r) {
		c.rest(t, http.MethodPatch, "/admin/actions/runners/999999", map[string]any{"disabled": true}).wantMessage(t, http.StatusNotFound, text)
	}
}

func checkForeignRunner(t *testing.T, c client) {
	id := c.register(t, false, "elsewhere")
	c.rest(t, http.MethodGet, "/user/actions/runners/"+id.ID, nil).
		wantMessage(t, http.StatusNotFound, "No permission to access this runner")
}

func checkEmptyPatch(t *testing.T, c client) {
	id := c.register(t, false, "empty-patch")
	c.rest(t, http.MethodPatch, "/admin/actions/runners/"+id.ID, map[string]any{}).
		wantMessage(t, http.StatusUnprocessableEntity, "[Disabled]: Required")
}

func checkNoPatch(t *testing.T, c client) {
	id := c.register(t, false, "no-patch")
	a := c.rest(t, http.MethodPatch, "/admin/actions/runners/"+id.ID, map[string]any{"disabled": true})
	a.want(t, http.StatusMethodNotAllowed, nil)
	if allow := a.header.Values("Allow"); !strings.Contains(strings.Join(allow, ","), "DELETE") {
		t.Errorf("allow %q", allow)
	}
	if a := c.rest(t, http.MethodGet, "/admin/actions/runners/"+id.ID, nil); strings.Contains(a.body, "disabled") {
		t.Errorf("runner %s", a.body)
	}
}

func checkNoRunners(t *testing.T, c client) {
	id := c.register(t, false, "no-runners")
	for _, prefix := range []string{"/admin", "/user"} {
		for _, path := range []string{"", "/" + id.ID} {
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				c.rest(t, method, prefix+"/actions/runners"+path, nil).want(t, http.StatusNotFound, nil)
			}
		}
	}
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

func checkDeleteBusy(t *testing.T, c client) {
	id := c.register(t, false, "delete-busy")
	repo, ids := c.addJobs(t, 1, "delete-busy")
	task := c.take(t, id)
	c.report(t, id, task, "").want(t, http.StatusOK, nil)
	c.rest(t, http.MethodDelete, "/admin/actions/runners/"+id.ID, nil).want(t, http.StatusNoContent, nil)
	c.wantUnregistered(t, c.report(t, id, task, "RESULT_SUCCESS"))
	if !gitea(25)(releaseOf(c.profile())) {
		return
	}
	j := c.job(t, repo, ids[0])
	if j.Status != "in_progress" || strconv.FormatInt(j.RunnerID, 10) != id.ID || j.RunnerName != id.Name {
		t.Errorf("job %+v: want it to hang with the runner that is gone", j)
	}
}
