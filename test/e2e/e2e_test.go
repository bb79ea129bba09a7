package e2e

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/realgitea"
)

// mostWait is how long a job may wait with no runner there: the poll interval
// and a second.
const mostWait = 2 * time.Second

// goneWithin is how long what a job needed may outlive it: the runner's own
// way out, and a few cycles.
const goneWithin = 15 * time.Second

func TestEndToEnd(t *testing.T) {
	r := newRig(t)
	for _, check := range []struct {
		name string
		run  func(*testing.T, *rig)
	}{
		{"jobs one by one from zero", checkFromZero},
		{"many jobs at once stay below max", checkBurst},
		{"failed job leaves nothing", checkFailedJob},
		{"secrets stay inside", checkSecrets},
		{"restart loses no job", checkRestart},
		{"orders of people", checkOrders},
		{"persistent runner serves several jobs and goes when idle", checkPersistent},
		{"min is kept and drained", checkMin},
		{"scopes", checkScopes},
		{"cancelled job", checkCancelled},
		{"leftovers of a killed runner's job", checkLeftovers},
		{"gateway: one token, twenty runners", checkGateway},
		{"gateway: busy runners", checkGatewayBusy},
		{"gateway: containers that register themselves", checkSelfRegistration},
		{"fifty jobs from zero with pauses", checkColdStarts},
		{"scale-downs while jobs arrive", checkScaleDowns},
		{"kills during a burst", checkKills},
	} {
		t.Run(check.name, func(t *testing.T) { check.run(t, r) })
	}
}

func checkFromZero(t *testing.T, r *rig) {
	const n = 10
	r.daemon(t, settings{Pools: []pool{{Name: "zero", Label: "zero", Max: 4}}})
	repo := r.repo(t, realgitea.Admin, "zero", 1, "sleep 300ms")
	w := r.watch(t, repo)
	jobs := r.oneByOne(t, repo, w, n, func() time.Duration { return rand.N(time.Second) }, func() { r.nothingLeft(t, goneWithin) })
	t.Log(figures(waits(jobs)))
	for _, c := range jobs {
		if c.waited() > mostWait {
			t.Errorf("job %d waited %s, at most %s are allowed", c.ID, c.waited(), mostWait)
		}
	}
}

// oneByOne runs so many jobs, each after a pause with nothing left of the one
// before, which empty waits for. In the end nothing is left either.
func (r *rig) oneByOne(t *testing.T, repo string, w *watch, n int, rest func() time.Duration, empty func()) (jobs []course) {
	t.Helper()
	for i := range n {
		empty()
		pause(t, rest())
		r.gitea.Dispatch(t, repo, workflowFile)
		jobs = w.succeed(t, i+1, time.Minute)
	}
	empty()
	return jobs
}

func checkBurst(t *testing.T, r *rig) {
	const n, most = 20, 6
	d := r.daemon(t, settings{Pools: []pool{{Name: "burst", Label: "burst", Max: most}}})
	events := r.record(t, nil)
	repo := r.repo(t, realgitea.Admin, "burst", n, "sleep 1s")
	w := r.watch(t, repo)
	listed := 0
	began := time.Now()
	r.gitea.Dispatch(t, repo, workflowFile)
	eventually(t, 2*time.Minute, "all jobs are done", func(ctx context.Context) bool {
		runners, err := r.gitea.Runners(ctx)
		if err == nil {
			listed = max(listed, len(runners))
		}
		return w.done() == n
	})
	took := time.Since(began)
	jobs := w.succeed(t, n, time.Minute)
	r.nothingLeft(t, goneWithin)
	t.Logf("all done after %s; %s; at most %d runners on the server, %d containers",
		took.Round(time.Millisecond), figures(waits(jobs)), listed, events.peak())
	if listed > most || events.peak() > most {
		t.Errorf("%d runners and %d containers at one time, max is %d", listed, events.peak(), most)
	}
	if made := len(events.all("create")); made != n {
		t.Errorf("%d containers were made for %d jobs", made, n)
	}
	wantQuiet(t, d)
}

func checkFailedJob(t *testing.T, r *rig) {
	d := r.daemon(t, settings{Pools: []pool{{Name: "failing", Label: "failing", Max: 2}}})
	repo := r.repo(t, realgitea.Admin, "failing", 1, "exit 3")
	w := r.watch(t, repo)
	r.gitea.Dispatch(t, repo, workflowFile)
	if jobs := w.await(t, 1, "completed", time.Minute); jobs[0].Conclusion != "failure" {
		t.Errorf("job ended as %s", jobs[0].Conclusion)
	}
	r.nothingLeft(t, goneWithin)
	wantQuiet(t, d)
}

func checkPersistent(t *testing.T, r *rig) {
	d := r.daemon(t, settings{Pools: []pool{{Name: "steady", Label: "steady", Max: 2, Persistent: true, IdleTimeout: "5s"}}})
	events := r.record(t, nil)
	repo := r.repo(t, realgitea.Admin, "steady", 1, "sleep 300ms")
	w := r.watch(t, repo)
	var jobs []course
	for i := range 3 {
		r.gitea.Dispatch(t, repo, workflowFile)
		jobs = w.succeed(t, i+1, time.Minute)
	}
	t.Log(figures(waits(jobs)))
	for _, c := range jobs {
		if c.RunnerID != jobs[0].RunnerID {
			t.Errorf("job %d ran on runner %d, the first on %d", c.ID, c.RunnerID, jobs[0].RunnerID)
		}
	}
	disabled := false
	eventually(t, time.Minute, "the idle runner is deregistered", func(ctx context.Context) bool {
		runners, err := r.gitea.Runners(ctx)
		for _, runner := range runners {
			disabled = disabled || runner.Disabled
		}
		return err == nil && len(runners) == 0
	})
	r.nothingLeft(t, goneWithin)
	if !disabled {
		t.Error("the runner was never seen disabled before it went")
	}
	for _, e := range events.all("die") {
		if e.Actor.Attributes["exitCode"] != "0" {
			t.Errorf("a runner that was told to stop ended with code %s", e.Actor.Attributes["exitCode"])
		}
	}
	if n := len(events.all("die")); n != 1 {
		t.Errorf("%d containers ended, want 1", n)
	}
	wantQuiet(t, d)
}

func checkMin(t *testing.T, r *rig) {
	d := r.daemon(t, settings{Pools: []pool{{Name: "warm", Label: "warm", Min: 1, Max: 2}}, OnShutdown: "drain"})
	eventually(t, 30*time.Second, "one runner is idle", func(context.Context) bool {
		s := d.status(t)
		return s.Pools[0].Idle == 1 && len(s.Runners) == 1
	})
	repo := r.repo(t, realgitea.Admin, "warm", 1, "sleep 300ms")
	w := r.watch(t, repo)
	r.gitea.Dispatch(t, repo, workflowFile)
	t.Logf("with an idle runner: %s", figures(waits(w.succeed(t, 1, time.Minute))))
	first := w.await(t, 1, "completed", time.Minute)[0].RunnerName
	eventually(t, 30*time.Second, "another runner is idle", func(context.Context) bool {
		s := d.status(t)
		return len(s.Runners) == 1 && s.Runners[0].Phase == plan.PhaseIdle && s.Runners[0].Name != first
	})
	if code := d.signal(t, syscall.SIGTERM, time.Minute); code != 0 {
		t.Errorf("the daemon ended with code %d", code)
	}
	r.nothingLeft(t, time.Second)
}

// slow skips a check that takes minutes unless it is asked for.
func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("SCALER_E2E_SLOW") != "1" {
		t.Skip("takes minutes: set SCALER_E2E_SLOW=1")
	}
}

// random is a source of random numbers that are the same in each run, unless
// SCALER_E2E_SEED gives another seed.
func random(t *testing.T, stream uint64) *rand.Rand {
	t.Helper()
	seed := uint64(1)
	if text := os.Getenv("SCALER_E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SCALER_E2E_SEED: %v", err)
		}
	}
	return rand.New(rand.NewPCG(seed, stream))
}

// pause waits.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// wantQuiet fails the test if the daemon warned of anything, or sees a
// problem.
func wantQuiet(t *testing.T, d *daemon) {
	t.Helper()
	for _, p := range d.status(t).Problems {
		t.Errorf("problem of %s: %s", p.Subject, p.Message)
	}
	for _, line := range d.warnings(t) {
		t.Errorf("the daemon said: %s", line)
	}
}
