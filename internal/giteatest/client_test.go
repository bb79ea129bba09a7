package giteatest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// callTimeout bounds every request of the checks.
const callTimeout = 20 * time.Second

// client makes the requests of the checks, in plain HTTP, so that what is
// compared is what is on the wire.
type client struct {
	target
	http *http.Client
}

// answer is an HTTP response, read.
type answer struct {
	status int
	header http.Header
	body   string
}

// identity is what Register returns. Connect's JSON writes an int64 as a
// string.
type identity struct {
	ID        string   `json:"id"`
	UUID      string   `json:"uuid"`
	Token     string   `json:"token"`
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Labels    []string `json:"labels"`
	Ephemeral bool     `json:"ephemeral"`
}

// runnerView is a runner in REST.
type runnerView struct {
	ID        int64       `json:"id"`
	Name      string      `json:"name"`
	Status    string      `json:"status"`
	Busy      bool        `json:"busy"`
	Disabled  bool        `json:"disabled"`
	Ephemeral bool        `json:"ephemeral"`
	Labels    []labelView `json:"labels"`
}

type labelView struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// jobView is a job in REST.
type jobView struct {
	ID          int64     `json:"id"`
	URL         string    `json:"url"`
	HTMLURL     string    `json:"html_url"`
	RunID       int64     `json:"run_id"`
	Name        string    `json:"name"`
	Labels      []string  `json:"labels"`
	RunAttempt  int64     `json:"run_attempt"`
	Status      string    `json:"status"`
	Conclusion  string    `json:"conclusion"`
	RunnerID    int64     `json:"runner_id"`
	RunnerName  string    `json:"runner_name"`
	CreatedAt   time.Time `json:"created_at"`
	StartedAt   time.Time `json:"started_at"`
	CompletedAt time.Time `json:"completed_at"`
}

// taskView is the answer of FetchTask.
type taskView struct {
	Task *struct {
		ID string `json:"id"`
	} `json:"task"`
	TasksVersion string `json:"tasksVersion"`
}

// do sends a request. header is name, value, name, value, ...
func (c client) do(t *testing.T, method, path string, body []byte, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.base()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// rest sends a REST request as the site admin.
func (c client) rest(t *testing.T, method, path string, body any) answer {
	t.Helper()
	return c.do(t, method, "/api/v1"+path, encode(t, body),
		"Authorization", "token "+c.apiToken(), "Content-Type", "application/json")
}

// rpc makes a runner's call in JSON. A zero id sends no identity.
func (c client) rpc(t *testing.T, id identity, method string, body any) answer {
	t.Helper()
	header := []string{"Content-Type", "application/json"}
	if id.UUID != "" {
		header = append(header, "X-Runner-Uuid", id.UUID, "X-Runner-Token", id.Token)
	}
	return c.do(t, http.MethodPost, "/api/actions/runner.v1.RunnerService/"+method, encode(t, body), header...)
}

// encode marshals a body; nil is none.
func encode(t *testing.T, v any) []byte {
	t.Helper()
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// want checks the status and decodes the body into v unless that is nil.
func (a answer) want(t *testing.T, status int, v any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// wantError checks for a Connect error as Gitea makes them: HTTP 500, code
// unknown, and the text.
func (a answer) wantError(t *testing.T, text string) {
	t.Helper()
	var got struct{ Code, Message string }
	a.want(t, http.StatusInternalServerError, &got)
	if got.Code != "unknown" || got.Message != text {
		t.Errorf("got %s, want unknown: %s", a.body, text)
	}
}

// wantRefused checks for a runner's call that fails: a Connect error where the
// release has them, and else one that Gitea makes of a gRPC status.
func (c client) wantRefused(t *testing.T, a answer, code, text string) {
	t.Helper()
	if !releaseOf(c.profile()).codes() {
		status := map[string]string{"unauthenticated": "Unauthenticated", "internal": "Internal", "already_exists": "AlreadyExists"}[code]
		if status != "" {
			text = "rpc error: code = " + status + " desc = " + text
		}
		a.wantError(t, text)
		return
	}
	var got struct{ Code, Message string }
	a.want(t, map[string]int{"invalid_argument": 400, "unauthenticated": 401, "internal": 500, "already_exists": 409}[code], &got)
	if got.Code != code || got.Message != text {
		t.Errorf("got %s, want %s: %s", a.body, code, text)
	}
}

// wantUnregistered checks for the answer to a runner that is not known.
func (c client) wantUnregistered(t *testing.T, a answer) {
	t.Helper()
	c.wantRefused(t, a, "unauthenticated", "unregistered runner")
}

// wantMessage checks for a REST error.
func (a answer) wantMessage(t *testing.T, status int, text string) {
	t.Helper()
	var got struct{ Message string }
	a.want(t, status, &got)
	if got.Message != text {
		t.Errorf("message %q, want %q", got.Message, text)
	}
}

// register registers a runner at the instance, and removes it after the test.
func (c client) register(t *testing.T, ephemeral bool, labels ...string) identity {
	t.Helper()
	return c.registerAt(t, c.registrationToken(), ephemeral, labels...)
}

// registerAt registers a runner with that token.
func (c client) registerAt(t *testing.T, token string, ephemeral bool, labels ...string) identity {
	t.Helper()
	var got struct{ Runner identity }
	c.rpc(t, identity{}, "Register", map[string]any{
		"name": "runner-" + strings.Join(labels, "-"), "token": token,
		"version": "v1.2.3", "labels": labels, "ephemeral": ephemeral,
	}).want(t, http.StatusOK, &got)
	return got.Runner
}

// fetch polls once with that tasks version and returns the task's id or "".
func (c client) fetch(t *testing.T, id identity, version string) (task, latest string) {
	t.Helper()
	var got taskView
	c.rpc(t, id, "FetchTask", map[string]any{"tasksVersion": version}).want(t, http.StatusOK, &got)
	if got.Task == nil {
		return "", got.TasksVersion
	}
	return got.Task.ID, got.TasksVersion
}

// take polls for a task, which must be there.
func (c client) take(t *testing.T, id identity) (task string) {
	t.Helper()
	task, _ = c.fetch(t, id, "0")
	if task == "" {
		t.Fatal("no task for the runner")
	}
	return task
}

// report sends UpdateTask. An empty result is none yet.
func (c client) report(t *testing.T, id identity, task, result string) answer {
	t.Helper()
	state := map[string]any{"id": task}
	if result != "" {
		state["result"] = result
		state["stoppedAt"] = time.Now().UTC().Format(time.RFC3339)
	}
	return c.rpc(t, id, "UpdateTask", map[string]any{"state": state})
}

// runner gets a runner by REST.
func (c client) runner(t *testing.T, id identity) (runnerView, int) {
	t.Helper()
	a := c.rest(t, http.MethodGet, "/admin/actions/runners/"+id.ID, nil)
	if a.status != http.StatusOK {
		return runnerView{}, a.status
	}
	if releaseOf(c.profile()).forgejo {
		var got forgejoRunner
		a.want(t, http.StatusOK, &got)
		return got.view(), a.status
	}
	var got runnerView
	a.want(t, http.StatusOK, &got)
	return got, a.status
}

// jobs lists jobs below a prefix with a query.
func (c client) jobs(t *testing.T, prefix, query string) (jobs []jobView, total int, header http.Header) {
	t.Helper()
	var got struct {
		Jobs  []jobView `json:"jobs"`
		Total int       `json:"total_count"`
	}
	a := c.rest(t, http.MethodGet, prefix+"/actions/jobs"+query, nil)
	a.want(t, http.StatusOK, &got)
	return got.Jobs, got.Total, a.header
}

// job gets the one job of a repository.
func (c client) job(t *testing.T, repo string, id int64) jobView {
	t.Helper()
	var got jobView
	c.rest(t, http.MethodGet, "/repos/"+repo+"/actions/jobs/"+strconv.FormatInt(id, 10), nil).want(t, http.StatusOK, &got)
	return got
}
