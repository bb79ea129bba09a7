package giteatest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// headSHA is the commit that every job is of.
const headSHA = "5d5f7a1c2b3e4f60718293a4b5c6d7e8f9012345"

// jobJSON is a job as the REST API and the webhooks show it. There is no
// repository: clients take it from the URL.
type jobJSON struct {
	ID          int64      `json:"id"`
	URL         string     `json:"url"`
	HTMLURL     string     `json:"html_url"`
	RunID       int64      `json:"run_id"`
	RunURL      string     `json:"run_url"`
	Name        string     `json:"name"`
	Labels      []string   `json:"labels"`
	RunAttempt  int64      `json:"run_attempt"`
	HeadSHA     string     `json:"head_sha"`
	HeadBranch  string     `json:"head_branch,omitempty"`
	Status      string     `json:"status"`
	Conclusion  string     `json:"conclusion,omitempty"`
	RunnerID    int64      `json:"runner_id,omitempty"`
	RunnerName  string     `json:"runner_name,omitempty"`
	Steps       []stepJSON `json:"steps"`
	CreatedAt   time.Time  `json:"created_at"`
	StartedAt   time.Time  `json:"started_at"`   // 1970 until started
	CompletedAt time.Time  `json:"completed_at"` // 1970 until completed
}

type stepJSON struct {
	Name        string    `json:"name"`
	Number      int64     `json:"number"`
	Status      string    `json:"status"` // the job's, as in Gitea
	Conclusion  string    `json:"conclusion,omitempty"`
	StartedAt   time.Time `json:"started_at"`
	CompletedAt time.Time `json:"completed_at"`
}

// jobJSON converts a job, with URLs that start with base.
func (s *Server) jobJSON(j *job, base string) jobJSON {
	rules := s.profile.rules
	status, conclusion := j.status, ""
	if j.done() {
		status, conclusion = "completed", j.status
	}
	steps := []stepJSON{}
	switch {
	case rules.noSteps:
		steps = nil
	case j.task != 0:
		steps = append(steps, stepJSON{
			Name: "Run sleep", Status: status, Conclusion: conclusion,
			StartedAt: stamp(j.started), CompletedAt: stamp(j.stopped),
		})
	}
	page := j.id
	if rules.indexURL {
		page = int64(j.index)
	}
	api := fmt.Sprintf("%s/api/v1/repos/%s/actions", base, j.repo)
	return jobJSON{
		ID: j.id, RunID: j.run, Name: j.name, Labels: j.spec.Labels,
		URL:        fmt.Sprintf("%s/jobs/%d", api, j.id),
		RunURL:     fmt.Sprintf("%s/runs/%d", api, j.run),
		HTMLURL:    fmt.Sprintf("%s/%s/actions/runs/%d/jobs/%d", base, j.repo, j.run, page),
		RunAttempt: j.attempt, HeadSHA: headSHA, HeadBranch: "main",
		Status: status, Conclusion: conclusion,
		RunnerID: j.runner, RunnerName: j.by, Steps: steps,
		CreatedAt: stamp(j.queued), StartedAt: stamp(j.started), CompletedAt: stamp(j.stopped),
	}
}

// stamp is a time as Gitea stores it: whole seconds, and 1970 for none.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return t.UTC().Truncate(time.Second)
}

// statuses are the values of ?status= and the states that each stands for.
func statuses(name string) ([]string, bool) {
	switch name {
	case "queued", "in_progress", "success", "failure", "cancelled", "skipped":
		return []string{name}, true
	case "pending", "waiting", "requested", "action_required":
		return []string{StatusWaiting}, true
	case "neutral":
		return []string{StatusSkipped}, true
	case "timed_out":
		return []string{StatusCancelled}, true
	case "completed":
		return []string{StatusSuccess, StatusFailure, StatusSkipped, StatusCancelled}, true
	}
	return nil, false
}

// listJobs lists in no useful order, but for the releases that have one.
func (s *Server) listJobs(c restCall) {
	var want []string
	for _, name := range c.r.URL.Query()["status"] {
		values, ok := statuses(name)
		if !ok {
			text := "Invalid status " + name
			if s.profile.rules.plainTexts {
				text = "invalid status " + name
			}
			s.apiError(c.w, c.r, http.StatusBadRequest, text)
			return
		}
		want = append(want, values...)
	}
	var found []*job
	for _, j := range s.db.jobs {
		if c.view.Covers(j.repo) && (len(want) == 0 || slices.Contains(want, j.status)) {
			found = append(found, j)
		}
	}
	s.disorder(found)
	total := len(found)
	from, to := s.page(c.r, total)
	out := make([]jobJSON, 0, to-from)
	for _, j := range found[from:to] {
		out = append(out, s.jobJSON(j, s.base(c.r)))
	}
	if s.profile.rules.jobPages {
		s.setLinks(c, total)
		c.w.Header().Set("Access-Control-Expose-Headers", "Link, X-Total-Count")
		c.w.Header().Set("X-Total-Count", strconv.Itoa(total))
	}
	writeJSON(c.w, http.StatusOK, map[string]any{"jobs": out, "total_count": total})
}

// disorder puts jobs into an order that has nothing to do with their age. It
// is the same at every run of a program, and from one listing to the next
// unless ShuffleJobs is set. Releases that list by id do not get it.
func (s *Server) disorder(jobs []*job) {
	if s.profile.rules.jobsByID && !s.opts.ShuffleJobs {
		return
	}
	s.listings++
	seed := uint64(1)
	if s.opts.ShuffleJobs {
		seed = s.listings
	}
	key := func(j *job) uint64 { return rand.NewPCG(seed, uint64(j.id)).Uint64() }
	slices.SortFunc(jobs, func(a, b *job) int { return cmp.Compare(key(a), key(b)) })
}

// getJob answers one job of a repository.
func (s *Server) getJob(c restCall) {
	id, _ := strconv.ParseInt(c.r.PathValue("id"), 10, 64)
	j := s.db.job(id)
	if j == nil || !c.view.Covers(j.repo) {
		s.apiNotFound(c.w, c.r, "not found", "resource does not exist")
		return
	}
	writeJSON(c.w, http.StatusOK, s.jobJSON(j, s.base(c.r)))
}
