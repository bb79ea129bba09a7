package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/plan"
)

// writePressure writes a good configuration with limits on the free space of a
// path that is there, and of the others.
func writePressure(t *testing.T, others ...string) (path, dir string) {
	t.Helper()
	path, dir = writeConfig(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	paths := strings.Join(append([]string{dir}, others...), ", ")
	limits := "limits: {runners: 20, pressure: {free_disk: 1, disk_paths: [" + paths + "]}}"
	write(t, path, strings.Replace(string(text), "limits: {runners: 20}", limits, 1)+"docker: {host: unix://"+dir+"/no-docker.sock}\n")
	return path, dir
}

func TestDaemonMeasuresItsHost(t *testing.T) {
	for name, others := range map[string][]string{"all is well": nil, "a path is missing": {"/nowhere/at/all"}} {
		t.Run(name, func(t *testing.T) {
			path, dir := writePressure(t, others...)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			socket := filepath.Join(shortDir(t), "s.sock")
			write(t, path, strings.Replace(string(text), dir+"/none.sock", socket, 1))
			cfg, err := config.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			s := statusOfFirstCycle(t, path, cfg)
			if s.Host == nil || len(s.Host.Gates) != 1+len(others) || s.Host.Gates[0].Value <= 0 || s.Host.Gates[0].Limit != 1 {
				t.Fatalf("host %+v", s.Host)
			}
			problem := slices.ContainsFunc(s.Problems, func(p plan.Problem) bool { return p.Subject == "host" && p.Message == s.Host.Hold })
			if held := len(others) > 0; held != (s.Host.Hold != "") || held != problem {
				t.Errorf("hold %q, problems %+v", s.Host.Hold, s.Problems)
			}
		})
	}
}

// statusOfFirstCycle runs a daemon until it is ready, and asks for its status.
func statusOfFirstCycle(t *testing.T, path string, cfg *config.Config) plan.Status {
	t.Helper()
	lines := make(lineWriter, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- runDaemon(ctx, path, cfg, new(slog.LevelVar), nil, slog.New(slog.NewTextHandler(lines, nil)))
	}()
	var s plan.Status
	for {
		select {
		case line := <-lines:
			if strings.Contains(line, "msg=ready") {
				if err := json.Unmarshal([]byte(mustRun(t, "status", "--config", path, "--json")), &s); err != nil {
					t.Error(err)
				}
				cancel()
			}
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
			return s
		}
	}
}

func TestDaemonWithoutPressureLimitsMeasuresNothing(t *testing.T) {
	path, _ := writeConfig(t)
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := wire(cfg, stores{{}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer p.first().engine.Close()
	p.measure(t.Context())()
	if p.host != nil {
		t.Errorf("there is %+v", p.host)
	}
}

func TestValidateWarnsOfWhatCannotBeMeasured(t *testing.T) {
	good, _ := writePressure(t)
	if stdout, stderr, code := runCommand(t, "validate", "--config", good); code != exitOK || stdout == "" || stderr != "" {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	risky, _ := writePressure(t, "/nowhere/at/all")
	stdout, stderr, code := runCommand(t, "validate", "--config", risky)
	want := risky + ": warning: limits.pressure: a daemon on this machine would start nothing: free space of /nowhere/at/all cannot be measured: "
	if code != exitOK || stdout == "" || !strings.HasPrefix(stderr, want) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, %q, %q; want %q", code, stdout, stderr, want)
	}
}
