package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// kinds are those of the events that came to a path.
func (r *receiver) kinds(t *testing.T, path string) (kinds []plan.EventKind) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, got := range r.got {
		var n plan.Notice
		if got.request != "POST "+path {
			continue
		}
		if err := json.Unmarshal([]byte(got.body), &n); err != nil || n.ID == "" || n.Instance == "" || n.Test {
			t.Fatalf("%s: %v", got.body, err)
		}
		for _, e := range n.Events {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not happen that %s", what)
		}
	}
}

// The whole daemon tells what happens to it, to targets that change while it
// runs, and nothing that is secret is in its log or status.
func TestDaemonNotifies(t *testing.T) {
	t.Parallel() // it takes some seconds
	r := newReceiver(t)
	entry := func(name string) string {
		return "  - {name: " + name + ", url: {file: DIR/" + name + "-url}, secret: {file: DIR/token}, events: [problem, config_rejected, config_taken, daemon_started, daemon_stops]}\n"
	}
	path, dir := writeNotifications(t, "notifications:\n"+entry("first"))
	socket := filepath.Join(shortDir(t), "s.sock")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good := strings.Replace(string(data), dir+"/none.sock", socket, 1) + "docker: {host: unix://" + dir + "/no-docker.sock}\n"
	write(t, path, good)
	write(t, filepath.Join(dir, "first-url"), r.URL+"/first/T0KEN-1\n")
	write(t, filepath.Join(dir, "second-url"), r.URL+"/second/T0KEN-2\n")
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	log := new(syncBuffer)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- runDaemon(ctx, path, cfg, new(slog.LevelVar), nil, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	}()
	told := func(to string, kinds ...plan.EventKind) func() bool {
		return func() bool {
			got := r.kinds(t, to)
			return !slices.ContainsFunc(kinds, func(k plan.EventKind) bool { return !slices.Contains(got, k) })
		}
	}
	await(t, "the start and that Docker is away are told", told("/first/T0KEN-1", plan.EventDaemonStarted, plan.EventProblem))

	write(t, path, good+"nonsense: true\n")
	await(t, "the bad file is told", told("/first/T0KEN-1", plan.EventConfigRejected))

	second := strings.ReplaceAll(entry("second"), "DIR", dir)
	write(t, path, strings.Replace(good, "notifications:\n", "notifications:\n"+second, 1))
	await(t, "the new target is told that it holds now", told("/second/T0KEN-2", plan.EventConfigTaken))

	r.mu.Lock()
	r.status = http.StatusForbidden
	r.mu.Unlock()
	write(t, path, good+"nonsense: true\n")
	client := server.NewClient(socket)
	failing := func() (message string) {
		s, err := client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Problems {
			if p.Subject == "notification first" {
				message = p.Message
			}
		}
		return message
	}
	await(t, "the target that fails is a problem", func() bool { return failing() != "" })
	if !strings.Contains(failing(), "it answers 403 Forbidden: channel of [redacted]") {
		t.Errorf("problem %q", failing())
	}
	r.mu.Lock()
	r.status = http.StatusOK
	r.mu.Unlock()
	write(t, path, good)
	await(t, "the problem is over", func() bool { return failing() == "" })
	shown := log.String() + mustRun(t, "status", "--json", "--socket", socket)

	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	if !told("/first/T0KEN-1", plan.EventDaemonStops)() {
		t.Errorf("the end was not told: %q", r.kinds(t, "/first/T0KEN-1"))
	}
	for _, secret := range []string{"T0KEN", "registration-token-of-the-test"} {
		if strings.Contains(shown+log.String(), secret) {
			t.Errorf("%s is in the log or status", secret)
		}
	}
}
