package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func testLogs(t *testing.T, b *bench) {
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprintf("line %d", i+1))
	}
	_, id := b.start(t, map[string]string{GreetingFile: strings.Join(all, "\n") + "\n", ExitFile: "0"})
	b.becomes(t, id, plan.ContainerExited)
	for _, n := range []int{1, 5} {
		var lines []string
		b.eventually(t, "the log is whole", func() bool {
			var err error
			if lines, err = b.Logs(t.Context(), id, n); err != nil {
				t.Fatal(err)
			}
			return slices.Equal(lines, all[len(all)-n:])
		})
	}
}

// wantFile checks what is in the file that a program was given.
func (b *bench) wantFile(t *testing.T, e Engine, id, want string) {
	t.Helper()
	data, err := e.ReadFile(t.Context(), id, DataDir+"/"+GreetingFile)
	if _, lacks := b.Lacks[Files]; lacks {
		if !errors.Is(err, plan.ErrUnsupported) {
			t.Errorf("read: %q, %v, want plan.ErrUnsupported", data, err)
		}
		return
	}
	if err != nil || string(data) != want {
		t.Errorf("its file is %q, %v", data, err)
	}
}

func testFiles(t *testing.T, b *bench) {
	_, id := b.greeted(t)
	name := DataDir + "/" + GreetingFile
	b.wantFile(t, b, id, "hello\n")
	if why, lacks := b.Lacks[Files]; lacks {
		if err := b.WriteFile(t.Context(), id, plan.File{Path: name, Mode: 0o600}); !errors.Is(err, plan.ErrUnsupported) {
			t.Errorf("write: %v, want plan.ErrUnsupported", err)
		}
		t.Skip(why)
	}
	if err := b.WriteFile(t.Context(), id, plan.File{Path: name, Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	if data, err := b.ReadFile(t.Context(), id, name); err != nil || len(data) > 0 {
		t.Errorf("read after it was emptied: %q, %v", data, err)
	}
	if _, err := b.ReadFile(t.Context(), id, DataDir+"/none"); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("a file that is not there: %v, want plan.ErrNotFound", err)
	}
	if c, err := b.Inspect(t.Context(), id); err != nil || c.State != plan.ContainerRunning {
		t.Errorf("after all that the container is %+v, %v", c, err)
	}
}

// What another daemon on the same engine has made is not seen, and not touched
// even by its id or its name.
func testOwnership(t *testing.T, b *bench) {
	runner, id := b.greeted(t)
	other := b.Other(t)
	if c, found := listed(t, other, runner); found {
		t.Errorf("the other one lists %+v", c)
	}
	ctx := t.Context()
	_, inspectErr := other.Inspect(ctx, id)
	_, logsErr := other.Logs(ctx, id, 1)
	_, readErr := other.ReadFile(ctx, id, DataDir+"/"+GreetingFile)
	for what, err := range map[string]error{
		"inspect": inspectErr, "logs": logsErr, "read": readErr,
		"start":  other.Start(ctx, id, nil),
		"write":  other.WriteFile(ctx, id, plan.File{Path: DataDir + "/" + GreetingFile, Data: []byte("mine")}),
		"signal": other.Signal(ctx, id, "SIGKILL"),
		"remove": other.Remove(ctx, id, true),
	} {
		if err == nil {
			t.Errorf("%s of a foreign container is no error", what)
		}
	}
	if c, err := b.Inspect(ctx, id); err != nil || c.State != plan.ContainerRunning {
		t.Errorf("the container is %+v, %v, want it to run on", c, err)
	}
	b.wantFile(t, b, id, "hello\n")
	// The same name twice: the other one must neither get this container nor
	// harm it.
	if taken, err := other.Create(ctx, Pool, runner, nil); err == nil {
		defer func() {
			if err := other.Remove(ctx, taken, true); err != nil {
				t.Error(err)
			}
		}()
		if taken == id {
			t.Error("the other one was given this container as its own")
		}
	}
}

func testWatch(t *testing.T, b *bench) {
	seen := b.watch(t, b)
	b.expect(t, seen, "") // look at everything
	runner, id := b.start(t, map[string]string{ExitFile: "0"})
	b.expect(t, seen, runner)
	b.becomes(t, id, plan.ContainerExited)
	gone, goneID := b.greeted(t)
	b.Vanish(t, goneID)
	b.expect(t, seen, gone)
}

// Somebody else has removed a container.
func testVanished(t *testing.T, b *bench) {
	runner, id := b.greeted(t)
	b.Vanish(t, id)
	if c, found := listed(t, b, runner); found {
		t.Errorf("%+v is listed", c)
	}
	if _, err := b.Inspect(t.Context(), id); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("inspect: %v, want plan.ErrNotFound", err)
	}
	if err := b.Signal(t.Context(), id, "SIGTERM"); err != nil {
		t.Errorf("signal: %v", err)
	}
	if err := b.Remove(t.Context(), id, false); err != nil {
		t.Errorf("remove: %v", err)
	}
}

// While the engine cannot be reached nothing is known, which is not that
// nothing is there. Afterwards all is to be looked at.
func testResync(t *testing.T, b *bench) {
	if b.Cut == nil {
		t.Skip("this engine cannot be cut off")
	}
	e, cut, mend := b.Cut(t)
	b.Engine = e
	runner, id := b.greeted(t)
	seen := b.watch(t, e)
	b.expect(t, seen, "")
	cut()
	if list, err := e.List(t.Context()); err == nil {
		t.Errorf("cut off it lists %v", list)
	}
	if _, err := e.Inspect(t.Context(), id); err == nil || errors.Is(err, plan.ErrNotFound) {
		t.Errorf("cut off inspect says %v", err)
	}
	if err := e.Remove(t.Context(), id, true); err == nil {
		t.Error("cut off something was removed")
	}
	mend()
	b.expect(t, seen, "")
	if c, found := listed(t, e, runner); !found || c.ID != id || c.State != plan.ContainerRunning {
		t.Errorf("afterwards the container is %+v, %v", c, found)
	}
}
