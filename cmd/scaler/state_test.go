package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/state"
)

// serveState is a daemon that has the state open, until the test ends.
func serveState(t *testing.T, s *state.Store) (socket string) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "s.sock")
	ln, err := server.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	srv := server.New(&fakeDaemon{status: badNight()}, slog.New(slog.DiscardHandler), server.WithBackup(func(w io.Writer, _ string) (int64, error) { return s.WriteTo(w) }))
	go func() { done <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Errorf("daemon: %v", err)
		}
	})
	return socket
}

// shortDir is a directory whose path fits a socket whatever TMPDIR is.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "scaler")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// writeTokenState is writeState with two tokens, a runner that came by one of
// them, and what the log says of it.
func writeTokenState(t *testing.T, dir string) *state.Store {
	t.Helper()
	s := writeState(t, dir)
	org := plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}
	hash := sha256.Sum256([]byte(secret))
	err := s.Commit(state.TokenChanges{
		PutTokens: []state.TokenRecord{
			{Token: plan.Token{ID: "t1", Name: "stacks", Scope: org, Pinned: true, Enabled: true, CreatedAt: noon, Uses: 1}, Hash: hash},
			{Token: plan.Token{ID: "t2", Name: "guest", Scope: org, Enabled: true, CreatedAt: noon}, Hash: hash},
		},
		PutEnrolments: []state.EnrolmentRecord{
			{Enrolment: plan.Enrolment{Token: "t1", TokenName: "stacks", RunnerID: 9, UUID: "u9", Name: "stack-1", Scope: org, RegisteredAt: noon}, Hash: hash},
		},
		Audit: []plan.AuditEntry{{At: noon, Action: "register.begin"}, {At: noon, Action: "register"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// statePlaces are the ways to the same state: the directory that a daemon has
// left, and a daemon that has it open, found by its socket alone or beside the
// directory.
func statePlaces(t *testing.T) map[string][]string {
	t.Helper()
	left, dir := writeConfig(t)
	if err := writeTokenState(t, filepath.Join(dir, "state")).Close(); err != nil {
		t.Fatal(err)
	}
	used := filepath.Join(t.TempDir(), "state")
	socket := serveState(t, writeTokenState(t, used))
	return map[string][]string{
		"directory":          {"--state-dir", filepath.Join(dir, "state")},
		"configuration":      {"--config", left},
		"daemon":             {"--socket", socket},
		"daemon's directory": {"--socket", socket, "--state-dir", used},
	}
}

// emptyTemp is a directory for temporary files that has to be empty again
// when the test ends.
func emptyTemp(t *testing.T) {
	t.Helper()
	dir := shortDir(t)
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("temporary files left: %v, %v", left, err)
		}
	})
}

func TestStateCheck(t *testing.T) {
	places := statePlaces(t)
	emptyTemp(t)
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			out := mustRun(t, append([]string{"state", "check"}, place...)...)
			for _, want := range []string{": good\n", "Format    4\n", "Holds     2 runners: 1 busy, 1 starting\n",
				"Gateway   2 tokens, 1 enrolment, 2 lines of audit log\n"} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in\n%s", want, out)
				}
			}
			var r stateReport
			if err := json.Unmarshal([]byte(mustRun(t, append([]string{"state", "check", "--json"}, place...)...)), &r); err != nil {
				t.Fatal(err)
			}
			if !r.Good || r.Runners != 2 || r.Phases["busy"] != 1 || len(r.Instance) != 12 || r.Size == 0 || r.CreatedAt.IsZero() ||
				r.Tokens != 2 || r.Enrolments != 1 || r.AuditEntries != 2 {
				t.Errorf("report %+v", r)
			}
		})
	}
}

func TestStateCheckFindsFaults(t *testing.T) {
	cfg, dir := writeConfig(t)
	path := filepath.Join(dir, "state", state.FileName)
	if err := writeState(t, filepath.Join(dir, "state")).Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.ReplaceAll(string(good), `{"name"`, `{!name!`))
	out, errs, code := runCommand(t, "state", "check", "--config", cfg)
	if code != exitFailure || errs != "" || !strings.HasPrefix(out, path+": not to be trusted\n  fault: decode runner \"linux-busy\"") {
		t.Errorf("exit code %d, stderr %q, stdout\n%s", code, errs, out)
	}
	write(t, path, string(good[:len(good)/2]))
	out, _, code = runCommand(t, "state", "check", "--json", "--config", cfg)
	var r stateReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitFailure || r.Good || len(r.Faults) != 1 || !strings.Contains(r.Faults[0], "damaged") {
		t.Errorf("exit code %d, %+v, %v", code, r, err)
	}
	// A file is checked by itself, whatever the configuration says.
	if out, _, code := runCommand(t, "state", "check", path, "--config", dir+"/none.yaml"); code != exitFailure || !strings.Contains(out, "damaged") {
		t.Errorf("exit code %d, %s", code, out)
	}
	write(t, path, string(good))
	if out := mustRun(t, "state", "check", path); !strings.Contains(out, ": good\n") {
		t.Errorf("a good file: %s", out)
	}
}

func TestStateCannotBeRead(t *testing.T) {
	cfg, dir := writeConfig(t)
	used := filepath.Join(t.TempDir(), "state")
	s := writeState(t, used)
	defer s.Close()
	other := serveState(t, writeState(t, filepath.Join(t.TempDir(), "state")))
	tests := map[string]struct {
		args []string
		code int
		want []string
	}{
		"none":               {[]string{"--config", cfg}, exitFailure, []string{filepath.Join(dir, "state"), "no such file"}},
		"locked, no daemon":  {[]string{"--config", cfg, "--state-dir", used}, exitUnreachable, []string{"none.sock", state.ErrLocked.Error()}},
		"of another daemon":  {[]string{"--socket", other, "--state-dir", used}, exitFailure, []string{used, s.Instance(), other, "with --socket"}},
		"no daemon":          {[]string{"--socket", dir + "/none.sock"}, exitUnreachable, []string{"none.sock"}},
		"places contradict":  {[]string{"--socket", other, "--config", cfg}, exitUsage, []string{"not both"}},
		"an earlier daemon":  {[]string{"--socket", startDaemon(t, &fakeDaemon{})}, exitFailure, []string{"no backup"}},
		"no such state dir ": {[]string{"--state-dir", dir + "/nowhere"}, exitFailure, []string{"nowhere"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, command := range [][]string{{"check"}, {"export"}, {"backup", filepath.Join(dir, "copy")}} {
				out, errs, code := runCommand(t, append(append([]string{"state"}, command...), tt.args...)...)
				if code != tt.code || out != "" {
					t.Errorf("%v: exit code %d, stdout %q, want %d", command, code, out, tt.code)
				}
				for _, want := range tt.want {
					if !strings.Contains(errs, want) {
						t.Errorf("%v: stderr %q lacks %q", command, errs, want)
					}
				}
			}
			if _, err := os.Lstat(filepath.Join(dir, "copy")); err == nil {
				t.Error("a backup was made")
			}
		})
	}
}

func TestStateBackup(t *testing.T) {
	places := statePlaces(t)
	emptyTemp(t)
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(shortDir(t), "copy.db")
			out := mustRun(t, append([]string{"state", "backup", path}, place...)...)
			if !strings.HasPrefix(out, path+": 2 runners of instance ") {
				t.Errorf("it prints %q", out)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v, want 0600", info, err)
			}
			r, err := state.Check(path, "")
			if err != nil || len(r.Records) != 2 || r.Tokens != 2 || len(r.Faults) != 0 || r.Records[0].Identity.Token.Reveal() != secret {
				t.Errorf("copy %+v, %v", r, err)
			}

			var made backUp
			second := path + ".json"
			out = mustRun(t, append([]string{"state", "backup", second, "--json"}, place...)...)
			if info, err := os.Stat(second); json.Unmarshal([]byte(out), &made) != nil || err != nil ||
				made.File != second || made.Source == "" || made.Instance != r.Instance || made.Size != info.Size() || made.Runners != 2 {
				t.Errorf("as JSON it prints %s, of a copy %v", out, err)
			}

			write(t, path, "something else")
			_, errs, code := runCommand(t, append([]string{"state", "backup", path}, place...)...)
			if got, _ := os.ReadFile(path); code != exitFailure || !strings.Contains(errs, "file exists") || string(got) != "something else" {
				t.Errorf("exit code %d, stderr %q, the file holds %q", code, errs, got)
			}
		})
	}
	if _, errs, code := runCommand(t, "state", "backup"); code != exitUsage || !strings.Contains(errs, "want the name of one file, got 0") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

// TestStateBackupCanBePutBack goes the way that the manual tells.
func TestStateBackupCanBePutBack(t *testing.T) {
	_, dir := writeConfig(t)
	stateDir := filepath.Join(dir, "state")
	if err := writeState(t, stateDir).Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(stateDir, state.FileName)
	mustRun(t, "state", "backup", filepath.Join(dir, "copy"), "--state-dir", stateDir)
	write(t, file, "damage")
	if err := os.Rename(filepath.Join(dir, "copy"), file); err != nil {
		t.Fatal(err)
	}
	s, err := state.Open(stateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if all, err := s.Records(); err != nil || len(all) != 2 {
		t.Errorf("%d records, %v", len(all), err)
	}
}

func TestStateExport(t *testing.T) {
	places := statePlaces(t)
	emptyTemp(t)
	for name, place := range places {
		for _, form := range [][]string{nil, {"--json"}} {
			out := mustRun(t, append(append([]string{"state", "export"}, form...), place...)...)
			hash := sha256.Sum256([]byte(secret))
			for _, hidden := range []string{secret, `"hash"`, base64.StdEncoding.EncodeToString(hash[:]), hex.EncodeToString(hash[:])} {
				if strings.Contains(out, hidden) {
					t.Errorf("%s: %s is shown", name, hidden)
				}
			}
			var e struct {
				Instance string
				Format   int
				Runners  []struct {
					Name, Phase string
					Identity    *struct{ UUID string }
				}
				Tokens     []plan.Token
				Enrolments []plan.Enrolment
			}
			if err := json.Unmarshal([]byte(out), &e); err != nil {
				t.Fatalf("%s: %v in\n%s", name, err, out)
			}
			if len(e.Runners) != 2 || e.Format != 4 || len(e.Instance) != 12 || e.Runners[0].Name != "linux-busy" || e.Runners[0].Phase != "busy" ||
				e.Runners[0].Identity.UUID != "u" || e.Runners[1].Identity != nil {
				t.Errorf("%s: %+v", name, e)
			}
			if len(e.Tokens) != 2 || e.Tokens[0].Name != "guest" || e.Tokens[1].ID != "t1" || !e.Tokens[1].Pinned ||
				len(e.Enrolments) != 1 || e.Enrolments[0].UUID != "u9" || e.Enrolments[0].Scope.Owner != "acme" {
				t.Errorf("%s: tokens %+v, enrolments %+v", name, e.Tokens, e.Enrolments)
			}
		}
	}
}

// TestStateExportHasNoNull: lists of nothing are lists all the same.
func TestStateExportHasNoNull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, "state", "export", "--state-dir", dir); strings.Contains(out, "null") || !strings.Contains(out, `"enrolments": []`) {
		t.Errorf("it prints\n%s", out)
	}
}
