package e2e

import (
	"context"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
)

// checkCancelled cancels a running job. The server deletes an ephemeral runner
// then, which does not learn of it (Gitea, models/actions/task.go), so that
// its container has to be stopped by somebody else.
func checkCancelled(t *testing.T, r *rig) {
	slow(t)
	d := r.daemon(t, settings{Pools: []pool{{Name: "cancel", Label: "cancel", Max: 2}}, LogLevel: "debug"})
	events := r.record(t, nil)
	repo := r.repo(t, realgitea.Admin, "cancel", 1, "sleep 10m")
	w := r.watch(t, repo)
	run := r.gitea.Dispatch(t, repo, workflowFile)
	w.await(t, 1, "in_progress", time.Minute)
	eventually(t, 10*time.Second, "the daemon sees the job", func(context.Context) bool { return d.status(t).Pools[0].Busy == 1 })
	r.gitea.CancelRun(t, repo, run)
	cancelled := time.Now()
	if jobs := w.await(t, 1, "completed", time.Minute); jobs[0].Conclusion != "cancelled" {
		t.Errorf("job ended as %s", jobs[0].Conclusion)
	}
	r.nothingLeft(t, 4*time.Minute)
	t.Logf("the container was gone %s after the job was cancelled", time.Since(cancelled).Round(time.Second))
	for _, e := range events.all("die") {
		t.Logf("it ended with code %s", e.Actor.Attributes["exitCode"])
	}
	if s := d.status(t); len(s.Problems) > 0 {
		t.Errorf("problems: %+v", s.Problems)
	}
}
