package e2e

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
)

// order runs a command of the daemon's binary that has to succeed, and returns
// what it prints.
func (d *daemon) order(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := d.command(ctx, append(args, "--config", d.config)...).CombinedOutput()
	if err != nil {
		t.Fatalf("scaler %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// checkOrders drains a pool with a job and an idle runner, over a kill of the
// daemon, and has it go on.
func checkOrders(t *testing.T, r *rig) {
	d := r.daemon(t, settings{Pools: []pool{{Name: "ward", Label: "ward", Max: 3, Persistent: true, IdleTimeout: "10m"}}})
	repo := r.repo(t, realgitea.Admin, "ward", 1, "sleep 8s")
	w := r.watch(t, repo)
	r.gitea.Dispatch(t, repo, workflowFile)
	first := w.await(t, 1, "in_progress", time.Minute)[0]
	more := strings.TrimSpace(d.order(t, "start", "ward"))
	eventually(t, 30*time.Second, "one more runner is idle", func(context.Context) bool { p := d.status(t).Pools[0]; return p.Busy == 1 && p.Idle == 1 })
	if log := d.order(t, "logs", more); !strings.Contains(log, "runner") {
		t.Errorf("the log of %s: %q", more, log)
	}
	if top := d.order(t, "top", "--json"); strings.Count(top, `"runner":`) != 2 || !strings.Contains(top, more) {
		t.Errorf("top = %s", top)
	}
	d.order(t, "drain", "ward", "--reason", "new disks")
	d.signal(t, syscall.SIGKILL, time.Minute)
	d.start(t)
	r.gitea.Dispatch(t, repo, workflowFile) // which has to wait
	if out := d.order(t, "drain", "ward", "--wait", "--timeout", "1m"); !strings.HasSuffix(out, "pool ward is drained\n") {
		t.Errorf("drain = %q", out)
	}
	r.nothingLeft(t, time.Second)
	if jobs := w.await(t, 1, "completed", time.Second); jobs[0].ID != first.ID || jobs[0].Conclusion != "success" {
		t.Errorf("after the drain: %+v", jobs)
	}
	s := d.status(t)
	if len(s.Queue) != 1 || !strings.Contains(s.Queue[0].Reason, "pool ward is drained by ") {
		t.Errorf("queue %+v", s.Queue)
	}
	d.order(t, "resume", "ward")
	w.succeed(t, 2, time.Minute)
	name := d.status(t).Runners[0].Name
	d.order(t, "drain", name, "--wait", "--timeout", "1m")
	r.nothingLeft(t, goneWithin)
	if audit := d.order(t, "token", "audit"); strings.Count(audit, "pool.drain") != 2 || !strings.Contains(audit, "pool.start") || !strings.Contains(audit, "runner.drain") {
		t.Errorf("audit log: %s", audit)
	}
	wantQuiet(t, d)
}
