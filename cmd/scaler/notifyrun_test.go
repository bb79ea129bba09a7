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

// toldDaemon is a daemon without an engine, which tells a receiver what happens
// to it.
type toldDaemon struct {
	*receiver
	t      *testing.T
	path   string // of its configuration
	good   string // what is in it at first
	log    *syncBuffer
	client *server.Client
	stop   func()
}

// notified is an entry of the configuration, with the directory of its secrets.
func notified(name, dir string) string {
	return strings.ReplaceAll("  - {name: NAME, url: {file: "+dir+"/NAME-url}, secret: {file: "+dir+"/token}, "+
		"events: [problem, config_rejected, config_taken, daemon_started, daemon_stops]}\n", "NAME", name)
}

// startToldDaemon starts a daemon that has one target, named first, and the
// URL for another, named second.
func startToldDaemon(t *testing.T) *toldDaemon {
	t.Helper()
	path, dir := writeConfig(t)
	socket := filepath.Join(shortDir(t), "s.sock")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := &toldDaemon{receiver: newReceiver(t), t: t, path: path, log: new(syncBuffer), client: server.NewClient(socket)}
	d.good = strings.Replace(string(data), dir+"/none.sock", socket, 1) +
		"docker: {host: unix://" + dir + "/no-docker.sock}\nnotifications:\n" + notified("first", dir)
	write(t, path, d.good)
	write(t, filepath.Join(dir, "first-url"), d.URL+"/first/T0KEN-1\n")
	write(t, filepath.Join(dir, "second-url"), d.URL+"/second/T0KEN-2\n")
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- runDaemon(ctx, path, cfg, new(slog.LevelVar), nil, log) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(d.stop)
	return d
}

// awaitTold waits until events of these kinds have come to a path.
func (d *toldDaemon) awaitTold(path string, kinds ...plan.EventKind) {
	d.t.Helper()
	await(d.t, path+" is told", func() bool {
		got := d.kinds(d.t, path)
		return !slices.ContainsFunc(kinds, func(k plan.EventKind) bool { return !slices.Contains(got, k) })
	})
}

// answers has the receiver answer with a status.
func (d *toldDaemon) answers(status int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status = status
}

// problem is the message of a problem, "" if there is none.
func (d *toldDaemon) problem(subject string) string {
	d.t.Helper()
	s, err := d.client.Status(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, p := range s.Problems {
		if p.Subject == subject {
			return p.Message
		}
	}
	return ""
}

// The whole daemon tells what happens to it, to targets that change while it
// runs, and nothing that is secret is in its log or status.
func TestDaemonNotifies(t *testing.T) {
	t.Parallel() // it takes some seconds
	d := startToldDaemon(t)
	const first, second = "/first/T0KEN-1", "/second/T0KEN-2"
	d.awaitTold(first, plan.EventDaemonStarted, plan.EventProblem)
	bad := d.good + "nonsense: true\n"
	write(t, d.path, bad)
	d.awaitTold(first, plan.EventConfigRejected)
	write(t, d.path, d.good+notified("second", filepath.Dir(d.path)))
	d.awaitTold(second, plan.EventConfigTaken)

	d.answers(http.StatusForbidden)
	write(t, d.path, bad)
	const subject = "notification first"
	await(t, "the target that fails is a problem", func() bool { return d.problem(subject) != "" })
	if message := d.problem(subject); !strings.Contains(message, "it answers 403 Forbidden: channel of [redacted]") {
		t.Errorf("problem %q", message)
	}
	d.answers(http.StatusOK)
	write(t, d.path, d.good)
	await(t, "the problem is over", func() bool { return d.problem(subject) == "" })
	shown := mustRun(t, "status", "--json", "--socket", d.client.Path())

	d.stop()
	d.awaitTold(first, plan.EventDaemonStops)
	shown += d.log.String()
	for _, secret := range []string{"T0KEN", "registration-token-of-the-test"} {
		if strings.Contains(shown, secret) {
			t.Errorf("%s is in the log or status", secret)
		}
	}
}
