package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxUserName is the length that a name from a reverse proxy may have, in
// bytes.
const maxUserName = 128

// hashingWait is how long a login waits for its turn to be checked.
const hashingWait = 5 * time.Second

// user is who is logged in.
type user struct {
	name    string
	byProxy bool
}

// userKey is the context's key of the user.
type userKey struct{}

// userOf returns who is logged in; of a request that did not come through
// admit that is nobody.
func userOf(r *http.Request) user {
	u, _ := r.Context().Value(userKey{}).(user)
	return u
}

// webActor says for the audit log who asks.
func webActor(r *http.Request) string { return userOf(r).name + " on the web page" }

// admit lets through whom a route is for, and leads all others to the login
// page. What is behind the login answers nobody else, not even that a path does
// not exist.
func (web *Web) admit(whom audience, next http.HandlerFunc) http.Handler {
	if whom == forAll {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, known := web.identify(r)
		switch {
		case known:
			next(w, r.WithContext(context.WithValue(r.Context(), userKey{}, u)))
		case whom == forReaders && !web.cfg.ReadersLogIn:
			next(w, r)
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			target := "/login"
			if path := safeNext(r.URL.Path); path != "/" {
				target += "?next=" + url.QueryEscape(path)
			}
			http.Redirect(w, r, target, http.StatusSeeOther)
		default:
			web.renderMessage(w, r, http.StatusUnauthorized, message{
				Title: "Not logged in", Text: "Your login has ended, or there was none. Nothing was changed.", Link: "/login", Label: "Log in",
			})
		}
	})
}

// identify returns who sends a request: whom a trusted proxy names, else whose
// session the cookie is of.
func (web *Web) identify(r *http.Request) (user, bool) {
	if name := web.proxyUser(r); name != "" {
		return user{name: name, byProxy: true}, true
	}
	s, found := web.sessions.find(sessionID(r))
	if !found {
		return user{}, false
	}
	list, err := web.accounts.read()
	if err != nil {
		web.log.Warn("password file not read", "err", err)
		return user{}, false
	}
	// Whoever has been taken out of the file, or has another password, is
	// logged out.
	return user{name: s.user}, list.proof(s.user) == s.proof
}

// proxyUser returns whom a trusted proxy has authenticated, empty for nobody.
// Two names are none.
func (web *Web) proxyUser(r *http.Request) string {
	if web.cfg.UserHeader == "" || !web.trusted(peerOf(r)) {
		return ""
	}
	values := r.Header.Values(web.cfg.UserHeader)
	if len(values) != 1 || len(values[0]) > maxUserName || !utf8.ValidString(values[0]) {
		return ""
	}
	if strings.ContainsFunc(values[0], func(c rune) bool { return !unicode.IsPrint(c) }) {
		return ""
	}
	return strings.TrimSpace(values[0])
}

var pagePath = regexp.MustCompile(`^/(tokens|pools|runners|queue|events|config|actions)(/[0-9A-Za-z._-]+)*$`)

// safeNext returns where to go on after a login: the path, if it is one of
// these pages.
func safeNext(path string) string {
	if pagePath.MatchString(path) && !strings.Contains(path, "..") {
		return path
	}
	return "/"
}

// loginForm is what the login page shows.
type loginForm struct {
	Name, Next, Error string
	// Cannot says why nobody can log in by password here: "proxy", "none" or
	// "empty"; empty if somebody can.
	Cannot string
}

func (web *Web) getLogin(w http.ResponseWriter, r *http.Request) {
	next := safeNext(r.URL.Query().Get("next"))
	if _, known := web.identify(r); known {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	list, err := web.accounts.read()
	if err != nil {
		web.unreadable(w, r, err)
		return
	}
	web.renderLogin(w, r, http.StatusOK, list, loginForm{Next: next})
}

func (web *Web) renderLogin(w http.ResponseWriter, r *http.Request, status int, list accountList, form loginForm) {
	switch {
	case web.cfg.Passwords == "" && web.cfg.UserHeader != "":
		form.Cannot = "proxy"
	case web.cfg.Passwords == "":
		form.Cannot = "none"
	case len(list.hashes) == 0:
		form.Cannot = "empty"
	}
	web.render(w, r, status, "login", "Log in", form)
}

// postLogin checks a password. An attempt counts as failed from its beginning,
// so that many at once gain nothing.
func (web *Web) postLogin(w http.ResponseWriter, r *http.Request) {
	form, ok := web.readForm(w, r)
	if !ok {
		return
	}
	again := loginForm{Name: form.Get("name"), Next: safeNext(form.Get("next"))}
	list, err := web.accounts.read()
	switch {
	case err != nil:
		web.unreadable(w, r, err)
		return
	case len(list.hashes) == 0:
		web.renderLogin(w, r, http.StatusForbidden, list, again)
		return
	}
	if len(list.bad) > 0 {
		web.log.Warn("password file has lines that are no account", "lines", list.bad)
	}
	from := web.clientOf(r)
	if wait := web.guard.begin(from); wait > 0 {
		seconds := strconv.Itoa(int((wait + time.Second - 1) / time.Second))
		w.Header().Set("Retry-After", seconds)
		again.Error = "Too many wrong passwords came from your address. Try again in " + seconds + " s."
		web.renderLogin(w, r, http.StatusTooManyRequests, list, again)
		return
	}
	right, err := web.check(r.Context(), list, again.Name, form.Get("password"))
	switch {
	case err != nil:
		again.Error = "Too many logins at once. Try again."
		web.renderLogin(w, r, http.StatusServiceUnavailable, list, again)
	case !right:
		// A name that is no account's is not logged: it may be a password.
		web.log.Warn("login refused", "user", list.known(again.Name), "source", from)
		again.Error = "The name or the password is wrong."
		web.renderLogin(w, r, http.StatusUnauthorized, list, again)
	default:
		web.guard.passed(from)
		web.sessions.end(sessionID(r))
		web.setCookie(w, web.sessions.begin(again.Name, list.proof(again.Name)))
		web.log.Info("logged in", "user", again.Name, "source", from)
		http.Redirect(w, r, again.Next, http.StatusSeeOther)
	}
}

// check compares a password when it is its turn. The error is that of ctx, or
// that the turn did not come.
func (web *Web) check(ctx context.Context, list accountList, name, password string) (bool, error) {
	turn := time.NewTimer(hashingWait)
	defer turn.Stop()
	select {
	case web.hashing <- struct{}{}:
	case <-turn.C:
		return false, errors.New("wait for a turn to check the password")
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-web.hashing }()
	return list.check(name, password), nil
}

func (web *Web) unreadable(w http.ResponseWriter, r *http.Request, err error) {
	web.log.Error("password file not read", "err", err)
	web.renderMessage(w, r, http.StatusServiceUnavailable, message{
		Title: "Nobody can log in", Text: "The file with the passwords cannot be read. The daemon's log says why.",
	})
}

func (web *Web) postLogout(w http.ResponseWriter, r *http.Request) {
	web.sessions.end(sessionID(r))
	web.setCookie(w, "")
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
