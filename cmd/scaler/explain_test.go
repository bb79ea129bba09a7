package main

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// office is a server's worth of pools with all that can keep one from a job.
func office() plan.View {
	all, acme := plan.Scope{Kind: plan.ScopeInstance}, plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}
	none := 0
	night := plan.Window{Name: "`0 22 * * *` for 14h30m", Duration: 14*time.Hour + 30*time.Minute, Max: &none, Next: func(after time.Time) time.Time {
		if start := noon.Add(-14 * time.Hour); after.Before(start) {
			return start
		}
		return time.Time{}
	}}
	pool := func(name string, scope plan.Scope, limit int, labels ...string) plan.Pool {
		return plan.Pool{Name: name, Scope: scope, Max: limit, Labels: labels, BootTimeout: 2 * time.Minute}
	}
	v := plan.View{
		Spec: plan.Spec{MaxRunners: 20, Pools: []plan.Pool{
			pool("linux", all, 2, "linux", "x64"), pool("night", all, 4, "linux"), pool("arm", acme, 3, "linux", "arm64"), pool("gpu", acme, 1, "linux", "gpu"),
		}},
		Snap: plan.Snapshot{Now: noon, Jobs: []plan.Job{
			{ID: 41, Repo: "bob/app", Name: "first", Labels: []string{"linux"}, QueuedAt: noon.Add(-time.Minute)},
			{ID: 42, Repo: "bob/app", Name: "build \x1b[2J", Labels: []string{"x64"}, QueuedAt: noon.Add(-30 * time.Second), URL: "https://git.example.com/bob/app/actions/runs/7/jobs/1"},
			{ID: 43, Repo: "acme/web", Labels: []string{"linux", "arm64"}, QueuedAt: noon.Add(-20 * time.Second)},
			{ID: 44, Repo: "acme/web", Labels: []string{"linux", "gpu"}, QueuedAt: noon.Add(-10 * time.Second)},
			{ID: 45, Repo: "acme/web", Labels: []string{"linux", "quantum"}, QueuedAt: noon.Add(-5 * time.Second)},
		}, Runners: []plan.Runner{
			{Name: "linux-a1", Pool: "linux", Scope: all, Phase: plan.PhaseBusy, HasJob: true, Ephemeral: true},
			{Name: "linux-a2", Pool: "linux", Scope: all, Phase: plan.PhaseBusy, HasJob: true, Ephemeral: true},
			{Name: "gpu-b1", Pool: "gpu", Scope: acme, Phase: plan.PhaseStarting, Ephemeral: true, CreatedAt: noon.Add(-9 * time.Second), StartedAt: noon.Add(-8 * time.Second)},
		}},
		Running:   []plan.Job{{ID: 40, Repo: "acme/web", Name: "lint", RunnerName: "linux-a1"}},
		Runners:   []plan.RunnerStatus{{Name: "linux-a1", Pool: "linux", Phase: plan.PhaseBusy, Job: 40}, {Name: "linux-a2", Pool: "linux", Phase: plan.PhaseFinishing, Job: 39}},
		QueueSize: 5,
	}
	v.Spec.Pools[1].Windows = plan.NewWindows(night)
	arm := &v.Spec.Pools[2]
	arm.Hold, arm.HoldKind, arm.RetryAt = "failure 3 in a row, next try at 12:00:30 UTC: image unavailable", plan.ObstacleBreaker, noon.Add(30*time.Second)
	return v
}

// The whole texts are in testdata, by the name of the test.
func TestWriteExplanation(t *testing.T) {
	tests := []struct {
		name  string
		query plan.Query
	}{
		{"full", plan.Query{Job: 42}},
		{"full-or-later", plan.Query{Job: 41}},
		{"on-hold", plan.Query{Job: 43}},
		{"starting", plan.Query{Job: 44}},
		{"no-label", plan.Query{Job: 45}},
		{"running", plan.Query{Job: 40}},
		{"ended", plan.Query{Job: 39}},
		{"unknown", plan.Query{Job: 38}},
		{"hypothetical", plan.Query{Labels: []string{"gpu", "linux"}, Repo: "bob/app"}},
		{"no-repository", plan.Query{Labels: []string{"arm64"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := office().Explain(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			writeExplanation(&b, e, noon, textWidth)
			checkGolden(t, "explain-"+tt.name+".txt", b.String())
		})
	}
}

// What the document shows is what the command prints.
func TestExplanationsInTheDocumentAreReal(t *testing.T) {
	document, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"full-or-later", "hypothetical"} {
		text, err := os.ReadFile("testdata/explain-" + name + ".txt")
		if err != nil || !strings.Contains(string(document), "```text\n"+string(text)+"```\n") {
			t.Errorf("docs/policy.md does not show explain-%s.txt: %v", name, err)
		}
	}
	code, err := os.ReadFile("../../internal/plan/obstacle.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`ObstacleKind = "([a-z]+)"`).FindAllStringSubmatch(string(code), -1)
	for _, kind := range kinds {
		if !strings.Contains(string(document), "`"+kind[1]+"`") {
			t.Errorf("docs/policy.md does not tell of the obstacle %q", kind[1])
		}
	}
	if len(kinds) < 10 {
		t.Errorf("only %d kinds of obstacle found", len(kinds))
	}
}

func TestExplainCommand(t *testing.T) {
	socket := startDaemon(t, &fakeDaemon{view: office(), status: badNight()})
	for _, args := range [][]string{{"44"}, {"--labels", "linux,gpu", "--repo", "acme/web"}, {"https://git.example.com/bob/app/actions/runs/7/jobs/1"}, {"--labels", ""}} {
		if got := mustRun(t, append([]string{"explain", "--socket", socket}, args...)...); !strings.Contains(got, "\nPOOLS (4)\n") {
			t.Errorf("explain %v prints\n%s", args, got)
		}
	}
	var got plan.Explanation
	if err := json.Unmarshal([]byte(mustRun(t, "explain", "--socket", socket, "--json", "43")), &got); err != nil {
		t.Fatal(err)
	}
	if want, err := office().Explain(plan.Query{Job: 43}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v, %v", got, want, err)
	}
	if got := mustComplete(t, "explain", "--socket", socket, ""); !strings.HasPrefix(got, "42\tacme/app test\n43\tacme/app build ?[2J on") {
		t.Errorf("jobs offered: %q", got)
	}
}

func TestExplainFails(t *testing.T) {
	config, _ := writeConfig(t)
	socket := startDaemon(t, &fakeDaemon{view: office()})
	for _, tt := range []struct {
		args   string
		code   int
		stderr string
	}{
		{"", exitUsage, "give a job or --labels"},
		{"1 2", exitUsage, "want one job, got 2"},
		{"1 --labels linux", exitUsage, "give a job or --labels"},
		{"1 --repo a/b", exitUsage, "--repo goes with --labels only"},
		{"--labels linux --repo a", exitUsage, `--repo "a": want OWNER/NAME`},
		{"--labels linux --repo a/b/c", exitUsage, `--repo "a/b/c": want OWNER/NAME`},
		{"linux", exitUsage, `job "linux": invalid: give its id, or the address of its page`},
		{"-- -1", exitUsage, `job "-1"`},
		{"https://git.example.com/bob/app/actions/runs/7/jobs/9", exitFailure, "no queued or running job that was read has this page"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			out, errs, code := runCommand(t, append([]string{"explain", "--socket", socket}, strings.Fields(tt.args)...)...)
			if code != tt.code || out != "" || !strings.Contains(errs, tt.stderr) {
				t.Errorf("exit code %d, %q, %q", code, out, errs)
			}
		})
	}
	if _, errs, code := runCommand(t, "explain", "--socket", socket+"x", "1"); code != exitUnreachable {
		t.Errorf("without a daemon: exit code %d, %q", code, errs)
	}
	// Nobody answers as Gitea there, which is told of the jobs.
	out, errs, code := runCommand(t, "explain", "-c", config, "--labels", "linux", "--repo", "a/b")
	if code != exitOK || !strings.Contains(errs, "this was made from "+config) || !strings.Contains(out, "No runner is there or on its way for it: pool linux is on hold:") {
		t.Errorf("by the configuration: exit code %d, %q, %q", code, out, errs)
	}
}
