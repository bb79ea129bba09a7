package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/journal"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// fakeOperated is a daemon that takes orders, and tells of what happens.
type fakeOperated struct {
	fakeDaemon
	mu      sync.Mutex
	orders  []string
	journal *journal.Journal
	busy    int // how often a status still shows what was drained
}

// operated is a daemon in trouble that takes orders.
func operated() *fakeOperated {
	f := &fakeOperated{fakeDaemon: fakeDaemon{status: badNight()}, journal: journal.New(10)}
	f.fakeDaemon.status.Runners[0].StartedAt = noon
	return f
}

func (f *fakeOperated) start(t *testing.T) (socket string) {
	return startDaemonWith(t, f, server.WithOperator(f), server.WithOnlooker(f), server.WithEvents(f.journal))
}

func (f *fakeOperated) Status() plan.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.fakeDaemon.status
	s.CycleAt = time.Now().Add(time.Second)
	s.Pools, s.Runners = slices.Clone(s.Pools), slices.Clone(s.Runners)
	for _, o := range f.orders {
		if strings.HasPrefix(o, "drain") && f.busy == 0 {
			s.Runners = nil
			for i := range s.Pools {
				p := &s.Pools[i]
				p.Starting, p.Busy = 0, 0
			}
		}
		for i := range s.Pools {
			s.Pools[i].Paused = &plan.Pause{Since: noon, By: "alice", Drain: true}
		}
	}
	f.busy = max(f.busy-1, 0)
	return s
}

func (f *fakeOperated) took(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.orders = append(f.orders, fmt.Sprintf(format, args...))
	return nil
}

func (f *fakeOperated) known(pool string) error {
	if pool != "linux" && pool != "windows" {
		return fmt.Errorf("pool %s: %w: the pools are linux, windows", pool, plan.ErrNotFound)
	}
	return nil
}

func (f *fakeOperated) Pause(_ context.Context, actor, pool, reason string) error {
	if err := f.known(pool); err != nil {
		return err
	}
	return f.took("pause %s: %s", pool, reason)
}

func (f *fakeOperated) Resume(_ context.Context, actor, pool string) error {
	if err := f.known(pool); err != nil {
		return err
	}
	return f.took("resume %s", pool)
}

func (f *fakeOperated) Drain(_ context.Context, actor string, t plan.DrainTarget) error {
	return f.took("drain %+v", t)
}

func (f *fakeOperated) StartOne(_ context.Context, actor, pool string) (string, error) {
	if pool == "windows" {
		return "", fmt.Errorf("start a runner of pool windows: %w: pool windows is on hold", plan.ErrConflict)
	}
	return "linux-more", f.took("start %s", pool)
}

func (f *fakeOperated) Logs(_ context.Context, runner string, lines int) ([]string, error) {
	if runner != "linux-busy" {
		return nil, fmt.Errorf("read log of runner %s: %w", runner, plan.ErrNotFound)
	}
	all := []string{"one", "two", "three"}
	return all[max(len(all)-lines, 0):], nil
}

func (f *fakeOperated) FollowLogs(ctx context.Context, runner string, lines int, line func(string) error) error {
	all, err := f.Logs(ctx, runner, lines)
	for _, l := range append(all, "four") {
		if err := line(l); err != nil {
			return err
		}
	}
	return err
}

func (f *fakeOperated) Usage(_ context.Context, runners []string) (list []plan.Usage) {
	for _, name := range runners {
		list = append(list, plan.Usage{Runner: name, At: time.Now(), CPU: time.Duration(time.Now().UnixNano() / 2), Memory: 200 << 20, Processes: 7})
	}
	return list
}

func TestOrders(t *testing.T) {
	tests := []struct {
		args   string
		orders string // joined by ";"
		out    string
		code   int
		stderr string
	}{
		{args: "pause linux --reason x", orders: "pause linux: x", out: "pool linux is paused\n"},
		{args: "pause linux windows --json", orders: "pause linux: ;pause windows: ", out: "{\n  \"order\": \"pause\",\n  \"pools\": [\n    \"linux\",\n    \"windows\"\n  ]\n}\n"},
		{args: "pause linus linux", orders: "pause linux: ", code: exitFailure, stderr: "pool linus: not found: the pools are linux, windows"},
		{args: "pause", code: exitUsage, stderr: "want the names of pools"},
		{args: "resume linux", orders: "resume linux", out: "pool linux is resumed\n"},
		{args: "resume --all", out: "no pool had to be resumed\n"},
		{args: "resume", code: exitUsage, stderr: "give the names of pools or --all"},
		{args: "resume linux --all", code: exitUsage, stderr: "give the names of pools or --all"},
		{args: "start linux", orders: "start linux", out: "linux-more\n"},
		{args: "start windows", code: exitFailure, stderr: "scaler: start a runner of pool windows: conflict: pool windows is on hold"},
		{args: "start", code: exitUsage, stderr: "want the name of one pool, got 0"},
		{args: "drain linux --reason x", orders: "drain {Pool:linux Runner: All:false Reason:x}", out: "pool linux is draining\n"},
		{args: "drain linux-busy", orders: "drain {Pool: Runner:linux-busy All:false Reason:}", out: "runner linux-busy is draining\n"},
		{args: "drain --all", orders: "drain {Pool: Runner: All:true Reason:}", out: "pool linux is draining\npool windows is draining\n"},
		{args: "drain nobody", code: exitFailure, stderr: "drain nobody: not found: neither a pool nor a runner is called so"},
		{args: "drain", code: exitUsage, stderr: "give the names of pools or runners, or --all"},
		{args: "drain linux --timeout 1s", code: exitUsage, stderr: "--timeout goes with --wait only"},
		{args: "drain linux --wait", orders: "drain {Pool:linux Runner: All:false Reason:}", out: "pool linux is drained\n"},
		{args: "drain linux-busy --wait --json", orders: "drain {Pool: Runner:linux-busy All:false Reason:}", out: "{\n  \"order\": \"drain\",\n  \"runners\": [\n    \"linux-busy\"\n  ],\n  \"done\": true\n}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			f := operated()
			out, errs, code := runCommand(t, append(strings.Fields(tt.args), "--socket", f.start(t))...)
			if got := strings.Join(f.orders, ";"); got != tt.orders || out != tt.out || code != tt.code || !strings.Contains(errs, tt.stderr) {
				t.Errorf("orders %q, out %q, code %d, stderr %q", got, out, code, errs)
			}
		})
	}
}

func TestDrainWaits(t *testing.T) {
	f := operated()
	f.busy = 3 // the status before, and two after
	out, errs, code := runCommand(t, "drain", "linux", "linux-busy", "--wait", "--socket", f.start(t))
	if code != exitOK || out != "pool linux is drained\nrunner linux-busy is drained\n" || errs != "scaler: waiting for pool linux (1 busy, 1 others), runner linux-busy (busy)\n" {
		t.Errorf("code %d, out %q, stderr %q", code, out, errs)
	}
	f = operated()
	f.busy = 1000
	if _, errs, code = runCommand(t, "drain", "linux", "--wait", "--timeout", "100ms", "--socket", f.start(t)); code != exitFailure || !strings.Contains(errs, "not done after 100ms; the drain goes on") {
		t.Errorf("code %d, stderr %q", code, errs)
	}
}

func TestDrainEndsWhenItIsTakenBack(t *testing.T) {
	o := ordered{Pools: []string{"linux"}}
	if _, resumed := leftOf(o, badNight()); resumed != "linux" {
		t.Errorf("resumed %q", resumed)
	}
}

func TestLogs(t *testing.T) {
	socket := operated().start(t)
	for args, want := range map[string]string{
		"logs linux-busy --lines 2":        "two\nthree\n",
		"logs linux-busy --lines 2 --json": "{\"line\":\"two\"}\n{\"line\":\"three\"}\n",
		"logs linux-busy -f -n 1":          "three\nfour\n",
		"logs linux-busy":                  "one\ntwo\nthree\n",
	} {
		if got := mustRun(t, append(strings.Fields(args), "--socket", socket)...); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
	for _, args := range []string{"logs nobody", "logs nobody -f"} {
		if _, errs, code := runCommand(t, append(strings.Fields(args), "--socket", socket)...); code != exitFailure || !strings.Contains(errs, "read log of runner nobody: not found") {
			t.Errorf("%s: %d, %q", args, code, errs)
		}
	}
	if _, errs, code := runCommand(t, "logs", "linux-busy", "-n", "20000", "--socket", socket); code != exitFailure || !strings.Contains(errs, "10000 at most") {
		t.Errorf("too many lines: %d, %q", code, errs)
	}
}

func TestTopOnce(t *testing.T) {
	socket := operated().start(t)
	out := mustRun(t, "top", "--once", "--socket", socket)
	if !strings.Contains(out, "1 of 2 runners run: 50 % of a CPU, 200MiB of memory. 2 jobs wait.") || !strings.Contains(out, "linux-busy  linux  busy") || !strings.Contains(out, " 50.0 %  200MiB  7\n") {
		t.Errorf("top = %s", out)
	}
	var rows []topRow
	if err := json.Unmarshal([]byte(mustRun(t, "top", "--json", "--socket", socket)), &rows); err != nil || len(rows) != 1 || rows[0].Runner != "linux-busy" || rows[0].CPU < 40 {
		t.Errorf("rows %+v, %v", rows, err)
	}
	if out := mustRun(t, "top", "windows", "--json", "--socket", socket); out != "[]\n" {
		t.Errorf("of a pool without runners: %q", out)
	}
	if _, errs, code := runCommand(t, "top", "--sort", "luck", "--socket", socket); code != exitUsage || !strings.Contains(errs, `--sort "luck": want cpu, memory, age or pool`) {
		t.Errorf("%d, %q", code, errs)
	}
}

func TestPercent(t *testing.T) {
	a := plan.Usage{At: noon, CPU: time.Second}
	for name, tt := range map[string]struct {
		before, after plan.Usage
		want          float64
	}{
		"half a CPU":        {a, plan.Usage{At: noon.Add(2 * time.Second), CPU: 2 * time.Second}, 50},
		"not known before":  {plan.Usage{}, a, -1},
		"at one moment":     {a, a, -1},
		"another container": {a, plan.Usage{At: noon.Add(time.Second)}, 0},
	} {
		if got := percent(tt.before, tt.after); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestCompletionOfPools(t *testing.T) {
	socket := operated().start(t)
	for args, want := range map[string][]string{
		"pause":       {"linux\t1 busy, 0 idle", "windows\t0 busy, 0 idle"},
		"pause linux": {"windows\t0 busy, 0 idle"},
		"resume":      nil,
		"start":       {"linux\t1 busy, 0 idle", "windows\t0 busy, 0 idle"},
		"drain":       {"linux\tpool, 2 runners", "windows\tpool, 0 runners", "linux-busy\trunner, busy", "linux-new\trunner, starting"},
		"logs":        {"linux-busy\tbusy", "linux-new\tstarting"},
	} {
		line := append([]string{"__complete"}, strings.Fields(args)...)
		out := mustRun(t, append(line, "--socket", socket, "")...)
		var got []string
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, ":") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}
