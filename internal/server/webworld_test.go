package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// world is a daemon with all that pages show of it and ask of it. It changes
// only as a test has it change.
type world struct {
	mu     sync.Mutex
	status plan.Status
	events []plan.Event
	calls  []string // what was asked for
	audit  []plan.AuditEntry
	drawn  uint64
	err    error // of all that is asked for
}

func (w *world) Status() plan.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// change has the state become another one.
func (w *world) change(f func(*plan.Status)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status
	s.Pools, s.Runners, s.Queue, s.Problems = slices.Clone(s.Pools), slices.Clone(s.Runners), slices.Clone(s.Queue), slices.Clone(s.Problems)
	f(&s)
	s.Cycle++
	s.CycleAt = time.Now()
	w.status = s
}

// done lists what was asked for.
func (w *world) done() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

func (w *world) note(format string, args ...any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, strings.TrimSpace(fmt.Sprintf(format, args...)))
	if w.err == nil { // a cycle goes by it
		time.AfterFunc(50*time.Millisecond, func() { w.change(func(*plan.Status) {}) })
	}
	return w.err
}

func (w *world) Pause(_ context.Context, actor, pool, reason string) error {
	err := w.note("pause %s by %s %s", pool, actor, reason)
	if err == nil {
		w.change(func(s *plan.Status) {
			s.Pools[w.indexOf(s, pool)].Paused = &plan.Pause{Since: time.Now(), By: actor, Reason: reason}
		})
	}
	return err
}

func (w *world) Resume(_ context.Context, actor, pool string) error {
	err := w.note("resume %s by %s", pool, actor)
	if err == nil {
		w.change(func(s *plan.Status) { s.Pools[w.indexOf(s, pool)].Paused = nil })
	}
	return err
}

func (w *world) indexOf(s *plan.Status, pool string) int {
	return slices.IndexFunc(s.Pools, func(p plan.PoolStatus) bool { return p.Name == pool })
}

func (w *world) Drain(_ context.Context, actor string, t plan.DrainTarget) error {
	return w.note("drain %+v by %s", t, actor)
}

func (w *world) StartOne(_ context.Context, actor, pool string) (string, error) {
	return pool + "-new", w.note("start %s by %s", pool, actor)
}

func (w *world) ForgetCorpses(_ context.Context, actor string, f plan.ForgetCorpses) ([]string, error) {
	for _, name := range f.Names {
		if !slices.ContainsFunc(w.Status().Corpses, func(c plan.CorpseStatus) bool { return c.Name == name }) {
			return nil, fmt.Errorf("corpse %s: %w", name, plan.ErrNotFound)
		}
	}
	return f.Names, w.note("forget %+v by %s", f, actor)
}

func (w *world) Reap(_ context.Context, dryRun bool) ([]plan.Finding, error) {
	found := []plan.Finding{{Kind: "container", Name: "scaler-left", Reason: "no record of it", Due: now}}
	if dryRun {
		return found, nil // changes nothing
	}
	return found, w.note("reap")
}

func (w *world) Reload(context.Context) (Reloaded, error) {
	if err := w.note("reload"); err != nil {
		return Reloaded{}, err
	}
	return Reloaded{Changes: []string{"pools[linux].max: 4 → 8"}, Restart: []string{"http.listen: :1 → :2"}}, nil
}

func (w *world) Log(_ context.Context, runner string, lines int) ([]string, error) {
	if lines < 1 {
		return nil, errors.New("no lines asked for")
	}
	return []string{"runner " + runner + " is up", "<b>a job</b> prints its Top5ecretOutput"}, nil
}

func (w *world) Explain(q plan.Query) (plan.Explanation, error) {
	s := w.Status()
	for _, j := range s.Queue {
		if j.ID == q.Job {
			return plan.Explanation{At: s.CycleAt, State: plan.StateQueued, Job: j, Summary: []string{"No runner is there for it: " + j.Reason + "."},
				Pools: []plan.PoolAnswer{{Pool: "linux", Fits: true, Waiting: 3, Busy: 4, Max: 4, Obstacles: []plan.Obstacle{{Reason: "pool linux is at its max of 4"}}}, {Pool: "arm", Obstacles: []plan.Obstacle{{Reason: "pool arm lacks linux"}}}}}, nil
		}
	}
	for _, r := range s.Runners {
		if r.Job == q.Job && r.Job != 0 {
			return plan.Explanation{At: s.CycleAt, State: plan.StateRunning, Summary: []string{"It is running: runner " + r.Name + " has it."},
				Job: plan.JobDecision{ID: r.Job, Repo: "acme/tools", Name: "build", URL: "https://git.example.com/acme/tools/actions/runs/9/jobs/0"}}, nil
		}
	}
	return plan.Explanation{}, fmt.Errorf("job %d: %w", q.Job, plan.ErrNotFound)
}

// Since and Last have the world be its journal.
func (w *world) Since(seq uint64, limit int) ([]plan.Event, uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.events[min(int(seq), len(w.events)):]
	return slices.Clone(rest[:min(limit, len(rest))]), 0
}

func (w *world) Last() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return uint64(len(w.events))
}

// tell adds an event.
func (w *world) tell(e plan.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.Seq = uint64(len(w.events)) + 1
	w.events = append(w.events, e)
}

// Draw, Describe and Version have it draw its charts, which are those of some
// day.
func (w *world) Draw(chart string, dark bool) ([]byte, error) {
	if !slices.Contains([]string{"queue", "runners", "waits"}, chart) {
		return nil, fmt.Errorf("draw chart %q: %w", chart, plan.ErrNotFound)
	}
	if dark {
		chart += "-dark"
	}
	return os.ReadFile(filepath.Join("testdata", chart+".svg"))
}

func (w *world) Describe(chart string) string { return "What " + chart + " was like." }

func (w *world) Version() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.drawn
}

// web makes the pages of the world.
func (w *world) web(t testing.TB, cfg WebConfig, tokens *fakeTokens) *Web {
	t.Helper()
	cfg.Actions, cfg.Log, cfg.Reload, cfg.Explain, cfg.Trends, cfg.Journal = w, w.Log, w.Reload, w.Explain, w, w
	cfg.Audit = func(e plan.AuditEntry) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.audit = append(w.audit, e)
		return nil
	}
	cfg.Settings = someSettings
	return NewWeb(cfg, w, tokens, slog.New(slog.DiscardHandler))
}

func someSettings() []Setting {
	return []Setting{
		{Path: "poll_interval", Value: "1s", Default: true}, {Path: "on_shutdown", Value: "drain"},
		{Section: "gitea", Path: "url", Value: "https://git.example.com", Restart: true},
		{Section: "gitea", Path: "api_token", Value: "from file /etc/scaler/api-token", Restart: true},
		{Section: "pools[linux]", Path: "max", Value: "4"}, {Section: "pools[linux]", Path: "min", Value: "0", Default: true},
		{Section: "pools[linux]", Path: "container.env", Value: "set, not shown: it may hold a secret"},
	}
}

// emptyWorld has just begun.
func emptyWorld() *world {
	return &world{status: plan.Status{Version: "1.2.3", Instance: "abcd", Problems: []plan.Problem{}}}
}

// busyWorld has so many runners and queued jobs in two pools and all is well.
func busyWorld(runners, jobs int) *world {
	at := time.Now()
	w := &world{status: plan.Status{
		Version: "1.2.3", Instance: "abcd", StartedAt: at.Add(-50 * time.Hour), Cycle: 4711, CycleAt: at, QueueSize: jobs,
		Config:       plan.ConfigStatus{Path: "/etc/scaler/scaler.yaml", LoadedAt: at.Add(-2 * time.Hour)},
		Capabilities: &plan.Capabilities{Product: plan.ProductGitea, Version: "1.24.6", CheckedAt: at, JobEvents: true, Runners: true, Delete: true, Ephemeral: true},
		Corpses: []plan.CorpseStatus{
			{Name: "scaler-abcd-linux-spare001", ID: 880, Scope: "instance", Spare: true, Since: at.Add(-time.Minute), Why: "runner scaler-abcd-linux-gone0001 has ended", URL: "https://git.example.com/-/admin/actions/runners/880"},
			{Name: "scaler-abcd-linux-lost0001", Scope: "org:acme", Since: at.Add(-time.Hour), Why: "the answer to its registration was lost: it may not exist"},
		},
		Budgets: []plan.Budget{{Resource: "runners", Taken: float64(runners), Limit: float64(runners + 4)}, {Resource: "memory", Taken: 12 << 30, Limit: 24 << 30}},
		Pools: []plan.PoolStatus{
			{Name: "linux", Scope: "instance", Labels: []string{"linux", "ubuntu-latest", "docker"}, Max: 4, IdleWant: 2, IdleWhy: "jobs come every 40 s at this time of the week", Waiting: jobs,
				Window: "office hours", NextChange: at.Add(3 * time.Hour), Starting: 1, Idle: 2, Busy: runners, Leaving: 1},
			{Name: "arm", Scope: "org:acme", Labels: []string{"arm64"}, Max: 2, Standby: 1},
		},
	}}
	kinds := []plan.Phase{plan.PhaseBusy, plan.PhaseIdle, plan.PhaseStarting, plan.PhaseDraining, plan.PhaseStandby}
	for i := range runners {
		r := plan.RunnerStatus{
			Name: fmt.Sprintf("scaler-abcd-linux-%06d", i), Pool: "linux", Scope: "instance", Phase: kinds[i%len(kinds)], Since: at.Add(-time.Duration(i) * time.Second),
			CreatedAt: at.Add(-time.Hour), StartedAt: at.Add(-59 * time.Minute), ServerID: int64(900 + i), Container: strings.Repeat("c0ffee", 10), Ephemeral: true,
			Reason: "for job 41 of acme/tools",
		}
		if r.Phase == plan.PhaseBusy {
			r.Job, r.Jobs, r.Note = int64(100_000+i), 1, "job "+fmt.Sprint(100_000+i)+" names it"
		}
		r.History = []plan.Step{
			{At: r.CreatedAt, Phase: plan.PhaseStarting, Note: r.Reason}, {At: r.StartedAt, Phase: plan.PhaseIdle, Note: "Gitea lists it as online"}, {At: r.Since, Phase: r.Phase, Note: r.Note},
		}
		w.status.Runners = append(w.status.Runners, r)
	}
	for i := range jobs {
		j := plan.JobDecision{
			ID: int64(i + 1), Repo: "acme/tools", Name: fmt.Sprintf("build and test (%d)", i), Labels: []string{"linux", "docker"}, QueuedAt: at.Add(-time.Duration(i) * time.Second),
			URL: fmt.Sprintf("https://git.example.com/acme/tools/actions/runs/%d/jobs/0", i), Pool: "linux", Reason: "a runner is started for it",
		}
		if i%4 == 3 {
			j.Pool, j.Reason, j.Next = "", "pool linux is at its max of 4", "when one of the 4 runners of pool linux is free or gone"
		}
		w.status.Queue = append(w.status.Queue, j)
	}
	for i := range 30 {
		w.tell(plan.Event{At: at.Add(-time.Duration(30-i) * time.Minute), Kind: plan.EventRunner, Pool: "linux", Runner: fmt.Sprintf("scaler-abcd-linux-%06d", i), Phase: plan.PhaseIdle, Text: "Gitea lists it as online"})
	}
	w.tell(plan.Event{At: at, Kind: plan.EventConfigTaken, Text: "pools[linux].max: 2 → 4", Actor: "alice on the web page"})
	return w
}

// brokenWorld has about everything wrong.
func brokenWorld() *world {
	w := busyWorld(6, 12)
	at := time.Now()
	w.change(func(s *plan.Status) {
		s.Problems = []plan.Problem{
			{Subject: "docker", Since: at.Add(-17 * time.Minute), Message: "list containers: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"},
			{Subject: "gitea instance", Since: at.Add(-3 * time.Minute), Message: "list queued jobs: GET https://git.example.com/api/v1/admin/actions/jobs: 502 Bad Gateway"},
			{Subject: "pool linux", Since: at.Add(-time.Minute), Message: "runner scaler-abcd-linux-000001 never came online within 2m0s: the last lines of its log: <Error> cannot register"},
		}
		s.Config.Error = "the file has changed and is not good, so the last good one holds: load: /etc/scaler/scaler.yaml:17: pools[linux].max: expected a whole number, like 10, found the text \"many\""
		s.Config.Restart = []string{"http.listen: 127.0.0.1:9180 → 127.0.0.1:9181"}
		s.Host = &plan.HostStatus{Hold: "12 percent of the disk /var/lib/docker are free, and 20 percent have to be"}
		s.Pools[0].Hold, s.Pools[0].BreakerOpen, s.Pools[0].Failures = "its runners fail, the next try is at 10:42:07 UTC", true, 5
		s.Pools[1].Paused = &plan.Pause{Since: at.Add(-time.Hour), By: "alice on the web page", Reason: "new disks", Drain: true}
		s.Budgets[0].Taken = s.Budgets[0].Limit
		free := 5
		s.Peers = []plan.PeerStatus{{Name: "build-1", Self: true, Weight: 16, Free: &free}, {Name: "build-2", Weight: 8, BehindUntil: at.Add(90 * time.Second)}}
	})
	w.tell(plan.Event{At: at, Kind: plan.EventBreakerOpened, Pool: "linux", Text: "runner scaler-abcd-linux-000001 never came online"})
	w.tell(plan.Event{At: at, Kind: plan.EventConfigRejected, Text: "load: /etc/scaler/scaler.yaml:17: pools[linux].max: expected a whole number"})
	return w
}
