package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/realgitea"
)

// checkScopes runs pools of an organisation and of a repository, with tokens
// that the server is asked for.
func checkScopes(t *testing.T, r *rig) {
	const org = "acme"
	r.gitea.CreateOrg(t, org)
	inOrg := r.repo(t, org, "of-org", 1, "sleep 300ms")
	inRepo := r.repo(t, realgitea.Admin, "of-repo", 1, "sleep 300ms")
	outside := r.repo(t, realgitea.Admin, "of-org", 1, "sleep 300ms")
	beside := r.repo(t, realgitea.Admin, "of-repo", 1, "sleep 300ms")
	d := r.daemon(t, settings{
		Tokens: []token{{Name: "org", Scope: "org:" + org, Mint: true}, {Name: "repo", Scope: "repo:" + inRepo, Mint: true}, {Name: "instance", Scope: "instance"}},
		Pools: []pool{
			{Name: "org", Token: "org", Label: "of-org", Max: 2}, {Name: "repo", Token: "repo", Label: "of-repo", Max: 2},
			{Name: "rest", Token: "instance", Label: "of-all", Max: 2}, // so that all queued jobs are seen
		},
	})
	for _, repo := range []string{outside, beside, inOrg, inRepo} {
		r.gitea.Dispatch(t, repo, workflowFile)
	}
	for _, repo := range []string{inOrg, inRepo} {
		r.watch(t, repo).succeed(t, 1, time.Minute)
	}
	r.nothingLeft(t, goneWithin)
	for _, repo := range []string{outside, beside} {
		queued, err := r.gitea.Jobs(t.Context(), repo, "queued")
		if err != nil || len(queued) != 1 {
			t.Fatalf("queued jobs of %s: %+v, %v", repo, queued, err)
		}
		d.wantUnserved(t, queued[0])
	}
	wantQuiet(t, d)
}

// wantUnserved waits until the status shows the job without a pool, and wants
// a reason that names what is missing.
func (d *daemon) wantUnserved(t *testing.T, job realgitea.Job) {
	t.Helper()
	var found plan.JobDecision
	eventually(t, 10*time.Second, "the status shows the job", func(context.Context) bool {
		for _, j := range d.status(t).Queue {
			if j.ID == job.ID {
				found = j
			}
		}
		return found.ID != 0
	})
	t.Logf("job %d of %s: %s", found.ID, found.Repo, found.Reason)
	if found.Pool != "" || !strings.Contains(found.Reason, job.Labels[0]) {
		t.Errorf("job %d: pool %q, reason %q", found.ID, found.Pool, found.Reason)
	}
}
