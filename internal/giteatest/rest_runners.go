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

// runnerJSON is a runner as the REST API shows it: without UUID and owner.
type runnerJSON struct {
	ID        int64       `json:"id"`
	Name      string      `json:"name"`
	Status    string      `json:"status"` // "online" or "offline"
	Busy      bool        `json:"busy"`
	Disabled  *bool       `json:"disabled,omitempty"` // nil where runners cannot be disabled
	Ephemeral bool        `json:"ephemeral"`
	Labels    []labelJSON `json:"labels"`
}

type labelJSON struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// runnerJSON converts a runner.
func (s *Server) runnerJSON(r *registered, now time.Time) runnerJSON {
	out := runnerJSON{
		ID: r.id, Name: r.name, Status: "offline", Busy: r.busy(now),
		Ephemeral: r.ephemeral, Labels: make([]labelJSON, len(r.labels)),
	}
	if s.profile.rules.disable {
		out.Disabled = &r.disabled
	}
	if r.online(now) {
		out.Status = "online"
	}
	for i, l := range r.labels {
		out.Labels[i] = labelJSON{ID: i, Name: l, Type: "custom"}
	}
	return out
}

// visible reports whether a level's REST routes show the runner: the admin's
// all, the others those of exactly that owner or repository.
func (r *registered) visible(view plan.Scope) bool {
	return view.Kind == plan.ScopeInstance || versionKey(r.scope) == versionKey(view)
}

// listRunners lists by last contact, latest first, so that runners move
// between pages as they poll. Unlike the jobs it has no X-Total-Count.
func (s *Server) listRunners(c restCall) {
	now := s.opts.Now()
	want, filter := parseBool(c.r.URL.Query().Get("disabled"))
	var found []*registered
	for _, r := range s.db.runners {
		if r.visible(c.view) && (!filter || !s.profile.rules.disable || r.disabled == want) {
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, func(a, b *registered) int {
		return cmp.Or(b.lastOnline.Compare(a.lastOnline), cmp.Compare(b.id, a.id))
	})
	total := len(found)
	from, to := s.page(c.r, total)
	out := make([]runnerJSON, 0, to-from)
	for _, r := range found[from:to] {
		out = append(out, s.runnerJSON(r, now))
	}
	writeJSON(c.w, http.StatusOK, map[string]any{"runners": out, "total_count": total})
}

// parseBool reads an optional boolean as Gitea's forms do.
func parseBool(s string) (value, given bool) {
	v, err := strconv.ParseBool(strings.ToLower(s))
	return v, err == nil
}

// pathRunner finds the runner that the path names, or answers 404.
func (s *Server) pathRunner(c restCall) *registered {
	id, _ := strconv.ParseInt(c.r.PathValue("id"), 10, 64)
	r := s.db.runner(id)
	switch {
	case r == nil && s.profile.rules.plainTexts:
		s.apiError(c.w, c.r, http.StatusNotFound, fmt.Sprintf("runner with id %d: resource does not exist", id))
		return nil
	case r == nil:
		s.apiNotFound(c.w, c.r, "Runner not found")
		return nil
	case !r.visible(c.view):
		s.apiNotFound(c.w, c.r, "No permission to access this runner")
		return nil
	}
	return r
}

// getRunner answers one runner.
func (s *Server) getRunner(c restCall) {
	if r := s.pathRunner(c); r != nil {
		writeJSON(c.w, http.StatusOK, s.runnerJSON(r, s.opts.Now()))
	}
}

// deleteRunner deletes without a look at what the runner does. Its job stays
// in progress until the zombie sweep.
func (s *Server) deleteRunner(c restCall) {
	r := s.pathRunner(c)
	if r == nil {
		return
	}
	s.removeRunner(r)
	c.w.WriteHeader(http.StatusNoContent)
}

// removeRunner deletes a runner as the REST API does. The caller holds s.mu.
func (s *Server) removeRunner(r *registered) {
	s.db.removeRunner(r)
	s.counts.Deletions++
	s.log.Debug("runner deleted", "runner", r.name)
	s.touch()
}

// patchRunner disables or enables. A change makes the runners of the scope
// look for work again; a running job is left alone.
func (s *Server) patchRunner(c restCall) {
	r := s.pathRunner(c)
	if r == nil {
		return
	}
	var body struct {
		Disabled *bool `json:"disabled"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil {
		s.apiError(c.w, c.r, http.StatusUnprocessableEntity, "[]: "+err.Error())
		return
	}
	if body.Disabled == nil {
		s.apiError(c.w, c.r, http.StatusUnprocessableEntity, "[Disabled]: Required")
		return
	}
	if r.disabled != *body.Disabled {
		r.disabled = *body.Disabled
		s.db.bump(r.scope)
		s.touch()
	}
	writeJSON(c.w, http.StatusOK, s.runnerJSON(r, s.opts.Now()))
}
