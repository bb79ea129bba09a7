package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// reader is a browser in which nobody has logged in.
func reader(t *testing.T, w *world) *browser {
	t.Helper()
	return newBrowser(t, w.web(t, WebConfig{}, nil))
}

// wantText expects all of the texts on a page.
func wantText(t *testing.T, b *browser, path string, texts ...string) *element {
	t.Helper()
	w := b.get(path)
	page := parsePage(t, w)
	for _, want := range texts {
		if w.Code != http.StatusOK || !strings.Contains(page.text, want) {
			t.Errorf("%s lacks %q: %d %s", path, want, w.Code, page.text)
		}
	}
	return page
}

func TestOverview(t *testing.T) {
	page := wantText(t, reader(t, brokenWorld()), "/",
		"docker: list containers: Cannot connect", "<Error> cannot register", "Nothing new starts: 12 percent of the disk",
		"on hold: its runners fail", "drained by alice on the web page since", ": new disks", "breaker opened", "cycle 4712", "office hours until")
	if !strings.Contains(page.text, "Of them unserved3") {
		t.Errorf("unserved jobs: %s", page.text)
	}
	if first, pools := strings.Index(page.text, "Problems"), strings.Index(page.text, "Jobs queued"); first > pools {
		t.Error("what is wrong does not come first")
	}
	if rows := page.find("tr", "data-key", "build-2"); len(rows) != 1 || !strings.Contains(page.text, "build-1 (this one)165 of 16has its share") || !strings.Contains(page.text, "build-28unknownleft some waiting, comes behind the others until ") {
		t.Errorf("daemons that share the jobs: %s", page.text)
	}
	for _, img := range page.find("img") {
		if !strings.HasPrefix(img.attr["alt"], "What ") {
			t.Errorf("a chart has the text %q", img.attr["alt"])
		}
	}
	alone := wantText(t, reader(t, busyWorld(3, 4)), "/", "All is well.", "The server is Gitea 1.24.6, which cannot list queued and running jobs")
	if strings.Contains(alone.text, "share the jobs") {
		t.Error("a daemon on its own shares its jobs")
	}
	wantText(t, reader(t, emptyWorld()), "/", "Nothing is known of any pool yet", "No cycle is done yet")
	old := busyWorld(1, 1)
	old.status.CycleAt = time.Now().Add(-10 * time.Minute)
	wantText(t, reader(t, old), "/", "There was no cycle for 10 min.")
}

func TestPoolPage(t *testing.T) {
	w := busyWorld(40, 200)
	page := wantText(t, reader(t, w), "/pools/linux",
		"2: jobs come every 40 s at this time of the week", "office hours until", "then its own numbers", "12GiB of 24GiB memory", "40 of 44 runners", "active")
	if rows := len(page.find("tr", "data-key", "1")); rows != 1 {
		t.Errorf("%d rows of job 1", rows)
	}
	for _, more := range []string{"/queue?pool=linux", "/runners?pool=linux", "/events?pool=linux"} {
		if len(page.find("a", "href", more)) != 1 {
			t.Errorf("no link to %s", more)
		}
	}
	wantText(t, reader(t, w), "/pools/arm", "No job waits for it.", "It has no runner.")
	if a := reader(t, w).get("/pools/nosuch"); a.Code != http.StatusNotFound || !strings.Contains(a.Body.String(), "No such pool") {
		t.Errorf("%d %s", a.Code, a.Body)
	}
}

func TestRunnerPage(t *testing.T) {
	w := busyWorld(3, 0)
	w.change(func(s *plan.Status) {
		s.Runners[0].Outdated = "its image is another one now"
		s.Runners[0].Leave = &plan.Pause{By: "bob", Since: time.Now(), Reason: "slow"}
	})
	const path = "/runners/scaler-abcd-linux-000000"
	page := wantText(t, reader(t, w), path, "busy", "for job 41 of acme/tools", "one job, and goes", "its image is another one now", "by bob since", "slow", "100000 of acme/tools, build", "900")
	var life []string
	for _, li := range page.find("ol")[0].find("li") {
		life = append(life, li.find("span")[0].text)
	}
	if got := strings.Join(life, " "); got != "busy idle starting" {
		t.Errorf("its life is %s", got)
	}
	if links := page.find("a", "href", "https://git.example.com/acme/tools/actions/runs/9/jobs/0"); len(links) != 1 {
		t.Error("no link to the job")
	}
	if a := reader(t, w).get("/runners/nosuch"); a.Code != http.StatusNotFound || !strings.Contains(a.Body.String(), "No such runner") {
		t.Errorf("%d %s", a.Code, a.Body)
	}
}

func TestLogPage(t *testing.T) {
	w := busyWorld(3, 0)
	web := w.web(t, gatewayConfig(t), newFakeTokens())
	const path = "/runners/scaler-abcd-linux-000000/log"
	nobody, alice := newBrowser(t, web), newBrowser(t, web)
	if a := nobody.get(path); a.Code != http.StatusSeeOther || !strings.HasPrefix(a.Header().Get("Location"), "/login?next=") {
		t.Errorf("nobody: %d to %s", a.Code, a.Header().Get("Location"))
	}
	alice.login("alice", "right")
	if text := wantText(t, alice, path, "<b>a job</b> prints its Top5ecretOutput").find("pre")[0].text; !strings.HasPrefix(text, "runner scaler-abcd-linux-000000 is up\n") {
		t.Errorf("the log is %q", text)
	}
	if a := alice.get("/runners/nosuch/log"); a.Code != http.StatusNotFound {
		t.Errorf("%d", a.Code)
	}
	web.cfg.Log = nil
	if a := alice.get(path); a.Code != http.StatusNotFound {
		t.Errorf("without logs: %d", a.Code)
	}
}

func TestListsAreCut(t *testing.T) {
	b := reader(t, busyWorld(450, 1000))
	for path, want := range map[string][3]string{
		"/runners":                 {"1 to 200 of 450", "", "?page=2"},
		"/runners?page=3":          {"401 to 450 of 450", "?page=2", ""},
		"/runners?page=99":         {"401 to 450 of 450", "?page=2", ""},
		"/runners?page=-1":         {"1 to 200 of 450", "", "?page=2"},
		"/runners?page=x":          {"1 to 200 of 450", "", "?page=2"},
		"/queue?page=2":            {"201 to 400 of 1000", "?page=1", "?page=3"},
		"/queue?pool=linux&page=2": {"201 to 400 of 750", "?page=1&pool=linux", "?page=3&pool=linux"},
	} {
		page := wantText(t, b, path, want[0])
		for rel, href := range map[string]string{"prev": want[1], "next": want[2]} {
			links := page.find("a", "rel", rel)
			if got := len(links); (href != "") != (got == 1) || got == 1 && links[0].attr["href"] != href {
				t.Errorf("%s: %d links %s, want to %q", path, got, rel, href)
			}
		}
	}
	if page := parsePage(t, reader(t, busyWorld(3, 3)).get("/runners")); len(page.find("nav", "class", "pager")) != 0 {
		t.Error("a short list has parts")
	}
}

func TestListsCanBeNarrowedDown(t *testing.T) {
	b := reader(t, busyWorld(20, 16))
	for path, want := range map[string]int{
		"/runners?phase=idle": 4, "/runners?pool=linux&phase=busy": 4, "/runners?pool=arm": 0, "/queue?pool=-": 4, "/queue?pool=linux": 12, "/queue": 16,
		"/events?kind=runner": 30, "/events?kind=config_taken": 1, "/events?pool=linux": 30, "/events?pool=arm": 0, "/events": 31,
	} {
		page := parsePage(t, b.get(path))
		if got := len(page.rows()); got != want {
			t.Errorf("%s has %d rows, want %d", path, got, want)
		}
		if chosen := page.find("option", "selected", "selected"); strings.Contains(path, "phase") && len(chosen) == 0 {
			t.Errorf("%s does not show what was chosen", path)
		}
	}
	if rows := parsePage(t, b.get("/queue")).rows(); !strings.Contains(rows[3], "none") || strings.Contains(rows[4], "none") {
		t.Errorf("jobs that nobody serves do not come first: %q", rows[:5])
	}
}

func TestEventsPage(t *testing.T) {
	page := wantText(t, reader(t, busyWorld(1, 0)), "/events", "config taken", "pools[linux].max: 2 → 4", "alice on the web page")
	if rows := page.rows(); !strings.Contains(rows[0], "config taken") {
		t.Errorf("the newest does not come first: %s", rows[0])
	}
	none := newBrowser(t, NewWeb(WebConfig{}, fakeStatus{}, nil, slog.New(slog.DiscardHandler)))
	wantText(t, none, "/events", "keeps no events")
}

func TestConfigPage(t *testing.T) {
	b := newBrowser(t, brokenWorld().web(t, gatewayConfig(t), newFakeTokens()))
	b.login("alice", "right")
	page := wantText(t, b, "/config",
		"/etc/scaler/scaler.yaml", "found the text \"many\"", "http.listen: 127.0.0.1:9180 → 127.0.0.1:9181", "from file /etc/scaler/api-token", "not shown: it may hold a secret", "config rejected", "by alice on the web page",
		"Gitea 1.24.6", "list queued and running jobs", "no: nobody tells which jobs wait", "Gitea 1.25 and newer can")
	var sections []string
	for _, h := range page.find("h2") {
		sections = append(sections, h.text)
	}
	if got := strings.Join(sections, ", "); got != "Taken over by a restart, General, gitea, pools[linux], What the server can do, Last reloads" {
		t.Errorf("sections %s", got)
	}
	if n := len(page.find("details")); n != 2 {
		t.Errorf("%d lists of defaults, want 2", n)
	}
	wantText(t, newBrowser(t, NewWeb(WebConfig{}, fakeStatus{}, nil, slog.New(slog.DiscardHandler))), "/config", "There was none since the daemon's start.")
}

// What is wrong with the file repeats what is in it, which may be a secret that
// went astray.
func TestWhatIsWrongWithTheFileIsForUsers(t *testing.T) {
	const astray = "found the text \"Top5ecretAstray\""
	w := busyWorld(1, 1)
	w.change(func(s *plan.Status) {
		s.Config.Error = astray
		s.Problems = []plan.Problem{{Subject: plan.SubjectConfig, Message: astray}, {Subject: "docker", Message: "is gone"}}
	})
	w.tell(plan.Event{Kind: plan.EventConfigRejected, Text: astray})
	w.tell(plan.Event{Kind: plan.EventProblem, Text: plan.SubjectConfig + ": " + astray})
	web := w.web(t, gatewayConfig(t), newFakeTokens())
	nobody, alice := newBrowser(t, web), newBrowser(t, web)
	alice.login("alice", "right")
	for _, path := range []string{"/", "/events", "/config"} {
		if text := wantText(t, nobody, path, "log in to see why").text; strings.Contains(text, "Astray") {
			t.Errorf("%s shows nobody what is wrong: %s", path, text)
		}
		wantText(t, alice, path, astray)
	}
	wantText(t, nobody, "/", "docker: is gone")
	for _, path := range []string{"/pools", "/pools/linux", "/runners", "/queue", "/queue/1"} {
		if text := nobody.get(path).Body.String(); strings.Contains(text, "Astray") {
			t.Errorf("%s shows it", path)
		}
	}
	if w.Status().Problems[0].Message != astray {
		t.Error("the state itself was changed")
	}
}

// Lines of a log may be in what is wrong with a pool.
func TestLogsInReasonsAreForUsers(t *testing.T) {
	const told = "its runner never came online" + plan.LogMark + "Top5ecretOutput"
	w := busyWorld(2, 4)
	w.change(func(s *plan.Status) {
		s.Problems = []plan.Problem{{Subject: "pool linux", Message: told}}
		s.Pools[0].Hold, s.Queue[3].Reason, s.Runners[0].Note = told, "pool linux is on hold: "+told, told
		s.Runners[0].History = []plan.Step{{Note: told}}
	})
	w.tell(plan.Event{Kind: plan.EventRunnerFailed, Pool: "linux", Text: told})
	web := w.web(t, gatewayConfig(t), newFakeTokens())
	nobody, alice := newBrowser(t, web), newBrowser(t, web)
	alice.login("alice", "right")
	for _, path := range []string{"/", "/pools", "/pools/linux", "/runners", "/runners/scaler-abcd-linux-000000", "/queue", "/queue/4", "/events"} {
		if text := wantText(t, nobody, path, "its runner never came online (its log is for those who are logged in)").text; strings.Contains(text, "Top5ecret") {
			t.Errorf("%s shows nobody a log", path)
		}
		wantText(t, alice, path, "Top5ecretOutput")
	}
}

func TestCharts(t *testing.T) {
	b := reader(t, busyWorld(1, 1))
	for path, file := range map[string]string{"/charts/queue.svg": "queue.svg", "/charts/waits-dark.svg?v=7": "waits-dark.svg"} {
		w := b.get(path)
		want, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/svg+xml" || w.Body.String() != string(want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if policy := w.Header().Get("Content-Security-Policy"); policy != chartPolicy {
			t.Errorf("%s: policy %s", path, policy)
		}
	}
	for _, path := range []string{"/charts/other.svg", "/charts/queue", "/charts/queue.png", "/charts/-dark.svg"} {
		if w := b.get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestAges(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0 s", 59 * time.Second: "59 s", time.Minute: "1 min", 59*time.Minute + 59*time.Second: "59 min", time.Hour: "1 h",
		2*time.Hour + 5*time.Minute: "2 h 5 min", 24 * time.Hour: "1 d", 75 * time.Hour: "3 d 3 h",
	} {
		if got := ageText(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
	if got := untilText(-time.Minute); got != "now" {
		t.Errorf("a minute ago is %q", got)
	}
	if got := untilText(90 * time.Minute); got != "in 1 h 30 min" {
		t.Errorf("in 90 minutes is %q", got)
	}
}

// Where one is stands out among the links to all pages.
func TestNavigation(t *testing.T) {
	b := reader(t, busyWorld(1, 1))
	for path, want := range map[string]string{"/": "/", "/pools": "/pools", "/pools/linux": "/pools", "/runners/scaler-abcd-linux-000000": "/runners", "/queue/1": "/queue", "/events": "/events", "/config": "/config"} {
		current := parsePage(t, b.get(path)).find("a", "aria-current", "page")
		if len(current) != 1 || current[0].attr["href"] != want {
			t.Errorf("%s: %s", path, fmt.Sprint(current))
		}
	}
}
