package giteatest

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// taskJSON is a task as the REST API shows it: a job that was picked. It names
// no runner and no labels.
type taskJSON struct {
	ID           int64     `json:"id"`
	Name         string    `json:"name"`
	HeadBranch   string    `json:"head_branch"`
	HeadSHA      string    `json:"head_sha"`
	RunNumber    int64     `json:"run_number"`
	Event        string    `json:"event"`
	DisplayTitle string    `json:"display_title"`
	Status       string    `json:"status"` // "running", or how it ended
	WorkflowID   string    `json:"workflow_id"`
	URL          string    `json:"url"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
	RunStartedAt time.Time `json:"run_started_at"`
}

// listTasks lists a repository's tasks, latest first. A queued job has none, so
// that the list says nothing of demand.
func (s *Server) listTasks(c restCall) {
	var found []*job
	for _, j := range s.db.jobs {
		if j.task != 0 && c.view.Covers(j.repo) {
			found = append(found, j)
		}
	}
	slices.SortFunc(found, func(a, b *job) int { return int(b.task - a.task) })
	from, to := s.page(c.r, len(found))
	out := make([]taskJSON, 0, to-from)
	for _, j := range found[from:to] {
		status := j.status
		if status == StatusInProgress {
			status = "running"
		}
		out = append(out, taskJSON{
			ID: j.task, Name: j.name, HeadBranch: "main", HeadSHA: headSHA, RunNumber: j.run, Event: eventPush,
			DisplayTitle: "demo", Status: status, WorkflowID: workflowFile,
			URL:       s.base(c.r) + "/" + j.repo + "/actions/runs/" + strconv.FormatInt(j.run, 10),
			CreatedAt: stamp(j.started), UpdatedAt: stamp(j.updated), RunStartedAt: stamp(j.started),
		})
	}
	writeJSON(c.w, http.StatusOK, map[string]any{"workflow_runs": out, "total_count": len(found)})
}
