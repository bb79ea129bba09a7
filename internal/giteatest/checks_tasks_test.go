package giteatest_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

func checkLabels(t *testing.T, c client) {
	tests := []struct {
		name   string
		runner []string
		runsOn []string
		taken  bool
	}{
		{"all there", []string{"lab-a", "lab-b"}, []string{"lab-b", "lab-a"}, true},
		{"one missing", []string{"lab-c"}, []string{"lab-c", "lab-d"}, false},
		{"other case", []string{"lab-e"}, []string{"LAB-E"}, false},
		{"name only", []string{"lab-f:host"}, []string{"lab-f"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := c.register(t, false, tt.runner...)
			c.addJobs(t, 1, tt.runsOn...)
			if task, _ := c.fetch(t, id, "0"); (task != "") != tt.taken {
				t.Errorf("task %q, want taken %v", task, tt.taken)
			}
		})
	}
}

func checkVersionGate(t *testing.T, c client) {
	id := c.register(t, false, "gate")
	none, idle := c.fetch(t, id, "0")
	if none != "" || idle == "" {
		t.Fatalf("task %q, version %q: want no task and a version", none, idle)
	}
	c.addJobs(t, 2, "gate")
	first, current := c.fetch(t, id, idle)
	if first == "" || current == idle {
		t.Fatalf("task %q, version %q after %q: want a task and a new version", first, current, idle)
	}
	if second, latest := c.fetch(t, id, current); second != "" || latest != current {
		t.Errorf("task %q, version %q: want none for a runner that knows version %s", second, latest, current)
	}
	if second, _ := c.fetch(t, id, "0"); second == "" {
		t.Error("no second task for a runner that knows no version")
	}
}

func checkEphemeral(t *testing.T, c client) {
	id := c.register(t, true, "ephemeral")
	repo, ids := c.addJobs(t, 2, "ephemeral")
	task := c.take(t, id)
	if again, _ := c.fetch(t, id, "0"); again != "" {
		t.Error("an ephemeral runner got a second job")
	}
	if _, status := c.runner(t, id); status != http.StatusOK {
		t.Errorf("runner in work: status %d", status)
	}
	c.report(t, id, task, "RESULT_SUCCESS").want(t, http.StatusOK, nil)
	if _, status := c.runner(t, id); status != http.StatusNotFound {
		t.Errorf("runner after its job: status %d, want 404", status)
	}
	c.wantUnregistered(t, c.report(t, id, task, "RESULT_SUCCESS"))
	if !gitea(25)(releaseOf(c.profile())) {
		return
	}
	for _, job := range ids {
		if j := c.job(t, repo, job); j.Status == "completed" && (strconv.FormatInt(j.RunnerID, 10) != id.ID || j.RunnerName != id.Name) {
			t.Errorf("job %+v: want the id and name of the runner that is gone", j)
		}
	}
}

func checkEphemeralCancel(t *testing.T, c client) {
	id := c.register(t, true, "ephemeral-cancel")
	repo, ids := c.addJobs(t, 1, "ephemeral-cancel")
	task := c.take(t, id)
	c.cancel(t, repo, ids)
	if _, status := c.runner(t, id); status != http.StatusNotFound {
		t.Errorf("runner: status %d, want 404", status)
	}
	c.wantUnregistered(t, c.report(t, id, task, ""))
	if !gitea(25)(releaseOf(c.profile())) {
		return
	}
	if j := c.job(t, repo, ids[0]); j.Status != "completed" || j.Conclusion != "cancelled" {
		t.Errorf("job %+v", j)
	}
}

func checkPersistentCancel(t *testing.T, c client) {
	id := c.register(t, false, "persistent-cancel")
	repo, ids := c.addJobs(t, 1, "persistent-cancel")
	task := c.take(t, id)
	c.cancel(t, repo, ids)
	a := c.report(t, id, task, "")
	var got struct {
		State struct{ ID, Result string }
	}
	a.want(t, http.StatusOK, &got)
	if got.State.ID != task || got.State.Result != "RESULT_CANCELLED" {
		t.Errorf("state %+v, want cancelled", got.State)
	}
}

func checkBusy(t *testing.T, c client) {
	id := c.register(t, false, "busy")
	c.addJobs(t, 1, "busy")
	task := c.take(t, id)
	if r, _ := c.runner(t, id); r.Busy || r.Status != "online" {
		t.Errorf("runner %+v: want online and not yet busy after the pick", r)
	}
	c.report(t, id, task, "").want(t, http.StatusOK, nil)
	if r, _ := c.runner(t, id); !r.Busy {
		t.Errorf("runner %+v: want busy after the first report", r)
	}
}

func checkForeignTask(t *testing.T, c client) {
	id, other := c.register(t, false, "foreign"), c.register(t, false, "foreign-other")
	c.addJobs(t, 1, "foreign")
	task := c.take(t, id)
	c.wantRefused(t, c.report(t, other, task, "RESULT_FAILURE"), "internal", "update task: invalid runner for task")
	c.wantRefused(t, c.report(t, id, "999999", ""), "internal", "update task: resource does not exist")
}

func checkForeignTaken(t *testing.T, c client) {
	id, other := c.register(t, false, "foreign"), c.register(t, false, "foreign-other")
	c.addJobs(t, 1, "foreign")
	task := c.take(t, id)
	c.report(t, other, task, "RESULT_FAILURE").want(t, http.StatusOK, nil)
	var got struct{ State struct{ Result string } }
	c.report(t, id, task, "").want(t, http.StatusOK, &got)
	if got.State.Result != "RESULT_FAILURE" {
		t.Errorf("the task's result is %s, want what another runner said", got.State.Result)
	}
}

func checkLog(t *testing.T, c client) {
	id := c.register(t, false, "log")
	c.addJobs(t, 1, "log")
	task := c.take(t, id)
	rows := func(n int) []map[string]any {
		out := make([]map[string]any, n)
		for i := range out {
			out[i] = map[string]any{"time": time.Now().UTC().Format(time.RFC3339), "content": "line"}
		}
		return out
	}
	steps := []struct {
		name  string
		index int
		rows  int
		ack   string
	}{
		{"first", 0, 3, "3"},
		{"repeated", 0, 3, "3"},
		{"overlapping", 2, 3, "5"},
		{"gap", 9, 1, "5"},
	}
	for _, step := range steps {
		var got struct{ AckIndex string }
		c.rpc(t, id, "UpdateLog", map[string]any{"taskId": task, "index": step.index, "rows": rows(step.rows)}).want(t, http.StatusOK, &got)
		if got.AckIndex != step.ack {
			t.Errorf("%s: acknowledged %s, want %s", step.name, got.AckIndex, step.ack)
		}
	}
	c.rpc(t, id, "UpdateLog", map[string]any{"taskId": task, "index": 5, "rows": rows(1), "noMore": true}).want(t, http.StatusOK, nil)
	c.wantRefused(t, c.rpc(t, id, "UpdateLog", map[string]any{"taskId": task, "index": 6, "rows": rows(1)}),
		"already_exists", "log file has been archived")
}
