package docker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

// watching runs Watch and returns what it notifies. The test ends only after
// Watch has.
func watching(t *testing.T, e *Engine) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seen, done := make(chan string, 100), make(chan error, 1)
	go func() { done <- e.Watch(ctx, func(runner string) { seen <- runner }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch() = %v, want context.Canceled", err)
		}
	})
	return seen
}

// expect reads notifications until want comes.
func expect(t *testing.T, seen <-chan string, want string) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		select {
		case got := <-seen:
			if got == want {
				return
			}
		case <-deadline.C:
			t.Fatalf("no notification of %q", want)
		}
	}
}

func testWatch(t *testing.T, r *rig) {
	e := r.pool(t, "plain", "sleep")
	seen := watching(t, e)
	if first := <-seen; first != "" {
		t.Fatalf("first notification is %q, want the call to look at everything", first)
	}
	runner := r.instance + "-watch"
	id := start(t, e, runner)
	if err := e.Signal(t.Context(), id, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	expect(t, seen, runner) // die
	ended(t, e, id)
	if err := e.Remove(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	foreign := r.instance + "-watch-foreign"
	id = start(t, e, foreign)
	if err := r.base.client.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	for told := ""; told != foreign; {
		if told = <-seen; told == runner {
			t.Error("told of the runner that we have removed, which is no news")
		}
	}
}

func TestBackoff(t *testing.T) {
	b := backoff{first: 250 * time.Millisecond, max: 15 * time.Second}
	for _, tc := range []struct {
		failures int
		top      time.Duration
	}{
		{0, 250 * time.Millisecond},
		{1, 500 * time.Millisecond},
		{5, 8 * time.Second},
		{6, 15 * time.Second},
		{1 << 40, 15 * time.Second},
	} {
		for range 50 {
			if d := b.delay(tc.failures); d < tc.top/2 || d > tc.top {
				t.Fatalf("delay after %d failures is %s, want between %s and %s", tc.failures, d, tc.top/2, tc.top)
			}
		}
	}
}
