package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// secret is a runner's token that only an export may show.
const secret = "runner-token-0123456789"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeDaemon is a daemon as the control API sees it.
type fakeDaemon struct {
	status plan.Status
	plan   plan.Plan
	err    error     // of Preview and Reap
	view   plan.View // what Explain goes by
	// findings are what a dry run finds; another run has nothing left to find.
	findings []plan.Finding
}

func (f *fakeDaemon) Status() plan.Status                        { return f.status }
func (f *fakeDaemon) Preview(context.Context) (plan.Plan, error) { return f.plan, f.err }
func (f *fakeDaemon) Trigger()                                   {}

func (f *fakeDaemon) Reap(_ context.Context, dryRun bool) ([]plan.Finding, error) {
	if dryRun {
		return f.findings, f.err
	}
	return nil, f.err
}

func (f *fakeDaemon) DotRunner(name string) ([]byte, error) {
	if name != "linux-busy" {
		return nil, fmt.Errorf("runner %s: %w", name, plan.ErrNotFound)
	}
	return []byte("{\"token\": \"" + secret + "\"}\n"), nil
}

// badNight is the status of a daemon in trouble.
func badNight() plan.Status {
	return plan.Status{
		Version: "v1.2.3", Instance: "3f2a9c0b71de", StartedAt: noon.Add(-75 * time.Hour), Cycle: 4711, CycleAt: noon.Add(-time.Second),
		Problems: []plan.Problem{{Subject: "pool windows", Since: noon.Add(-200 * time.Second), Message: "image unavailable: pull example/win:1:\n\x1b[31mdenied"}},
		Pools: []plan.PoolStatus{
			{Name: "linux", Scope: "instance", Labels: []string{"linux"}, Max: 2, Waiting: 1, Starting: 1, Busy: 1},
			{Name: "windows", Scope: "org:acme", Labels: []string{"windows"}, Max: 4, Hold: "next try at 12:00:30 UTC after failure 3: image unavailable"},
		},
		Runners: []plan.RunnerStatus{
			{Name: "linux-busy", Pool: "linux", Scope: "instance", Phase: plan.PhaseBusy, Since: noon.Add(-90 * time.Second), CreatedAt: noon.Add(-95 * time.Second),
				ServerID: 7, Container: "0123456789abcdef", Ephemeral: true, Job: 41, Reason: "job 41 of acme/app waits and no runner of the pool is free",
				History: []plan.Step{{At: noon.Add(-95 * time.Second), Phase: plan.PhaseStarting}, {At: noon.Add(-90 * time.Second), Phase: plan.PhaseBusy, Note: "job 41"}}},
			{Name: "linux-new", Pool: "linux", Scope: "instance", Phase: plan.PhaseStarting, Since: noon.Add(-2 * time.Second), CreatedAt: noon.Add(-2 * time.Second),
				Ephemeral: true, Reason: "job 42 of acme/app waits and no runner of the pool is free"},
		},
		Queue: []plan.JobDecision{
			{ID: 42, Repo: "acme/app", Name: "test", Labels: []string{"linux"}, QueuedAt: noon.Add(-3 * time.Second), Pool: "linux", Reason: "a runner is being started for it"},
			{ID: 43, Repo: "acme/app", Name: "build \x1b[2J on every one of our twelve platforms", Labels: []string{"arm64", "linux"}, QueuedAt: noon.Add(-26 * time.Hour),
				Reason: "no pool has all of runs-on [arm64, linux]: pool linux lacks arm64"},
		},
		QueueSize: 2,
	}
}

// startDaemon serves the daemon on a socket until the test ends. The path is
// short whatever TMPDIR is.
func startDaemon(t *testing.T, d *fakeDaemon) (socket string) {
	t.Helper()
	return startDaemonWith(t, d, server.WithExplain(d.view.Explain))
}

// controlled is what the control API needs of a daemon.
type controlled interface {
	Status() plan.Status
	Preview(context.Context) (plan.Plan, error)
	Trigger()
	Reap(context.Context, bool) ([]plan.Finding, error)
	DotRunner(string) ([]byte, error)
}

// startDaemonWith is startDaemon for one that offers more.
func startDaemonWith(t *testing.T, d controlled, options ...server.Option) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "scaler")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s.sock")
	ln, err := server.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- server.New(d, slog.New(slog.DiscardHandler), options...).Serve(ctx, ln)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		os.RemoveAll(dir)
	})
	return socket
}

// runCommand executes a command line.
func runCommand(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return out.String(), errs.String(), code
}

// mustRun executes a command line that has to succeed.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := runCommand(t, args...)
	if code != exitOK {
		t.Fatalf("scaler %s: exit code %d: %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// writeConfig writes a configuration that is good, with its secrets, and
// returns its path and its directory.
func writeConfig(t *testing.T) (path, dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "token"), "registration-token-of-the-test\n")
	path = filepath.Join(dir, "scaler.yaml")
	write(t, path, fmt.Sprintf(`gitea:
  url: http://127.0.0.1:1
  api_token: {file: %[1]s/token}
registration_tokens:
  - {name: instance, scope: instance, token: {file: %[1]s/token}}
pools:
  - {name: linux, registration_token: instance, labels: ["linux:host"], image: "example/runner:1", max: 15}
  - {name: windows, registration_token: instance, labels: [windows], image: "example/runner:2", max: 15}
limits: {runners: 20}
state_dir: %[1]s/state
control_socket: %[1]s/none.sock
`, dir))
	return path, dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
