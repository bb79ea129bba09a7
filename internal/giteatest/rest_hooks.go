package giteatest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"scaler.io/scaler/internal/plan"
)

// The events of webhooks that there are here.
const (
	eventJob     = "workflow_job"
	eventPush    = "push"
	eventStatus  = "status"  // of a commit
	eventRelease = "release" // which never happens here
)

// hook is a webhook.
type hook struct {
	id           int64
	scope        plan.Scope
	system       bool   // of the instance: it gets events; else it is copied to new repositories
	kind         string // "gitea", "slack", …
	url, secret  string
	contentType  string
	branchFilter string
	events       []string
	active       bool
}

// target is the level of a hook as deliveries name it.
func (h hook) target() string {
	switch {
	case h.system:
		return "system"
	case h.scope.Kind == plan.ScopeOrg:
		return "organization"
	case h.scope.Kind == plan.ScopeUser:
		return "user"
	case h.scope.Kind == plan.ScopeRepo:
		return "repository"
	}
	return "default"
}

// hookTable has the webhooks in the order of their ids.
type hookTable struct {
	list []hook
	last int64 // id, which is never used again
}

func (t *hookTable) add(h hook) hook {
	t.last++
	h.id = t.last
	t.list = append(t.list, h)
	return h
}

// of returns the hooks that an event in a repository is sent to.
func (t *hookTable) of(repo, event string) []hook {
	var found []hook
	for _, h := range t.list {
		if h.active && h.scope.Covers(repo) && (h.system || h.scope.Kind != plan.ScopeInstance) && slices.Contains(h.events, event) {
			found = append(found, h)
		}
	}
	return found
}

// hookJSON is a webhook as the REST API shows it: without its secret.
type hookJSON struct {
	ID           int64             `json:"id"`
	Name         string            `json:"name"`
	Type         string            `json:"type"`
	BranchFilter string            `json:"branch_filter"`
	Config       map[string]string `json:"config"`
	Events       []string          `json:"events"`
	Header       string            `json:"authorization_header"`
	Active       bool              `json:"active"`
}

func (h hook) json() hookJSON {
	return hookJSON{
		ID: h.id, Type: h.kind, BranchFilter: h.branchFilter, Events: h.events, Active: h.active,
		Config: map[string]string{"url": h.url, "content_type": h.contentType},
	}
}

// hookRequest is the body of a POST or PATCH.
type hookRequest struct {
	Type         string            `json:"type"`
	BranchFilter string            `json:"branch_filter"`
	Config       map[string]string `json:"config"`
	Events       []string          `json:"events"`
	Active       *bool             `json:"active"`
}

// fault is what the release finds wrong with the settings that are there.
func (q hookRequest) fault(by rules) string {
	if text, ok := q.Config["content_type"]; ok && text != "json" && text != "form" {
		return "Invalid content type"
	}
	if text, ok := q.Config["url"]; ok && by.hookURLs {
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "Invalid url"
		}
	}
	return ""
}

// eventsOr returns the events that a request asks for; none means push. Those
// that the release does not know are left out without a word.
func (q hookRequest) eventsOr(known rules) []string {
	if len(q.Events) == 0 {
		return []string{eventPush}
	}
	return slices.DeleteFunc(slices.Clone(q.Events), func(e string) bool { return !known.has(e) })
}

// hookRoutes adds the endpoints of webhooks. Only those of a repository have a
// test.
func (s *Server) hookRoutes(mux *http.ServeMux) {
	for _, l := range levels() {
		s.handle(mux, "GET "+l.prefix+"/hooks", l, s.listHooks)
		s.handle(mux, "POST "+l.prefix+"/hooks", l, s.createHook)
		s.handle(mux, "GET "+l.prefix+"/hooks/{id}", l, s.getHook)
		s.handle(mux, "PATCH "+l.prefix+"/hooks/{id}", l, s.editHook)
		s.handle(mux, "DELETE "+l.prefix+"/hooks/{id}", l, s.deleteHook)
		if l.category == categoryRepo {
			s.handle(mux, "POST "+l.prefix+"/hooks/{id}/tests", l, s.testHook)
		}
	}
}

// listHooks lists those of exactly the scope. Of those of the instance it
// lists the system's unless it is asked for others. Older releases list all of
// those at once.
func (s *Server) listHooks(c restCall) {
	found := []hookJSON{}
	wanted, can := c.r.URL.Query().Get("type"), s.profile.rules
	if !can.hookKinds {
		wanted = ""
	}
	for _, h := range s.hooks.list {
		if versionKey(h.scope) != versionKey(c.view) {
			continue
		}
		if c.view.Kind != plan.ScopeInstance || wanted == "all" || h.system == (wanted != "default") {
			found = append(found, h.json())
		}
	}
	if c.view.Kind == plan.ScopeInstance && !can.hookPages {
		writeJSON(c.w, http.StatusOK, found)
		return
	}
	from, to := s.page(c.r, len(found))
	c.w.Header().Set("X-Total-Count", strconv.Itoa(len(found)))
	writeJSON(c.w, http.StatusOK, found[from:to])
}

// readHook reads the body of a request, or answers what is wrong with it.
func (s *Server) readHook(c restCall) (q hookRequest, ok bool) {
	if err := json.Unmarshal(c.body, &q); err != nil {
		s.apiError(c.w, c.r, http.StatusUnprocessableEntity, "[]: "+err.Error())
		return q, false
	}
	if wrong := q.fault(s.profile.rules); wrong != "" {
		s.apiError(c.w, c.r, http.StatusUnprocessableEntity, wrong)
		return q, false
	}
	return q, true
}

func (s *Server) createHook(c restCall) {
	q, ok := s.readHook(c)
	if !ok {
		return
	}
	for _, name := range []string{"url", "content_type"} {
		if _, given := q.Config[name]; !given {
			s.apiError(c.w, c.r, http.StatusUnprocessableEntity, "Missing config option: "+name)
			return
		}
	}
	system, _ := strconv.ParseBool(q.Config["is_system_webhook"])
	h := s.hooks.add(hook{
		scope: c.view, system: system, kind: q.Type, url: q.Config["url"], secret: q.Config["secret"], contentType: q.Config["content_type"],
		branchFilter: q.BranchFilter, events: q.eventsOr(s.profile.rules), active: q.Active != nil && *q.Active,
	})
	writeJSON(c.w, http.StatusCreated, h.json())
}

// pathHook finds the hook that the path names, or answers 404.
func (s *Server) pathHook(c restCall) *hook {
	id, _ := strconv.ParseInt(c.r.PathValue("id"), 10, 64)
	for i, h := range s.hooks.list {
		if h.id == id && versionKey(h.scope) == versionKey(c.view) {
			return &s.hooks.list[i]
		}
	}
	s.apiNotFound(c.w, c.r, "not found")
	return nil
}

func (s *Server) getHook(c restCall) {
	if h := s.pathHook(c); h != nil {
		writeJSON(c.w, http.StatusOK, h.json())
	}
}

// editHook changes a hook. As in Gitea, events and branch filter that are not
// in the request are reset, and a secret in it changes nothing.
func (s *Server) editHook(c restCall) {
	h := s.pathHook(c)
	if h == nil {
		return
	}
	q, ok := s.readHook(c)
	if !ok {
		return
	}
	if text, given := q.Config["url"]; given {
		h.url = text
	}
	if text, given := q.Config["content_type"]; given {
		h.contentType = text
	}
	if q.Active != nil {
		h.active = *q.Active
	}
	h.events, h.branchFilter = q.eventsOr(s.profile.rules), q.BranchFilter
	writeJSON(c.w, http.StatusOK, h.json())
}

func (s *Server) deleteHook(c restCall) {
	h := s.pathHook(c)
	if h == nil {
		return
	}
	id := h.id
	s.hooks.list = slices.DeleteFunc(s.hooks.list, func(h hook) bool { return h.id == id })
	c.w.WriteHeader(http.StatusNoContent)
}

// testHook sends a push to the hook, if it is active, and for pushes or of a
// release to which that makes no difference.
func (s *Server) testHook(c restCall) {
	h := s.pathHook(c)
	if h == nil {
		return
	}
	if h.active && (s.profile.rules.hookTests || slices.Contains(h.events, eventPush)) {
		s.send(*h, eventPush, s.pushEvent(c.view.Owner+"/"+c.view.Repo))
	}
	c.w.WriteHeader(http.StatusNoContent)
}
