package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"scaler.io/scaler/internal/config"
	notifier "scaler.io/scaler/internal/notify"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/realgitea"
)

// receiver is a stand-in for a service that takes notifications.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []received
	status int
}

// received is one request that came.
type received struct {
	request string // method and path
	header  http.Header
	body    string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, received{req.Method + " " + req.URL.String(), req.Header, string(body)})
		w.WriteHeader(r.status)
		fmt.Fprintf(w, "channel of %s\n", req.URL.Path)
	}))
	t.Cleanup(r.Close)
	return r
}

// writeNotifications writes a good configuration with these notifications, in
// which DIR stands for the directory of its secrets.
func writeNotifications(t *testing.T, text string) (path, dir string) {
	t.Helper()
	path, dir = writeConfig(t)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(data)+strings.ReplaceAll(text, "DIR", dir))
	return path, dir
}

func TestNotifyTest(t *testing.T) {
	r := newReceiver(t)
	path, dir := writeNotifications(t, `notifications:
  - {name: chat, url: {file: DIR/url}, template: '{"text": {{json .Lines}}}'}
  - {name: program, url: "`+r.URL+`/take", events: [problem, job_overdue], secret: {file: DIR/token}}
`)
	write(t, filepath.Join(dir, "url"), r.URL+"/services/T0KEN-0123456789\n")
	out := mustRun(t, "notify", "test", "--config", path)
	if !strings.Contains(out, "sent     chat: 200 OK after ") || !strings.Contains(out, ": channel of [redacted]\n") ||
		!strings.Contains(out, "sent     program: 200 OK after ") || strings.Contains(out, "T0KEN") {
		t.Errorf("output\n%s", out)
	}
	if len(r.got) != 2 || r.got[0].request != "POST /services/T0KEN-0123456789" {
		t.Fatalf("requests %+v", r.got)
	}
	if want := `{"text": "This is a test.\nthe runners of a pool fail (pool linux): this is a sample, nothing has happened"}`; r.got[0].body != want {
		t.Errorf("body %s, want %s", r.got[0].body, want)
	}
	var n plan.Notice
	if err := json.Unmarshal([]byte(r.got[1].body), &n); err != nil || !n.Test || n.Events[0].Kind != plan.EventProblem || n.Host == "" {
		t.Errorf("notice %+v, %v", n, err)
	}
	if h := r.got[1].header; h.Get("X-Scaler-Notification") != n.ID || !strings.HasPrefix(h.Get("X-Scaler-Signature"), "sha256=") {
		t.Errorf("headers %v", h)
	}
}

func TestNotifyTestOfOneEvent(t *testing.T) {
	r := newReceiver(t)
	path, _ := writeNotifications(t, `notifications:
  - {name: chat, url: "`+r.URL+`/1"}
  - {name: program, url: "`+r.URL+`/2", events: [problem, job_overdue]}
`)
	out := mustRun(t, "notify", "test", "program", "--event", "job_overdue", "--config", path, "--json")
	var results []notifyResult
	if err := json.Unmarshal([]byte(out), &results); err != nil || len(results) != 1 || !results[0].Sent || results[0].Status != 200 || results[0].Answer != "channel of [redacted]" {
		t.Errorf("results %+v, %v", results, err)
	}
	if len(r.got) != 1 || !strings.Contains(r.got[0].body, `"kind":"job_overdue"`) {
		t.Errorf("requests %+v", r.got)
	}
	out = mustRun(t, "notify", "test", "--print", "--config", path)
	if !strings.Contains(out, "--- chat\n{\"id\":") || !strings.Contains(out, "--- program\n") || len(r.got) != 1 {
		t.Errorf("%d requests, output\n%s", len(r.got), out)
	}
}

func TestNotifyTestCompletesNames(t *testing.T) {
	path, _ := writeNotifications(t, "notifications: [{name: chat, url: 'http://a/'}, {name: issues, url: 'http://b/'}]\n")
	if out := mustRun(t, "__complete", "notify", "test", "--config", path, ""); !strings.HasPrefix(out, "chat\nissues\n:4\n") {
		t.Errorf("completed\n%s", out)
	}
}

func TestNotifyTestFaults(t *testing.T) {
	r := newReceiver(t)
	r.status = http.StatusNotFound
	path, dir := writeNotifications(t, "notifications:\n  - {name: chat, url: {file: DIR/url}}\n")
	write(t, filepath.Join(dir, "url"), r.URL+"/services/T0KEN-0123456789")
	none, _ := writeConfig(t)
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"refused":          {[]string{"--config", path}, exitFailure, "failed   chat: send notification to " + strings.TrimPrefix(r.URL, "http://") + ": it answers 404 Not Found"},
		"no such name":     {[]string{"chit", "--config", path}, exitFailure, `there is no notification "chit": name one of chat`},
		"no notifications": {[]string{"--config", none}, exitFailure, "has no notifications: add one with name and url"},
		"not told":         {[]string{"--event", "paused", "--config", path}, exitUsage, "--event paused: notification chat is not told of it: give one of breaker_opened,"},
		"two names":        {[]string{"a", "b"}, exitUsage, "accepts at most 1 arg"},
		"bad file":         {[]string{"--config", filepath.Join(dir, "none")}, exitFailure, "no such file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, errs, code := runCommand(t, append([]string{"notify", "test"}, tt.args...)...)
			if all := strings.Join(strings.Fields(out+errs), " "); code != tt.code || !strings.Contains(all, strings.Join(strings.Fields(tt.want), " ")) || strings.Contains(all, "T0KEN") {
				t.Errorf("exit code %d, want %d:\n%s%s", code, tt.code, out, errs)
			}
		})
	}
}

// Each example is loaded, and sent to a stand-in that has to get just what is
// in the file beside its expected bodies.
func TestNotificationExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "configs", "notifications", "*.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("files %q, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			cfg := loadNotifications(t, file, r.URL, nil)
			var b strings.Builder
			for _, target := range notificationTargets(cfg) {
				for _, notice := range samplesFor(target) {
					if _, err := notifier.Send(t.Context(), nil, target, notice); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, got := range r.got {
				fmt.Fprintf(&b, "%s\nAuthorization: %s\nContent-Type: %s\n%s\n", got.request, got.header.Get("Authorization"), got.header.Get("Content-Type"), got.body)
				if !json.Valid([]byte(got.body)) {
					t.Errorf("no JSON: %s", got.body)
				}
			}
			golden(t, "notification-"+name+".txt", b.String())
		})
	}
}

// A real Gitea takes the example, and makes no mention or link of what others
// have chosen.
func TestIssueExampleWithGitea(t *testing.T) {
	s := realgitea.Start(t, "127.0.0.1", "notification-registration-token-0123456789")
	s.CreateOrg(t, "ops")
	s.CreateRepo(t, "ops/alerts")
	cfg := loadNotifications(t, "../../configs/notifications/gitea-issue.yaml", s.URL, map[string]string{"issue-token": s.APIToken})
	notice := plan.SampleNotice(plan.EventBreakerOpened)
	notice.Events[0].Text = "job @root1 says #1, ![a](b) <img src=x> `c` *d* !1 ops/alerts#1"
	for range 2 {
		answer, err := notifier.Send(t.Context(), nil, notificationTargets(cfg)[0], notice)
		if err != nil || answer.Status != http.StatusCreated {
			t.Fatalf("answer %+v, %v", answer, err)
		}
	}
	var issue struct{ Title, Body string }
	if err := s.Call(t.Context(), http.MethodGet, "/repos/ops/alerts/issues/2", nil, &issue); err != nil {
		t.Fatal(err)
	}
	if want := "scaler on build-1: the runners of a pool fail (pool linux)"; issue.Title != want {
		t.Errorf("title %q, want %q", issue.Title, want)
	}
	resp, err := http.Post(s.URL+"/api/v1/markdown?access_token="+s.APIToken, "application/json",
		strings.NewReader(fmt.Sprintf(`{"Mode": "comment", "Context": "ops/alerts", "Text": %q}`, issue.Body)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	html, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("markdown: %s, %v\n%s", resp.Status, err, html)
	}
	for _, made := range []string{"<a", "<img", "<em", "<code>c"} {
		if strings.Contains(string(html), made) {
			t.Errorf("Gitea makes %s of it:\n%s", made, html)
		}
	}
	if !strings.Contains(string(html), "<code>scaler status</code>") {
		t.Errorf("Gitea makes of it:\n%s", html)
	}
}

// loadNotifications loads a file of notifications, whose URLs lead to a
// stand-in, with the shortest configuration. Secrets that are not given are
// made up.
func loadNotifications(t *testing.T, file, standIn string, secrets map[string]string) *config.Config {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`https://[a-z.]+example\.com`).ReplaceAllString(string(data), standIn)
	path, dir := writeNotifications(t, strings.ReplaceAll(text, "/etc/scaler", "DIR"))
	for _, secret := range regexp.MustCompile(`/etc/scaler/([a-z-]+)`).FindAllStringSubmatch(string(data), -1) {
		value := cmp.Or(secrets[secret[1]], "the-"+secret[1])
		if strings.HasSuffix(secret[1], "-url") {
			value = standIn + "/services/1"
		}
		write(t, filepath.Join(dir, secret[1]), value)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// samplesFor returns notices with the first and the last event that a target is
// told, and as many as it takes at a time.
func samplesFor(target notifier.Target) []plan.Notice {
	kinds := target.Events
	all := plan.SampleNotice(kinds[:min(len(kinds), target.Batch)]...)
	all.Test, all.Dropped = false, 3
	first, last := plan.SampleNotice(kinds[0]), plan.SampleNotice(kinds[len(kinds)-1])
	first.Test, last.Test = false, false
	return []plan.Notice{first, last, all}
}

// golden compares a text with that of a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		write(t, path, got)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant that of %s\n%s", got, path, want)
	}
}
