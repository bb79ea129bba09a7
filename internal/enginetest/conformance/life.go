package conformance

import (
	"context"
	"errors"
	"slices"
	"testing"

	"scaler.io/scaler/internal/plan"
)

func testStart(t *testing.T, b *bench) {
	runner, id := b.create(t)
	want := plan.Container{ID: id, Runner: runner, Pool: Pool, State: plan.ContainerCreated}
	if c, found := listed(t, b, runner); !found || c != want {
		t.Errorf("listed as %+v, %v, want %+v", c, found, want)
	}
	if c, err := b.Inspect(t.Context(), id); err != nil || c != want {
		t.Errorf("inspected as %+v, %v, want %+v", c, err, want)
	}
	if err := b.Start(t.Context(), id, inDataDir(map[string]string{GreetingFile: "hello\n"})); err != nil {
		t.Fatal(err)
	}
	want.State = plan.ContainerRunning
	if c := b.becomes(t, id, plan.ContainerRunning); c != want {
		t.Errorf("inspected as %+v, want %+v", c, want)
	}
	if c, found := listed(t, b, runner); !found || c != want {
		t.Errorf("listed as %+v, %v, want %+v", c, found, want)
	}
	b.eventually(t, "the program has read its files", func() bool {
		lines, err := b.Logs(t.Context(), id, 10)
		return err == nil && slices.Contains(lines, "hello")
	})
}

// A daemon that died after it had created a container does it again.
func testCreateTwice(t *testing.T, b *bench) {
	runner, id := b.create(t)
	if again, err := b.Create(t.Context(), Pool, runner, nil); err != nil || again != id {
		t.Errorf("the second time: %s, %v, want %s", again, err, id)
	}
}

func testEnvironment(t *testing.T, b *bench) {
	runner := b.runner()
	id, err := b.Create(t.Context(), Pool, runner, &plan.Launch{Env: map[string]string{"CONFORMANCE": "yes it is"}})
	if err != nil {
		t.Fatal(err)
	}
	b.removeLater(t, id)
	if err := b.Start(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	b.eventually(t, "the program sees the environment", func() bool {
		lines, err := b.Logs(t.Context(), id, 10)
		return err == nil && slices.Contains(lines, "CONFORMANCE=yes it is")
	})
}

func testExitCodes(t *testing.T, b *bench) {
	for code, text := range map[int]string{0: "0", 7: "7"} {
		runner, id := b.start(t, map[string]string{ExitFile: text})
		c := b.becomes(t, id, plan.ContainerExited)
		if want := (plan.Container{ID: id, Runner: runner, Pool: Pool, State: plan.ContainerExited, ExitCode: code, Ended: true}); c != want {
			t.Errorf("inspected as %+v, want %+v", c, want)
		}
		// The list need not know the code, but must not have a wrong one.
		if c, found := listed(t, b, runner); !found || c.State != plan.ContainerExited || c.Ended && c.ExitCode != code {
			t.Errorf("listed as %+v, %v, want it exited with %d", c, found, code)
		}
	}
}

func testStop(t *testing.T, b *bench) {
	_, id := b.greeted(t)
	for range 2 {
		if err := b.Signal(t.Context(), id, "SIGTERM"); err != nil {
			t.Fatal(err)
		}
	}
	c := b.becomes(t, id, plan.ContainerExited)
	if _, lacks := b.Lacks[StopCode]; c.ExitCode != 0 || !c.Ended && !lacks {
		t.Errorf("after SIGTERM it is %+v, want the exit code 0", c)
	}
	if err := b.Signal(t.Context(), id, "SIGTERM"); err != nil {
		t.Errorf("a signal to a container that has ended: %v", err)
	}
}

func testKill(t *testing.T, b *bench) {
	_, id := b.greeted(t)
	if err := b.Signal(t.Context(), id, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	if c := b.becomes(t, id, plan.ContainerExited); c.ExitCode != 137 {
		t.Errorf("after SIGKILL the exit code is %d, want 137", c.ExitCode)
	}
}

func testRemove(t *testing.T, b *bench) {
	runner, id := b.greeted(t)
	if err := b.Remove(t.Context(), id, false); err == nil {
		t.Fatal("a running container was removed without force")
	}
	if c, err := b.Inspect(t.Context(), id); err != nil || c.State != plan.ContainerRunning {
		t.Fatalf("after the refusal it is %+v, %v, want it running", c, err)
	}
	if err := b.Remove(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Inspect(t.Context(), id); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("inspect after the removal: %v, want plan.ErrNotFound", err)
	}
	if _, found := listed(t, b, runner); found {
		t.Error("it is listed after its removal")
	}
	for _, force := range []bool{false, true} {
		if err := b.Remove(t.Context(), id, force); err != nil {
			t.Errorf("removed again: %v", err)
		}
	}
	if err := b.Signal(t.Context(), id, "SIGTERM"); err != nil {
		t.Errorf("a signal after the removal: %v", err)
	}
	_, ended := b.start(t, map[string]string{ExitFile: "0"})
	b.becomes(t, ended, plan.ContainerExited)
	if err := b.Remove(t.Context(), ended, false); err != nil {
		t.Errorf("a container that has ended: %v", err)
	}
}

// A daemon that was started anew knows what the one before has made.
func testAdopt(t *testing.T, b *bench) {
	running, runningID := b.greeted(t)
	created, createdID := b.create(t)
	next := b.Adapter(t)
	if c, found := listed(t, next, running); !found || c.ID != runningID || c.State != plan.ContainerRunning {
		t.Errorf("the running one is listed as %+v, %v", c, found)
	}
	if c, found := listed(t, next, created); !found || c.ID != createdID || c.State != plan.ContainerCreated {
		t.Errorf("the created one is listed as %+v, %v", c, found)
	}
	if id, err := next.Create(t.Context(), Pool, created, nil); err != nil || id != createdID {
		t.Errorf("created again: %s, %v, want %s", id, err, createdID)
	}
	b.wantFile(t, next, runningID, "hello\n")
	if err := next.Signal(t.Context(), runningID, "SIGTERM"); err != nil {
		t.Error(err)
	}
	b.becomes(t, runningID, plan.ContainerExited)
	for _, id := range []string{runningID, createdID} {
		if err := next.Remove(t.Context(), id, false); err != nil {
			t.Error(err)
		}
	}
}

func testNothing(t *testing.T, b *bench) {
	const nobody = "0000000000000000000000000000000000000000000000000000000000000000"
	ctx := t.Context()
	_, inspectErr := b.Inspect(ctx, nobody)
	_, logsErr := b.Logs(ctx, nobody, 1)
	_, readErr := b.ReadFile(ctx, nobody, DataDir+"/"+GreetingFile)
	for what, err := range map[string]error{
		"inspect": inspectErr, "logs": logsErr, "read": readErr, "start": b.Start(ctx, nobody, nil),
		"write": b.WriteFile(ctx, nobody, plan.File{Path: DataDir + "/x"}),
	} {
		if !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("%s of a container that does not exist: %v, want plan.ErrNotFound", what, err)
		}
	}
	if _, err := b.Create(ctx, MissingPool, b.runner(), nil); err == nil {
		t.Error("a container was created in a pool that does not exist")
	}
}

func testBroken(t *testing.T, b *bench) {
	runner := b.runner()
	id, err := b.Create(t.Context(), BrokenPool, runner, nil)
	if err == nil {
		b.removeLater(t, id)
		t.Fatal("a container was created without an image")
	}
	if !errors.Is(err, plan.ErrImage) {
		t.Errorf("%v, want plan.ErrImage", err)
	}
	if c, found := listed(t, b, runner); found {
		t.Errorf("%+v is listed", c)
	}
}

func testCancelled(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("list: %v, want context.Canceled", err)
	}
	runner := b.runner()
	if id, err := b.Create(ctx, Pool, runner, nil); err == nil {
		b.removeLater(t, id)
		t.Error("a container was created after its time")
	}
	if c, found := listed(t, b, runner); found {
		t.Errorf("%+v is listed", c)
	}
}
