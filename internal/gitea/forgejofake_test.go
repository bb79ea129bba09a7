package gitea_test

import (
	"errors"
	"testing"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// TestLifeOfAForgejoRunner: made by the API token, found, seen with its job's
// handle, and deleted.
func TestLifeOfAForgejoRunner(t *testing.T) {
	p, err := giteatest.ParseProfile("forgejo-15")
	if err != nil {
		t.Fatal(err)
	}
	server, client := start(t, giteatest.Options{Profile: p})
	ctx := t.Context()
	server.AddJobs(giteatest.JobSpec{Repo: "acme/app", Labels: []string{"linux"}})
	for _, scope := range []plan.Scope{instance, repoApp} {
		jobs, err := client.QueuedJobs(ctx, scope, 0, nil)
		if err != nil || len(jobs.Jobs) != 1 || jobs.Jobs[0].Repo != "acme/app" || jobs.Jobs[0].Handle == "" {
			t.Fatalf("queue of %s: %+v, %v", scope, jobs, err)
		}
		id, err := client.CreateRunner(ctx, scope, plan.Registration{Name: "r1", Labels: linux, Ephemeral: true})
		if err != nil || id.ID == 0 || id.Address != "https://git.example.com" {
			t.Fatalf("create at %s: %+v, %v", scope, id, err)
		}
		if n, err := client.Verify(ctx, id, "v1"); err != nil || n != id.ID {
			t.Errorf("the identity made at %s proves %d, %v", scope, n, err)
		}
		found, err := client.Runner(ctx, scope, id.ID)
		if err != nil || found.Name != "r1" || !found.Online || !found.Ephemeral {
			t.Errorf("read at %s: %+v, %v", scope, found, err)
		}
		if list, err := client.Runners(ctx, scope); err != nil || !list.Complete || len(list.Runners) != 1 {
			t.Errorf("list of %s: %+v, %v", scope, list, err)
		}
		if err := client.Withdraw(ctx, id, "v1"); err != nil {
			t.Errorf("withdraw: %v", err)
		}
		if err := client.DeleteRunner(ctx, scope, id.ID); err != nil {
			t.Errorf("delete at %s: %v", scope, err)
		}
		if _, err := client.Runner(ctx, scope, id.ID); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("read after that: %v", err)
		}
	}
	if n := server.State().Counts.Calls["Register"]; n != 0 {
		t.Errorf("%d registrations by a token", n)
	}
}
