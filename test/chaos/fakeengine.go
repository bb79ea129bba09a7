package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// fakeFetchInterval is how often the fake engine's runners ask for a job.
const fakeFetchInterval = 250 * time.Millisecond

// How long creating and starting a container may take. The engine goes on with
// it when the client is gone.
const (
	fakeCreateTime = 15 * time.Millisecond
	fakeStartTime  = 80 * time.Millisecond
)

// kept is how many events the fake engine remembers for late subscribers.
const kept = 256

// Answers of the engine that are errors.
var (
	errNoContainer = errors.New("no such container")
	errNameTaken   = errors.New("conflict: the container name is already in use")
	errNotRunning  = errors.New("is not running")
	errRunning     = errors.New("you cannot remove a running container")
)

// fakeEngine is a Docker Engine in memory: it serves as much of the API as the
// adapter uses, and its containers are goroutines that run the demo's runner.
type fakeEngine struct {
	dir       string
	imageName string
	mux       *http.ServeMux
	own       *http.Server // the harness's own way in, which no outage closes
	path      string

	mu         sync.Mutex
	random     *mathrand.Rand
	containers map[string]*fakeContainer // by id
	next       int
	events     []fakeEvent
	changed    chan struct{} // closed at the next event
}

// fakeEvent is something that happened to a container.
type fakeEvent struct {
	at     time.Time
	action string
	id     string
	labels map[string]string
}

func newFakeEngine(dir string, random *mathrand.Rand) (*fakeEngine, error) {
	e := &fakeEngine{
		dir: dir, imageName: "chaos:memory", path: filepath.Join(dir, "e.sock"), random: random,
		containers: map[string]*fakeContainer{}, changed: make(chan struct{}),
	}
	e.mux = e.routes()
	ln, err := net.Listen("unix", e.path)
	if err != nil {
		return nil, fmt.Errorf("listen for the engine: %w", err)
	}
	e.own = &http.Server{Handler: e.mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = e.own.Serve(ln) }()
	return e, nil
}

// ServeHTTP implements http.Handler.
func (e *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.mux.ServeHTTP(w, r) }

// socket is the path of the harness's own way in.
func (e *fakeEngine) socket() string { return e.path }
func (e *fakeEngine) swarm() bool    { return false }

// image is the image of the runners.
func (e *fakeEngine) image() string { return e.imageName }

// images are the names of the images that there are.
func (e *fakeEngine) images() []string { return []string{e.imageName, e.imageName + "b"} }

// idle is the command of a container that runs and does nothing.
func (e *fakeEngine) idle() []string { return []string{idleCommand} }

// restart does nothing: what an engine's restart looks like from outside is
// what the gate in front of it does, and its containers live on.
func (e *fakeEngine) restart(context.Context, bool) error { return nil }

// close kills what runs and forgets everything.
func (e *fakeEngine) close(context.Context) error {
	e.mu.Lock()
	for _, c := range e.containers {
		if c.kill != nil {
			c.kill()
		}
	}
	e.mu.Unlock()
	return e.own.Close()
}

// emit tells the subscribers. The caller holds e.mu.
func (e *fakeEngine) emit(c *fakeContainer, action string) {
	e.events = append(e.events, fakeEvent{at: time.Now(), action: action, id: c.id, labels: c.config.Labels})
	if len(e.events) > 2*kept {
		e.events = slices.Clone(e.events[len(e.events)-kept:])
	}
	close(e.changed)
	e.changed = make(chan struct{})
}

// find returns the container of that id or name. The caller holds e.mu.
func (e *fakeEngine) find(ref string) (*fakeContainer, error) {
	if c := e.containers[ref]; c != nil {
		return c, nil
	}
	for _, c := range e.containers {
		if c.name == ref {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", errNoContainer, ref)
}

// create makes a container that does not run.
func (e *fakeEngine) create(name string, config containerConfig) (id string, err error) {
	e.mu.Lock()
	d := time.Duration(e.random.Int64N(int64(fakeCreateTime)))
	e.mu.Unlock()
	time.Sleep(d)
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.find(name); err == nil {
		return "", fmt.Errorf("%w: %s", errNameTaken, name)
	}
	e.next++
	raw := make([]byte, 32)
	rand.Read(raw) // never fails, see its documentation
	c := &fakeContainer{
		lock: make(chan struct{}, 1), id: hex.EncodeToString(raw), name: name, created: time.Now(), config: config, status: "created",
		root: filepath.Join(e.dir, fmt.Sprintf("c%d", e.next)), output: &output{},
	}
	if err := os.MkdirAll(filepath.Join(c.root, "data"), 0o700); err != nil {
		return "", fmt.Errorf("make root of container: %w", err)
	}
	e.containers[c.id] = c
	e.emit(c, "create")
	return c.id, nil
}

// hold finds a container, waits until nothing is being done to it, and
// returns it locked; e.mu is held as well until release.
func (e *fakeEngine) hold(ref string) (c *fakeContainer, release func(), err error) {
	for {
		e.mu.Lock()
		c, err := e.find(ref)
		if err != nil {
			e.mu.Unlock()
			return nil, nil, err
		}
		select {
		case c.lock <- struct{}{}:
			return c, func() { <-c.lock; e.mu.Unlock() }, nil
		default:
		}
		e.mu.Unlock()
		c.lock <- struct{}{} // wait, then look again
		<-c.lock
	}
}

// start runs the container; started is false if it ran already.
func (e *fakeEngine) start(ref string) (started bool, err error) {
	c, release, err := e.hold(ref)
	if err != nil {
		return false, err
	}
	defer release()
	if c.status == "running" {
		return false, nil
	}
	d := time.Duration(e.random.Int64N(int64(fakeStartTime)))
	e.mu.Unlock()
	time.Sleep(d)
	e.mu.Lock()
	c.status, c.started, c.exitCode = "running", time.Now(), 0
	c.run(fakeFetchInterval, func(code int) {
		e.mu.Lock()
		defer e.mu.Unlock()
		c.status, c.exitCode, c.finished, c.kill = "exited", code, time.Now(), nil
		e.emit(c, "die")
	})
	e.emit(c, "start")
	return true, nil
}

// signal does what the runner does at SIGTERM and SIGINT, or kills it.
func (e *fakeEngine) signal(ref, name string) error {
	c, release, err := e.hold(ref)
	if err != nil {
		return err
	}
	defer release()
	if c.status != "running" || c.kill == nil {
		return fmt.Errorf("container %s %w", c.id, errNotRunning)
	}
	switch name {
	case "SIGTERM", "TERM", "15", "SIGINT", "INT", "2":
		c.term()
	default:
		c.kill()
	}
	e.emit(c, "kill")
	return nil
}

// remove removes a container, a running one by force only.
func (e *fakeEngine) remove(ref string, force bool) error {
	c, release, err := e.hold(ref)
	if err != nil {
		return err
	}
	defer release()
	if c.status == "running" {
		if !force {
			return fmt.Errorf("%w %s", errRunning, c.id)
		}
		c.kill()
	}
	delete(e.containers, c.id)
	e.emit(c, "destroy")
	return os.RemoveAll(c.root)
}

// list returns the containers that have all the labels, latest first.
func (e *fakeEngine) list(all bool, labels map[string]bool) []*fakeContainer {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []*fakeContainer
	for _, c := range e.containers {
		if (all || c.status == "running") && c.matches(labels) {
			snapshot := *c
			found = append(found, &snapshot)
		}
	}
	slices.SortFunc(found, func(a, b *fakeContainer) int { return cmp.Or(b.created.Compare(a.created), cmp.Compare(a.id, b.id)) })
	return found
}

// inspect returns a copy of one container.
func (e *fakeEngine) inspect(ref string) (fakeContainer, error) {
	c, release, err := e.hold(ref)
	if err != nil {
		return fakeContainer{}, err
	}
	defer release()
	return *c, nil
}
