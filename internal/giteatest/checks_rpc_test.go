package giteatest_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"code.gitea.io/actions-proto-go/runner/v1/runnerv1connect"
	"connectrpc.com/connect"
)

const unregistered = "rpc error: code = Unauthenticated desc = unregistered runner"

func checkPing(t *testing.T, c client) {
	a := c.do(t, http.MethodPost, "/api/actions/ping.v1.PingService/Ping", []byte(`{"data":"you"}`), "Content-Type", "application/json")
	var got struct{ Data string }
	a.want(t, http.StatusOK, &got)
	if got.Data != "Hello, you!" {
		t.Errorf("data %q", got.Data)
	}
}

func checkUnknownCall(t *testing.T, c client) {
	a := c.rpc(t, identity{}, "Deregister", map[string]any{})
	a.want(t, http.StatusNotFound, nil)
	if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("content type %q, want text/plain", kind)
	}
}

func checkBadToken(t *testing.T, c client) {
	a := c.rpc(t, identity{}, "Register", map[string]any{"name": "x", "token": "no-such-token"})
	a.wantError(t, "runner registration token not found")
	if want := `{"code":"unknown","message":"runner registration token not found"}`; a.body != want {
		t.Errorf("body %s, want %s", a.body, want)
	}
}

func checkMissingName(t *testing.T, c client) {
	c.rpc(t, identity{}, "Register", map[string]any{"token": c.registrationToken()}).wantError(t, "missing runner token, name")
}

func checkInvalidatedToken(t *testing.T, c client) {
	mint := func() string {
		var got struct{ Token string }
		c.rest(t, http.MethodPost, "/user/actions/runners/registration-token", nil).want(t, http.StatusOK, &got)
		return got.Token
	}
	old := mint()
	before := c.registerAt(t, old, false, "invalidated")
	c.resetUserToken(t)
	c.rpc(t, identity{}, "Register", map[string]any{"name": "x", "token": old}).
		wantError(t, "runner registration token has been invalidated, please use the latest one")
	c.rpc(t, before, "Declare", map[string]any{"labels": []string{"invalidated"}}).want(t, http.StatusOK, nil)
	if latest := mint(); latest == old {
		t.Error("the invalidated token was minted again")
	} else {
		c.registerAt(t, latest, false, "invalidated")
	}
}

func checkRegister(t *testing.T, c client) {
	id := c.register(t, true, "reg-a", "reg-b")
	if id.ID == "" || len(id.UUID) != 36 || len(id.Token) != 40 {
		t.Errorf("identity %+v: want an id, a UUID and a token of 40 characters", id)
	}
	if id.Name != "runner-reg-a-reg-b" || id.Version != "v1.2.3" || !id.Ephemeral || !slices.Equal(id.Labels, []string{"reg-a", "reg-b"}) {
		t.Errorf("identity %+v does not repeat the request", id)
	}
}

func checkRegisterProto(t *testing.T, c client) {
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	rpc := runnerv1connect.NewRunnerServiceClient(http.DefaultClient, c.base()+"/api/actions")
	resp, err := rpc.Register(ctx, connect.NewRequest(&runnerv1.RegisterRequest{
		Name: "proto", Token: c.registrationToken(), Labels: []string{"proto"}, Ephemeral: true,
	}))
	if err != nil || resp.Msg.Runner.Id == 0 || !resp.Msg.Runner.Ephemeral {
		t.Errorf("got %v, %v", resp, err)
	}
	_, err = rpc.Register(ctx, connect.NewRequest(&runnerv1.RegisterRequest{Name: "proto", Token: "no-such-token"}))
	if connect.CodeOf(err) != connect.CodeUnknown || !strings.Contains(err.Error(), "runner registration token not found") {
		t.Errorf("wrong token: %v", err)
	}
}

func checkRegisterTwice(t *testing.T, c client) {
	a, b := c.register(t, false, "twice"), c.register(t, false, "twice")
	if a.Name != b.Name || a.ID == b.ID || a.UUID == b.UUID || a.Token == b.Token {
		t.Errorf("got %+v and %+v: want two runners of one name", a, b)
	}
}

func checkLongName(t *testing.T, c client) {
	var got struct{ Runner identity }
	c.rpc(t, identity{}, "Register", map[string]any{"name": strings.Repeat("n", 300), "token": c.registrationToken()}).
		want(t, http.StatusOK, &got)
	if want := strings.Repeat("n", 252) + "…"; got.Runner.Name != want {
		t.Errorf("name of 300 characters became %q", got.Runner.Name)
	}
}

func checkDeclare(t *testing.T, c client) {
	id := c.register(t, false, "declare-old")
	var got struct{ Runner identity }
	c.rpc(t, id, "Declare", map[string]any{"version": "v9", "labels": []string{"declare-new", "more"}}).want(t, http.StatusOK, &got)
	if got.Runner.ID != id.ID || !slices.Equal(got.Runner.Labels, []string{"declare-new", "more"}) {
		t.Errorf("answer %+v", got.Runner)
	}
	r, _ := c.runner(t, id)
	if len(r.Labels) != 2 || r.Labels[0].Name != "declare-new" || r.Labels[1].ID != 1 || r.Labels[1].Type != "custom" {
		t.Errorf("labels %+v", r.Labels)
	}
}

func checkUnregistered(t *testing.T, c client) {
	id := c.register(t, false, "unregistered")
	c.rest(t, http.MethodDelete, "/admin/actions/runners/"+id.ID, nil).want(t, http.StatusNoContent, nil)
	for _, method := range []string{"Declare", "FetchTask", "UpdateTask", "UpdateLog"} {
		c.rpc(t, id, method, map[string]any{}).wantError(t, unregistered)
		c.rpc(t, identity{}, method, map[string]any{}).wantError(t, unregistered)
	}
}

func checkWrongRunnerToken(t *testing.T, c client) {
	id := c.register(t, false, "wrong-token")
	id.Token = c.register(t, false, "wrong-token").Token
	c.rpc(t, id, "Declare", map[string]any{}).wantError(t, unregistered)
}

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
	c.report(t, id, task, "RESULT_SUCCESS").wantError(t, unregistered)
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
	c.cancel(t, c.job(t, repo, ids[0]))
	if _, status := c.runner(t, id); status != http.StatusNotFound {
		t.Errorf("runner: status %d, want 404", status)
	}
	c.report(t, id, task, "").wantError(t, unregistered)
	if j := c.job(t, repo, ids[0]); j.Status != "completed" || j.Conclusion != "cancelled" {
		t.Errorf("job %+v", j)
	}
}

func checkPersistentCancel(t *testing.T, c client) {
	id := c.register(t, false, "persistent-cancel")
	repo, ids := c.addJobs(t, 1, "persistent-cancel")
	task := c.take(t, id)
	c.cancel(t, c.job(t, repo, ids[0]))
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
	c.report(t, other, task, "RESULT_FAILURE").wantError(t, "rpc error: code = Internal desc = update task: invalid runner for task")
	c.report(t, id, "999999", "").wantError(t, "rpc error: code = Internal desc = update task: resource does not exist")
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
	c.rpc(t, id, "UpdateLog", map[string]any{"taskId": task, "index": 6, "rows": rows(1)}).
		wantError(t, "rpc error: code = AlreadyExists desc = log file has been archived")
}
