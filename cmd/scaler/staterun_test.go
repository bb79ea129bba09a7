package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/state"
)

// lineWriter passes on what is logged, line by line.
type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

func TestDaemonStartsWithDamagedState(t *testing.T) {
	path, dir := writeConfig(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(shortDir(t), "s.sock")
	write(t, path, strings.Replace(string(text), dir+"/none.sock", socket, 1)+"docker: {host: unix://"+dir+"/no-docker.sock}\n")
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(cfg.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	const instance = "0123456789ab"
	write(t, filepath.Join(cfg.StateDir, state.FileName), "damage")
	write(t, filepath.Join(cfg.StateDir, state.InstanceFileName), instance+"\n")

	lines := make(lineWriter, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- runDaemon(ctx, path, cfg, new(slog.LevelVar), nil, slog.New(slog.NewTextHandler(lines, nil)))
	}()
	first, second := <-lines, <-lines
	if !strings.Contains(first, "level=WARN") || !strings.Contains(first, "damaged state was kept aside") {
		t.Errorf("first log line %q", first)
	}
	if !strings.Contains(second, "scaler starts") || !strings.Contains(second, "instance="+instance) {
		t.Errorf("second log line %q", second)
	}
	// The daemon has the state open, and gives out copies of it.
	if out := mustRun(t, "state", "check", "--config", path); !strings.HasPrefix(out, "state of the daemon at "+socket+": good\n") || !strings.Contains(out, instance) {
		t.Errorf("check prints\n%s", out)
	}
	cancel()
	for ended := false; !ended; {
		select {
		case <-lines:
		case err := <-done:
			if ended = true; err != nil {
				t.Errorf("run: %v", err)
			}
		}
	}
	if aside, _ := filepath.Glob(filepath.Join(cfg.StateDir, state.FileName+".damaged-*")); len(aside) != 1 {
		t.Errorf("kept aside: %v", aside)
	}
}
