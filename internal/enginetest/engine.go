// Package enginetest is an in-memory container engine for tests: its
// containers are goroutines that are given the files of a runner. It answers
// as the Docker adapter does, and can be told to fail as a real one would.
package enginetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Process is what runs in a container. Term is closed when the container gets
// SIGTERM; ctx ends when it is killed. The result is the exit code.
type Process func(ctx context.Context, term <-chan struct{}, files map[string][]byte) (exitCode int)

// EnvPrefix begins the names under which a process finds the environment that
// its container was created with, beside its files.
const EnvPrefix = "/env/"

// CommandFile is where a process finds its command, if it has one of its own.
const CommandFile = "/command"

// IDFile is where a process finds the id of its container, for Print.
const IDFile = "/etc/hostname"

// Engine is an adapter to an in-memory engine. Its methods may be called
// concurrently.
type Engine struct {
	// CreateTime, StartTime and WriteTime are how long Create, Start and WriteFile
	// take.
	CreateTime, StartTime, WriteTime time.Duration

	*world
	instance string // which sees its own containers only
}

// world is the engine that several adapters may share.
type world struct {
	mu         sync.Mutex
	process    Process
	pools      map[string]error // nil for any
	cut        error            // while it cannot be reached
	containers map[string]*container
	watchers   map[int]watcher
	next       int
	faults     map[string]error
	hooks      map[string]func()
	calls      map[string]int
	peak       int
	writes     int // that are under way
	mostWrites int
	jobs       map[string][]string // containers of jobs, by runner
	volumes    map[string]bool     // of jobs
	image      string
	running    sync.WaitGroup
	noRoom     string // why nothing that is started gets a place
}

// watcher is told of the containers of one instance.
type watcher struct {
	instance string
	notify   func(string)
}

type container struct {
	instance         string
	id, runner, pool string
	state            plan.ContainerState
	code             int
	files            map[string][]byte
	printed          []string
	news             chan struct{} // closed when it prints a line, ends or is removed
	term             chan struct{}
	kill             context.CancelFunc
	started          time.Time
	reason           string // see plan.Container
	withdrawn, lost  bool
	unknown          bool          // its exit code
	begin            func()        // of one that waits for a place
	ended            chan struct{} // closed once its process has ended; nil if it has none yet
}

// New returns an engine without containers. The process runs in each that is
// started.
func New(p Process) *Engine {
	return &Engine{world: &world{process: p, containers: map[string]*container{}, watchers: map[int]watcher{}, faults: map[string]error{}, hooks: map[string]func(){}, calls: map[string]int{}, jobs: map[string][]string{}, volumes: map[string]bool{}}}
}

// For returns an adapter to the same engine for another instance.
func (e *Engine) For(instance string) *Engine {
	return &Engine{CreateTime: e.CreateTime, StartTime: e.StartTime, WriteTime: e.WriteTime, world: e.world, instance: instance}
}

// begin counts a call and gives its injected fault, or what keeps it from the
// engine. The caller holds e.mu.
func (e *Engine) begin(ctx context.Context, call string) error {
	if err := cmp.Or(e.cut, context.Cause(ctx)); err != nil {
		return err
	}
	e.calls[call]++
	if f := e.hooks[call]; f != nil {
		delete(e.hooks, call)
		e.mu.Unlock()
		f()
		e.mu.Lock()
	}
	return e.faults[call]
}

// tell notifies the container's watchers, and those who follow its log. The
// caller holds e.mu.
func (e *Engine) tell(c *container) {
	c.stir()
	for _, id := range slices.Sorted(maps.Keys(e.watchers)) {
		if w := e.watchers[id]; w.instance == c.instance && e.cut == nil {
			go w.notify(c.runner)
		}
	}
}

// stir wakes those who follow the container's log. The caller holds e.mu.
func (c *container) stir() {
	close(c.news)
	c.news = make(chan struct{})
}

// errForeign is for what another instance has made.
var errForeign = errors.New("it is not ours")

func (e *Engine) find(id string) (*container, error) {
	c := e.containers[id]
	switch {
	case c == nil:
		return nil, fmt.Errorf("container %s: %w", id, plan.ErrNotFound)
	case c.instance != e.instance:
		return nil, fmt.Errorf("container %s: %w", id, errForeign)
	}
	return c, nil
}

// Create implements pool.Engine.
func (e *Engine) Create(ctx context.Context, pool, runner string, launch *plan.Launch) (string, error) {
	if err := sleep(ctx, e.CreateTime); err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "Create"); err != nil {
		return "", err
	}
	if fault, known := e.pools[pool]; fault != nil || !known && e.pools != nil {
		return "", fmt.Errorf("create container for runner %s in pool %s: %w", runner, pool, cmp.Or(fault, errNoPool))
	}
	for _, c := range e.containers {
		if c.runner == runner && c.instance == e.instance {
			return c.id, nil
		}
	}
	e.next++
	c := &container{instance: e.instance, id: fmt.Sprintf("c%d", e.next), runner: runner, pool: pool, state: plan.ContainerCreated, files: map[string][]byte{}, news: make(chan struct{})}
	if launch != nil {
		for name, value := range launch.Env {
			c.files[EnvPrefix+name] = []byte(value)
		}
		if len(launch.Command) > 0 {
			c.files[CommandFile] = []byte(strings.Join(launch.Command, " "))
		}
	}
	e.containers[c.id] = c
	e.peak = max(e.peak, len(e.containers))
	return c.id, nil
}

var errNoPool = errors.New("there is no such pool")

// Start implements pool.Engine.
func (e *Engine) Start(ctx context.Context, id string, files []plan.File) error {
	if err := sleep(ctx, e.StartTime); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "Start"); err != nil {
		return err
	}
	c, err := e.find(id)
	if err != nil {
		return err
	}
	for _, f := range files {
		c.files[path.Clean(f.Path)] = f.Data
	}
	c.files[IDFile] = []byte(id)
	ctx, kill := context.WithCancel(context.Background())
	c.state, c.kill, c.term, c.started = plan.ContainerRunning, kill, make(chan struct{}), time.Now()
	process, given := e.process, c.files
	c.begin = func() { e.runIn(ctx, c, kill, process, given) }
	if c.reason = e.noRoom; c.reason == "" {
		c.begin()
	}
	e.tell(c)
	return nil
}

// runIn runs the process of a container. The caller holds e.mu.
func (e *Engine) runIn(ctx context.Context, c *container, kill context.CancelFunc, process Process, given map[string][]byte) {
	c.begin = nil
	ended := make(chan struct{})
	c.ended = ended
	e.running.Go(func() {
		defer close(ended)
		code := process(ctx, c.term, given)
		e.mu.Lock()
		defer e.mu.Unlock()
		if ctx.Err() != nil {
			code = 137
		}
		kill()
		c.state, c.code, c.kill = plan.ContainerExited, code, nil
		e.tell(c)
	})
}

// Signal implements pool.Engine.
func (e *Engine) Signal(ctx context.Context, id, signal string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "Signal"); err != nil {
		return err
	}
	c, err := e.find(id)
	switch {
	case errors.Is(err, errForeign):
		return err
	case err != nil || c.state != plan.ContainerRunning:
		return nil
	}
	if c.begin != nil { // it has never run
		c.begin, c.state, c.reason, c.unknown = nil, plan.ContainerExited, "", true
		e.tell(c)
		return nil
	}
	if signal == "SIGKILL" {
		c.kill()
		return nil
	}
	select {
	case <-c.term:
	default:
		close(c.term)
	}
	return nil
}

// Remove implements pool.Engine.
func (e *Engine) Remove(ctx context.Context, id string, force bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "Remove"); err != nil {
		return err
	}
	c, err := e.find(id)
	switch {
	case errors.Is(err, errForeign):
		return err
	case err != nil:
		return nil
	}
	if c.state == plan.ContainerRunning && !force && !c.lost {
		return fmt.Errorf("remove container %s: it is running", id)
	}
	if c.kill != nil {
		c.kill()
	}
	delete(e.containers, id)
	e.tell(c)
	return nil
}

// List implements pool.Engine.
func (e *Engine) List(ctx context.Context) ([]plan.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "List"); err != nil {
		return nil, err
	}
	var all []plan.Container
	for _, id := range slices.Sorted(maps.Keys(e.containers)) {
		if c := e.containers[id]; c.instance == e.instance {
			all = append(all, c.view())
		}
	}
	return all, nil
}

func (c *container) view() plan.Container {
	if c.lost {
		return plan.Container{ID: c.id, Runner: c.runner, Pool: c.pool, State: plan.ContainerExited, Reason: c.reason, Withdrawn: true}
	}
	return plan.Container{Reason: c.reason, Withdrawn: c.withdrawn, ID: c.id, Runner: c.runner, Pool: c.pool, State: c.state, ExitCode: c.code, Ended: c.state == plan.ContainerExited && !c.unknown}
}

// Inspect implements pool.Inspector.
func (e *Engine) Inspect(ctx context.Context, id string) (plan.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "Inspect"); err != nil {
		return plan.Container{}, err
	}
	c, err := e.find(id)
	if err != nil {
		return plan.Container{}, err
	}
	return c.view(), nil
}

// Logs implements pool.Inspector. What a process prints, or leaves in the file
// /log, is its log.
func (e *Engine) Logs(ctx context.Context, id string, lines int) ([]string, error) {
	all, _, err := e.logOf(ctx, id, lines)
	return all, err
}

// logOf returns the last lines of a log, and how many were printed.
func (e *Engine) logOf(ctx context.Context, id string, lines int) (all []string, printed int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "Logs"); err != nil {
		return nil, 0, err
	}
	c, err := e.find(id)
	if err != nil {
		return nil, 0, err
	}
	all = c.printed
	if log, left := c.files["/log"]; left {
		all = append(slices.Clone(all), strings.Split(strings.TrimSpace(string(log)), "\n")...)
	}
	return all[max(len(all)-lines, 0):], len(c.printed), nil
}

// Watch implements pool.Inspector.
func (e *Engine) Watch(ctx context.Context, notify func(runner string)) error {
	e.mu.Lock()
	e.next++
	id := e.next
	e.watchers[id] = watcher{e.instance, notify}
	e.mu.Unlock()
	notify("")
	<-ctx.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.watchers, id)
	return ctx.Err()
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
