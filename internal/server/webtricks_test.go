package server

import (
	"net/http"
	"strings"
	"testing"
)

// tricks rewrite a path so that a careless program takes it for another one.
var tricks = map[string]func(string) string{
	"two slashes":       func(p string) string { return "/" + p },
	"dot":               func(p string) string { return "/." + p },
	"escaped dot":       func(p string) string { return "/%2e" + p },
	"up from assets":    func(p string) string { return "/assets/.." + p },
	"escaped up":        func(p string) string { return "/assets/%2e%2e" + p },
	"escaped slash up":  func(p string) string { return "/assets/..%2f" + strings.TrimPrefix(p, "/") },
	"up from login":     func(p string) string { return "/login/.." + p },
	"slash at the end":  func(p string) string { return p + "/" },
	"all slashes":       func(p string) string { return "/" + strings.ReplaceAll(strings.TrimPrefix(p, "/"), "/", "%2f") },
	"upper case":        strings.ToUpper,
	"NUL":               func(p string) string { return p + "%00" },
	"NUL in the middle": func(p string) string { return strings.Replace(p, "/", "/%00", 1) },
	"line break":        func(p string) string { return p + "%0d%0aSet-Cookie:%20a=b" },
	"backslash":         func(p string) string { return "/" + strings.ReplaceAll(p, "/", "%5c") },
	"semicolon":         func(p string) string { return p + ";x=y" },
	"very long":         func(p string) string { return p + strings.Repeat("/a", 4000) },
	"not UTF-8":         func(p string) string { return p + "%ff%fe" },
	"markup":            func(p string) string { return p + "%3Cscript%3Ealert(1)%3C/script%3E" },
}

func TestAttackWithPathTricks(t *testing.T) {
	for name, trick := range tricks {
		t.Run(name, func(t *testing.T) {
			a := newAttack(t, nil)
			for _, r := range targetsOf(t, a.web) {
				if r.path == "/live" || r.path == "/logout" {
					continue
				}
				path := trick(r.path)
				nobody := newBrowser(t, a.web)
				w := nobody.send(r.method, path, formType, fullForm())
				a.leaksNothing(r.method+" "+path, w)
				a.unchanged(r.method + " " + path)
				if strings.Contains(w.Body.String(), "<script>alert") {
					t.Errorf("%s: markup is answered", path)
				}
				if r.method == http.MethodPost {
					user := newBrowser(t, a.web)
					user.login("alice", "right")
					if w := user.send(r.method, path, formType, fullForm()); w.Code >= 500 || w.Code == http.StatusOK {
						t.Errorf("%s as a user: %d", path, w.Code)
					}
					if name != "upper case" { // a token may be called that
						a.unchanged("as a user " + path)
					}
				}
			}
		})
	}
}

// Parameters are names and numbers of no use to an attacker.
func TestAttackWithParameters(t *testing.T) {
	a := newAttack(t, nil)
	for _, path := range []string{"/", "/pools", "/pools/linux", "/runners", "/queue", "/events", "/config", "/login"} {
		for _, value := range []string{"%3Cscript%3Ealert(1)%3C/script%3E", "%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E", "javascript:alert(1)", "-1", "99999999999999999999", "%00", "%ff", strings.Repeat("9", 5000), "../../etc/passwd", "//evil.example"} {
			for _, key := range []string{"pool", "phase", "page", "kind", "done", "next", "v"} {
				w := newBrowser(t, a.web).get(path + "?" + key + "=" + value)
				a.leaksNothing(path+" "+key+"="+value, w)
				if w.Code != http.StatusOK {
					t.Errorf("%s?%s=%s: %d", path, key, value, w.Code)
				}
				for _, bad := range []string{"<script>alert", "<img src=x", `href="javascript`, `href="//evil`, `value="//evil`} {
					if strings.Contains(w.Body.String(), bad) {
						t.Errorf("%s?%s=%s answers %s", path, key, value, bad)
					}
				}
			}
		}
	}
	a.unchanged("a parameter")
}
