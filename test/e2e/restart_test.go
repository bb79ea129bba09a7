package e2e

import (
	"context"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
)

// checkRestart ends the daemon at several moments and starts it again.
func checkRestart(t *testing.T, r *rig) {
	const n = 3
	for _, c := range []struct {
		name   string
		moment string // in_progress: all jobs run; else the first event of that kind
		signal syscall.Signal
		code   int
		work   string
	}{
		{"told to end while jobs run", "in_progress", syscall.SIGTERM, 0, "sleep 5s"},
		{"killed while jobs run", "in_progress", syscall.SIGKILL, -1, "sleep 5s"},
		{"told to end while starting", "create", syscall.SIGTERM, 0, "sleep 2s"},
		{"killed when a container was created", "create", syscall.SIGKILL, -1, "sleep 2s"},
		{"killed when a container was started", "start", syscall.SIGKILL, -1, "sleep 2s"},
		{"killed when a runner had ended", "die", syscall.SIGKILL, -1, "sleep 500ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := r.daemon(t, settings{Pools: []pool{{Name: "again", Label: "again", Max: n}}, OnShutdown: "leave"})
			events := r.record(t, nil)
			repo := r.repo(t, realgitea.Admin, "again", n, c.work)
			w := r.watch(t, repo)
			r.gitea.Dispatch(t, repo, workflowFile)
			if c.moment == "in_progress" {
				w.await(t, n, c.moment, time.Minute)
			} else {
				events.await(t, c.moment, time.Minute)
			}
			if code := d.signal(t, c.signal, 40*time.Second); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if c.moment == "in_progress" && len(events.all("die")) > 0 {
				t.Errorf("%d runners ended with the daemon", len(events.all("die")))
			}
			d.start(t)
			jobs := w.succeed(t, n, time.Minute)
			r.nothingLeft(t, goneWithin)
			t.Logf("%s; %d containers made for %d jobs", figures(waits(jobs)), len(events.all("create")), n)
			if c.moment == "in_progress" && len(events.all("create")) != n {
				t.Errorf("%d containers made for %d jobs", len(events.all("create")), n)
			}
			eventually(t, 5*time.Second, "the status shows nothing that is left", func(context.Context) bool {
				s := d.status(t)
				return len(s.Problems)+len(s.Runners) == 0
			})
			wantQuiet(t, d)
		})
	}
}
