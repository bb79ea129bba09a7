package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const smallTrace = `arrival_s,duration_s,labels,repo
0.4,60,linux,acme/app
1.1,60,linux,acme/app
500,1800,windows,acme/app
600,10,vax,acme/app
`

func TestSimulate(t *testing.T) {
	path, dir := writeConfig(t)
	trace := filepath.Join(dir, "jobs.csv")
	write(t, trace, smallTrace)
	args := []string{"simulate", "--config", path, "--trace", trace}
	for golden, args := range map[string][]string{"simulate.txt": args, "simulate.json": append(args, "--json")} {
		got := mustRun(t, args...)
		checkGolden(t, golden, got)
	}
}

// Of the jobs those are replayed that fall to this daemon, and the daemons have all
// of them together.
func TestSimulateAShare(t *testing.T) {
	path, dir := writeConfig(t)
	trace := filepath.Join(dir, "jobs.csv")
	rows := "arrival_s,duration_s,labels,repo\n"
	for i := range 300 {
		rows += fmt.Sprintf("%d,10,linux,acme/app\n", i)
	}
	write(t, trace, rows)
	config, err := os.ReadFile(path)
	must(t, err)
	jobs := map[string]int{}
	for _, self := range []string{"build-1", "build-2", "build-3"} {
		write(t, path, string(config)+"\npeers:\n  self: "+self+"\n  daemons: [{name: build-1, weight: 2}, {name: build-2}, {name: build-3}]\n")
		var got simulation
		must(t, json.Unmarshal([]byte(mustRun(t, "simulate", "--config", path, "--trace", trace, "--json")), &got))
		if got.Share == nil || *got.Share != (simulatedShare{self, 3, 300}) {
			t.Errorf("%s: %+v", self, got.Share)
		}
		jobs[self] = got.Jobs
		if text := mustRun(t, "simulate", "--config", path, "--trace", trace); !strings.Contains(text, "They are what falls to "+self+", one of 3 daemons, of 300 jobs.\n") {
			t.Errorf("it prints %s", text)
		}
	}
	if jobs["build-1"]+jobs["build-2"]+jobs["build-3"] != 300 || jobs["build-1"] < 120 || jobs["build-1"] > 180 {
		t.Errorf("they have %v of 300 jobs, the first one half of them", jobs)
	}
	write(t, trace, "arrival_s,duration_s,labels,repo\n1,1,linux,a/b\n")
	lacks := 0
	for _, self := range []string{"build-1", "build-2", "build-3"} {
		write(t, path, string(config)+"\npeers:\n  self: "+self+"\n  daemons: [{name: build-1}, {name: build-2}, {name: build-3}]\n")
		if _, errs, code := runCommand(t, "simulate", "--config", path, "--trace", trace); code == exitFailure && errs == "scaler: simulate: none of 1 job falls to "+self+"\n" {
			lacks++
		}
	}
	if lacks != 2 {
		t.Errorf("one job falls to %d of 3 daemons", 3-lacks)
	}
}

var update = flag.Bool("update", false, "write the files of testdata anew")

// checkGolden compares a text with a file of testdata.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestSimulateRefuses(t *testing.T) {
	path, dir := writeConfig(t)
	trace := filepath.Join(dir, "jobs.csv")
	write(t, trace, smallTrace+"1,soon,linux,acme/app\n")
	tests := []struct {
		name string
		args string
		code int
		want string
	}{
		{"nothing to replay", "", exitUsage, "scaler: say what to replay: one of --trace FILE, --from-gitea 7d and --synthetic week\nSee scaler simulate --help.\n"},
		{"two to replay", "--trace x --synthetic week", exitUsage, "scaler: say what to replay: one of --trace FILE, --from-gitea 7d and --synthetic week\nSee scaler simulate --help.\n"},
		{"no age", "--from-gitea week", exitUsage, "scaler: --from-gitea \"week\" is not a time like 7d or 36h\nSee scaler simulate --help.\n"},
		{"no such file", "--trace " + dir + "/none.csv", exitFailure, "scaler: read trace: open " + dir + "/none.csv: no such file or directory\n"},
		{"a fault in the trace", "--trace " + trace, exitFailure, "scaler: " + trace + `:6:3: duration_s: "soon" is not a number of seconds` + "\n"},
		{"a negative start", "--trace x --cold-start=-1s", exitUsage, "scaler: --cold-start -1s is less than nothing\nSee scaler simulate --help.\n"},
		{"a negative warm-up", "--trace x --warm-up=-1s", exitUsage, "scaler: --warm-up -1s is less than nothing\nSee scaler simulate --help.\n"},
		{"no time", "--trace x --start yesterday", exitUsage, "scaler: --start \"yesterday\" is not a time like 2026-01-05T00:00:00Z\nSee scaler simulate --help.\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, errs, code := runCommand(t, append([]string{"simulate", "--config", path}, strings.Fields(tt.args)...)...)
			if code != tt.code || out != "" || errs != tt.want {
				t.Errorf("exit code %d, %q, %q; want %d, %q", code, out, errs, tt.code, tt.want)
			}
		})
	}
}

// What is made up and saved is the same as what is read from there.
func TestSimulateSavesTheTrace(t *testing.T) {
	path, dir := writeConfig(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.NewReplacer("max: 15", "max: 150", "limits: {runners: 20}\n", "").Replace(string(text))) // without a backlog of days
	for _, name := range []string{"week.csv", "week.jsonl"} {
		trace := filepath.Join(dir, name)
		made := mustRun(t, "simulate", "--config", path, "--synthetic", "week", "--save-trace", trace, "--json")
		if read := mustRun(t, "simulate", "--config", path, "--trace", trace, "--json"); read != made || !strings.Contains(made, `"jobs": 20000,`) {
			t.Errorf("%s: made up:\n%s\nread:\n%s", name, made, read)
		}
	}
	out := filepath.Join(dir, "report.html")
	mustRun(t, "simulate", "--config", path, "--synthetic", "week", "--out", out)
	if text, err := os.ReadFile(out); err != nil || !strings.Contains(string(text), "<h1>a synthetic week</h1>") || !strings.HasSuffix(string(text), "</html>\n") {
		t.Errorf("report of %d bytes, %v", len(text), err)
	}
	if _, errs, code := runCommand(t, "simulate", "--config", path, "--synthetic", "week", "--save-trace", dir); code != exitFailure || errs != "scaler: write "+dir+": open "+dir+": is a directory\n" {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

// Only what a runner has ended counts, and only since then.
func TestSimulateFromGitea(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	job := func(id, runner int, ago time.Duration) string {
		at := now.Add(-ago).Format(time.RFC3339)
		ended := now.Add(-ago + 90*time.Second).Format(time.RFC3339)
		return fmt.Sprintf(`{"id":%d,"url":"http://x/api/v1/repos/acme/app/actions/jobs/%d","labels":["linux"],"status":"completed","runner_id":%d,"created_at":%q,"started_at":%q,"completed_at":%q}`,
			id, id, runner, at, at, ended)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/version" {
			fmt.Fprint(w, `{"version":"1.26.0"}`)
			return
		}
		if r.URL.Path != "/api/v1/admin/actions/jobs" || r.URL.Query().Get("status") != "completed" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"total_count":4,"jobs":[%s,%s,%s,%s]}`, job(1, 7, time.Hour), job(2, 8, 2*time.Hour), job(3, 0, time.Hour), job(4, 9, 80*time.Hour))
	}))
	defer server.Close()
	path, dir := writeConfig(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Replace(string(text), "http://127.0.0.1:1", server.URL, 1))
	trace := filepath.Join(dir, "jobs.csv")
	got := mustRun(t, "simulate", "--config", path, "--from-gitea", "2d", "--save-trace", trace)
	if !strings.HasPrefix(got, "2 jobs from ") {
		t.Errorf("got\n%s", got)
	}
	want := fmt.Sprintf("arrival_s,duration_s,labels,repo\n%d,90,linux,acme/app\n%d,90,linux,acme/app\n", now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix())
	if saved, err := os.ReadFile(trace); err != nil || string(saved) != want {
		t.Errorf("saved %q, %v; want %q", saved, err, want)
	}
}
