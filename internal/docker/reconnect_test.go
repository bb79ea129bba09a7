package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestWatchReconnects(t *testing.T) {
	socket := socketPath(t)
	var connections atomic.Int32
	routes := map[string]http.HandlerFunc{"GET /events": func(w http.ResponseWriter, r *http.Request) {
		if filter := r.URL.Query().Get("filters"); !strings.Contains(filter, `"io.scaler.instance=i"`) {
			t.Errorf("filters %s", filter)
		}
		n := connections.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]any{"Actor": map[string]any{"Attributes": map[string]string{LabelRunner: fmt.Sprint("r", n)}}})
		w.(http.Flusher).Flush()
		if n == 3 {
			<-r.Context().Done()
		}
	}}
	var logs bytes.Buffer
	e := fakeClient(t, Config{Host: "unix://" + socket, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	seen, done := make(chan string), make(chan error, 1)
	go func() { done <- e.Watch(ctx, func(runner string) { seen <- runner }) }()
	fakeEngine(t, socket, routes) // begins to listen while Watch already tries, or before
	for _, want := range []string{"", "r1", "", "r2", "", "r3"} {
		if got := <-seen; got != want {
			t.Errorf("notified %q, want %q", got, want)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch() = %v", err)
	}
	lost, restored := strings.Count(logs.String(), "stream lost"), strings.Count(logs.String(), "stream restored")
	if lost != restored || lost < 2 || lost > 3 {
		t.Errorf("lost %d and restored %d times:\n%s", lost, restored, logs.String())
	}
}

func TestWatchLogsALongOutageOnce(t *testing.T) {
	var logs bytes.Buffer
	e := fakeClient(t, Config{Host: "unix://" + socketPath(t), Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := e.Watch(ctx, func(string) { t.Error("notified without a connection") }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Watch() = %v", err)
	}
	if n := strings.Count(logs.String(), "\n"); n != 1 || !strings.Contains(logs.String(), "does not exist: start Docker") {
		t.Errorf("%d lines, want 1:\n%s", n, logs.String())
	}
}
