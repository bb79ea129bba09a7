package e2e

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
)

// upgrades are releases that are replaced by another one under a running
// daemon.
var upgrades = []struct{ from, to string }{
	{"gitea-1.24", "gitea-1.26"},
	{"gitea-1.22", "gitea-1.26"},
	{"forgejo-11", "forgejo-15"},
}

// noticedWithin is how soon after the server is back the daemon knows what it
// can do now: a poll, and what it may be in the middle of.
const noticedWithin = 10 * time.Second

// TestUpgrade replaces the server's program, with the same data, while jobs run
// and wait.
func TestUpgrade(t *testing.T) {
	realgitea.Binaries(t)
	r := newEngineRig(t)
	for _, u := range upgrades {
		t.Run(u.from+" to "+u.to, func(t *testing.T) {
			from, to := realgitea.ByProfile(t, u.from), realgitea.ByProfile(t, u.to)
			r := r.on(t, from)
			if strings.HasPrefix(u.from, "forgejo-") {
				r.image = r.importForgejo(t)
			}
			checkUpgrade(t, r, to, releases[u.from], releases[u.to])
		})
	}
}

func checkUpgrade(t *testing.T, r *rig, to realgitea.Binary, before, after release) {
	const n = 8
	d := r.serverDaemon(t, before, "upgraded")
	old := r.gitea.Version
	repo, w := r.pushRepo(t, "upgraded", n, "sleep 5s")
	w.await(t, 2, "in_progress", time.Minute)
	went := time.Now()
	r.gitea.Upgrade(t, to)
	back := time.Now()
	eventually(t, noticedWithin, "the daemon knows the new server", func(context.Context) bool {
		log, err := os.ReadFile(d.log)
		return err == nil && strings.Contains(string(log), r.gitea.Version)
	})
	noticed := time.Since(back)
	w.succeed(t, n, 3*time.Minute)
	t.Logf("%s to %s: away for %s, noticed %s after that, all %d jobs done %s after it was back", old, r.gitea.Version,
		back.Sub(went).Round(time.Millisecond), noticed.Round(time.Millisecond), n, time.Since(back).Round(time.Millisecond))

	r.serverAtRest(t, d, after)
	again := time.Now()
	r.gitea.AddFile(t, repo, "again", "")
	jobs := w.succeed(t, 2*n, 3*time.Minute)
	jobs = slices.DeleteFunc(jobs, func(c course) bool { return c.There.Before(again) })
	t.Logf("%s, from zero: %s", r.gitea.Version, figures(waits(jobs)))
	r.serverEnd(t, d, after)
}
