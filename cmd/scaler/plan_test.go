package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

func TestWritePlan(t *testing.T) {
	actions := []plan.Action{
		{Kind: plan.ActionDrain, Pool: "linux", Runner: "linux-old", Reason: "idle for 5m0s"},
		{Kind: plan.ActionStart, Pool: "linux", Job: 42, Reason: "job 42 waits"},
	}
	var b bytes.Buffer
	writePlan(&b, server.Plan{Actions: actions, Queue: badNight().Queue[:1]}, noon)
	const want = `TO DO (2)
  ACTION  POOL   RUNNER     JOB  WHY
  drain   linux  linux-old  -    idle for 5m0s
  start   linux  -          42   job 42 waits

QUEUE (1)
  JOB  REPO      NAME  RUNS-ON  WAITS  POOL   WHY
  42   acme/app  test  linux    3s     linux  a runner is being started for it
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	writePlan(&b, server.Plan{}, noon)
	if got, want := b.String(), "Nothing to do.\n\nQUEUE (0)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPlanOfARunningDaemon(t *testing.T) {
	socket := startDaemon(t, &fakeDaemon{plan: plan.Plan{
		Actions:   []plan.Action{{Kind: plan.ActionStart, Pool: "linux", Job: 42, Reason: "job 42 waits"}},
		Decisions: []plan.Decision{{Job: &plan.Job{ID: 42, Repo: "a/b"}, Pool: "linux", Reason: "a runner is being started for it"}},
	}})
	if got := mustRun(t, "plan", "--socket", socket); !strings.Contains(got, "start   linux  -       42   job 42 waits\n") {
		t.Errorf("plan prints\n%s", got)
	}
	got := mustRun(t, "plan", "--socket", socket, "--json")
	for _, want := range []string{`"action": "start"`, `"job": 42`, `"queue": [`, `"repo": "a/b"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
}

func TestPlanFails(t *testing.T) {
	socket := startDaemon(t, &fakeDaemon{err: errors.New("list queued jobs: gitea is down")})
	out, errs, code := runCommand(t, "plan", "--socket", socket)
	if code != exitFailure || out != "" || errs != "scaler: list queued jobs: gitea is down\n" {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}
