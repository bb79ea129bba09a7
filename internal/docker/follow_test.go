package docker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

func testFollowLogs(t *testing.T, r *rig) {
	e := r.pool(t, "plain", "sleep")
	id := start(t, e, r.instance+"-follow")
	ready(t, e, id)
	lines := make(chan string, 10)
	done := make(chan error, 1)
	go func() {
		done <- e.FollowLogs(context.Background(), id, 1, func(l string) error { lines <- l; return nil })
	}()
	if l := <-lines; l != "ready" {
		t.Errorf("first line %q", l)
	}
	if err := e.Signal(t.Context(), id, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	if l := <-lines; l != "stopping" {
		t.Errorf("second line %q", l)
	}
	if err := <-done; err != nil {
		t.Errorf("FollowLogs = %v after the end of the container", err)
	}
	enough := errors.New("enough")
	if err := e.FollowLogs(t.Context(), id, 10, func(string) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("FollowLogs = %v, want the error of its reader", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	running := start(t, e, r.instance+"-follow-on")
	ready(t, e, running)
	time.AfterFunc(100*time.Millisecond, cancel)
	if err := e.FollowLogs(ctx, running, 0, func(l string) error { return errors.New(l) }); !errors.Is(err, context.Canceled) {
		t.Errorf("FollowLogs = %v at the end of its context", err)
	}
	if err := e.FollowLogs(t.Context(), "0123456789abcdef", 1, nil); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("FollowLogs of nothing = %v", err)
	}
}

func testUsage(t *testing.T, r *rig) {
	e := r.pool(t, "plain", "sleep")
	id := start(t, e, r.instance+"-usage")
	ready(t, e, id)
	began := time.Now()
	u, err := e.Usage(t.Context(), id)
	for try := 0; errors.Is(err, plan.ErrNotFound) && try < 50; try++ { // a busy engine may not know it yet
		time.Sleep(100 * time.Millisecond)
		u, err = e.Usage(t.Context(), id)
	}
	if err != nil || u.CPU <= 0 || u.CPU > time.Minute || u.MemoryLimit <= 0 || u.Memory < 0 || u.Memory > u.MemoryLimit || time.Since(u.At).Abs() > time.Minute {
		t.Errorf("Usage = %+v, %v", u, err)
	}
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Logf("the engine took %s", took)
	}
	if err := e.Signal(t.Context(), id, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	ended(t, e, id)
	if _, err := e.Usage(t.Context(), id); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("Usage of a container that has ended = %v", err)
	}
}

func TestLineWriter(t *testing.T) {
	var got []string
	w := &lineWriter{line: func(l string) error { got = append(got, l); return nil }}
	for _, part := range []string{"o", "ne\ntwo\r\n\nth", "ree\x1b[31m", "\n" + strings.Repeat("x", maxLog), "y\nlast"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", maxLine) + "…"
	if want := []string{"one", "two", "", "three", long, "y", "last"}; !slices.Equal(got, want) {
		t.Errorf("lines %.200q", got)
	}
}
