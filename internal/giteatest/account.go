package giteatest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// AddPassword lets a user log in with a password, as with all scopes.
func (s *Server) AddPassword(password string, user APIUser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user.Scopes = nil
	s.db.addOwner(user.Login, false)
	s.db.passwords[strings.ToLower(user.Login)] = login{password, user}
}

// login is a user with a password.
type login struct {
	password string
	user     APIUser
}

// madeToken is an API token that was made by the API.
type madeToken struct {
	value  string
	scopes []string
}

// APITokens returns what the tokens that were made by the API are for, by name.
func (s *Server) APITokens() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := make(map[string][]string, len(s.db.madeTokens))
	for name, t := range s.db.madeTokens {
		made[name] = slices.Clone(t.scopes)
	}
	return made
}

// accountRoutes adds what a user may ask about itself.
func (s *Server) accountRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/user/orgs", s.listMyOrgs)
	mux.HandleFunc("GET /api/v1/user/repos", s.listMyRepos)
	mux.HandleFunc("POST /api/v1/users/{name}/tokens", s.makeToken)
	mux.HandleFunc("DELETE /api/v1/users/{name}/tokens/{token}", s.dropToken)
}

// listMyOrgs lists the organisations of the user. The route asks for two scopes.
func (s *Server) listMyOrgs(w http.ResponseWriter, r *http.Request) {
	s.lock()
	defer s.mu.Unlock()
	user, ok := s.authorize(w, r, categoryUser)
	if !ok {
		return
	}
	if _, ok := s.authorize(w, r, categoryOrg); !ok {
		return
	}
	list := []map[string]any{}
	for _, name := range user.Owns {
		if o, ok := s.db.owners[strings.ToLower(name)]; ok && o.org {
			list = append(list, map[string]any{"id": len(list) + 1, "name": o.name, "username": o.name})
		}
	}
	writeJSON(w, http.StatusOK, list)
}

// listMyRepos lists the repositories of the user and its organisations.
func (s *Server) listMyRepos(w http.ResponseWriter, r *http.Request) {
	s.lock()
	defer s.mu.Unlock()
	user, ok := s.authorize(w, r, categoryUser)
	if !ok {
		return
	}
	if _, ok := s.authorize(w, r, categoryRepo); !ok {
		return
	}
	list := []map[string]any{}
	for _, r := range s.db.repos {
		full := r.name
		owner, name, _ := strings.Cut(full, "/")
		if user.owns(owner) {
			list = append(list, map[string]any{"name": name, "full_name": full, "permissions": map[string]bool{"admin": true}})
		}
	}
	slices.SortFunc(list, func(a, b map[string]any) int {
		return strings.Compare(a["full_name"].(string), b["full_name"].(string))
	})
	writeJSON(w, http.StatusOK, list)
}

// makeToken makes an API token. Gitea does that for a password only.
func (s *Server) makeToken(w http.ResponseWriter, r *http.Request) {
	s.lock()
	defer s.mu.Unlock()
	user, ok := s.authorize(w, r, categoryUser)
	if !ok {
		return
	}
	if _, _, basic := r.BasicAuth(); !basic {
		s.apiError(w, r, http.StatusUnauthorized, "auth required")
		return
	}
	if !user.Admin && !strings.EqualFold(user.Login, r.PathValue("name")) {
		s.apiError(w, r, http.StatusForbidden, "doer should be the site admin or be same as the contextUser")
		return
	}
	var body struct {
		Name   string   `json:"name"`
		Scopes []string `json:"scopes"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil {
		s.apiError(w, r, http.StatusUnprocessableEntity, "[]: "+err.Error())
		return
	}
	_, taken := s.db.madeTokens[body.Name]
	switch {
	case body.Name == "":
		s.apiError(w, r, http.StatusUnprocessableEntity, "[Name]: Required")
		return
	case taken:
		s.apiError(w, r, http.StatusBadRequest, "access token name has been used already")
		return
	case len(body.Scopes) == 0:
		s.apiError(w, r, http.StatusBadRequest, "access token must have a scope")
		return
	}
	user.Scopes = body.Scopes
	token := randomToken(40)
	s.db.apiTokens[token], s.db.madeTokens[body.Name] = user, madeToken{token, body.Scopes}
	writeJSON(w, http.StatusCreated, map[string]any{"id": len(s.db.madeTokens), "name": body.Name, "sha1": token, "token_last_eight": token[32:], "scopes": body.Scopes})
}

// dropToken deletes an API token by its name. Gitea does that for a password
// only.
func (s *Server) dropToken(w http.ResponseWriter, r *http.Request) {
	s.lock()
	defer s.mu.Unlock()
	user, ok := s.authorize(w, r, categoryUser)
	if !ok {
		return
	}
	made, found := s.db.madeTokens[r.PathValue("token")]
	_, _, basic := r.BasicAuth()
	switch {
	case !basic:
		s.apiError(w, r, http.StatusUnauthorized, "auth required")
	case !found || !strings.EqualFold(user.Login, r.PathValue("name")):
		s.apiNotFound(w, r, "not found")
	default:
		delete(s.db.apiTokens, made.value)
		delete(s.db.madeTokens, r.PathValue("token"))
		w.WriteHeader(http.StatusNoContent)
	}
}
