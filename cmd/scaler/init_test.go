package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

const initPassword = "password-of-the-administrator"

// runnerURL is where the Gitea of the tests would be for containers.
const runnerURL = "http://git.example.com:3000"

// person answers questions, and sees what a terminal would show.
type person struct {
	screen  *bytes.Buffer
	answers []string // an answer that begins with a # is typed where it is not echoed
	// at is called before each answer, if it is not nil, and says whether there
	// will be none.
	at    func(asked int) (gone bool)
	asked int
}

// Read implements io.Reader: one line each time.
func (p *person) Read(b []byte) (int, error) {
	if p.at != nil && p.at(p.asked) || p.asked == len(p.answers) {
		return 0, io.EOF
	}
	line := p.answers[p.asked]
	p.asked++
	shown := line
	if secret, hidden := strings.CutPrefix(line, "#"); hidden {
		line, shown = secret, ""
	}
	p.screen.WriteString(shown + "\n")
	return copy(b, line+"\n"), nil
}

// newInitWard is a ward without a configuration, whose engine runs nothing that
// this program is for, so that the doctor tries no container.
func newInitWard(t *testing.T, o giteatest.Options) *ward {
	t.Helper()
	w := newWard(t, o)
	w.engine["GET /version"] = `{"Version":"28.0.0","ApiVersion":"1.41","Os":"linux","Arch":"s390x"}`
	w.engine["GET /images/gitea/runner:latest/json"] = `{"Id":"sha256:1","Os":"linux","Architecture":"s390x","Size":1000}`
	w.engine["GET /images/json"] = `[{"RepoTags":["gitea/runner:latest"]},{"RepoTags":["postgres:17"]}]`
	w.server.AddPassword(initPassword, giteatest.APIUser{Login: giteatest.AdminLogin, Admin: true, Owns: []string{"acme"}})
	w.server.AddToken(plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, "registration-token-of-acme")
	for _, name := range []string{"api-token", "registration-token"} {
		if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// path is that of the configuration, in a directory that is not there yet.
func (w *ward) path() string { return filepath.Join(w.dir, "etc", "scaler.yaml") }

// setUp runs scaler init with a person at it, and the flags.
func (w *ward) setUp(t *testing.T, p *person, args ...string) (screen string, err error) {
	t.Helper()
	return w.setUpUntil(t.Context(), p, args...)
}

func (w *ward) setUpUntil(ctx context.Context, p *person, args ...string) (screen string, err error) {
	var out bytes.Buffer
	p.screen = &out
	root := newRootCommand()
	root.SetIn(p)
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{"init", "--unit", "none.service", "-c", w.path(), "--docker-host", "unix://" + w.socket,
		"--state-dir", w.dir + "/state", "--control-socket", w.dir + "/none.sock", "--job=false", "--runner-url", runnerURL}, args...))
	err = root.ExecuteContext(ctx)
	return out.String(), err
}

// files are those that were written, with their modes.
func (w *ward) files(t *testing.T) map[string]fs.FileMode {
	t.Helper()
	found := map[string]fs.FileMode{}
	list, err := os.ReadDir(filepath.Dir(w.path()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, f := range list {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		found[f.Name()] = info.Mode().Perm()
	}
	return found
}

// loaded is the configuration that was written.
func (w *ward) loaded(t *testing.T) *config.Config {
	t.Helper()
	c, err := config.Load(w.path())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantText checks that parts are in a text, wherever its lines are broken.
func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	text = words(text)
	for _, part := range parts {
		if !strings.Contains(text, words(part)) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// quiet fails the test if a secret is to be seen.
func quiet(t *testing.T, screen string) {
	t.Helper()
	for _, s := range []string{doctorToken, initPassword, "registration-token-of"} {
		if strings.Contains(screen, s) {
			t.Errorf("%s is on the screen:\n%s", s, screen)
		}
	}
}

func TestInitAsks(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	p := &person{answers: []string{"?", "git.example", w.url, "", "#" + doctorToken, "org:acme!", "", "", "", "", "linux:host, gpu:host", "0", "3", "", ""}}
	screen, err := w.setUp(t, p)
	if err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	quiet(t, screen)
	wantText(t, screen, "The address that you see Gitea under in a browser", "write a URL like https://git.example.com", "You are root, a site administrator",
		"1  instance: all repositories of the server", "scope \"org:acme!\"", "The API token is kept as it is", "write:admin", "gitea/runner:latest: here already",
		"root on this host", "write a number from 1 on", "Written: ", "scaler doctor", " 0 failed", "Start the daemon:  scaler run -c "+w.path(), "runs-on: linux")
	if got := w.files(t); len(got) != 2 || got["scaler.yaml"] != 0o600 || got["api-token"] != 0o600 {
		t.Errorf("files %v", got)
	}
	c := w.loaded(t)
	if token, err := c.Gitea.APIToken.Read(); err != nil || token.Reveal() != doctorToken {
		t.Errorf("the API token is wrong: %v", err)
	}
	pool := c.Pools[0]
	if c.Gitea.URL != runnerURL || c.Gitea.InternalURL != w.url || !c.RegistrationTokens[0].Mint || c.RegistrationTokens[0].Scope.Kind != plan.ScopeInstance || pool.Name != "linux" || pool.Max != 3 ||
		len(pool.Labels) != 2 || pool.Image != "gitea/runner:latest" || pool.Container.DockerAccess != config.DockerNone || c.Webhook != nil {
		t.Errorf("configuration %+v", c)
	}
}

// TestInitAgain takes up what the first run has left.
func TestInitAgain(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	write(t, filepath.Join(w.dir, "token"), doctorToken+"\n")
	write(t, filepath.Join(w.dir, "registration"), "registration-token-of-acme\n")
	flags := []string{"--yes", "--url", w.url, "--token-file", w.dir + "/token", "--scope", "org:acme", "--labels", "big:host", "--max", "7",
		"--registration-token-file", w.dir + "/registration"}
	if screen, err := w.setUp(t, &person{}, flags...); err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	first := w.files(t)
	if len(first) != 3 || first["registration-token"] != 0o600 {
		t.Fatalf("files %v", first)
	}
	screen, err := w.setUp(t, &person{}, flags...)
	if err == nil || !strings.Contains(err.Error(), "is there already: give --force") || len(w.files(t)) != 3 {
		t.Errorf("a second run gives %v\n%s", err, screen)
	}
	screen, err = w.setUp(t, &person{answers: []string{""}})
	if err != nil || !strings.Contains(screen, "It can be used.") || !strings.Contains(screen, "1 pool (linux)") || len(w.files(t)) != 3 {
		t.Errorf("with what is there kept: %v\n%s", err, screen)
	}
	// Each answer is that of the first run, but the number of runners.
	answers := []string{"replace", "", "", "", "", "", "", "", "9", "", "", ""}
	screen, err = w.setUp(t, &person{answers: answers})
	if err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	quiet(t, screen)
	c := w.loaded(t)
	if c.Pools[0].Max != 9 || c.Pools[0].Labels[0].Name != "big" || c.RegistrationTokens[0].Scope.Owner != "acme" || c.RegistrationTokens[0].Mint {
		t.Errorf("configuration %+v", c.Pools[0])
	}
	var kept []string
	for name, mode := range w.files(t) {
		if strings.Contains(name, ".bak-") {
			kept = append(kept, name)
			if mode != 0o600 {
				t.Errorf("%s has mode %04o", name, mode)
			}
		}
	}
	if len(kept) != 1 || !strings.HasPrefix(kept[0], "scaler.yaml.bak-") { // the secrets are the same
		t.Errorf("kept %v", kept)
	}
	old, err := os.ReadFile(filepath.Join(w.dir, "etc", kept[0]))
	if err != nil || !strings.Contains(string(old), "max: 7 ") {
		t.Errorf("the copy is %s%v", old, err)
	}
	if screen, err := w.setUp(t, &person{}, "--yes", "--force", "--max", "11"); err != nil || w.loaded(t).Pools[0].Max != 11 {
		t.Errorf("with --force: %v\n%s", err, screen)
	}
}

// TestInitMakesANarrowToken: a password is used and not kept.
func TestInitMakesANarrowToken(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	t.Setenv("SCALER_TEST_PASSWORD", initPassword)
	for i, scope := range []string{"instance", "org:acme"} {
		screen, err := w.setUp(t, &person{}, "--yes", "--force", "--url", w.url, "--user", "root", "--password-env", "SCALER_TEST_PASSWORD", "--scope", scope)
		if err != nil {
			t.Fatalf("%v\n%s", err, screen)
		}
		quiet(t, screen)
		wantText(t, screen, "Made API token scaler-", "The password is not kept")
		if made := w.server.APITokens(); len(made) != i+1 {
			t.Errorf("tokens %v", made)
		}
	}
	var scopes []string
	for _, s := range w.server.APITokens() {
		scopes = append(scopes, s...)
	}
	slices.Sort(scopes)
	if !slices.Equal(scopes, []string{"write:admin", "write:organization"}) {
		t.Errorf("the tokens are for %v", scopes)
	}
	for name := range w.files(t) {
		data, err := os.ReadFile(filepath.Join(w.dir, "etc", name))
		if err != nil || strings.Contains(string(data), initPassword) {
			t.Errorf("%s has the password in it, %v", name, err)
		}
	}
}

// TestInitTakesANarrowToken, which does not say whose it is.
func TestInitTakesANarrowToken(t *testing.T) {
	w := newInitWard(t, giteatest.Options{APIToken: "another-token"})
	w.server.AddAPIToken(doctorToken, giteatest.APIUser{Login: "root", Admin: true, Scopes: []string{"write:admin"}})
	write(t, filepath.Join(w.dir, "token"), doctorToken)
	screen, err := w.setUp(t, &person{}, "--yes", "--url", w.url, "--token-file", w.dir+"/token")
	if err != nil || strings.Contains(screen, "You are") || strings.Contains(screen, "narrower") || w.loaded(t).RegistrationTokens[0].Scope.Kind != plan.ScopeInstance {
		t.Errorf("%v\n%s", err, screen)
	}
	w.server.AddAPIToken(doctorToken, giteatest.APIUser{Login: "ann", Owns: []string{"acme"}, Scopes: []string{"write:organization"}})
	_, err = w.setUp(t, &person{}, "--yes", "--force", "--url", w.url, "--token-file", w.dir+"/token", "--scope", "org:acme")
	if err != nil || w.loaded(t).RegistrationTokens[0].Scope.Owner != "acme" {
		t.Error(err)
	}
	if err := os.Remove(w.path()); err != nil {
		t.Fatal(err)
	}
	_, err = w.setUp(t, &person{}, "--yes", "--force", "--url", w.url, "--token-file", w.dir+"/token")
	if err == nil || !strings.Contains(err.Error(), "Whose jobs are to be run: give --scope") {
		t.Errorf("without a scope: %v", err)
	}
}

// TestInitInterrupted: at whichever question, nothing is written, and what was
// made at Gitea is taken back.
func TestInitInterrupted(t *testing.T) {
	answers := func(url string) []string {
		return []string{url, "password", "root", "#" + initPassword, "", "", "", "", "", "", "", ""}
	}
	for n := 0; ; n++ {
		w := newInitWard(t, giteatest.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		all := answers(w.url)
		p := &person{answers: all, at: func(asked int) (gone bool) {
			if asked == n {
				cancel()
			}
			return asked == n
		}}
		screen, err := w.setUpUntil(ctx, p)
		cancel()
		if n == len(all) {
			if err != nil {
				t.Fatalf("not interrupted: %v\n%s", err, screen)
			}
			return
		}
		if err == nil || err.Error() != "interrupted: nothing was written" {
			t.Errorf("interrupted at question %d: %v\n%s", n, err, screen)
		}
		if files := w.files(t); len(files) != 0 {
			t.Errorf("interrupted at question %d it has written %v", n, files)
		}
		if made := w.server.APITokens(); len(made) != 0 {
			t.Errorf("interrupted at question %d it has left tokens %v", n, made)
		}
	}
}

// TestInitRefuses has what is wrong, and what is said of it.
func TestInitRefuses(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	w.server.AddAPIToken("token-that-reads", giteatest.APIUser{Login: "root", Admin: true, Scopes: []string{"read:admin"}})
	files := map[string]string{"token": doctorToken, "reads": "token-that-reads", "wrong": "wrong-token", "empty": "", "two": "a\nb"}
	for name, text := range files {
		write(t, filepath.Join(w.dir, name), text)
	}
	token := func(name string) string { return " --token-file " + filepath.Join(w.dir, name) }
	url := " --url " + w.url
	tls := httptest.NewUnstartedServer(w.server)
	tls.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	tls.StartTLS()
	t.Cleanup(tls.Close)
	for _, tt := range []struct {
		args string
		want []string // in the error or on the screen
		code int
	}{
		{"--yes", []string{"also give: --url; --token-file or --token-env, or --user"}, exitUsage},
		{"--yes --user root" + url, []string{"also give: --password-file or --password-env"}, exitUsage},
		{"--token-file a --token-env b", []string{"--token-file or --token-env, not both"}, exitUsage},
		{"--token-file a --user b", []string{"--token-file or --user, not both"}, exitUsage},
		{"--password-env a", []string{"give --user"}, exitUsage},
		{"--webhook-listen :1", []string{"needs --webhook-url"}, exitUsage},
		{"--yes --url ftp://x" + token("token"), []string{"--url: write a URL like"}, exitUsage},
		{"--yes --url http://127.0.0.1:1" + token("token"), []string{"refused", "start Gitea", "this server cannot be used"}, exitFailure},
		{"--yes" + url + token("none"), []string{"read secret: ", "no such file"}, exitFailure},
		{"--yes" + url + token("empty"), []string{"it must be one line of text"}, exitFailure},
		{"--yes" + url + token("two"), []string{"it must be one line of text"}, exitFailure},
		{"--yes --token-env SCALER_NOT_SET" + url, []string{"the variable SCALER_NOT_SET is not set"}, exitFailure},
		{"--yes" + url + token("wrong"), []string{"missing, wrong or expired"}, exitFailure},
		{"--yes" + url + token("reads"), []string{"delete runners of instance", "write:admin", "does not suffice for scope instance"}, exitFailure},
		{"--yes --scope org:nobody" + url + token("token"), []string{"there is no organization nobody"}, exitFailure},
		{"--yes --scope everything" + url + token("token"), []string{"--scope: scope \"everything\""}, exitUsage},
		{"--yes --registration-token-file " + w.dir + "/wrong" + url + token("token"), []string{"not the active one of instance", "/-/admin/actions/runners"}, exitFailure},
		{"--yes --docker-host unix:///nonexistent/docker.sock" + url + token("token"), []string{"does not exist", "systemctl start docker", "no engine can be used"}, exitFailure},
		{"--yes --docker-access all" + url + token("token"), []string{"--docker-access: \"all\" is none of none, dind, socket"}, exitUsage},
		{"--yes --image :x" + url + token("token"), []string{"--image: that is no name of an image"}, exitUsage},
		{"--yes --labels a:docker://b" + url + token("token"), []string{"--labels: label a:docker://b needs Docker"}, exitUsage},
		{"--yes --labels a,a" + url + token("token"), []string{"--labels: label a is there twice"}, exitUsage},
		{"--yes --max 0" + url + token("token"), []string{"--max: write a number from 1 on"}, exitUsage},
		{"--yes --pool Linux" + url + token("token"), []string{"nothing was written, since it would not be good: pools[0].name"}, exitFailure},
		{"--yes --pull often" + url + token("token"), []string{"nothing was written", "pools[0].container.pull"}, exitFailure},
		{"--yes --ca-file /nonexistent/ca" + url + token("token"), []string{"read CA file"}, exitFailure},
		{"--yes --url " + tls.URL + token("token"), []string{"unknown authority", "give --ca-file"}, exitFailure},
		{"--yes --webhook-url nowhere" + url + token("token"), []string{"--webhook-url: write a URL"}, exitUsage},
		{"--yes --webhook-url http://h --webhook-listen nowhere" + url + token("token"), []string{"--webhook-listen: write HOST:PORT"}, exitUsage},
	} {
		screen, err := w.setUp(t, &person{}, strings.Fields(tt.args)...)
		if err == nil {
			t.Fatalf("%s: accepted\n%s", tt.args, screen)
		}
		wantText(t, screen+err.Error(), tt.want...)
		quiet(t, screen+err.Error())
		if exitCode(err) != tt.code {
			t.Errorf("%s: exit code %d, want %d: %v", tt.args, exitCode(err), tt.code, err)
		}
		if files := w.files(t); len(files) != 0 {
			t.Fatalf("%s: written %v", tt.args, files)
		}
	}
	_, err := w.setUp(t, &person{answers: []string{w.url}})
	if err == nil || !strings.Contains(err.Error(), `the input ended at "How do you want to give one": give --token-file, or --yes`) {
		t.Errorf("at the end of the input: %v", err)
	}
	no := []string{w.url, "", "#" + doctorToken, "", "", "", "", "", "", "", "no"}
	if _, err := w.setUp(t, &person{answers: no}); err == nil || err.Error() != "nothing was written" || len(w.files(t)) != 0 {
		t.Errorf("without a yes: %v, %v", err, w.files(t))
	}
}

// TestInitAsksAgain where an answer does not do.
func TestInitAsksAgain(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	w.server.AddAPIToken("token-of-ann", giteatest.APIUser{Login: "ann", Owns: []string{"acme"}, Scopes: []string{"write:organization"}})
	secure := httptest.NewUnstartedServer(w.server)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	ca := filepath.Join(w.dir, "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	answers := []string{"http://127.0.0.1:1", secure.URL, "/nonexistent", ca, "", "#wrong-token", "", "#token-of-ann", "instance", "org:acme", "", "", "", "", "", "", "", ""}
	screen, err := w.setUp(t, &person{answers: answers})
	if err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	wantText(t, screen, "connection to 127.0.0.1:1: ", "To do: start Gitea", "unknown authority", "PEM file of the authority", "read CA file", "the API token is missing, wrong or expired", "list runners of instance: ", "write:admin")
}

// TestInitFindsAnAddressForContainers: localhost is not one.
func TestInitFindsAnAddressForContainers(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(w.dir, "token"), doctorToken)
	// The bridge's gateway is an address of this machine on which the server does not listen.
	_, err = w.setUp(t, &person{}, "--yes", "--url", w.url, "--token-file", w.dir+"/token", "--runner-url", "")
	if err == nil || !strings.Contains(err.Error(), "Gitea's URL for containers: give --runner-url") {
		t.Errorf("without one: %v", err)
	}
	_, err = w.setUp(t, &person{}, "--yes", "--url", w.url, "--token-file", w.dir+"/token", "--runner-url", "http://localhost:3000")
	if err == nil || !strings.Contains(err.Error(), "the container itself") {
		t.Errorf("with localhost: %v", err)
	}
	// Here it is.
	w.engine["GET /networks/bridge"] = `{"IPAM":{"Config":[{"Gateway":"127.0.0.1"}]}}`
	s := &setUp{answers: answers{InternalURL: "http://localhost:" + port}, gateway: "127.0.0.1"}
	if got := s.reachable(t.Context()); got != "http://127.0.0.1:"+port {
		t.Errorf("reachable is %q", got)
	}
	s.gateway = "127.0.0.9"
	if l, err := net.Listen("tcp", "127.0.0.9:"+port); err == nil {
		l.Close()
		if got := s.reachable(t.Context()); got != "" {
			t.Errorf("reachable where nothing listens is %q", got)
		}
	}
	if _, err := w.setUp(t, &person{}, "--yes", "--url", w.url, "--token-file", w.dir+"/token", "--runner-url", "http://git.example.com:3000"); err != nil {
		t.Fatal(err)
	}
	if c := w.loaded(t); c.Gitea.URL != "http://git.example.com:3000" || c.Gitea.InternalURL != w.url {
		t.Errorf("configuration %+v", c.Gitea)
	}
}

// TestInitWebhook makes one, and says what keeps it from being made.
func TestInitWebhook(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	write(t, filepath.Join(w.dir, "token"), doctorToken)
	flags := []string{"--yes", "--force", "--url", w.url, "--token-file", w.dir + "/token", "--webhook-url", "http://build-1.example:8090"}
	screen, err := w.setUp(t, &person{}, flags...)
	if err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	quiet(t, screen)
	wantText(t, screen, "Webhook of instance: created, sends to http://build-1.example:8090/webhook", "webhook-secret: secret of the webhook")
	c := w.loaded(t)
	if c.Webhook == nil || c.Webhook.Listen != ":8090" || w.files(t)["webhook-secret"] != 0o600 {
		t.Errorf("configuration %+v", c.Webhook)
	}
	before, err := c.Webhook.Secret.Read()
	if err != nil {
		t.Fatal(err)
	}
	screen, err = w.setUp(t, &person{answers: []string{"replace", "", "", "", "", "", "", "", "", "", "", "", "", ""}})
	if err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	if after, err := w.loaded(t).Webhook.Secret.Read(); err != nil || after != before {
		t.Errorf("the secret has changed, %v", err)
	}
	w.before = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/hooks") && r.Method == http.MethodPost {
				http.Error(out, "{}", http.StatusInternalServerError)
				return
			}
			h.ServeHTTP(out, r)
		})
	}
	screen, _ = w.setUp(t, &person{}, append(flags, "--webhook-url", "http://build-2.example")...)
	wantText(t, screen, "not made: ", "scaler webhook create tries again")
}

// TestInitFiles: what a person may answer gives a file that can be used.
func TestInitFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{apiTokenFile, registrationFile, webhookSecretFile} {
		write(t, filepath.Join(dir, name), "a-secret-of-enough-characters\n")
	}
	base := answers{URL: "https://git.example.com", InternalURL: "https://git.example.com", TokenName: "instance", Scope: plan.Scope{Kind: plan.ScopeInstance},
		Pool: "linux", Labels: []string{"linux:host"}, Image: "gitea/runner:latest", Access: "none", Max: 4, StateDir: defaultStateDir, Socket: defaultSocket, Pull: "missing"}
	full := base
	full.InternalURL, full.Registration, full.DockerHost, full.Access, full.Pull, full.Network = "http://gitea:3000", "x", "tcp://docker:2375", "dind", "always", "builds"
	full.Labels = []string{"ubuntu-latest:docker://docker.gitea.com/runner-images:ubuntu-latest", `odd "name":host`}
	full.WebhookURL, full.WebhookListen, full.StateDir, full.Socket = "http://h:8089", ":8089", "/srv/scaler", "/run/s.sock"
	for name, a := range map[string]answers{"least": base, "all": full} {
		text, err := a.render()
		if err != nil {
			t.Fatal(err)
		}
		c, err := config.Parse(filepath.Join(dir, "scaler.yaml"), text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if name == "least" && strings.Contains(string(text), "state_dir") {
			t.Errorf("a default is written:\n%s", text)
		}
		if name == "all" && (c.StateDir != "/srv/scaler" || c.Pools[0].Labels[1].Name != `odd "name"` || c.Pools[0].Container.Pull != config.PullAlways || c.Docker.Host != "tcp://docker:2375") {
			t.Errorf("configuration %+v", c)
		}
	}
}

// TestInitGivesFilesToTheService: the group of the service reads them.
func TestInitGivesFilesToTheService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := t.TempDir()
	s := &setUp{asker: newAsker(strings.NewReader(""), io.Discard, true), user: &account{name: "daemon-user", uid: 12345, gid: 12346, groups: []uint32{12346}},
		flags: initFlags{config: filepath.Join(dir, "etc", "scaler.yaml")}}
	if err := s.makeDir(filepath.Join(dir, "etc")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "etc", "file")
	if err := s.writeWhole(path, []byte("x")); err != nil {
		t.Fatal(err)
	}
	mode(t, dir, 0o755)
	if err := s.user.has(path, mayRead); err != nil {
		t.Error(err)
	}
	if err := s.user.has(filepath.Join(dir, "etc"), mayEnter|mayRead); err != nil {
		t.Error(err)
	}
	if err := s.user.has(path, mayWrite); err == nil {
		t.Error("the service may write to it")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestInitClearsStagingAway that a run left which was killed.
func TestInitClearsStagingAway(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, stagingPrefix+"old")
	young := filepath.Join(dir, stagingPrefix+"young")
	for _, d := range []string{old, young} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	long := noon
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	s := &setUp{asker: newAsker(strings.NewReader(""), io.Discard, true), flags: initFlags{config: filepath.Join(dir, "scaler.yaml")}}
	if _, err := s.stage(nil); err == nil {
		t.Error("a configuration that is not there is good")
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old one is there: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("the young one is gone: %v", err)
	}
}
