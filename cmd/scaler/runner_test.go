package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/register"
	"scaler.io/scaler/internal/state"
)

// writeState leaves the state of a daemon that has ended: a registered runner
// and one that never was.
func writeState(t *testing.T, dir string) *state.Store {
	t.Helper()
	s, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	scope := plan.Scope{Kind: plan.ScopeInstance}
	busy := state.Record{Name: "linux-busy", Pool: "linux", Scope: scope, CreatedAt: noon, Reason: "job 41 waits", ContainerID: "0123456789abcdef",
		Identity: &plan.Identity{ID: 7, UUID: "u", Name: "linux-busy", Token: secret, Address: "http://git.example", Labels: []string{"linux:host"}}}
	busy.Enter(plan.PhaseStarting, "", noon)
	busy.Enter(plan.PhaseBusy, "job 41", noon)
	fresh := state.Record{Name: "linux-new", Pool: "linux", Scope: scope, CreatedAt: noon}
	fresh.Enter(plan.PhaseStarting, "", noon)
	if err := errors.Join(s.Put(busy), s.Put(fresh)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWriteRunner(t *testing.T) {
	var b bytes.Buffer
	writeRunner(&b, badNight().Runners[0], noon)
	const want = `  Name         linux-busy
  Pool         linux
  Scope        instance
  Phase        busy for 1m30s
  Because      -
  Created      2026-03-01 11:58:25 UTC, 1m35s ago
  Created for  job 41 of acme/app waits and no runner of the pool is free
  Jobs         one (ephemeral)
  Last job     41
  Jobs so far  0
  Outdated     -
  Id in Gitea  7
  Container    0123456789abcdef

HISTORY
  AT                       PHASE     WHY
  2026-03-01 11:58:25 UTC  starting  -
  2026-03-01 11:58:30 UTC  busy      job 41
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestRunnerCommands(t *testing.T) {
	socket := startDaemon(t, &fakeDaemon{status: badNight()})
	cfg, dir := writeConfig(t)
	if err := writeState(t, filepath.Join(dir, "state")).Close(); err != nil {
		t.Fatal(err)
	}
	for name, place := range map[string][]string{"daemon": {"--socket", socket}, "state": {"--config", cfg}} {
		t.Run(name, func(t *testing.T) {
			tests := []struct {
				args []string
				want []string
				not  string
			}{
				{[]string{"runner", "list"}, []string{"RUNNERS (2)\n  NAME", "linux-busy  linux  busy", "linux-new   linux  starting"}, ""},
				{[]string{"runner", "list", "--json"}, []string{`"name": "linux-busy"`, `"phase": "starting"`}, "history"},
				{[]string{"runner", "show", "linux-busy"}, []string{"Id in Gitea  7\n", "\nHISTORY\n", "busy      job 41\n"}, ""},
				{[]string{"runner", "show", "linux-busy", "--json"}, []string{`"server_id": 7`, `"history": [`}, ""},
				{[]string{"runner", "export", "linux-busy"}, []string{secret}, ""},
			}
			for _, tt := range tests {
				out, errs, code := runCommand(t, append(tt.args, place...)...)
				if code != exitOK {
					t.Fatalf("%v: exit code %d: %s", tt.args, code, errs)
				}
				for _, want := range tt.want {
					if !strings.Contains(out, want) {
						t.Errorf("%v: %q is missing in\n%s", tt.args, want, out)
					}
				}
				if tt.not != "" && strings.Contains(out, tt.not) {
					t.Errorf("%v: %q is in\n%s", tt.args, tt.not, out)
				}
				if told := strings.Contains(errs, "no daemon answers at "+dir+"/none.sock: this is what the last one wrote to "+dir+"/state\n"); told != (name == "state") {
					t.Errorf("%v: stderr %q", tt.args, errs)
				}
			}
			for _, args := range [][]string{{"runner", "show", "gone"}, {"runner", "export", "gone"}, {"runner", "export", "linux-new"}} {
				if out, errs, code := runCommand(t, append(args, place...)...); code != exitFailure || out != "" || !strings.Contains(errs, "runner "+args[2]) {
					t.Errorf("%v: exit code %d, %q, %q", args, code, out, errs)
				}
			}
		})
	}
}

func TestRunnerExportIsWhatTheRunnerReads(t *testing.T) {
	cfg, dir := writeConfig(t)
	if err := writeState(t, filepath.Join(dir, "state")).Close(); err != nil {
		t.Fatal(err)
	}
	id, err := register.ParseDotRunner([]byte(mustRun(t, "runner", "export", "linux-busy", "--config", cfg)))
	if err != nil || id.ID != 7 || id.Token != secret {
		t.Errorf("identity %+v, %v", id, err)
	}
}

func TestRunnerExportToAFile(t *testing.T) {
	socket := startDaemon(t, &fakeDaemon{status: badNight()})
	dir := t.TempDir()
	file := filepath.Join(dir, ".runner")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, "runner", "export", "linux-busy", "--socket", socket, "--output", file); out != "" {
		t.Errorf("it also printed %q", out)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600 even where the old file was open", info.Mode(), err)
	}
	if data, err := os.ReadFile(file); err != nil || !strings.Contains(string(data), secret) {
		t.Errorf("content %q, %v", data, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{filepath.Join(dir, "none", "x"), filepath.Join(dir, "taken")} {
		if _, errs, code := runCommand(t, "runner", "export", "linux-busy", "--socket", socket, "--output", output); code != exitFailure || !strings.Contains(errs, "write "+output) {
			t.Errorf("%s: exit code %d, %q", output, code, errs)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("files left: %v, %v", entries, err)
	}
}

func TestRunnerSaysThatTheStateIsInUse(t *testing.T) {
	cfg, dir := writeConfig(t)
	s := writeState(t, filepath.Join(dir, "state"))
	defer s.Close()
	_, errs, code := runCommand(t, "runner", "list", "--config", cfg)
	if code != exitUnreachable || !strings.Contains(errs, "none.sock") || !strings.Contains(errs, state.ErrLocked.Error()) {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

func TestNoSecretButByExport(t *testing.T) {
	d := &fakeDaemon{status: badNight()}
	socket := startDaemon(t, d)
	cfg, dir := writeConfig(t)
	if err := writeState(t, filepath.Join(dir, "state")).Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"status --socket " + socket, "status --json --socket " + socket, "plan --json --socket " + socket,
		"runner list --socket " + socket, "runner show linux-busy --json --socket " + socket, "runner export linux-new --socket " + socket,
		"runner list --json --config " + cfg, "runner show linux-busy --json --config " + cfg, "validate --config " + cfg, "status --config " + cfg,
	} {
		out, errs, _ := runCommand(t, strings.Fields(args)...)
		for _, hidden := range []string{secret, "registration-token-of-the-test"} {
			if strings.Contains(out+errs, hidden) {
				t.Errorf("%s shows %s", args, hidden)
			}
		}
	}
}
