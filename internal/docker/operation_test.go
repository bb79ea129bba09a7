package docker

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// observed keeps what an Engine tells of its calls.
type observed struct {
	mu    sync.Mutex
	calls []string
}

func (o *observed) observe(operation, outcome string, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if took <= 0 {
		outcome += " in no time"
	}
	o.calls = append(o.calls, operation+" "+outcome)
}

func TestCallsAreObserved(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	socket := socketPath(t)
	hanging := make(chan struct{})
	defer close(hanging)
	fakeEngine(t, socket, map[string]http.HandlerFunc{
		"GET /containers/json": answer(200, "[]"),
		"GET /info": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-hanging:
			case <-r.Context().Done():
			}
		},
		"GET /version":         answer(500, `{"message":"out of order"}`),
		"GET /networks/bridge": answer(409, `{"message":"in use"}`),
	})
	o := &observed{}
	e := fakeClient(t, Config{Host: "unix://" + socket, Timeout: 200 * time.Millisecond, Observe: o.observe})
	ctx := t.Context()
	_, _ = e.List(ctx)
	_, _ = e.Inspect(ctx, "none")
	_, _ = e.Ping(ctx)
	_, _ = e.Gateway(ctx)
	_, _ = e.Size(ctx)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, _ = e.List(ended)
	want := []string{"container_list ok", "container_inspect not_found", "ping refused", "network_inspect conflict", "info no_answer", "container_list given_up"}
	if !slices.Equal(o.calls, want) {
		t.Errorf("observed %q, want %q", o.calls, want)
	}
	gone := fakeClient(t, Config{Host: "unix://" + socket + "-none", Observe: o.observe})
	o.calls = nil
	if _, err := gone.List(ctx); err == nil || !slices.Equal(o.calls, []string{"container_list no_answer"}) {
		t.Errorf("observed %q, %v", o.calls, err)
	}
}
