// Package enginetest is an in-memory container engine for tests: its
// containers are goroutines that are given the files of a runner. It answers
// as the Docker adapter does, and can be told to fail as a real one would.
package enginetest

import (
	"context"
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

// Engine is an in-memory engine. Its methods may be called concurrently.
type Engine struct {
	// CreateTime and StartTime are how long these calls take.
	CreateTime, StartTime time.Duration

	mu         sync.Mutex
	process    Process
	containers map[string]*container
	watchers   map[int]func(string)
	next       int
	faults     map[string]error
	hooks      map[string]func()
	calls      map[string]int
	peak       int
	jobs       map[string][]string // containers of jobs, by runner
	volumes    map[string]bool     // of jobs
	image      string
	running    sync.WaitGroup
}

type container struct {
	id, runner, pool string
	state            plan.ContainerState
	code             int
	files            map[string][]byte
	term             chan struct{}
	kill             context.CancelFunc
}

// New returns an engine without containers. The process runs in each that is
// started.
func New(p Process) *Engine {
	return &Engine{process: p, containers: map[string]*container{}, watchers: map[int]func(string){}, faults: map[string]error{}, hooks: map[string]func(){}, calls: map[string]int{}, jobs: map[string][]string{}, volumes: map[string]bool{}}
}

// SetProcess changes what runs in the containers that are started from now on.
func (e *Engine) SetProcess(p Process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.process = p
}

// Fail makes the call named (Create, Start, Signal, Remove, List, Inspect,
// Logs, ReadFile) answer with the error from now on; nil lets it work again.
func (e *Engine) Fail(call string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults[call] = err
}

// SetImage changes the id of the image that containers are made from.
func (e *Engine) SetImage(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.image = id
}

// Image implements pool.Images.
func (e *Engine) Image(string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.image
}

// Before has f called once, before the next call of that name is processed, as
// for something that happens just then.
func (e *Engine) Before(call string, f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hooks[call] = f
}

// Calls returns how often a call was made.
func (e *Engine) Calls(call string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[call]
}

// Peak returns the largest number of containers that existed at one time.
func (e *Engine) Peak() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.peak
}

// Add puts a container there that nobody created through this engine.
func (e *Engine) Add(c plan.Container, files map[string][]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.containers[c.ID] = &container{id: c.ID, runner: c.Runner, pool: c.Pool, state: c.State, code: c.ExitCode, files: files}
}

// Vanish removes a container behind everybody's back, killing what runs in it.
func (e *Engine) Vanish(runner string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, c := range e.containers {
		if c.runner == runner {
			if c.kill != nil {
				c.kill()
			}
			delete(e.containers, id)
		}
	}
	e.tell(runner)
}

// Wait waits until nothing runs any more, as after all have been killed.
func (e *Engine) Wait() { e.running.Wait() }

// KillAll kills everything that runs.
func (e *Engine) KillAll() {
	e.mu.Lock()
	for _, c := range e.containers {
		if c.kill != nil {
			c.kill()
		}
	}
	e.mu.Unlock()
	e.Wait()
}

// begin counts a call and gives its injected fault. The caller holds e.mu.
func (e *Engine) begin(call string) error {
	e.calls[call]++
	if f := e.hooks[call]; f != nil {
		delete(e.hooks, call)
		e.mu.Unlock()
		f()
		e.mu.Lock()
	}
	return e.faults[call]
}

// tell notifies the watchers. The caller holds e.mu.
func (e *Engine) tell(runner string) {
	for _, id := range slices.Sorted(maps.Keys(e.watchers)) {
		go e.watchers[id](runner)
	}
}

func (e *Engine) find(id string) (*container, error) {
	c := e.containers[id]
	if c == nil {
		return nil, fmt.Errorf("container %s: %w", id, plan.ErrNotFound)
	}
	return c, nil
}

// Create implements pool.Engine.
func (e *Engine) Create(ctx context.Context, pool, runner string, env map[string]string) (string, error) {
	if err := sleep(ctx, e.CreateTime); err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin("Create"); err != nil {
		return "", err
	}
	e.next++
	c := &container{id: fmt.Sprintf("c%d", e.next), runner: runner, pool: pool, state: plan.ContainerCreated, files: map[string][]byte{}}
	for name, value := range env {
		c.files[EnvPrefix+name] = []byte(value)
	}
	e.containers[c.id] = c
	e.peak = max(e.peak, len(e.containers))
	return c.id, nil
}

// Start implements pool.Engine.
func (e *Engine) Start(ctx context.Context, id string, files []plan.File) error {
	if err := sleep(ctx, e.StartTime); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin("Start"); err != nil {
		return err
	}
	c, err := e.find(id)
	if err != nil {
		return err
	}
	for _, f := range files {
		c.files[path.Clean(f.Path)] = f.Data
	}
	ctx, kill := context.WithCancel(context.Background())
	c.state, c.kill, c.term = plan.ContainerRunning, kill, make(chan struct{})
	process, given := e.process, c.files
	e.running.Go(func() {
		code := process(ctx, c.term, given)
		e.mu.Lock()
		defer e.mu.Unlock()
		if ctx.Err() != nil {
			code = 137
		}
		kill()
		c.state, c.code, c.kill = plan.ContainerExited, code, nil
		e.tell(c.runner)
	})
	e.tell(c.runner)
	return nil
}

// Signal implements pool.Engine.
func (e *Engine) Signal(_ context.Context, id, signal string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin("Signal"); err != nil {
		return err
	}
	c := e.containers[id]
	if c == nil || c.state != plan.ContainerRunning {
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
func (e *Engine) Remove(_ context.Context, id string, force bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin("Remove"); err != nil {
		return err
	}
	c := e.containers[id]
	if c == nil {
		return nil
	}
	if c.state == plan.ContainerRunning && !force {
		return fmt.Errorf("remove container %s: it is running", id)
	}
	if c.kill != nil {
		c.kill()
	}
	delete(e.containers, id)
	e.tell(c.runner)
	return nil
}

// List implements pool.Engine.
func (e *Engine) List(context.Context) ([]plan.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin("List"); err != nil {
		return nil, err
	}
	var all []plan.Container
	for _, id := range slices.Sorted(maps.Keys(e.containers)) {
		all = append(all, e.containers[id].view())
	}
	return all, nil
}

func (c *container) view() plan.Container {
	return plan.Container{ID: c.id, Runner: c.runner, Pool: c.pool, State: c.state, ExitCode: c.code, Ended: c.state == plan.ContainerExited}
}

// Inspect implements pool.Inspector.
func (e *Engine) Inspect(_ context.Context, id string) (plan.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin("Inspect"); err != nil {
		return plan.Container{}, err
	}
	c, err := e.find(id)
	if err != nil {
		return plan.Container{}, err
	}
	return c.view(), nil
}

// Logs implements pool.Inspector. What a process leaves in the file /log is
// its log.
func (e *Engine) Logs(_ context.Context, id string, lines int) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin("Logs"); err != nil {
		return nil, err
	}
	c, err := e.find(id)
	if err != nil {
		return nil, err
	}
	all := strings.Split(strings.TrimSpace(string(c.files["/log"])), "\n")
	return all[max(len(all)-lines, 0):], nil
}

// ReadFile implements pool.Inspector.
func (e *Engine) ReadFile(_ context.Context, id, name string) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin("ReadFile"); err != nil {
		return nil, err
	}
	c, err := e.find(id)
	if err != nil {
		return nil, err
	}
	data, found := c.files[path.Clean(name)]
	if !found {
		return nil, fmt.Errorf("read %s: %w", name, plan.ErrNotFound)
	}
	return data, nil
}

// WriteFile implements pool.Inspector.
func (e *Engine) WriteFile(_ context.Context, id string, f plan.File) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin("WriteFile"); err != nil {
		return err
	}
	c, err := e.find(id)
	if err != nil {
		return err
	}
	files := maps.Clone(c.files) // the process reads the one that it was given
	files[path.Clean(f.Path)] = f.Data
	c.files = files
	return nil
}

// Watch implements pool.Inspector.
func (e *Engine) Watch(ctx context.Context, notify func(runner string)) error {
	e.mu.Lock()
	e.next++
	id := e.next
	e.watchers[id] = notify
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
