package giteatest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// forgejoRunner is a runner as Forgejo shows it.
type forgejoRunner struct {
	ID          int64    `json:"id"`
	UUID        string   `json:"uuid"`
	OwnerID     int64    `json:"owner_id"` // 0 for one of a repository or the instance
	RepoID      int64    `json:"repo_id"`  // 0 for all but one of a repository
	Name        string   `json:"name"`
	Status      string   `json:"status"` // "offline", "idle" or "active"
	Version     string   `json:"version"`
	Labels      []string `json:"labels"` // null until the first Declare
	Description string   `json:"description"`
	Ephemeral   bool     `json:"ephemeral"`
}

// forgejoJob is a job that waits or runs, as Forgejo shows it. It says neither
// since when nor which runner has it.
type forgejoJob struct {
	ID      int64    `json:"id"`
	RunID   *int64   `json:"run_id,omitempty"`
	Attempt *int64   `json:"attempt,omitempty"`
	Handle  string   `json:"handle,omitempty"`
	RepoID  int64    `json:"repo_id"`
	OwnerID int64    `json:"owner_id"`
	Name    string   `json:"name"`
	Needs   []string `json:"needs"`
	RunsOn  []string `json:"runs_on"`
	TaskID  int64    `json:"task_id"` // 0 until picked
	Status  string   `json:"status"`  // "waiting" or "running"
}

// forgejoRoutes adds what Forgejo serves of runners and jobs below a level.
func (s *Server) forgejoRoutes(mux *http.ServeMux, l level) {
	can, base := s.profile.rules, l.prefix+"/actions/runners"
	older := l.category == categoryAdmin && !can.adminActions
	if can.queue && !older {
		s.handle(mux, "GET "+base+"/jobs", l, s.listQueue)
	}
	if l.category == categoryAdmin {
		if can.queue {
			s.handle(mux, "GET "+l.prefix+"/runners/jobs", l, s.listQueue)
		}
		if can.adminActions {
			s.handle(mux, "GET "+base+"/registration-token", l, s.mint)
		}
	}
	if can.runners {
		s.handle(mux, "GET "+base, l, s.listForgejoRunners)
		s.handle(mux, "GET "+base+"/{id}", l, s.getForgejoRunner)
	}
	if can.create {
		s.handle(mux, "POST "+base, l, s.createRunner)
	}
	if can.runners && can.remove {
		s.handle(mux, "DELETE "+base+"/{id}", l, s.deleteForgejoRunner)
	}
}

// listQueue lists the jobs of the scope that wait or run and that a runner with
// the labels could take, newest first, all in one answer. No job at all is
// null. Labels that are named and empty leave the jobs without runs-on.
func (s *Server) listQueue(c restCall) {
	var found []forgejoJob
	q := c.r.URL.Query()
	labels := strings.Split(strings.TrimSpace(q.Get("labels")), ",")
	all := !q.Has("labels") && !s.profile.rules.labelled
	for _, j := range slices.Backward(s.db.jobs) {
		if j.status != StatusQueued && j.status != StatusInProgress || !c.view.Covers(j.repo) {
			continue
		}
		bare := len(j.spec.Labels) == 0
		if all || bare && labels[0] == "" && !s.profile.rules.labelled || !bare && subset(j.spec.Labels, labels) {
			found = append(found, s.forgejoJob(j))
		}
	}
	writeJSON(c.w, http.StatusOK, found)
}

// forgejoJob converts a job.
func (s *Server) forgejoJob(j *job) forgejoJob {
	can := s.profile.rules
	out := forgejoJob{
		ID: j.id, RepoID: s.db.repo(j.repo).id, OwnerID: s.db.ownerOf(j.repo).id, Name: j.name,
		RunsOn: j.spec.Labels, TaskID: j.task, Status: "waiting",
	}
	if j.status == StatusInProgress {
		out.Status = "running"
	}
	if can.handles {
		attempt := max(j.attempt, 1) // counted when it is queued, and not when it is picked
		out.Attempt, out.Handle = &attempt, j.handle
	}
	if can.runIDs {
		out.RunID = &j.run
	}
	return out
}

// forgejoRunner converts a runner.
func (s *Server) forgejoRunner(r *registered, now time.Time) forgejoRunner {
	out := forgejoRunner{
		ID: r.id, UUID: r.uuid, Name: r.name, Status: "offline", Version: r.version, Labels: r.labels,
		Description: r.about, Ephemeral: r.ephemeral,
	}
	switch r.scope.Kind {
	case plan.ScopeRepo:
		out.RepoID = s.db.repo(r.scope.Owner + "/" + r.scope.Repo).id
	case plan.ScopeOrg, plan.ScopeUser:
		out.OwnerID = s.db.owners[strings.ToLower(r.scope.Owner)].id
	}
	switch {
	case r.busy(now):
		out.Status = "active"
	case r.online(now):
		out.Status = "idle"
	}
	return out
}

// usable reports whether runners of a scope work for a view: its own, its
// owner's and the instance's. The administrator sees all by their id.
func usable(scope, view plan.Scope) bool {
	return view.Kind == plan.ScopeInstance || scope.Kind == plan.ScopeInstance || versionKey(scope) == versionKey(view) ||
		view.Kind == plan.ScopeRepo && versionKey(scope) == strings.ToLower(view.Owner)
}

// listForgejoRunners lists the runners of exactly the scope, which for the
// administrator are the instance's, or all that are usable there if those that
// are visible are asked for.
func (s *Server) listForgejoRunners(c restCall) {
	now := s.opts.Now()
	visible, _ := parseBool(c.r.URL.Query().Get("visible"))
	var found []*registered
	for _, r := range s.db.runners {
		if versionKey(r.scope) == versionKey(c.view) || visible && usable(r.scope, c.view) {
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, func(a, b *registered) int {
		return cmp.Or(b.lastOnline.Compare(a.lastOnline), cmp.Compare(b.id, a.id))
	})
	from, to := s.page(c.r, len(found))
	out := make([]forgejoRunner, 0, to-from)
	for _, r := range found[from:to] {
		out = append(out, s.forgejoRunner(r, now))
	}
	s.setLinks(c, len(found))
	c.w.Header().Set("X-Total-Count", strconv.Itoa(len(found)))
	writeJSON(c.w, http.StatusOK, out)
}

// usableRunner finds the runner that the path names, or answers 404.
func (s *Server) usableRunner(c restCall) *registered {
	id, _ := strconv.ParseInt(c.r.PathValue("id"), 10, 64)
	r := s.db.runner(id)
	if r == nil || !usable(r.scope, c.view) {
		s.apiError(c.w, c.r, http.StatusNotFound, fmt.Sprintf("runner with ID %d: resource does not exist", id))
		return nil
	}
	return r
}

func (s *Server) getForgejoRunner(c restCall) {
	if r := s.usableRunner(c); r != nil {
		writeJSON(c.w, http.StatusOK, s.forgejoRunner(r, s.opts.Now()))
	}
}

// deleteForgejoRunner deletes a runner of exactly the scope, whatever it does.
// The administrator deletes any.
func (s *Server) deleteForgejoRunner(c restCall) {
	r := s.usableRunner(c)
	switch {
	case r == nil:
	case !r.visible(c.view):
		s.apiError(c.w, c.r, http.StatusNotFound, "No permission to delete this runner")
	default:
		s.removeRunner(r)
		c.w.WriteHeader(http.StatusNoContent)
	}
}

// createRunner makes a runner of the scope. It declares its labels later.
func (s *Server) createRunner(c restCall) {
	var body struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Ephemeral   bool   `json:"ephemeral"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil {
		s.apiError(c.w, c.r, http.StatusUnprocessableEntity, "[]: "+err.Error())
		return
	}
	if body.Name == "" {
		s.apiError(c.w, c.r, http.StatusUnprocessableEntity, "[Name]: Required")
		return
	}
	r := s.db.addRunner(body.Name, c.view)
	r.about, r.ephemeral = body.Description, body.Ephemeral
	s.countRunner(r)
	writeJSON(c.w, http.StatusCreated, map[string]any{"id": r.id, "uuid": r.uuid, "token": r.token})
}
