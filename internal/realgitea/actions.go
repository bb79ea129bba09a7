package realgitea

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
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

// maxPage is the most entries that the server puts on a page.
const maxPage = 50

// Call makes a REST call below /api/v1 as the administrator and decodes the
// answer into out, unless that is nil. A status other than 2xx is an error
// that holds the answer.
func (s *Server) Call(ctx context.Context, method, path string, body, out any) error {
	return s.do(ctx, method, path, body, out, func(r *http.Request) {
		r.Header.Set("Authorization", "token "+s.APIToken)
	})
}

// do makes a REST call that authorize adds the credentials to.
func (s *Server) do(ctx context.Context, method, path string, body, out any, authorize func(*http.Request)) error {
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
	authorize(req)
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
		return &statusError{what: what, status: resp.StatusCode, answer: string(answer)}
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// statusError is an answer other than the wanted one.
type statusError struct {
	what   string
	status int
	answer string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", e.what, e.status, http.StatusText(e.status), e.answer)
}

// missing reports whether the server has no such thing.
func missing(err error) bool {
	refused, ok := errors.AsType[*statusError](err)
	return ok && (refused.status == http.StatusNotFound || refused.status == http.StatusMethodNotAllowed)
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
	s.AddFile(t, repo, ".gitea/workflows/"+file, text)
}

// AddFile commits a new file, which runs the workflows that say on: push.
func (s *Server) AddFile(t testing.TB, repo, path, text string) {
	t.Helper()
	s.call(t, http.MethodPost, "/repos/"+repo+"/contents/"+path, map[string]any{
		"message": "add " + path, "content": base64.StdEncoding.EncodeToString([]byte(text)),
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

// HeadJobs lists the jobs of the last commit on the branch main, as its commit
// statuses tell of them, which every server has (services/actions/
// commit_status.go). A job has no runner there, and an id that only these lists
// know.
func (s *Server) HeadJobs(ctx context.Context, repo string) ([]Job, error) {
	var head struct {
		SHA      string
		Statuses []struct{ Context, Status, Description string }
	}
	if err := s.Call(ctx, http.MethodGet, fmt.Sprintf("/repos/%s/commits/main/status?limit=%d", repo, maxPage), nil, &head); err != nil {
		return nil, err
	}
	jobs := make([]Job, len(head.Statuses))
	for i, status := range head.Statuses {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(head.SHA + status.Context))
		jobs[i] = Job{ID: int64(hash.Sum32()), Name: status.Context}
		switch {
		case status.Status != "pending":
			jobs[i].Status, jobs[i].Conclusion = "completed", status.Status
		case status.Description == "Has started running":
			jobs[i].Status = "in_progress"
		default:
			jobs[i].Status = "queued"
		}
	}
	return jobs, nil
}
