package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/realgitea"
	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/state"
)

// secretWords are in the configuration's files and variables, and in places
// where somebody may have put a secret.
var secretWords = []string{"registration-token-of-the-test", "T0psecretEnv", "T0psecretCommand", "T0psecretRunner", "T0psecretHook"}

// shownDaemon is a daemon without an engine and a server, whose pages are looked
// at.
type shownDaemon struct {
	t      *testing.T
	path   string // of its configuration
	base   string
	log    *syncBuffer
	client *server.Client
	web    *http.Client
}

func startShownDaemon(t *testing.T) *shownDaemon {
	t.Helper()
	path, dir := writeConfig(t)
	socket := filepath.Join(shortDir(t), "s.sock")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "passwords"), "alice:"+string(hash)+"\n")
	write(t, filepath.Join(dir, "url"), "http://127.0.0.1:1/T0psecretHook\n")
	address := realgitea.FreeAddress(t, "127.0.0.1")
	text := strings.NewReplacer(dir+"/none.sock", socket, "max: 15}\nlimits", `max: 15,
     runner_config: {runner: {envs: {KEY: T0psecretRunner}}}, container: {env: {KEY: T0psecretEnv}, command: [daemon, T0psecretCommand]}}
limits`).Replace(string(data))
	write(t, path, text+fmt.Sprintf("docker: {host: \"unix://%[1]s/no-docker.sock\"}\nhttp: {listen: %[2]q, password_file: %[1]s/passwords}\nnotifications:\n  - {name: ops, url: {file: %[1]s/url}}\n", dir, address))
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &shownDaemon{t: t, path: path, base: "http://" + address, log: new(syncBuffer), client: server.NewClient(socket), web: &http.Client{Jar: jar}}
	log := slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- runDaemon(ctx, path, cfg, new(slog.LevelVar), nil, log) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	await(t, "the first cycle is done", func() bool {
		s, err := d.client.Status(t.Context())
		return err == nil && s.Cycle > 0
	})
	return d
}

// answer is the text of a page, and its address after redirects. In it is no
// secret.
func (d *shownDaemon) answer(resp *http.Response, err error) (text, at string) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		d.t.Fatalf("%s: %s, %v: %s", resp.Request.URL, resp.Status, err, body)
	}
	for _, secret := range secretWords {
		if strings.Contains(string(body), secret) {
			d.t.Errorf("%s shows %q", resp.Request.URL, secret)
		}
	}
	return string(body), resp.Request.URL.Path
}

func (d *shownDaemon) get(path string) (text, at string) {
	d.t.Helper()
	return d.answer(d.web.Get(d.base + path))
}

var formNumber = regexp.MustCompile(`name="number" value="([^"]+)"`)

// act does what a page asks about.
func (d *shownDaemon) act(path string, fields ...string) (text, at string) {
	d.t.Helper()
	asked, _ := d.get(path)
	number := formNumber.FindStringSubmatch(asked)
	if number == nil {
		d.t.Fatalf("%s asks nothing: %s", path, asked)
	}
	form := url.Values{"number": {number[1]}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return d.answer(d.web.PostForm(d.base+path, form))
}

// The pages of the whole daemon show what it does to anybody, and no secret; and
// what a user does on them is done, told and kept.
func TestDaemonShowsPages(t *testing.T) {
	t.Parallel() // it takes some seconds
	d := startShownDaemon(t)
	for path, want := range map[string]string{
		"/": "no-docker.sock", "/pools": "windows", "/pools/linux": "linux", "/runners": "Runners", "/queue": "No job waits", "/events": "problem",
		"/config": "container.command", "/charts/runners.svg": "<svg", "/actions/drain": "Log in",
	} {
		if text, _ := d.get(path); !strings.Contains(text, want) {
			t.Errorf("%s lacks %q: %s", path, want, text)
		}
	}
	if text, at := d.answer(d.web.PostForm(d.base+"/login", url.Values{"name": {"alice"}, "password": {"right"}})); at != "/" || !strings.Contains(text, "Log out") {
		t.Fatalf("logged in at %s: %s", at, text)
	}
	if text, at := d.act("/pools/linux/pause", "reason", "new disks"); at != "/pools/linux" || !strings.Contains(text, "by alice on the web page") || !strings.Contains(text, "new disks") {
		t.Errorf("paused at %s: %s", at, text)
	}
	if text, _ := d.get("/events?kind=paused"); !strings.Contains(text, "new disks") {
		t.Errorf("the events lack the pause: %s", text)
	}
	d.act("/pools/linux/resume")
	await(t, "the pool is resumed", func() bool {
		s, err := d.client.Status(t.Context())
		return err == nil && len(s.Pools) > 0 && s.Pools[0].Paused == nil
	})
	d.reload()
	d.wantAudit("pool.pause", "pool.resume", "config.reload", "config.reload")
	for _, secret := range append(secretWords, "right") {
		if strings.Contains(d.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// reload takes over a good file on a page, and refuses a bad one.
func (d *shownDaemon) reload() {
	d.t.Helper()
	data, err := os.ReadFile(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	write(d.t, d.path, strings.NewReplacer("runners: 20", "runners: 19", "T0psecretCommand", "T0psecretCommand2").Replace(string(data)))
	d.act("/actions/reload")
	await(d.t, "the change is in the events", func() bool {
		text, _ := d.get("/events?kind=config_taken")
		return strings.Contains(text, "limits.runners: 20 → 19")
	})
	if text, _ := d.get("/config"); !strings.Contains(text, "<dd>19</dd>") || !strings.Contains(text, "limits.runners: 20 → 19") {
		d.t.Errorf("the configuration shown is not the one that holds: %s", text)
	}
	write(d.t, d.path, string(data)+"nonsense: true\n")
	asked, _ := d.get("/actions/reload")
	resp, err := d.web.PostForm(d.base+"/actions/reload", url.Values{"number": {formNumber.FindStringSubmatch(asked)[1]}})
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "nonsense") {
		d.t.Errorf("a bad file: %s %s", resp.Status, body)
	}
}

// wantAudit expects what was done in the audit log, with who did it.
func (d *shownDaemon) wantAudit(actions ...string) {
	d.t.Helper()
	entries, err := d.client.Audit(d.t.Context(), "", 0, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Action)
		if e.Actor != "alice on the web page" {
			d.t.Errorf("%+v", e)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(actions) {
		d.t.Errorf("audit log %q, want %q", got, actions)
	}
}

// wired are the parts of a daemon that does not run, with some more in its
// configuration.
func wired(t *testing.T, more string) (*config.Config, parts, *state.Store) {
	t.Helper()
	path, _ := writeConfig(t)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(data)+more)
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	store, err := state.Open(cfg.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	p, err := wire(cfg, stores{store}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.close() })
	return cfg, p, store
}

func TestWhoMayLookIsConfigured(t *testing.T) {
	for read, want := range map[string]int{"": http.StatusOK, ", read: anyone": http.StatusOK, ", read: login": http.StatusSeeOther} {
		cfg, p, _ := wired(t, "http: {listen: \"127.0.0.1:9180\""+read+"}\n")
		w := httptest.NewRecorder()
		newWeb(cfg, p, nil, slog.New(slog.DiscardHandler)).Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/queue", nil))
		if w.Code != want {
			t.Errorf("%q: %d, want %d", read, w.Code, want)
		}
	}
}

func TestWaitsAreDrawnToo(t *testing.T) {
	_, p, _ := wired(t, "")
	w := waits{p.meter, p.trend}
	w.Took("linux", plan.SpanBoot, 0)
	if text := p.trend.Describe("waits"); !strings.Contains(text, "no job began") {
		t.Errorf("a boot counts: %s", text)
	}
	w.Took("linux", plan.SpanWait, 0)
	if text := p.trend.Describe("waits"); !strings.Contains(text, "1 jobs began") {
		t.Errorf("a wait does not count: %s", text)
	}
}
