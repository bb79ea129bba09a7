package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"scaler.io/scaler/internal/config"
)

func TestExitCodes(t *testing.T) {
	good, dir := writeConfig(t)
	bad := filepath.Join(dir, "bad.yaml")
	write(t, bad, "pools: []\n")
	broken := filepath.Join(dir, "broken.yaml")
	write(t, broken, "pools: [\n")
	socket := startDaemon(t, &fakeDaemon{status: badNight()})
	nobody := filepath.Join(dir, "x.sock")
	tests := []struct {
		args   string
		code   int
		stderr string // must be part of it
	}{
		{"", exitOK, ""},
		{"--help", exitOK, ""},
		{"runner", exitOK, ""},
		{"version", exitOK, ""},
		{"validate -c " + good, exitOK, ""},
		{"status --socket " + socket, exitOK, ""},
		{"validate -c " + bad, exitFailure, "bad.yaml:1: "},
		{"validate -c " + dir + "/none.yaml", exitFailure, "no such file"},
		{"runner show nobody --socket " + socket, exitFailure, "scaler: runner nobody: not found"},
		{"status -c " + broken, exitFailure, "broken.yaml:"},
		{"demo-runner --dir " + dir, exitFailure, "runner not started"},
		{"stauts", exitUsage, `unknown command "stauts": did you mean start or state or status?` + "\nSee scaler --help."},
		{"runner lits", exitUsage, `unknown command "lits": did you mean list?` + "\nSee scaler runner --help."},
		{"config schemata", exitUsage, "unknown command"},
		{"status --jason", exitUsage, "unknown flag: --jason\nSee scaler status --help."},
		{"status now", exitUsage, "See scaler status --help."},
		{"runner show", exitUsage, "want the name of one runner, got 0"},
		{"runner export a b", exitUsage, "want the name of one runner, got 2"},
		{"status --config a --socket b", exitUsage, "not both"},
		{"fake-gitea", exitUsage, "required"},
		{"fake-gitea --registration-token= --api-token=x", exitUsage, "must not be empty"},
		{"status --socket " + nobody, exitUnreachable, "no scaler answers at " + nobody + ": is the daemon running, and is --socket or control_socket right?"},
		{"status -c " + good, exitUnreachable, dir + "/none.sock"},
		{"status -c " + bad, exitUnreachable, "no scaler answers at /run/scaler/scaler.sock"},
		{"status --watch --socket " + nobody, exitUnreachable, nobody},
		{"plan --socket " + nobody, exitUnreachable, nobody},
		{"runner list -c " + good, exitUnreachable, "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			stdout, stderr, code := runCommand(t, strings.Fields(tt.args)...)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit code %d, stderr %q; want %d, %q", code, stderr, tt.code, tt.stderr)
			}
			if code != exitOK && stdout != "" {
				t.Errorf("a failed command printed %q", stdout)
			}
			if code == exitOK && (stdout == "" || stderr != "") {
				t.Errorf("stdout %q, stderr %q", stdout, stderr)
			}
			if strings.Contains(stderr, "exit code") {
				t.Errorf("stderr %q tells of the exit code", stderr)
			}
		})
	}
}

func TestHelpDocumentsExitCodes(t *testing.T) {
	help := mustRun(t, "--help")
	for _, want := range []string{"Exit codes:", "0  done", "3  the daemon cannot be reached", "completion", "validate"} {
		if !strings.Contains(help, want) {
			t.Errorf("help lacks %q", want)
		}
	}
	if strings.Contains(help, "demo-runner") {
		t.Error("help shows a hidden command")
	}
}

func TestVersion(t *testing.T) {
	if got := mustRun(t, "version"); !strings.HasPrefix(got, "scaler ") || !strings.HasSuffix(got, " "+runtime.GOOS+"/"+runtime.GOARCH+"\n") {
		t.Errorf("version prints %q", got)
	}
	var b map[string]string
	if err := json.Unmarshal([]byte(mustRun(t, "version", "--json")), &b); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"version", "go", "os", "arch"} {
		if b[key] == "" {
			t.Errorf("%s is missing in %v", key, b)
		}
	}
}

func TestCompletion(t *testing.T) {
	socket := startDaemon(t, &fakeDaemon{status: badNight()})
	if got := mustRun(t, "completion", "bash"); !strings.Contains(got, "complete") {
		t.Errorf("bash completion is %q", got)
	}
	got := mustComplete(t, "runner", "show", "--socket", socket, "")
	if !strings.HasPrefix(got, "linux-busy\tbusy\nlinux-new\tstarting\n:4\n") {
		t.Errorf("names offered: %q", got)
	}
	if got := mustComplete(t, "runner", "show", "--socket", socket+"x", ""); got != ":4\n" {
		t.Errorf("without a daemon: %q", got)
	}
}

// mustComplete asks for completions as a shell does; what goes to stderr is
// for debugging.
func mustComplete(t *testing.T, args ...string) string {
	t.Helper()
	out, _, code := runCommand(t, append([]string{"__complete"}, args...)...)
	if code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	return out
}

func TestValidate(t *testing.T) {
	good, dir := writeConfig(t)
	want := good + ": good: 2 pools (linux, windows), 1 registration token, at most 20 runners\n"
	if got := mustRun(t, "validate", "--config", good); got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.yaml")
	faulty := strings.NewReplacer("scope: instance", "scope: everything", "max: 15", "max: 0", "runners: 20", "runnners: 20").Replace(string(text))
	write(t, bad, faulty)
	stdout, stderr, code := runCommand(t, "validate", "--config", bad)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if code != exitFailure || stdout != "" || len(lines) != 4 {
		t.Fatalf("exit code %d, stdout %q, want 1 and four faults:\n%s", code, stdout, stderr)
	}
	for i, want := range []string{":5: registration_tokens[0].scope: ", ":7: pools[0].max: ", ":8: pools[1].max: ", ":9: limits"} {
		if !strings.HasPrefix(lines[i], bad+want) {
			t.Errorf("line %d is %q, want it to begin with FILE%s", i, lines[i], want)
		}
	}

	risky := filepath.Join(dir, "risky.yaml")
	write(t, risky, strings.Replace(string(text), "gitea:\n", "gitea:\n  tls: {insecure_skip_verify: true}\n", 1))
	stdout, stderr, code = runCommand(t, "validate", "--config", risky)
	if code != exitOK || !strings.Contains(stdout, "good: 2 pools") || !strings.HasPrefix(stderr, risky+": warning: ") {
		t.Errorf("exit code %d, stdout %q, stderr %q, want a warning", code, stdout, stderr)
	}
}

func TestSummaryWithoutLimit(t *testing.T) {
	cfg := &config.Config{Pools: []config.Pool{{Name: "a", Max: 1}}}
	if got, want := summary(cfg), "1 pool (a), 0 registration tokens, at most 1 runner"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConfigDescriptions(t *testing.T) {
	if schema := mustRun(t, "config", "schema"); !json.Valid([]byte(schema)) || !strings.Contains(schema, `"registration_tokens"`) {
		t.Errorf("schema is %.200q", schema)
	}
	if reference := mustRun(t, "config", "reference"); !strings.Contains(reference, "poll_interval") {
		t.Errorf("reference is %.200q", reference)
	}
}

// TestDefaultPlaces holds the places that are used without a configuration to
// those that a configuration has by default.
func TestDefaultPlaces(t *testing.T) {
	path, _ := writeConfig(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defaults, _, _ := strings.Cut(string(text), "state_dir:")
	cfg, err := config.Parse(path, []byte(defaults))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.ControlSocket != defaultSocket || cfg.StateDir != defaultStateDir {
		t.Errorf("configuration says %s and %s, the commands %s and %s", cfg.ControlSocket, cfg.StateDir, defaultSocket, defaultStateDir)
	}
}

func TestNewLogger(t *testing.T) {
	tests := []struct {
		cfg  config.Log
		want string
	}{
		{config.Log{Level: slog.LevelInfo, Format: config.LogText}, "level=INFO msg=hello pool=linux\n"},
		{config.Log{Level: slog.LevelInfo, Format: config.LogJSON}, `"level":"INFO","msg":"hello","pool":"linux"}` + "\n"},
		{config.Log{Level: slog.LevelWarn, Format: config.LogText}, ""},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		newLogger(tt.cfg, &b).Info("hello", "pool", "linux")
		if !strings.HasSuffix(b.String(), tt.want) || (tt.want == "") != (b.Len() == 0) {
			t.Errorf("%+v logs %q, want %q at its end", tt.cfg, b.String(), tt.want)
		}
	}
}

func TestValidateAsJSON(t *testing.T) {
	good, dir := writeConfig(t)
	if got := mustRun(t, "validate", "--json", "--config", good); !strings.Contains(got, `"good": true,`) || !strings.Contains(got, `"summary": "2 pools (linux, windows)`) || !strings.Contains(got, `"faults": [],`) {
		t.Errorf("of a good file: %s", got)
	}
	bad := filepath.Join(dir, "bad.yaml")
	write(t, bad, "pools: []\n")
	out, errs, code := runCommand(t, "validate", "--json", "--config", bad)
	var v validation
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitFailure || errs != "" || v.Good || len(v.Faults) == 0 || v.Faults[0].File != bad || v.Faults[0].Line != 1 || v.Faults[0].Message == "" {
		t.Errorf("of a bad one: %s, stderr %q, code %d, %v", out, errs, code, err)
	}
	if out, errs, code = runCommand(t, "validate", "--json", "--config", dir+"/none.yaml"); code != exitFailure || out != "" || !strings.Contains(errs, "no such file") {
		t.Errorf("of none: %q, %q, %d", out, errs, code)
	}
}
