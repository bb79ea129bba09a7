package giteatest_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
)

// forgejoRunner is a runner in Forgejo's REST.
type forgejoRunner struct {
	ID        int64    `json:"id"`
	UUID      string   `json:"uuid"`
	OwnerID   int64    `json:"owner_id"`
	RepoID    int64    `json:"repo_id"`
	Name      string   `json:"name"`
	Status    string   `json:"status"`
	Labels    []string `json:"labels"`
	Ephemeral bool     `json:"ephemeral"`
}

// view is the runner as Gitea would show it.
func (r forgejoRunner) view() runnerView {
	v := runnerView{ID: r.ID, Name: r.Name, Status: "online", Busy: r.Status == "active", Ephemeral: r.Ephemeral}
	if r.Status == "offline" {
		v.Status = "offline"
	}
	for i, name := range r.Labels {
		v.Labels = append(v.Labels, labelView{ID: int64(i), Name: name, Type: "custom"})
	}
	return v
}

// queuedJob is a job in Forgejo's queue.
type queuedJob struct {
	ID      int64    `json:"id"`
	RunID   int64    `json:"run_id"`
	Attempt int64    `json:"attempt"`
	Handle  string   `json:"handle"`
	RepoID  int64    `json:"repo_id"`
	OwnerID int64    `json:"owner_id"`
	RunsOn  []string `json:"runs_on"`
	TaskID  int64    `json:"task_id"`
	Status  string   `json:"status"`
}

// queue lists the jobs that wait or run below a prefix.
func (c client) queue(t *testing.T, prefix, query string) []queuedJob {
	t.Helper()
	var list []queuedJob
	c.rest(t, http.MethodGet, prefix+"/runners/jobs"+query, nil).want(t, http.StatusOK, &list)
	return list
}

func checkQueue(t *testing.T, c client) {
	id := c.register(t, false, "queue", "queue-more")
	repo, _ := c.addJobs(t, 2, "queue")
	list := c.queue(t, "/repos/"+repo+"/actions", "?labels=queue,queue-other")
	if len(list) != 2 || list[0].ID < list[1].ID || list[0].Status != "waiting" || list[0].TaskID != 0 || !slices.Equal(list[0].RunsOn, []string{"queue"}) {
		t.Fatalf("queue %+v, want two that wait, the newest first", list)
	}
	if other := c.queue(t, "/repos/"+repo+"/actions", "?labels=queue-other"); other != nil {
		t.Errorf("queue %+v of another label, want null", other)
	}
	task := c.take(t, id)
	for _, prefix := range []string{"/admin", "/user/actions"} {
		list = c.queue(t, prefix, "?labels=queue")
		i := slices.IndexFunc(list, func(j queuedJob) bool { return j.Status == "running" })
		if len(list) != 2 || i < 0 || strconv.FormatInt(list[i].TaskID, 10) != task {
			t.Errorf("%s: queue %+v, want task %s to run", prefix, list, task)
		}
	}
	newer := c.rest(t, http.MethodGet, "/admin/actions/runners/jobs?labels=queue", nil)
	if want := forgejo(15)(releaseOf(c.profile())); (newer.status == http.StatusOK) != want {
		t.Errorf("/admin/actions/runners/jobs: status %d", newer.status)
	}
	var found struct {
		Name string `json:"full_name"`
	}
	c.rest(t, http.MethodGet, "/repositories/"+strconv.FormatInt(list[0].RepoID, 10), nil).want(t, http.StatusOK, &found)
	if found.Name != repo {
		t.Errorf("repository %q, want %q", found.Name, repo)
	}
	c.rest(t, http.MethodGet, "/repositories/999999", nil).want(t, http.StatusNotFound, nil)
	c.report(t, id, task, "RESULT_SUCCESS").want(t, http.StatusOK, nil)
	c.report(t, id, c.take(t, id), "RESULT_FAILURE").want(t, http.StatusOK, nil)
	a := c.rest(t, http.MethodGet, "/repos/"+repo+"/actions/runners/jobs?labels=queue", nil)
	if a.want(t, http.StatusOK, nil); a.body != "null\n" && a.body != "null" {
		t.Errorf("empty queue is %q", a.body)
	}
}

func checkQueueLabelled(t *testing.T, c client) {
	repo, _ := c.addJobs(t, 1, "queue-labelled")
	for _, query := range []string{"", "?labels="} {
		if list := c.queue(t, "/repos/"+repo+"/actions", query); list != nil {
			t.Errorf("%q: queue %+v, want null", query, list)
		}
	}
}

func checkQueueAll(t *testing.T, c client) {
	repo, _ := c.addJobs(t, 1, "queue-all")
	if list := c.queue(t, "/repos/"+repo+"/actions", ""); len(list) != 1 {
		t.Errorf("queue %+v, want one job", list)
	}
	if list := c.queue(t, "/repos/"+repo+"/actions", "?labels="); list != nil {
		t.Errorf("queue %+v of no label, want null", list)
	}
	bare, _ := c.addJobs(t, 1)
	if list := c.queue(t, "/repos/"+bare+"/actions", "?labels="); len(list) != 1 {
		t.Errorf("queue %+v of no label, want the job without runs-on", list)
	}
}

func checkHandles(t *testing.T, c client) {
	repo, _ := c.addJobs(t, 2, "handles")
	list := c.queue(t, "/repos/"+repo+"/actions", "?labels=handles")
	if len(list) != 2 || len(list[0].Handle) != 36 || list[0].Handle == list[1].Handle || list[0].Attempt != 1 {
		t.Errorf("queue %+v", list)
	}
	if (list[0].RunID != 0) != forgejo(16)(releaseOf(c.profile())) {
		t.Errorf("run %d", list[0].RunID)
	}
}

// checkEmptyRunsOn ends the job, which any runner could take.
func checkEmptyRunsOn(t *testing.T, c client) {
	id := c.register(t, false, "empty-runs-on")
	c.addJobs(t, 1)
	task, _ := c.fetch(t, id, "0")
	if none := forgejo(11)(releaseOf(c.profile())); (task == "") != none {
		t.Errorf("task %q, want none %v", task, none)
	}
	if task != "" {
		c.report(t, id, task, "RESULT_SUCCESS").want(t, http.StatusOK, nil)
	}
}

// create makes a runner by REST.
func (c client) create(t *testing.T, prefix string, body map[string]any) identity {
	t.Helper()
	var got struct {
		ID          int64
		UUID, Token string
	}
	c.rest(t, http.MethodPost, prefix+"/actions/runners", body).want(t, http.StatusCreated, &got)
	return identity{ID: strconv.FormatInt(got.ID, 10), UUID: got.UUID, Token: got.Token}
}

func checkCreate(t *testing.T, c client) {
	id := c.create(t, "/user", map[string]any{"name": "create", "description": "made by a test", "ephemeral": true})
	if len(id.UUID) != 36 || len(id.Token) != 40 {
		t.Errorf("identity %+v", id)
	}
	var r forgejoRunner
	get := func() {
		t.Helper()
		c.rest(t, http.MethodGet, "/user/actions/runners/"+id.ID, nil).want(t, http.StatusOK, &r)
	}
	if get(); r.UUID != id.UUID || r.OwnerID == 0 || r.RepoID != 0 || r.Status != "offline" || r.Labels != nil || !r.Ephemeral || r.Name != "create" {
		t.Errorf("runner %+v", r)
	}
	c.rpc(t, id, "Declare", map[string]any{"labels": []string{"create"}}).want(t, http.StatusOK, nil)
	if get(); r.Status != "idle" || !slices.Equal(r.Labels, []string{"create"}) {
		t.Errorf("declared runner %+v", r)
	}
	c.addJobs(t, 1, "create")
	c.report(t, id, c.take(t, id), "RESULT_SUCCESS").want(t, http.StatusOK, nil)
	c.rest(t, http.MethodGet, "/user/actions/runners/"+id.ID, nil).want(t, http.StatusNotFound, nil)
	c.rest(t, http.MethodPost, "/user/actions/runners", map[string]any{}).wantMessage(t, http.StatusUnprocessableEntity, "[Name]: Required")
}

// checkAdminList: each list has the runners of exactly its scope; the instance's
// are visible to all, and theirs to delete are only its own.
func checkAdminList(t *testing.T, c client) {
	mine, instance := c.create(t, "/user", map[string]any{"name": "mine"}), c.create(t, "/admin", map[string]any{"name": "instance"})
	lists := func(prefix, query string, id identity) bool {
		var list []forgejoRunner
		c.rest(t, http.MethodGet, prefix+"/actions/runners?limit=50"+query, nil).want(t, http.StatusOK, &list)
		return slices.ContainsFunc(list, func(r forgejoRunner) bool { return strconv.FormatInt(r.ID, 10) == id.ID })
	}
	if lists("/admin", "", mine) || !lists("/admin", "", instance) || !lists("/admin", "&visible=true", mine) {
		t.Error("the administrator's list has not the instance's runners only, or not all that are visible")
	}
	if !lists("/user", "", mine) || lists("/user", "", instance) || !lists("/user", "&visible=true", instance) {
		t.Error("the user's list has not the user's runners only, or not all that are visible")
	}
	c.rest(t, http.MethodGet, "/user/actions/runners/"+instance.ID, nil).want(t, http.StatusOK, nil)
	c.rest(t, http.MethodDelete, "/user/actions/runners/"+instance.ID, nil).wantMessage(t, http.StatusNotFound, "No permission to delete this runner")
	for _, id := range []identity{mine, instance} {
		c.rest(t, http.MethodDelete, "/admin/actions/runners/"+id.ID, nil).want(t, http.StatusNoContent, nil)
	}
}

func checkSingle(t *testing.T, c client) {
	id := c.register(t, false, "single")
	repo, _ := c.addJobs(t, 2, "single")
	wanted := c.queue(t, "/repos/"+repo+"/actions", "?labels=single")[0] // not the oldest
	var got taskView
	ask := func(handle string) string {
		t.Helper()
		got = taskView{}
		c.rpc(t, id, "FetchSingleTask", map[string]any{"tasksVersion": "0", "handle": handle}).want(t, http.StatusOK, &got)
		if got.Task == nil {
			return ""
		}
		return got.Task.ID
	}
	if task := ask("no-such-handle"); task != "" || got.TasksVersion == "" {
		t.Errorf("task %q, version %q for an unknown handle", task, got.TasksVersion)
	}
	task := ask(wanted.Handle)
	for _, j := range c.queue(t, "/repos/"+repo+"/actions", "?labels=single") {
		if running := j.ID == wanted.ID; (j.Status == "running") != running {
			t.Errorf("job %+v, want only %d to run", j, wanted.ID)
		}
	}
	if again := ask(wanted.Handle); again != "" {
		t.Errorf("task %q of a job that runs", again)
	}
	c.report(t, id, task, "RESULT_SUCCESS").want(t, http.StatusOK, nil)
	c.wantUnregistered(t, c.rpc(t, identity{}, "FetchSingleTask", map[string]any{}))
}

func checkRecover(t *testing.T, c client) {
	id := c.register(t, false, "recover")
	c.addJobs(t, 2, "recover")
	ask := func(key string) (task string) {
		t.Helper()
		var got taskView
		c.do(t, http.MethodPost, "/api/actions/runner.v1.RunnerService/FetchTask", encode(t, map[string]any{"tasksVersion": "0"}),
			"Content-Type", "application/json", "X-Runner-Uuid", id.UUID, "X-Runner-Token", id.Token, "X-Runner-Request-Key", key).
			want(t, http.StatusOK, &got)
		if got.Task == nil {
			return ""
		}
		return got.Task.ID
	}
	const one, two = "4f6b8f0e-0000-4000-8000-000000000001", "4f6b8f0e-0000-4000-8000-000000000002"
	first := ask(one)
	if again := ask(one); first == "" || again != first {
		t.Errorf("task %q for the same request as task %q", again, first)
	}
	if second := ask(two); second == "" || second == first {
		t.Errorf("task %q for another request than of task %q", second, first)
	}
}
