package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeSource is a daemon with one runner.
type fakeSource struct {
	preview  func(context.Context) (plan.Plan, error)
	triggers atomic.Int32
}

func (f *fakeSource) Status() plan.Status {
	return plan.Status{
		Version: "1", Instance: "abc", Cycle: 7, CycleAt: now, Problems: []plan.Problem{}, Pools: []plan.PoolStatus{}, Queue: []plan.JobDecision{},
		Runners: []plan.RunnerStatus{{Name: "linux-1", Pool: "linux", Phase: plan.PhaseIdle, Since: now, CreatedAt: now, Reason: "min <2>",
			History: []plan.Step{{At: now, Phase: plan.PhaseIdle}}}},
	}
}

func (f *fakeSource) Preview(ctx context.Context) (plan.Plan, error) {
	if f.preview == nil {
		return plan.Plan{}, nil
	}
	return f.preview(ctx)
}

func (f *fakeSource) DotRunner(name string) ([]byte, error) {
	if name != "linux-1" {
		return nil, fmt.Errorf("runner %s: %w", name, plan.ErrNotFound)
	}
	return []byte(`{"token":"top-secret"}`), nil
}

func (f *fakeSource) Trigger() { f.triggers.Add(1) }

func (f *fakeSource) Reap(_ context.Context, dryRun bool) ([]plan.Finding, error) {
	return []plan.Finding{{Kind: "record", Name: fmt.Sprintf("dry-%v", dryRun), Due: now}}, nil
}

// serve runs a server on a socket until the test ends.
func serve(t *testing.T, source daemon, log *slog.Logger, options ...Option) *Client {
	t.Helper()
	path := socketPath(t)
	ln := mustListen(t, path)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(source, log, options...).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return NewClient(path)
}

func TestClientAndServer(t *testing.T) {
	var log bytes.Buffer
	source := &fakeSource{preview: func(context.Context) (plan.Plan, error) {
		return plan.Plan{
			Actions:   []plan.Action{{Kind: plan.ActionStart, Pool: "linux", Job: 5, Reason: "job 5 waits"}},
			Decisions: []plan.Decision{{Job: &plan.Job{ID: 5, Repo: "a/b", Labels: []string{"linux"}, QueuedAt: now}, Pool: "linux", Reason: "started"}},
		}, nil
	}}
	c := serve(t, source, slog.New(slog.NewTextHandler(&log, nil)))
	ctx := t.Context()
	listed := source.Status().Runners
	listed[0].History = nil

	status, err := c.Status(ctx)
	want := source.Status()
	want.Runners = listed
	if err != nil || !reflect.DeepEqual(status, want) {
		t.Errorf("Status = %+v, %v, want %+v", status, err, want)
	}
	if got, err := c.Runners(ctx); err != nil || !reflect.DeepEqual(got, listed) {
		t.Errorf("Runners = %+v, %v, want %+v", got, err, listed)
	}
	if got, err := c.Runner(ctx, "linux-1"); err != nil || !reflect.DeepEqual(got, source.Status().Runners[0]) {
		t.Errorf("Runner = %+v, %v, want it with history", got, err)
	}
	if got, err := c.DotRunner(ctx, "linux-1"); err != nil || string(got) != `{"token":"top-secret"}` {
		t.Errorf("DotRunner = %s, %v", got, err)
	}
	p, err := c.Plan(ctx)
	if err != nil || len(p.Actions) != 1 || p.Actions[0].Job != 5 || len(p.Queue) != 1 || p.Queue[0].Repo != "a/b" || p.Queue[0].Pool != "linux" {
		t.Errorf("Plan = %+v, %v", p, err)
	}
	if err := c.Trigger(ctx); err != nil || source.triggers.Load() != 1 {
		t.Errorf("Trigger: %v, %d calls", err, source.triggers.Load())
	}
	if strings.Contains(log.String(), "top-secret") || !strings.Contains(log.String(), `msg="runner exported" runner=linux-1`) {
		t.Errorf("log = %s, want the export without the secret", log.String())
	}
}

func TestClientNotFound(t *testing.T) {
	c := serve(t, &fakeSource{}, slog.New(slog.DiscardHandler))
	for _, name := range []string{"nobody", "a/b", "a b%2F?c", "..", ""} {
		if _, err := c.DotRunner(t.Context(), name); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("DotRunner(%q) = %v, want not found", name, err)
		}
		if name == "" {
			continue // the list
		}
		if _, err := c.Runner(t.Context(), name); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("Runner(%q) = %v, want not found", name, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	failing := func(err error) *fakeSource {
		return &fakeSource{preview: func(context.Context) (plan.Plan, error) { return plan.Plan{}, err }}
	}
	tests := []struct {
		name, method, path string
		source             *fakeSource
		status             int
		want               string
		allow              string
	}{
		{name: "status", method: "GET", path: "/v1/status", status: 200, want: `"instance":"abc"`},
		{name: "text is left as it is", method: "GET", path: "/v1/runners", status: 200, want: `"reason":"min <2>"`},
		{name: "empty plan has lists", method: "GET", path: "/v1/plan", status: 200, want: `{"actions":[],"queue":[]}`},
		{name: "trigger", method: "POST", path: "/v1/trigger", status: 204},
		{name: "reap", method: "POST", path: "/v1/reap", status: 200, want: "dry-false"},
		{name: "reap as a dry run", method: "POST", path: "/v1/reap?dry_run=true", status: 200, want: "dry-true"},
		{name: "unknown route", method: "GET", path: "/v2/status", status: 404, want: `{"error":"no /v2/status: this scaler does not know it"}`},
		{name: "unknown runner", method: "GET", path: "/v1/runners/x", status: 404, want: `{"error":"runner x: not found"}`},
		{name: "status is not posted", method: "POST", path: "/v1/status", status: 405, want: `{"error":"POST /v1/status: use GET"}`, allow: "GET"},
		{name: "trigger is not read", method: "GET", path: "/v1/trigger", status: 405, want: `use POST`, allow: "POST"},
		{name: "runner is not deleted", method: "DELETE", path: "/v1/runners/linux-1", status: 405, want: `use GET`, allow: "GET"},
		{name: "preview fails", method: "GET", path: "/v1/plan", status: 500, want: `{"error":"gitea is down"}`, source: failing(errors.New("gitea is down"))},
		{name: "preview takes too long", method: "GET", path: "/v1/plan", status: 504, want: `deadline`, source: failing(context.DeadlineExceeded)},
		{name: "daemon ends", method: "GET", path: "/v1/plan", status: 503, want: `canceled`, source: failing(context.Canceled)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.source == nil {
				tt.source = &fakeSource{}
			}
			w := httptest.NewRecorder()
			New(tt.source, slog.New(slog.DiscardHandler)).handler().ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) || w.Header().Get("Allow") != tt.allow {
				t.Errorf("got %d %s, Allow %q; want %d %s", w.Code, w.Body, w.Header().Get("Allow"), tt.status, tt.want)
			}
			if w.Code != http.StatusNoContent && (!json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json") {
				t.Errorf("not JSON: %s %s", w.Header().Get("Content-Type"), w.Body)
			}
		})
	}
}

func TestStatusHoldsNoSecret(t *testing.T) {
	w := httptest.NewRecorder()
	for _, path := range []string{"/v1/status", "/v1/plan", "/v1/runners", "/v1/runners/linux-1"} {
		New(&fakeSource{}, slog.New(slog.DiscardHandler)).handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	}
	if strings.Contains(w.Body.String(), "top-secret") {
		t.Error("the token is shown")
	}
}

func TestClientSaysWhyNobodyAnswers(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    string
		cause   error
	}{
		{"no socket", func(*testing.T, string) {}, "is the daemon running, and is --socket or control_socket right?", fs.ErrNotExist},
		{"stale socket", func(t *testing.T, path string) {
			ln := mustListen(t, path).(*net.UnixListener)
			ln.SetUnlinkOnClose(false)
			ln.Close()
		}, "is the daemon running", syscall.ECONNREFUSED},
		{"broken answer", func(t *testing.T, path string) {
			ln := mustListen(t, path)
			go func() {
				if conn, err := ln.Accept(); err == nil {
					conn.Close()
				}
			}()
		}, "broke", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := socketPath(t)
			tt.prepare(t, path)
			_, err := NewClient(path).Status(t.Context())
			if !errors.Is(err, ErrUnreachable) || tt.cause != nil && !errors.Is(err, tt.cause) {
				t.Errorf("error = %v, want ErrUnreachable and %v", err, tt.cause)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q, want %q and the path", err, tt.want)
			}
		})
	}
}

func TestClientPermission(t *testing.T) {
	err := NewClient("/s").explain(t.Context(), &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)})
	if !errors.Is(err, ErrUnreachable) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "as root") {
		t.Errorf("error = %v", err)
	}
}

func TestClientGivesUp(t *testing.T) {
	hang := &fakeSource{preview: func(ctx context.Context) (plan.Plan, error) {
		<-ctx.Done()
		return plan.Plan{}, ctx.Err()
	}}
	c := serve(t, hang, slog.New(slog.DiscardHandler))
	if _, err := get[Plan](t.Context(), c, 20*time.Millisecond, "/v1/plan"); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("its own deadline: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Plan(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("the caller's: %v", err)
	}
}

func TestServeEndsWithARequestUnderWay(t *testing.T) {
	path := socketPath(t)
	ln := mustListen(t, path)
	started := make(chan struct{})
	source := &fakeSource{preview: func(ctx context.Context) (plan.Plan, error) {
		close(started)
		<-ctx.Done() // ends with the daemon
		return plan.Plan{}, ctx.Err()
	}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served, asked := make(chan error, 1), make(chan error, 1)
	go func() { served <- New(source, slog.New(slog.DiscardHandler)).Serve(ctx, ln) }()
	go func() {
		_, err := NewClient(path).Plan(t.Context())
		asked <- err
	}()
	<-started
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
	if err := <-asked; err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("the request under way got %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestServeReturnsTheErrorOfTheListener(t *testing.T) {
	ln := mustListen(t, socketPath(t))
	ln.Close()
	if err := New(&fakeSource{}, slog.New(slog.DiscardHandler)).Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v, want closed", err)
	}
}
