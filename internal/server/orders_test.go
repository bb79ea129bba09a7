package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/journal"
	"scaler.io/scaler/internal/plan"
)

// fakeOperator takes orders, and knows the pool linux and the runner r1.
type fakeOperator struct {
	mu     sync.Mutex
	orders []string
	actors []string
}

func (f *fakeOperator) take(actor, known, name, format string, args ...any) error {
	if name != known {
		return fmt.Errorf("%s: %w", name, plan.ErrNotFound)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append(f.orders, fmt.Sprintf(format, args...))
	f.actors = append(f.actors, actor)
	return nil
}

func (f *fakeOperator) Pause(_ context.Context, actor, pool, reason string) error {
	return f.take(actor, "linux", pool, "pause: %s", reason)
}

func (f *fakeOperator) Resume(_ context.Context, actor, pool string) error {
	return f.take(actor, "linux", pool, "resume")
}

func (f *fakeOperator) Drain(_ context.Context, actor string, t plan.DrainTarget) error {
	switch {
	case t.All:
		return f.take(actor, "", "", "drain all: %s", t.Reason)
	case t.Runner != "":
		return f.take(actor, "r.1/x", t.Runner, "drain runner: %s", t.Reason)
	}
	return f.take(actor, "linux", t.Pool, "drain pool: %s", t.Reason)
}

func (f *fakeOperator) StartOne(ctx context.Context, actor, pool string) (string, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		return "", errors.New("the request has no deadline")
	}
	return "r2", f.take(actor, "linux", pool, "start")
}

func TestOrders(t *testing.T) {
	f := &fakeOperator{}
	c := serve(t, &fakeSource{}, slog.New(slog.DiscardHandler), WithOperator(f))
	ctx := t.Context()
	name, err := c.StartOne(ctx, "linux")
	if err != nil || name != "r2" {
		t.Errorf("StartOne = %q, %v", name, err)
	}
	err = errors.Join(c.Pause(ctx, "linux", "a & b=ü"), c.Resume(ctx, "linux"), c.Drain(ctx, plan.DrainTarget{Pool: "linux", Reason: "x"}),
		c.Drain(ctx, plan.DrainTarget{Runner: "r.1/x"}), c.Drain(ctx, plan.DrainTarget{All: true, Reason: "y"}))
	if err != nil {
		t.Error(err)
	}
	if want := []string{"start", "pause: a & b=ü", "resume", "drain pool: x", "drain runner: ", "drain all: y"}; !slices.Equal(f.orders, want) {
		t.Errorf("orders %q, want %q", f.orders, want)
	}
	me, err := osuser.Current()
	if err != nil {
		t.Fatal(err)
	}
	if f.actors[0] != me.Username {
		t.Errorf("ordered by %q, want %q", f.actors[0], me.Username)
	}
	_, startErr := c.StartOne(ctx, "x")
	for what, err := range map[string]error{
		"pause": c.Pause(ctx, "../linux", ""), "resume": c.Resume(ctx, "x"), "start": startErr,
		"drain": c.Drain(ctx, plan.DrainTarget{Pool: ".."}), "drain of a runner": c.Drain(ctx, plan.DrainTarget{Runner: "r2"}),
	} {
		if !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("%s of what there is not: %v", what, err)
		}
	}
	c = serve(t, &fakeSource{}, slog.New(slog.DiscardHandler))
	if err := c.Pause(ctx, "linux", ""); err == nil || !strings.Contains(err.Error(), "takes no orders") {
		t.Errorf("without anybody who takes orders: %v", err)
	}
}

func TestOrdersThatAreNone(t *testing.T) {
	f := &fakeOperator{}
	h := New(&fakeSource{}, slog.New(slog.DiscardHandler), WithOperator(f)).handler()
	for request, status := range map[string]int{
		"GET /v1/pools/linux/pause": http.StatusMethodNotAllowed, "POST /v1/pools/linux/explode": http.StatusNotFound, "POST /v1/pools//pause": http.StatusTemporaryRedirect,
		"GET /v1/drain": http.StatusMethodNotAllowed, "PUT /v1/runners/r1/drain": http.StatusMethodNotAllowed, "POST /v1/pools/linux": http.StatusNotFound,
	} {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != status || len(f.orders) > 0 {
			t.Errorf("%s: %d, orders %q", request, w.Code, f.orders)
		}
	}
}

// happen adds events to a journal.
func happen(j *journal.Journal, n int) {
	for range n {
		j.Add(plan.Event{At: now, Kind: plan.EventProblem, Text: "<x>"})
	}
}

func TestEvents(t *testing.T) {
	j := journal.New(eventsAtOnce + 7)
	happen(j, eventsAtOnce+10) // the first 3 are not kept
	c := serve(t, &fakeSource{}, slog.New(slog.DiscardHandler), WithEvents(j))
	var got []EventLine
	keep := func(l EventLine) error { got = append(got, l); return nil }
	if err := c.Events(t.Context(), 1, false, keep); err != nil {
		t.Fatal(err)
	}
	if len(got) != eventsAtOnce+8 || got[0].Missed != 2 || got[1].Seq != 4 || got[len(got)-1].Seq != j.Last() || got[1].Text != "<x>" {
		t.Errorf("%d events, the first %+v, the last %+v", len(got), got[:2], got[len(got)-1])
	}
	// Followed, they come as they happen, until the reader has enough.
	seen := make(chan uint64)
	enough := errors.New("enough")
	done := make(chan error, 1)
	go func() {
		done <- c.Events(context.Background(), eventsAtOnce+10, true, func(l EventLine) error {
			seen <- l.Seq
			if l.Seq == eventsAtOnce+12 {
				return enough
			}
			return nil
		})
	}()
	for want := j.Last() + 1; want <= eventsAtOnce+12; want++ {
		happen(j, 1)
		if n := <-seen; n != want {
			t.Errorf("event %d, want %d", n, want)
		}
	}
	if err := <-done; !errors.Is(err, enough) {
		t.Errorf("Events = %v", err)
	}
	if err := c.Events(t.Context(), 0, false, func(EventLine) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("Events = %v", err)
	}
}

// A stream outlives the deadlines of other requests: that of the read side would
// end it by itself. It ends with the daemon, or when nobody reads it any more.
func TestStreamsOutliveDeadlines(t *testing.T) {
	j := journal.New(10)
	gone := make(chan struct{})
	s := New(&fakeSource{}, slog.New(slog.DiscardHandler), WithEvents(j))
	h := s.handler()
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		close(gone)
	}))
	ts.Config.ReadTimeout, ts.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	ts.Start()
	defer ts.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ts.URL+"/v1/events?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for range 2 {
		time.Sleep(150 * time.Millisecond)
		happen(j, 1)
		line, err := lines.ReadString('\n')
		var e plan.Event
		if err != nil || json.Unmarshal([]byte(line), &e) != nil || e.Seq != j.Last() {
			t.Fatalf("line %q, %v", line, err)
		}
	}
	cancel()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the stream of a reader that has gone does not end")
	}
}

// fakeOnlooker knows the runner r1.
type fakeOnlooker struct{ end error }

func (f *fakeOnlooker) Logs(_ context.Context, runner string, lines int) ([]string, error) {
	if runner != "r1" {
		return nil, fmt.Errorf("runner %s: %w", runner, plan.ErrNotFound)
	}
	all := make([]string, 500)
	for i := range all {
		all[i] = fmt.Sprintf("line %d", i+1)
	}
	return all[len(all)-min(lines, len(all)):], nil
}

func (f *fakeOnlooker) FollowLogs(ctx context.Context, runner string, lines int, line func(string) error) error {
	all, err := f.Logs(ctx, runner, lines)
	for _, l := range append(all, "the end") {
		if err := line(l); err != nil {
			return err
		}
	}
	return errors.Join(err, f.end)
}

func (f *fakeOnlooker) Usage(ctx context.Context, runners []string) (list []plan.Usage) {
	if _, bounded := ctx.Deadline(); bounded && slices.Contains(runners, "r1") {
		list = append(list, plan.Usage{Runner: "r1", At: now, CPU: time.Second, Memory: 5})
	}
	return list
}

func TestLogsAndUsage(t *testing.T) {
	f := &fakeOnlooker{}
	c := serve(t, &fakeSource{}, slog.New(slog.DiscardHandler), WithOnlooker(f))
	logs := func(runner string, lines int, follow bool) (string, error) {
		var got []string
		err := c.Logs(t.Context(), runner, lines, follow, func(l string) error { got = append(got, l); return nil })
		return strings.Join(got, ";"), err
	}
	if got, err := logs("r1", 2, false); err != nil || got != "line 499;line 500" {
		t.Errorf("Logs = %q, %v", got, err)
	}
	if got, err := logs("r1", 1, true); err != nil || got != "line 500;the end" {
		t.Errorf("Logs = %q, %v", got, err)
	}
	for _, follow := range []bool{false, true} {
		if _, err := logs("nobody", 1, follow); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("Logs of nobody = %v", err)
		}
		if _, err := logs("r1", maxLogLines+1, follow); !errors.Is(err, plan.ErrInvalid) {
			t.Errorf("too many lines: %v", err)
		}
	}
	f.end = errors.New("the engine has gone")
	if got, err := logs("r1", 1, true); got != "line 500;the end" || err == nil || err.Error() != "the engine has gone" {
		t.Errorf("a log that breaks: %q, %v", got, err)
	}
	usage, err := c.Usage(t.Context(), []string{"r1", "r2"})
	if err != nil || len(usage) != 1 || usage[0].CPU != time.Second {
		t.Errorf("Usage = %+v, %v", usage, err)
	}
	if _, err := c.Usage(t.Context(), make([]string, maxUsages+1)); !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("too many runners: %v", err)
	}
}

// What a client asks for that talks to somebody else is an error with a reason.
func TestStreamThatIsNone(t *testing.T) {
	c := serve(t, &fakeSource{}, slog.New(slog.DiscardHandler))
	if err := c.Events(t.Context(), 0, true, nil); err == nil || !strings.Contains(err.Error(), "neither events nor logs") {
		t.Errorf("Events = %v", err)
	}
	nobody := NewClient(socketPath(t))
	if err := nobody.Events(t.Context(), 0, true, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("Events of nobody = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := nobody.Events(ctx, 0, true, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Events after the end = %v", err)
	}
}

// Who may not use the socket is told who may.
func TestSocketOfSomebodyElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	for uid, want := range map[int]string{0: "the daemon's user", 1: "the daemon's user, " + userName(1) + ","} {
		if err := os.Lchown(path, uid, -1); err != nil {
			t.Fatal(err)
		}
		c := NewClient(path)
		err := c.explain(t.Context(), &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)})
		if !errors.Is(err, ErrUnreachable) || err.Error() != "no permission to use "+path+": run this as "+want+" or as root" {
			t.Errorf("owned by %d: %v", uid, err)
		}
	}
	if got := ownerOf(filepath.Join(path, "hidden", "s.sock")); got != "the daemon's user" {
		t.Errorf("of nothing: %q", got)
	}
}
