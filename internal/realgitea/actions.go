package realgitea

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Job is a job as the server lists it. The times that it has there are left
// out: they are of whole seconds.
type Job struct {
	ID         int64    `json:"id"`
	RunID      int64    `json:"run_id"`
	Name       string   `json:"name"`
	Labels     []string `json:"labels"`
	Status     string   `json:"status"`
	Conclusion string   `json:"conclusion"`
	RunnerID   int64    `json:"runner_id"`
	RunnerName string   `json:"runner_name"`
}

// Runner is a runner as the server lists it.
type Runner struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Disabled bool   `json:"disabled"`
}

// maxPage is the most entries that the server puts on a page.
const maxPage = 50

// Call makes a REST call below /api/v1 as the administrator and decodes the
// answer into out, unless that is nil. A status other than 2xx is an error
// that holds the answer.
func (s *Server) Call(ctx context.Context, method, path string, body, out any) error {
	what := method + " " + path
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/api/v1"+path, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	req.Header.Set("Authorization", "token "+s.APIToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.api.Do(req)
	if err != nil {
		return err // it names the method and the URL
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("%s: %s: %s", what, resp.Status, answer)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// call is Call for a call that must succeed.
func (s *Server) call(t testing.TB, method, path string, body, out any) {
	t.Helper()
	if err := s.Call(t.Context(), method, path, body, out); err != nil {
		t.Fatal(err)
	}
}

// CreateOrg makes an organisation.
func (s *Server) CreateOrg(t testing.TB, name string) {
	t.Helper()
	s.call(t, http.MethodPost, "/orgs", map[string]any{"username": name}, nil)
}

// CreateRepo makes a repository, "owner/name", of the administrator or of an
// organisation, with a first commit on the branch main.
func (s *Server) CreateRepo(t testing.TB, repo string) {
	t.Helper()
	owner, name, _ := strings.Cut(repo, "/")
	path := "/orgs/" + owner + "/repos"
	if owner == Admin {
		path = "/user/repos"
	}
	s.call(t, http.MethodPost, path, map[string]any{"name": name, "auto_init": true, "default_branch": "main"}, nil)
}

// AddWorkflow commits a workflow under a file name.
func (s *Server) AddWorkflow(t testing.TB, repo, file, text string) {
	t.Helper()
	s.call(t, http.MethodPost, "/repos/"+repo+"/contents/.gitea/workflows/"+file, map[string]any{
		"message": "add " + file, "content": base64.StdEncoding.EncodeToString([]byte(text)),
	}, nil)
}

// Dispatch runs a workflow and returns the run's id. Its jobs are queued then.
func (s *Server) Dispatch(t testing.TB, repo, file string) int64 {
	t.Helper()
	var run struct {
		ID int64 `json:"workflow_run_id"`
	}
	s.call(t, http.MethodPost, "/repos/"+repo+"/actions/workflows/"+file+"/dispatches?return_run_details=true",
		map[string]any{"ref": "main"}, &run)
	return run.ID
}

// CancelRun cancels a run, for which there is no REST call.
func (s *Server) CancelRun(t testing.TB, repo string, run int64) {
	t.Helper()
	s.Submit(t, fmt.Sprintf("/%s/actions/runs/%d/cancel", repo, run), nil)
}

// Jobs lists the jobs of a repository, which must not have more than fit on a
// page. status, if not empty, limits the list.
func (s *Server) Jobs(ctx context.Context, repo, status string) ([]Job, error) {
	path := fmt.Sprintf("/repos/%s/actions/jobs?limit=%d", repo, maxPage)
	if status != "" {
		path += "&status=" + status
	}
	var list struct {
		Jobs  []Job
		Total int `json:"total_count"`
	}
	if err := s.Call(ctx, http.MethodGet, path, nil, &list); err != nil {
		return nil, err
	}
	if list.Total != len(list.Jobs) {
		return nil, fmt.Errorf("list jobs of %s: %d of %d on the first page", repo, len(list.Jobs), list.Total)
	}
	return list.Jobs, nil
}

// Runners lists all runners of the server, which must not be more than fit on
// a page.
func (s *Server) Runners(ctx context.Context) ([]Runner, error) {
	var list struct {
		Runners []Runner
		Total   int `json:"total_count"`
	}
	if err := s.Call(ctx, http.MethodGet, fmt.Sprintf("/admin/actions/runners?limit=%d", maxPage), nil, &list); err != nil {
		return nil, err
	}
	if list.Total != len(list.Runners) {
		return nil, fmt.Errorf("list runners: %d of %d on the first page", len(list.Runners), list.Total)
	}
	return list.Runners, nil
}
