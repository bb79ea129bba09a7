package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
)

// corpseGone is how long what a killed daemon has left may stay: a registered
// runner without a record counts as one only after a minute, at an audit.
const corpseGone = 2*time.Minute + goneWithin

// checkKills kills the daemon again and again, at any moment of its life,
// while more jobs wait than its pool has places.
func checkKills(t *testing.T, r *rig) {
	slow(t)
	const n, most, kills = 40, 8, 10
	rnd := random(t, kills)
	upTo := func(d time.Duration) time.Duration { return time.Duration(rnd.Int64N(int64(d))) }
	d := r.daemon(t, settings{Pools: []pool{{Name: "burst", Label: "burst", Max: most}}, LogLevel: "debug"})
	events := r.record(t, nil)
	repo := r.repo(t, realgitea.Admin, "burst", n, "sleep 1s", "sleep ${{ matrix.n }}0ms", "sleep ${{ matrix.n }}0ms",
		"sleep ${{ matrix.n }}0ms", "sleep ${{ matrix.n }}0ms", "sleep ${{ matrix.n }}0ms")
	w := r.watchAt(t, repo, tidePace)
	t.Cleanup(func() {
		if t.Failed() {
			r.showContainers(t)
		}
	})
	began := time.Now()
	r.gitea.Dispatch(t, repo, workflowFile)
	for range kills {
		pause(t, upTo(2*time.Second))
		if code := d.signal(t, syscall.SIGKILL, time.Minute); code != -1 {
			t.Errorf("the daemon had ended by itself, with code %d", code)
		}
		t.Logf("killed %s after the start, with %d jobs done, %d containers made", time.Since(began).Round(time.Millisecond), w.done(), len(events.all("create")))
		pause(t, upTo(500*time.Millisecond))
		d.launch(t) // which may be killed before it is ready
	}
	if w.done() == n {
		t.Error("the burst was over before the last kill")
	}
	jobs := w.succeed(t, n, 2*time.Minute)
	took := time.Since(began)
	r.wantWhole(t, repo, jobs, 6)
	r.nothingLeft(t, corpseGone)
	t.Logf("all done after %s, nothing left %s later; %s; %d containers made for %d jobs, at most %d at one time", took.Round(time.Millisecond),
		(time.Since(began) - took).Round(time.Millisecond), figures(waits(jobs)), len(events.all("create")), n, events.peak())
	if events.peak() > most {
		t.Errorf("%d containers at one time, max is %d", events.peak(), most)
	}
	eventually(t, 10*time.Second, "the status shows nothing that is left", func(context.Context) bool {
		s := d.status(t)
		return len(s.Problems)+len(s.Runners) == 0
	})
	d.wantNoRecord(t)
	if code := d.signal(t, syscall.SIGTERM, time.Minute); code != 0 {
		t.Errorf("the daemon ended with code %d", code)
	}
	d.wantNoRecord(t)
	for _, line := range d.warnings(t) {
		t.Errorf("the daemon said: %s", line)
	}
}

// wantNoRecord fails the test if the state has a record or a fault.
func (d *daemon) wantNoRecord(t *testing.T) {
	t.Helper()
	cmd := d.command(t.Context(), "state", "check", "--json", "--config", d.config)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("state check: %v\n%s%s", err, out, stderr.Bytes())
		return
	}
	var found struct {
		Good    bool
		Runners *int
	}
	if err := json.Unmarshal(out, &found); err != nil || !found.Good || found.Runners == nil || *found.Runners != 0 {
		t.Errorf("state check: %v\n%s", err, out)
	}
}

// showContainers shows what is there of the test's containers and what they
// said last.
func (r *rig) showContainers(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	ids, err := r.containers(ctx)
	if err != nil {
		t.Log(err)
	}
	for _, id := range ids {
		about, err := docker(ctx, "inspect", "--format", "{{.Name}} {{json .State}}", id)
		t.Log(about, err)
		said, err := exec.CommandContext(ctx, "docker", "logs", "--tail", "40", id).CombinedOutput()
		t.Log(string(said), err)
	}
}
