// Package conformance holds every container engine to what the daemon needs of
// one: the same tests run against all of them.
//
// The invariant that it protects: the daemon's guarantees do not depend on
// which engine it drives. What one engine cannot do is said by its Rig, and the
// test of it is skipped with that reason.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Engine is what the daemon needs of an engine, see the ports of package pool.
type Engine interface {
	Create(ctx context.Context, pool, runner string, launch *plan.Launch) (containerID string, err error)
	Start(ctx context.Context, containerID string, files []plan.File) error
	Signal(ctx context.Context, containerID, signal string) error
	Remove(ctx context.Context, containerID string, force bool) error
	List(ctx context.Context) ([]plan.Container, error)
	Inspect(ctx context.Context, containerID string) (plan.Container, error)
	Logs(ctx context.Context, containerID string, lines int) ([]string, error)
	ReadFile(ctx context.Context, containerID, path string) ([]byte, error)
	WriteFile(ctx context.Context, containerID string, file plan.File) error
	Watch(ctx context.Context, notify func(runner string)) error
}

// The pools that an engine under test has. Their program does what the files in
// its DataDir say: it prints the lines of GreetingFile; it ends with the exit
// code in ExitFile if there is one, and else runs until SIGTERM, which it
// answers by ending with 0.
const (
	Pool        = "p"
	BrokenPool  = "broken" // its image cannot be had
	MissingPool = "missing"

	DataDir      = "/data"
	GreetingFile = "greeting"
	ExitFile     = "exit"
)

// Ability is something that an engine may lack, if the daemon can do without.
type Ability string

// The abilities.
const (
	// Files is to read and write files in a container. An engine without it
	// says plan.ErrUnsupported.
	Files Ability = "files"
	// StopCode is to know the exit code of a container that was told to stop.
	StopCode Ability = "stop code"
)

// Rig is an engine under test.
type Rig struct {
	// Lacks has the abilities that the engine does not have, each with the
	// reason.
	Lacks map[Ability]string
	// Serial, if not empty, is why the tests run one after the other.
	Serial string
	// Prefix begins the names of all runners, so that tests that share an
	// engine do not meet.
	Prefix string
	// Adapter returns a new adapter to the engine for the instance under test,
	// as a restarted daemon has one.
	Adapter func(t *testing.T) Engine
	// Other returns an adapter for another instance on the same engine.
	Other func(t *testing.T) Engine
	// Vanish removes a container behind the daemon's back.
	Vanish func(t *testing.T, containerID string)
	// Cut cuts the adapter off from its engine until mend is called. Nil skips
	// the tests that need it.
	Cut func(t *testing.T) (e Engine, cut, mend func())
	// Patience bounds the wait for what happens in a container.
	Patience time.Duration
}

// Run runs all tests.
func Run(t *testing.T, r Rig) {
	for name, test := range map[string]func(*testing.T, *bench){
		"start":               testStart,
		"create twice":        testCreateTwice,
		"environment":         testEnvironment,
		"exit codes":          testExitCodes,
		"stop":                testStop,
		"kill":                testKill,
		"remove":              testRemove,
		"adopt":               testAdopt,
		"logs":                testLogs,
		"files":               testFiles,
		"ownership":           testOwnership,
		"watch":               testWatch,
		"vanished":            testVanished,
		"no such thing":       testNothing,
		"image cannot be had": testBroken,
		"cancelled":           testCancelled,
		"resync":              testResync,
	} {
		t.Run(name, func(t *testing.T) {
			if r.Serial == "" {
				t.Parallel()
			}
			b := &bench{Rig: r, name: r.Prefix + strings.ReplaceAll(name, " ", "-")}
			if test == nil {
				t.Fatal("no test")
			}
			b.Engine = r.Adapter(t)
			test(t, b)
		})
	}
}

// bench is where one test works.
type bench struct {
	Rig
	Engine
	name  string
	count int
}

// runner returns a new name.
func (b *bench) runner() string {
	b.count++
	return fmt.Sprintf("%s-%d", b.name, b.count)
}

// create makes a container that is removed after the test.
func (b *bench) create(t *testing.T) (runner, id string) {
	t.Helper()
	runner = b.runner()
	id, err := b.Create(t.Context(), Pool, runner, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.removeLater(t, id)
	return runner, id
}

func (b *bench) removeLater(t *testing.T, id string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), b.Patience)
		defer cancel()
		if err := b.Remove(ctx, id, true); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
}

// start makes a container and starts it with the files, by name in DataDir.
func (b *bench) start(t *testing.T, files map[string]string) (runner, id string) {
	t.Helper()
	runner, id = b.create(t)
	if err := b.Start(t.Context(), id, inDataDir(files)); err != nil {
		t.Fatal(err)
	}
	return runner, id
}

// greeted starts a container and waits until its program runs.
func (b *bench) greeted(t *testing.T) (runner, id string) {
	t.Helper()
	runner, id = b.start(t, map[string]string{GreetingFile: "hello\n"})
	b.eventually(t, "the program's first line is in the log", func() bool {
		lines, err := b.Logs(t.Context(), id, 10)
		return err == nil && slices.Contains(lines, "hello")
	})
	return runner, id
}

func inDataDir(files map[string]string) []plan.File {
	var list []plan.File
	for name, data := range files {
		list = append(list, plan.File{Path: path.Join(DataDir, name), Mode: 0o600, Data: []byte(data)})
	}
	return list
}

// listed returns what the list has under the runner's name.
func listed(t *testing.T, e Engine, runner string) (c plan.Container, found bool) {
	t.Helper()
	all, err := e.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(c plan.Container) bool { return c.Runner == runner })
	if i < 0 {
		return c, false
	}
	return all[i], true
}

// becomes waits until the runner's container is in that state, and returns it
// as it is inspected then.
func (b *bench) becomes(t *testing.T, id string, state plan.ContainerState) plan.Container {
	t.Helper()
	var c plan.Container
	b.eventually(t, "the container is "+string(state), func() bool {
		var err error
		if c, err = b.Inspect(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return c.State == state
	})
	return c
}

// lookEvery is the pace at which tests look whether something has happened.
const lookEvery = 10 * time.Millisecond

// eventually waits until it is so.
func (b *bench) eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	late := time.Now().Add(b.Patience)
	for !so() {
		if time.Now().After(late) {
			t.Fatalf("after %s it is still not so that %s", b.Patience, what)
		}
		select {
		case <-time.After(lookEvery):
		case <-t.Context().Done():
			t.Fatal(context.Cause(t.Context()))
		}
	}
}

// watch runs Watch until the test ends and returns what it notifies.
func (b *bench) watch(t *testing.T, e Engine) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seen, done := make(chan string, 1000), make(chan error, 1)
	go func() { done <- e.Watch(ctx, func(runner string) { seen <- runner }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch has returned %v, want context.Canceled", err)
		}
	})
	return seen
}

// expect reads notifications until want comes.
func (b *bench) expect(t *testing.T, seen <-chan string, want string) {
	t.Helper()
	late := time.NewTimer(b.Patience)
	defer late.Stop()
	for {
		select {
		case got := <-seen:
			if got == want {
				return
			}
		case <-late.C:
			t.Fatalf("no notification of %q within %s", want, b.Patience)
		}
	}
}
