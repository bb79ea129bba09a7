package giteatest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// APIUser is whom an API token belongs to, and what the token may do.
type APIUser struct {
	Login string
	Admin bool // site admin
	// Owns names organisations that the user is an owner of.
	Owns []string
	// Scopes are the token's: "read:admin", "write:repository", ... or "all".
	// None means all.
	Scopes []string
}

// AddAPIToken makes an API token valid, and its user if need be.
func (s *Server) AddAPIToken(token string, user APIUser) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db.addOwner(user.Login, false)
	s.db.apiTokens[token] = user
}

// RemoveAPIToken makes an API token invalid.
func (s *Server) RemoveAPIToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.db.apiTokens, token)
}

// AddToken makes token the registration token of a scope; the older ones of
// that scope are invalidated, as when somebody resets it on Gitea's pages. The
// organisation, user or repository comes into being if need be.
func (s *Server) AddToken(scope plan.Scope, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db.addToken(scope, token)
}

// InvalidateToken invalidates a registration token. Runners that registered
// with it are unaffected.
func (s *Server) InvalidateToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.db.token(token); t != nil {
		t.active = false
	}
}

// ResetToken replaces the registration token of a scope and returns the new
// one.
func (s *Server) ResetToken(scope plan.Scope) string {
	token := randomToken(40)
	s.AddToken(scope, token)
	return token
}

// has reports whether the token has the scope; write includes read.
func (u APIUser) has(level, category string) bool {
	if len(u.Scopes) == 0 || slices.Contains(u.Scopes, "all") || slices.Contains(u.Scopes, "write:"+category) {
		return true
	}
	return level == "read" && slices.Contains(u.Scopes, "read:"+category)
}

// owns reports whether the user is, or is an owner of, the named owner.
func (u APIUser) owns(name string) bool {
	return strings.EqualFold(u.Login, name) ||
		slices.ContainsFunc(u.Owns, func(o string) bool { return strings.EqualFold(o, name) })
}

// authenticate finds the token's user; signed is false without a token. A
// wrong token is answered here, with ok false. The caller holds s.mu.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (user APIUser, signed, ok bool) {
	if name, password, basic := r.BasicAuth(); basic {
		l, known := s.db.passwords[strings.ToLower(name)]
		if !known || l.password != password {
			s.apiError(w, r, http.StatusUnauthorized, s.credentialText())
			return APIUser{}, false, false
		}
		return l.user, true, true
	}
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "token") && !strings.EqualFold(scheme, "bearer") {
		return APIUser{}, false, true
	}
	user, known := s.db.apiTokens[token]
	if !known {
		text := s.credentialText()
		if s.profile.rules.tellsToken {
			text = fmt.Sprintf("access token does not exist [sha: %s]", token)
		}
		s.apiError(w, r, http.StatusUnauthorized, text)
		return APIUser{}, false, false
	}
	return user, true, true
}

// authorize checks what Gitea's routes check, in its order: the token itself,
// its scopes, that there is one, and what its user may do. It answers and
// returns false if any fails. The caller holds s.mu.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request, category string) (APIUser, bool) {
	user, signed, ok := s.authenticate(w, r)
	if !ok {
		return user, false
	}
	level := "read"
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		level = "write"
	}
	switch {
	case !signed:
		s.apiError(w, r, http.StatusUnauthorized, "token is required")
	case !user.has(level, category):
		s.apiError(w, r, http.StatusForbidden, s.scopeText(level+":"+category, user))
	case category == categoryAdmin && !user.Admin:
		s.apiError(w, r, http.StatusForbidden, "user should be the site admin")
	default:
		return user, true
	}
	return user, false
}

// scopeText says which scope a token lacks, as the release does.
func (s *Server) scopeText(required string, user APIUser) string {
	const text = "token does not have at least one of required scope(s)"
	if s.profile.rules.oldScopes {
		return fmt.Sprintf("%s: [%s]", text, required)
	}
	return fmt.Sprintf("%s, required=[%s], token scope=%s", text, required, strings.Join(user.Scopes, ","))
}

// credentialText says that a token or password is wrong, as the release does.
func (s *Server) credentialText() string {
	if s.profile.rules.oldTexts {
		return "user does not exist [uid: 0, name: ]"
	}
	return "invalid username, password or token"
}
