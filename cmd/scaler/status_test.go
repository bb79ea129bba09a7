package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

const badNightText = `scaler v1.2.3, instance 3f2a9c0b71de, up 3d3h, cycle 4711 1s ago

PROBLEMS (1)
  ! pool windows, for 3m20s: image unavailable: pull example/win:1: ?[31mdenied

POOLS (2)
  NAME     SCOPE     WAITING  STARTING  IDLE  BUSY  LEAVING  MAX  ON HOLD
  linux    instance  1        1         0     1     0        2    -
  windows  org:acme  0        0         0     0     0        4    next try at 12:00:30 UTC after failure 3: image unavailable

RUNNERS (2)
  NAME        POOL   PHASE     FOR    JOB  WHY
  linux-busy  linux  busy      1m30s  41   job 41 of acme/app waits and no runner of the pool is free
  linux-new   linux  starting  2s     -    job 42 of acme/app waits and no runner of the pool is free

QUEUE (2, 1 unserved)
  JOB  REPO      NAME                              RUNS-ON       WAITS  POOL   WHY
  43   acme/app  build ?[2J on every one of our …  arm64, linux  26h0m  -      no pool has all of runs-on [arm64, linux]: pool linux lacks arm64
  42   acme/app  test                              linux         3s     linux  a runner is being started for it
scaler explain JOB says more, pool by pool.
`

const schedulesText = `
POOLS (4)
  NAME    SCOPE  WAITING  STARTING  IDLE  BUSY  LEAVING  MAX  ON HOLD
  linux          0        0         0     0     0        0    -
  night          0        0         0     0     0        0    -
  always         0        0         0     0     0        0    -
  plain          0        0         0     0     0        0    -

SCHEDULES (3)
  POOL    NOW                     UNTIL                 IN     THEN
  linux   the pool's own numbers  2026-03-02 08:00 CET  19h0m  "0 8 * * 1-5" Europe/Berlin for 10h
  night   "@daily" for 4h         2026-03-01 15:30 UTC  3h30m  the pool's own numbers
  always  "@hourly" for 1h        -                     -      -

RUNNERS (0)
`

// scheduled is a status of pools with windows.
func scheduled() plan.Status {
	return plan.Status{StartedAt: noon, CycleAt: noon, Pools: []plan.PoolStatus{
		{Name: "linux", NextWindow: "`0 8 * * 1-5` Europe/Berlin for 10h", NextChange: noon.Add(19 * time.Hour).In(time.FixedZone("CET", 3600))},
		{Name: "night", Window: "`@daily` for 4h", NextChange: noon.Add(210 * time.Minute)},
		{Name: "always", Window: "`@hourly` for 1h"},
		{Name: "plain"},
	}}
}

func TestWriteStatus(t *testing.T) {
	many := plan.Status{Version: "v1", Instance: "abc", StartedAt: noon, CycleAt: noon, Cycle: 1, QueueSize: 100}
	for i := range 30 {
		many.Queue = append(many.Queue, plan.JobDecision{ID: int64(i + 1), Repo: "a/b", Pool: "linux", QueuedAt: noon})
	}
	many.Queue[29].Pool = ""
	many.Queue[29].Reason = "no"
	tests := []struct {
		name   string
		status plan.Status
		want   []string
		wants  string // the whole
	}{
		{name: "a bad night", status: badNight(), wants: badNightText},
		{name: "all is well", status: plan.Status{Version: "v1", StartedAt: noon, CycleAt: noon}, want: []string{"\nNo problems.\n", "\nRUNNERS (0)\n", "\nQUEUE (0)\n"}},
		{name: "an old server", status: plan.Status{Capabilities: &plan.Capabilities{Product: plan.ProductGitea, Version: "1.24.6", JobEvents: true, Runners: true, Delete: true, Ephemeral: true}},
			want: []string{"\nServer: Gitea 1.24.6, which cannot list queued and running jobs, say which runner has which job,\n", "disable runners\n"}},
		{name: "two servers", status: plan.Status{Servers: []plan.ServerStatus{
			{Name: "home", Capabilities: &plan.Capabilities{Product: plan.ProductGitea, Version: "1.23.8"}}, {Name: "silent"},
			{Name: "work", Capabilities: &plan.Capabilities{Product: plan.ProductForgejo, Version: "15.0.3+gitea-1.22.0", Jobs: true, Runners: true, Delete: true, Ephemeral: true}},
		}}, want: []string{"\nServer home: Gitea 1.23.8, which cannot list", "\nServer work: Forgejo 15.0.3+gitea-1.22.0, which cannot say which runner has which job, send\n"}},
		{name: "what is of several servers", status: plan.Merge([]plan.Part{
			{Server: "home", Status: plan.Status{Instance: "aaaaaaaaaaaa", Cycle: 7, CycleAt: noon.Add(-time.Second), QueueSize: 1, Pools: []plan.PoolStatus{{Name: "linux", Scope: "instance", Max: 2}},
				Runners: []plan.RunnerStatus{{Name: "r", Pool: "linux", Phase: plan.PhaseIdle, Since: noon}}, Budgets: []plan.Budget{{Resource: "runners", Taken: 1, Limit: 2}}}},
			{Server: "work", Status: plan.Status{Instance: "bbbbbbbbbbbb", Problems: []plan.Problem{{Subject: "gitea instance", Since: noon, Message: "refused"}},
				Queue: []plan.JobDecision{{ID: 5, Repo: "a/b", QueuedAt: noon, Pool: "linux", Reason: "waits"}}}},
		}), want: []string{
			"\n  ! server work: gitea instance, for 0s: refused\n",
			"\nSERVERS (2)\n  NAME  INSTANCE      WORKS  CYCLE  AGO  QUEUE\n  home  aaaaaaaaaaaa  yes    7      1s   1\n  work  bbbbbbbbbbbb  no     0      -    0\n",
			"  runners  1      2      server home: limits.runners\n", "  NAME   SERVER  SCOPE ", "  linux  home    instance ", "  NAME  SERVER  POOL ", "  r     home    linux ", "  JOB  SERVER  REPO ", "  5    work    a/b ",
		}},
		{name: "just started", status: plan.Status{Version: "v1", Instance: "abc"}, want: []string{"scaler v1, instance abc, no cycle yet\n", "No problems."}},
		{name: "schedules", status: scheduled(), want: []string{strings.ReplaceAll(schedulesText, `"`, "`")}},
		{name: "no cycle for long", status: plan.Status{StartedAt: noon.Add(-time.Hour), CycleAt: noon.Add(-10 * time.Minute)},
			want: []string{"PROBLEMS (1)\n  ! scaler: no cycle for 10m0s, so what follows is old"}},
		{name: "shutting down", status: plan.Status{Shutdown: true}, want: []string{"It is shutting down and starts no more runners.\n"}},
		{name: "a long queue", status: many, want: []string{"QUEUE (100, 1 unserved)\n", "WHY\n  30 ", "\n  19 ", "  … and 80 more\n"}},
		{name: "the same reason again", status: plan.Status{Queue: []plan.JobDecision{
			{ID: 1, Repo: "a/b", QueuedAt: noon, Reason: "no " + strings.Repeat("x", 300)}, {ID: 2, Repo: "a/b", QueuedAt: noon, Reason: "no " + strings.Repeat("x", 300)}}},
			want: []string{"  no " + strings.Repeat("x", maxWhy-4) + "…\n", "as for job 1\n"}},
		{name: "what may come", status: plan.Status{Queue: []plan.JobDecision{{ID: 1, QueuedAt: noon, Reason: "pool linux is at its max of 2", Next: "when one of the 2 runners of pool linux is free or gone"}}},
			want: []string{"  pool linux is at its max of 2; it can get a runner when one of the 2 runners of pool linux is free or gone\n"}},
		{name: "a long problem", status: plan.Status{Problems: []plan.Problem{{Subject: "docker", Since: noon, Message: strings.Repeat("word ", 30)}}},
			want: []string{"\n  ! docker, for 0s: word", "word word\n    word word word"}},
		{name: "a host under pressure", status: plan.Status{Host: &plan.HostStatus{Gates: []plan.HostGate{
			{Kind: plan.HostMemory, Known: true, Value: 35.25, Limit: 20, Holds: true}, {Kind: plan.HostFreeMemory, Known: true, Value: 3 << 30, Limit: 512 << 20},
			{Kind: plan.HostFreeDisk, Path: "/srv\x1b", Holds: true}}}},
			want: []string{"\nHOST\n  WHAT             VALUE    LIMIT   NEW RUNNERS\n  memory           35.25 %  20 %    wait\n" +
				"  free_memory      3GiB     512MiB  start\n  free_disk /srv?  -        -       wait\n"}},
		{name: "outdated runners", status: plan.Status{Runners: []plan.RunnerStatus{{Name: "a", Pool: "linux", Outdated: "another\x1bimage"}, {Name: "b", Pool: "linux"}}},
			want: []string{"\nTO BE REPLACED (1)\n  NAME  POOL   WHY\n  a     linux  another?image\n\nQUEUE"}},
		{name: "limits", status: plan.Status{Budgets: []plan.Budget{{Resource: "runners", Taken: 3, Limit: 20}, {Resource: "cpus", Taken: 4.5, Limit: 7, Host: 8, Reserve: 1},
			{Resource: "memory", Taken: 3 << 30, Limit: 8 << 30}}},
			want: []string{"\nLIMITS\n  WHAT     TAKEN  LIMIT  FROM\n  runners  3      20     limits.runners\n" +
				"  cpus     4.5    7      8 of the Docker host, less a reserve of 1\n  memory   3GiB   8GiB   limits.memory\n"}},
		{name: "daemons that share the jobs", status: plan.Status{Peers: []plan.PeerStatus{{Name: "build-1", Self: true, Weight: 4, Free: new(int)}, {Name: "build-2", Weight: 1, BehindUntil: noon.Add(90 * time.Second)}}},
			want: []string{"\nDAEMONS THAT SHARE THE JOBS (2)\n  NAME                WEIGHT  FREE     JOBS\n  build-1 (this one)  4       0 of 4   has its share\n" +
				"  build-2             1       unknown  left some waiting, comes behind the others for 1m30s\n"}},
		{name: "a queue that was not read", status: plan.Status{QueueSize: 5}, want: []string{"QUEUE (5)\n  … and 5 more\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			writeStatus(&b, tt.status, noon, textWidth)
			if tt.wants != "" && b.String() != tt.wants {
				t.Errorf("got\n%s\nwant\n%s", b.String(), tt.wants)
			}
			for _, want := range tt.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("%q is missing in\n%s", want, b.String())
				}
			}
			if strings.ContainsRune(b.String(), '\x1b') {
				t.Error("a control character got through")
			}
		})
	}
}

func TestStatusCommand(t *testing.T) {
	socket := startDaemon(t, &fakeDaemon{status: badNight()})
	if got := mustRun(t, "status", "--socket", socket); !strings.Contains(got, "PROBLEMS (2)") || !strings.Contains(got, "QUEUE (2, 1 unserved)") {
		t.Errorf("status prints\n%s", got) // 2: its cycle is of long ago
	}
	var got plan.Status
	if err := json.Unmarshal([]byte(mustRun(t, "status", "--socket", socket, "--json")), &got); err != nil {
		t.Fatal(err)
	}
	want := badNight()
	want.Runners[0].History = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 1900 * time.Millisecond: "1s", time.Minute: "1m0s", time.Hour - 1: "59m59s", time.Hour: "1h0m",
		48*time.Hour - 1: "47h59m", 48 * time.Hour: "2d0h", 1000 * time.Hour: "41d16h",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	tests := []struct {
		name, text string
		width      int
		want       string
	}{
		{"one line", "a b", 5, "! a b\n"},
		{"just fits no more", "äö üx", 6, "! äö\n  üx\n"},
		{"a word that is too long", "abcdefgh i", 4, "! abcdefgh\n  i\n"},
		{"nothing", "", 10, "! \n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if wrap(&b, "! ", tt.text, tt.width); b.String() != tt.want {
				t.Errorf("got %q, want %q", b.String(), tt.want)
			}
		})
	}
}

// brokenWriter is a pipe whose reader has gone.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestPrintingFails(t *testing.T) {
	socket := startDaemon(t, &fakeDaemon{status: badNight()})
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"status", "--watch"}, {"plan"}, {"runner", "list"}, {"runner", "export", "linux-busy"}} {
		var errs bytes.Buffer
		code := run(t.Context(), append(args, "--socket", socket), brokenWriter{}, &errs)
		if code != exitFailure || !strings.Contains(errs.String(), io.ErrClosedPipe.Error()) {
			t.Errorf("%v: exit code %d, %q", args, code, errs.String())
		}
	}
	if err := printJSON(brokenWriter{}, 1); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("printJSON = %v", err)
	}
}
