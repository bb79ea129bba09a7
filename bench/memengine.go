package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"scaler.io/scaler/internal/giteatest/runner"
)

// memImage is the one image that the engine in memory has.
const memImage = "bench:memory"

// memEngine is a container engine in memory behind a socket, so that the real
// daemon can run more containers than a machine would. It answers at once, and
// its containers are goroutines that run the demo's runner.
type memEngine struct {
	dir      string
	path     string // of the socket
	client   *http.Client
	interval time.Duration // of its runners' polls
	web      *http.Server

	mu         sync.Mutex
	containers map[string]*memContainer // by id
	names      map[string]string        // ids, by name
	made       int
	removed    int
	events     map[chan memEvent]bool
	running    sync.WaitGroup
}

type memContainer struct {
	id, name string
	labels   map[string]string
	status   string // created, running or exited
	code     int
	dir      string // its data directory
	end      context.CancelFunc
}

type memEvent struct {
	at     time.Time
	action string
	id     string
	labels map[string]string
}

// newMemEngine serves an engine whose runners reach a stage's Gitea without a
// network.
func newMemEngine(s *stage, interval time.Duration) (*memEngine, error) {
	e := &memEngine{
		dir: filepath.Join(s.dir, "containers"), path: filepath.Join(s.dir, "e.sock"), client: s.gitea.Client(), interval: interval,
		containers: map[string]*memContainer{}, names: map[string]string{}, events: map[chan memEvent]bool{},
	}
	ln, err := net.Listen("unix", e.path)
	if err != nil {
		return nil, fmt.Errorf("listen for the engine: %w", err)
	}
	e.web = &http.Server{Handler: e.routes(), ReadHeaderTimeout: time.Minute}
	go func() { _ = e.web.Serve(ln) }()
	return e, nil
}

// close ends everything that runs.
func (e *memEngine) close() {
	_ = e.web.Close() // the daemon is gone
	e.mu.Lock()
	for _, c := range e.containers {
		if c.end != nil {
			c.end()
		}
	}
	e.mu.Unlock()
	e.running.Wait()
}

// counts returns how many containers were made and removed so far.
func (e *memEngine) counts() (made, removed int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.made, e.removed
}

// emit tells those who follow the events. One that does not keep up misses some,
// as in a real engine. The caller holds e.mu.
func (e *memEngine) emit(c *memContainer, action string) {
	for follower := range e.events {
		select {
		case follower <- memEvent{time.Now(), action, c.id, c.labels}:
		default:
		}
	}
}

// find returns the container of that id or name. The caller holds e.mu.
func (e *memEngine) find(ref string) *memContainer {
	if id, named := e.names[ref]; named {
		ref = id
	}
	return e.containers[ref]
}

func (e *memEngine) create(name string, labels map[string]string) (*memContainer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made++
	id := fmt.Sprintf("%064x", e.made)
	c := &memContainer{id: id, name: name, labels: labels, status: "created", dir: filepath.Join(e.dir, id)}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	e.containers[id], e.names[name] = c, id
	e.emit(c, "create")
	return c, nil
}

// start runs the container's runner. The caller holds e.mu.
func (e *memEngine) start(c *memContainer) {
	ctx, end := context.WithCancel(context.Background())
	c.status, c.end = "running", end
	e.running.Go(func() {
		code := runner.Run(ctx, runner.Options{Dir: c.dir, Logger: slog.New(slog.DiscardHandler), FetchInterval: e.interval, Client: e.client})
		end()
		e.mu.Lock()
		defer e.mu.Unlock()
		c.status, c.code, c.end = "exited", code, nil
		e.emit(c, "die")
	})
	e.emit(c, "start")
}

// remove forgets the container. The caller holds e.mu.
func (e *memEngine) remove(c *memContainer) error {
	if c.end != nil {
		c.end()
	}
	delete(e.containers, c.id)
	delete(e.names, c.name)
	e.removed++
	e.emit(c, "destroy")
	return os.RemoveAll(c.dir)
}

// statusText words the state as the engine's list does.
func (c *memContainer) statusText() string {
	switch c.status {
	case "running":
		return "Up 2 seconds"
	case "exited":
		return fmt.Sprintf("Exited (%d) 1 second ago", c.code)
	}
	return "Created"
}
