package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/plan"
)

// newFake starts a fake engine and an adapter for it.
func newFake(t *testing.T) (*fakeEngine, *docker.Engine) {
	t.Helper()
	dir, err := os.MkdirTemp("", "chaos") // t.TempDir() can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	fake, err := newFakeEngine(dir, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	adapter, err := docker.New(docker.Config{Host: "unix://" + fake.socket(), Instance: "i", Pools: map[string]docker.Options{
		"runner": {Image: fake.image(), Pull: docker.PullNever},
		"idle":   {Image: fake.image(), Pull: docker.PullNever, Entrypoint: fake.idle()},
		"none":   {Image: "other", Pull: docker.PullNever},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(adapter.Close(), fake.close(context.WithoutCancel(t.Context())), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return fake, adapter
}

// TestFakeEngineServesTheAdapter takes a container through its life.
func TestFakeEngineServesTheAdapter(t *testing.T) {
	fake, e := newFake(t)
	ctx := t.Context()
	if v, err := e.Ping(ctx); err != nil || v != fakeVersion {
		t.Errorf("version %q, %v", v, err)
	}
	if _, err := e.Create(ctx, "none", "r", nil); !errors.Is(err, plan.ErrImage) {
		t.Errorf("create without the image: %v", err)
	}
	events := make(chan string, 16)
	go func() { _ = e.Watch(ctx, func(runner string) { events <- runner }) }()
	if first := <-events; first != "" {
		t.Errorf("event %q before anything happened", first)
	}
	id, err := e.Create(ctx, "idle", "r", nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := e.Create(ctx, "idle", "r", nil); err != nil || again != id {
		t.Errorf("created twice: %s, %v", again, err)
	}
	expect(t, e, id, plan.ContainerCreated)
	file := plan.File{Path: "/data/.runner", Mode: 0o600, Data: []byte("identity")}
	if err := e.Start(ctx, id, []plan.File{file}); err != nil {
		t.Fatal(err)
	}
	expect(t, e, id, plan.ContainerRunning)
	if data, err := e.ReadFile(ctx, id, file.Path); err != nil || string(data) != "identity" {
		t.Errorf("file %q, %v", data, err)
	}
	if _, err := e.ReadFile(ctx, id, "/data/none"); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("missing file: %v", err)
	}
	if err := e.Remove(ctx, id, false); err == nil || !strings.Contains(err.Error(), "running") {
		t.Errorf("removal of a running container: %v", err)
	}
	if err := e.Signal(ctx, id, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	select {
	case runner := <-events:
		if runner != "r" {
			t.Errorf("event of %q", runner)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no event of the end")
	}
	expect(t, e, id, plan.ContainerExited)
	if err := errors.Join(e.Remove(ctx, id, false), e.Remove(ctx, id, false)); err != nil {
		t.Errorf("removed twice: %v", err)
	}
	if list, err := e.List(ctx); err != nil || len(list) != 0 || len(fake.list(true, nil)) != 0 {
		t.Errorf("%v, %v: want nothing left", list, err)
	}
}

// TestFakeEngineRuns lets a runner without an identity fail, and kills one
// container.
func TestFakeEngineRuns(t *testing.T) {
	_, e := newFake(t)
	ctx := t.Context()
	events := make(chan string, 16)
	for _, pool := range []string{"runner", "idle"} {
		id, err := e.Create(ctx, pool, pool, nil)
		if err == nil {
			err = e.Start(ctx, id, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	go func() { _ = e.Watch(ctx, func(runner string) { events <- runner }) }()
	if err := e.Signal(ctx, "idle", "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	codes := map[string]int{}
	for len(codes) < 2 {
		for _, name := range []string{"runner", "idle"} {
			if c, err := e.Inspect(ctx, name); err != nil {
				t.Fatal(err)
			} else if c.State == plan.ContainerExited {
				codes[name] = c.ExitCode
			}
		}
		select {
		case <-events:
		case <-time.After(10 * time.Second):
			t.Fatal("nothing happens")
		}
	}
	if codes["runner"] != 1 || codes["idle"] != exitKilled {
		t.Errorf("exit codes %v", codes)
	}
	lines, err := e.Logs(ctx, "runner", 5)
	if err != nil || !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "read registration") }) {
		t.Errorf("log %q, %v", lines, err)
	}
}

// expect checks the state of the only container.
func expect(t *testing.T, e *docker.Engine, id string, state plan.ContainerState) {
	t.Helper()
	want := plan.Container{ID: id, Runner: "r", Pool: "idle", State: state, Ended: state == plan.ContainerExited}
	list, err := e.List(t.Context())
	if err != nil || !slices.Equal(list, []plan.Container{want}) {
		t.Errorf("%+v, %v: want %+v", list, err, want)
	}
	if c, err := e.Inspect(t.Context(), id); err != nil || c != want {
		t.Errorf("%+v, %v: want %+v", c, err, want)
	}
}
