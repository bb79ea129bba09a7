package server

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

// The tests of this file go through all routes that there are, as they are
// registered, so that a new one is attacked without anybody thinking of it.

// target is a request for a route.
type target struct {
	method, path string
	forWhom      audience
}

// names are those that a route's wildcards stand for, all of which exist.
var names = strings.NewReplacer(
	"{$}", "", "{file}", "style.css", "{pool}", "linux", "{runner}", "scaler-abcd-linux-000000", "{job}", "1", "{chart}", "queue.svg", "{name}", "stacks",
)

// targetsOf has a request for each route, and one for each action of those that
// have some.
func targetsOf(t *testing.T, web *Web) []target {
	t.Helper()
	var list []target
	for _, r := range web.routes() {
		method, path, found := strings.Cut(r.pattern, " ")
		if !found || (method != http.MethodGet && method != http.MethodPost) {
			t.Fatalf("the pattern %q has no method, or one that the tests do not know", r.pattern)
		}
		actions := []string{""}
		subject := "linux"
		switch {
		case strings.Contains(path, "{change}"):
			actions = []string{reset, string(plan.TokenPin), string(plan.TokenUnpin), string(plan.TokenEnable), string(plan.TokenDisable), string(plan.TokenRevoke), string(plan.TokenDelete)}
		case strings.HasPrefix(path, "/pools/{subject}"):
			actions = []string{"pause", "resume", "drain", "start"}
		case strings.HasPrefix(path, "/runners/{subject}"):
			actions, subject = []string{"drain"}, "scaler-abcd-linux-000000"
		case strings.HasPrefix(path, "/actions"):
			actions = []string{"drain", "reap", "reload"}
		}
		for _, a := range actions {
			full := names.Replace(strings.NewReplacer("{change}", a, "{action}", a, "{subject}", subject).Replace(path))
			if strings.Contains(full, "{") {
				t.Fatalf("the tests do not know what to put into %q: add it to names", r.pattern)
			}
			list = append(list, target{method, full, r.forWhom})
		}
	}
	if len(list) < 40 {
		t.Fatalf("only %d targets", len(list))
	}
	return list
}

// fullForm fills in all that any of the forms has.
func fullForm() io.Reader {
	return strings.NewReader("name=fresh&scope=instance&kind=reusable&number=" + randomText())
}

// attack is a daemon that is attacked.
type attack struct {
	*testing.T
	world  *world
	tokens *fakeTokens
	web    *Web
	before plan.Status
}

func newAttack(t *testing.T, change func(*WebConfig)) *attack {
	t.Helper()
	cfg := gatewayConfig(t)
	cfg.UserHeader, cfg.TrustedProxies = "X-Remote-User", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	if change != nil {
		change(&cfg)
	}
	token := stacks()
	token.Description = "Top5ecret description"
	a := &attack{T: t, world: busyWorld(5, 8), tokens: newFakeTokens(token)}
	a.web = a.world.web(t, cfg, a.tokens)
	a.before = a.world.Status()
	return a
}

// unchanged reports what was changed, which is to be nothing.
func (a *attack) unchanged(what string) {
	a.Helper()
	if calls := a.world.done(); len(calls) > 0 {
		a.Errorf("%s has had done %q", what, calls)
	}
	if len(a.tokens.calls) > 0 {
		a.Errorf("%s has had done to tokens %q", what, a.tokens.calls)
	}
	if len(a.world.audit) > 0 {
		a.Errorf("%s is in the audit log: %+v", what, a.world.audit)
	}
	if !reflect.DeepEqual(a.before, a.world.Status()) {
		a.Errorf("%s has changed the state", what)
	}
	a.world.calls, a.tokens.calls, a.world.audit = nil, nil, nil
}

// leaksNothing looks through an answer for what is not for everybody, and for
// what tells how the program is made.
func (a *attack) leaksNothing(what string, w *httptest.ResponseRecorder) {
	a.Helper()
	text := w.Body.String() + fmt.Sprint(w.Header())
	for _, secret := range []string{"Top5ecret", "id-stacks", "goroutine ", "panic", ".go:", "runtime error", "$2a$"} {
		if strings.Contains(text, secret) {
			a.Errorf("%s is answered with %q: %.300s", what, secret, text)
		}
	}
	for _, c := range w.Result().Cookies() {
		if c.Value != "" {
			a.Errorf("%s is answered with a cookie", what)
		}
	}
	if w.Code >= 500 {
		a.Errorf("%s is answered with %d: %.300s", what, w.Code, w.Body)
	}
	if w.Header().Get("X-Content-Type-Options") != "nosniff" {
		a.Errorf("%s is answered without protection", what)
	}
}

// strangers are ways to be nobody.
var strangers = map[string]func(b *browser){
	"nobody":       func(*browser) {},
	"wrong cookie": func(b *browser) { b.cookies[sessionCookie] = &http.Cookie{Name: sessionCookie, Value: randomText()} },
	"empty cookie": func(b *browser) { b.cookies[sessionCookie] = &http.Cookie{Name: sessionCookie} },
	"long cookie": func(b *browser) {
		b.cookies[sessionCookie] = &http.Cookie{Name: sessionCookie, Value: strings.Repeat("A", 4000)}
	},
	"basic authorization": func(b *browser) { b.header.Set("Authorization", "Basic YWxpY2U6cmlnaHQ=") },
	"bearer":              func(b *browser) { b.header.Set("Authorization", "Bearer scaler_"+strings.Repeat("a", 40)) },
	"untrusted header":    func(b *browser) { b.header.Set("X-Remote-User", "alice") },
	"forged address":      func(b *browser) { b.header.Set("X-Remote-User", "alice"); b.header.Set("X-Forwarded-For", "10.0.0.1") },
	"two names":           func(b *browser) { b.from = "10.0.0.1:1"; b.header["X-Remote-User"] = []string{"alice", "bob"} },
	"no name":             func(b *browser) { b.from = "10.0.0.1:1"; b.header["X-Remote-User"] = []string{"  "} },
	"odd name":            func(b *browser) { b.from = "10.0.0.1:1"; b.header["X-Remote-User"] = []string{"al\x07ice"} },
}

func TestAttackWithoutLogin(t *testing.T) {
	for name, prepare := range strangers {
		for _, readers := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, readers log in %t", name, readers), func(t *testing.T) {
				a := newAttack(t, func(c *WebConfig) { c.ReadersLogIn = readers })
				for _, r := range targetsOf(t, a.web) {
					if r.path == "/live" && !readers {
						continue // does not end by itself; it says nothing but that something is new
					}
					b := newBrowser(t, a.web)
					prepare(b)
					what := r.method + " " + r.path
					w := b.send(r.method, r.path, formType, fullForm())
					a.leaksNothing(what, w)
					a.unchanged(what)
					switch open := r.forWhom == forAll || r.forWhom == forReaders && !readers; {
					case open:
					case r.method == http.MethodPost && w.Code != http.StatusUnauthorized:
						t.Errorf("%s: %d, want 401", what, w.Code)
					case r.method == http.MethodGet && (w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/login")):
						t.Errorf("%s: %d to %q, want the login page", what, w.Code, w.Header().Get("Location"))
					}
				}
			})
		}
	}
}

// The name of a repository, of a job and of a runner are for readers only.
func TestReadersLogInToSeeAnything(t *testing.T) {
	a := newAttack(t, func(c *WebConfig) { c.ReadersLogIn = true })
	for _, r := range targetsOf(t, a.web) {
		text := newBrowser(t, a.web).send(r.method, r.path, formType, fullForm()).Body.String()
		for _, name := range []string{"acme/tools", "linux-000001", "build and test"} {
			if strings.Contains(text, name) {
				t.Errorf("%s %s tells %q", r.method, r.path, name)
			}
		}
	}
}

// All that changes something is a POST, and refuses what another site sends.
func TestAttackFromOtherSites(t *testing.T) {
	headers := map[string]http.Header{
		"cross-site": {"Sec-Fetch-Site": {"cross-site"}}, "same-site": {"Sec-Fetch-Site": {"same-site"}},
		"other origin": {"Origin": {"https://evil.example"}}, "other port": {"Origin": {"http://example.com:8080"}}, "null": {"Origin": {"null"}},
		"as if ours": {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"http://example.com"}}, "behind a proxy": {"Sec-Fetch-Site": {"cross-site"}, "X-Remote-User": {"bob"}},
	}
	for name, header := range headers {
		t.Run(name, func(t *testing.T) {
			a := newAttack(t, nil)
			b := newBrowser(t, a.web)
			b.login("alice", "right")
			b.header, b.from = header, "10.0.0.1:1234" // the proxy's
			for _, r := range targetsOf(t, a.web) {
				if r.method != http.MethodPost {
					continue
				}
				if w := b.send(r.method, r.path, formType, fullForm()); w.Code != http.StatusForbidden {
					t.Errorf("%s: %d, want 403", r.path, w.Code)
				}
				a.unchanged(r.path)
			}
		})
	}
}

// A GET changes nothing, whatever its parameters and its body say.
func TestGetsChangeNothing(t *testing.T) {
	a := newAttack(t, nil)
	b := newBrowser(t, a.web)
	b.login("alice", "right")
	for _, r := range targetsOf(t, a.web) {
		if r.method != http.MethodGet || r.path == "/live" {
			continue
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			b.send(method, r.path+"?number="+randomText()+"&reason=x&name=fresh&done=drain", formType, fullForm())
			a.unchanged(method + " " + r.path)
		}
	}
}

// badBodies are what is no form.
var badBodies = []struct{ name, kind, body string }{
	{"too large", formType, "number=" + strings.Repeat("a", maxBody+1)},
	{"many fields", formType, strings.Repeat("a=b&", maxBody/3)},
	{"not escaped", formType, "number=%zz"},
	{"no text", formType, "number=\xff\xfe&reason=\xff"},
	{"NUL", formType, "number=%00&reason=%00"},
	{"semicolons", formType, "number=a;reason=b"},
	{"no number", formType, "reason=x"},
	{"short number", formType, "number=abc"},
	{"empty", formType, ""},
	{"JSON", "application/json", `{"number": 1}`},
	{"multipart", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"number\"\r\n\r\n" + "a" + "\r\n--x--\r\n"},
	{"text", "text/plain", "number=" + "a"},
	{"no type", "", "number=a"},
	{"broken type", "application/x-www-form-urlencoded; ;", "number=a"},
}

// harmless are the changes of tokens that need no number of a form, since doing
// them twice is no harm.
func harmless(path string) bool {
	return strings.HasSuffix(path, "pin") || strings.HasSuffix(path, "able")
}

func TestAttackWithBadBodies(t *testing.T) {
	for _, bad := range badBodies {
		t.Run(bad.name, func(t *testing.T) {
			a := newAttack(t, nil)
			for _, r := range targetsOf(t, a.web) {
				if r.method != http.MethodPost || r.path == "/logout" {
					continue
				}
				b := newBrowser(t, a.web)
				b.login("alice", "right")
				w := b.send(r.method, r.path, bad.kind, strings.NewReader(bad.body))
				if harmless(r.path) && bad.kind == formType && w.Code == http.StatusSeeOther {
					a.tokens.calls = nil
					continue
				}
				a.leaksNothing(r.path, w)
				a.unchanged(r.path)
				if w.Code < 400 {
					t.Errorf("%s: %d, want a refusal", r.path, w.Code)
				}
			}
		})
	}
}

func TestAttackWithOtherMethods(t *testing.T) {
	a := newAttack(t, nil)
	methods := []string{"PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X"}
	for _, r := range targetsOf(t, a.web) {
		for _, method := range methods {
			b := newBrowser(t, a.web)
			b.login("alice", "right")
			w := b.send(method, r.path, formType, fullForm())
			what := method + " " + r.path
			a.leaksNothing(what, w)
			a.unchanged(what)
			if w.Code < 300 || w.Code >= 400 && w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusNotFound && w.Code != http.StatusForbidden {
				t.Errorf("%s: %d", what, w.Code)
			}
		}
	}
}
