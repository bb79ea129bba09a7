package giteatest

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// maxBody bounds the body of a request that is no runner's call, in bytes.
const maxBody = 1 << 20

// Categories of API token scopes.
const (
	categoryAdmin = "admin"
	categoryOrg   = "organization"
	categoryUser  = "user"
	categoryRepo  = "repository"
)

// restCall is a REST request that passed its checks. view is the scope whose
// runners and jobs it sees.
type restCall struct {
	w    http.ResponseWriter
	r    *http.Request
	view plan.Scope
	body []byte
}

// level is one of the four prefixes that Gitea serves Actions below.
type level struct {
	prefix   string
	category string
	// view finds the scope that the path names; it answers and returns false
	// if there is none, or if the user may not see it.
	view func(s *Server, w http.ResponseWriter, r *http.Request, user APIUser) (plan.Scope, bool)
}

// levels are all of them.
func levels() []level {
	return []level{
		{"/api/v1/admin", categoryAdmin, viewAll},
		{"/api/v1/orgs/{org}", categoryOrg, viewOrg},
		{"/api/v1/user", categoryUser, viewUser},
		{"/api/v1/repos/{owner}/{repo}", categoryRepo, viewRepo},
	}
}

// routes builds everything that a server of the profile serves. The caller
// holds s.mu, or is the only one that knows the server.
func (s *Server) routes() *http.ServeMux {
	mux, can, version := http.NewServeMux(), s.profile.rules, s.profile.version
	mux.HandleFunc("GET /api/v1/version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"version": version})
	})
	mux.HandleFunc("GET /api/v1/user", s.whoami)
	s.accountRoutes(mux)
	s.hookRoutes(mux)
	for _, l := range levels() {
		base := l.prefix + "/actions/"
		if s.profile.forgejo() {
			s.forgejoRoutes(mux, l)
		} else if can.runners {
			s.handle(mux, "GET "+base+"runners", l, s.listRunners)
			s.handle(mux, "GET "+base+"runners/{id}", l, s.getRunner)
			if can.remove {
				s.handle(mux, "DELETE "+base+"runners/{id}", l, s.deleteRunner)
			}
			if can.disable {
				s.handle(mux, "PATCH "+base+"runners/{id}", l, s.patchRunner)
			}
		}
		if can.jobs {
			s.handle(mux, "GET "+base+"jobs", l, s.listJobs)
		}
		if can.mintPost {
			s.handle(mux, "POST "+base+"runners/registration-token", l, s.mint)
		}
		switch {
		case !can.mintGet:
		case l.category == categoryAdmin: // the odd one, without /actions
			s.handle(mux, "GET "+l.prefix+"/runners/registration-token", l, s.mint)
		default:
			s.handle(mux, "GET "+base+"runners/registration-token", l, s.mint)
		}
	}
	if can.tasks {
		s.handle(mux, "GET /api/v1/repos/{owner}/{repo}/actions/tasks", levels()[3], s.listTasks)
	}
	if can.jobs {
		s.handle(mux, "GET /api/v1/repos/{owner}/{repo}/actions/jobs/{id}", levels()[3], s.getJob)
	}
	mux.HandleFunc("GET /api/v1/repositories/{id}", s.getRepository)
	mux.Handle("POST /api/actions/", s.rpcHandler())
	s.controlRoutes(mux)
	return mux
}

// handle registers a REST handler behind the checks of its level. It runs with
// s.mu held, so it gets the body already read, and a w that is a buffer.
func (s *Server) handle(mux *http.ServeMux, pattern string, l level, f func(restCall)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			s.apiError(w, r, http.StatusBadRequest, "read request: "+err.Error())
			return
		}
		s.lock()
		defer s.mu.Unlock()
		user, ok := s.authorize(w, r, l.category)
		if !ok {
			return
		}
		if view, ok := l.view(s, w, r, user); ok {
			f(restCall{w, r, view, body})
		}
	})
}

func viewAll(*Server, http.ResponseWriter, *http.Request, APIUser) (plan.Scope, bool) {
	return plan.Scope{Kind: plan.ScopeInstance}, true
}

func viewUser(_ *Server, _ http.ResponseWriter, _ *http.Request, user APIUser) (plan.Scope, bool) {
	return plan.Scope{Kind: plan.ScopeUser, Owner: user.Login}, true
}

func viewOrg(s *Server, w http.ResponseWriter, r *http.Request, user APIUser) (plan.Scope, bool) {
	name := r.PathValue("org")
	o, ok := s.db.owners[strings.ToLower(name)]
	if !ok || !o.org {
		s.apiNotFound(w, r, "GetOrgByName", "user redirect does not exist [name: "+name+"]")
		return plan.Scope{}, false
	}
	// Gitea shows jobs to every member and runners to owners only.
	if !user.Admin && !user.owns(name) {
		s.apiError(w, r, http.StatusForbidden, "Must be an organization owner")
		return plan.Scope{}, false
	}
	return plan.Scope{Kind: plan.ScopeOrg, Owner: o.name}, true
}

func viewRepo(s *Server, w http.ResponseWriter, r *http.Request, user APIUser) (plan.Scope, bool) {
	name, repo := r.PathValue("owner"), r.PathValue("repo")
	if _, ok := s.db.owners[strings.ToLower(name)]; !ok {
		s.apiNotFound(w, r, "GetUserByName", "user redirect does not exist [name: "+name+"]")
		return plan.Scope{}, false
	}
	if _, ok := s.db.repos[strings.ToLower(name+"/"+repo)]; !ok {
		s.apiNotFound(w, r, "not found")
		return plan.Scope{}, false
	}
	if !user.Admin && !user.owns(name) {
		s.apiError(w, r, http.StatusForbidden, "user should be the owner of the repo")
		return plan.Scope{}, false
	}
	return plan.Scope{Kind: plan.ScopeRepo, Owner: name, Repo: repo}, true
}

// whoami answers GET /user.
func (s *Server) whoami(w http.ResponseWriter, r *http.Request) {
	s.lock()
	defer s.mu.Unlock()
	user, ok := s.authorize(w, r, categoryUser)
	if !ok {
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"id": 1, "login": user.Login, "username": user.Login, "is_admin": user.Admin, "active": true,
	})
}

// mint answers with the newest active registration token of the scope and
// makes one only if there is none; it never replaces one.
func (s *Server) mint(c restCall) {
	t := s.db.latestToken(c.view)
	if t == nil || !t.active {
		t = s.db.addToken(c.view, randomToken(40))
	}
	writeJSON(c.w, http.StatusOK, map[string]string{"token": t.value})
}

// getRepository answers the repository of an id.
func (s *Server) getRepository(w http.ResponseWriter, r *http.Request) {
	s.lock()
	defer s.mu.Unlock()
	user, ok := s.authorize(w, r, categoryRepo)
	if !ok {
		return
	}
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	for _, found := range s.db.repos {
		o := s.db.ownerOf(found.name)
		if found.id != id || !user.Admin && !user.owns(o.name) {
			continue
		}
		_, name, _ := strings.Cut(found.name, "/")
		writeJSON(w, http.StatusOK, map[string]any{
			"id": id, "name": name, "full_name": found.name, "html_url": s.base(r) + "/" + found.name,
			"owner": map[string]any{"id": o.id, "login": o.name, "username": o.name},
		})
		return
	}
	s.apiNotFound(w, r, "not found")
}

// base is the URL that the server says it has, without a final slash.
func (s *Server) base(r *http.Request) string {
	switch {
	case s.opts.URL != "":
		return strings.TrimRight(s.opts.URL, "/")
	case r == nil:
		return "http://localhost"
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// apiError answers an error as Gitea's REST API does.
func (s *Server) apiError(w http.ResponseWriter, r *http.Request, status int, message string) {
	writeJSON(w, status, map[string]string{"message": message, "url": s.base(r) + "/api/swagger"})
}

// apiNotFound answers 404 as Gitea's REST API does. "not found" stands for
// what the release says when it has nothing to say. The caller holds s.mu.
func (s *Server) apiNotFound(w http.ResponseWriter, r *http.Request, message string, errs ...string) {
	if message == "not found" && s.profile.rules.oldTexts {
		message = "The target couldn't be found."
	}
	writeJSON(w, http.StatusNotFound, map[string]any{
		"errors": errs, "message": message, "url": s.base(r) + "/api/swagger",
	})
}

// writeJSON answers a value. The client being gone is no concern here.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
