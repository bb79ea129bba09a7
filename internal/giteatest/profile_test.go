package giteatest_test

import (
	"maps"
	"net/http"
	"testing"
	"testing/synctest"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// mustProfile is the profile of that name.
func mustProfile(t *testing.T, name string) giteatest.Profile {
	t.Helper()
	p, err := giteatest.ParseProfile(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseProfile(t *testing.T) {
	for _, p := range giteatest.Profiles() {
		if got := mustProfile(t, p.String()); got.String() != p.String() || got.Version() == "" {
			t.Errorf("profile %s is read as %s, version %q", p, got, got.Version())
		}
	}
	if _, err := giteatest.ParseProfile("gitea-1.2"); err == nil {
		t.Error("gitea-1.2 is a profile")
	}
}

// TestUpgrade switches a server to another release with a job on its way.
func TestUpgrade(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{Profile: mustProfile(t, "gitea-1.22")})
	id := c.register(t, true, "x")
	if id.Ephemeral {
		t.Error("1.22 makes ephemeral runners")
	}
	ids := server.AddJobs(giteatest.JobSpec{Labels: []string{"x"}, Count: 2})
	task := c.take(t, id)
	c.rest(t, http.MethodGet, "/admin/actions/jobs", nil).want(t, http.StatusNotFound, nil)

	c.do(t, http.MethodPost, "/fake/profile", encode(t, map[string]any{"profile": "gitea-1.26"})).want(t, http.StatusNoContent, nil)
	if p := server.Profile(); p.String() != "gitea-1.26" {
		t.Errorf("profile %s", p)
	}
	if jobs, _, _ := c.jobs(t, "/admin", "?status=in_progress"); len(jobs) != 1 || jobs[0].ID != ids[0] {
		t.Errorf("jobs in progress %+v, want %d", jobs, ids[0])
	}
	c.report(t, id, task, "RESULT_SUCCESS").want(t, http.StatusOK, nil)
	if r, status := c.runner(t, id); status != http.StatusOK || r.Ephemeral {
		t.Errorf("runner %+v, status %d: want the one of before, for more than one job", r, status)
	}
	disable(t, c, id, true)
	if task, _ := c.fetch(t, id, "0"); task != "" {
		t.Error("a disabled runner got a job")
	}

	server.SetProfile(mustProfile(t, "gitea-1.25"))
	if task, _ := c.fetch(t, id, "0"); task == "" {
		t.Error("1.25 knows of disabled runners")
	}
	c.do(t, http.MethodPost, "/fake/profile", encode(t, map[string]any{"profile": "gitea-0"})).want(t, http.StatusBadRequest, nil)
}

// TestEventsOfReleases counts what a system webhook gets for one job from
// queued to done: a job's events, a status of its commit and the push.
func TestEventsOfReleases(t *testing.T) {
	tests := []struct {
		profile string
		want    map[string]int
	}{
		{"gitea-1.22", map[string]int{"push": 1}},
		{"gitea-1.23", map[string]int{"push": 1, "status": 2}},
		{"gitea-1.24", map[string]int{"push": 1, "status": 2, "workflow_job": 3}},
	}
	for _, tt := range tests {
		t.Run(tt.profile, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := &hookSink{}
				c, server := newMemory(t, giteatest.Options{Profile: mustProfile(t, tt.profile), HookClient: &http.Client{Transport: sink}})
				made := c.addHook(t, "/admin", hookBody("http://scaler.test/hook", "", "push", "status", "workflow_job", "nonsense"))
				if len(made.Events) != len(tt.want) {
					t.Errorf("events %v, want %v", made.Events, tt.want)
				}
				id := c.register(t, false, "x")
				server.AddJobs(giteatest.JobSpec{Labels: []string{"x"}})
				c.report(t, id, c.take(t, id), "RESULT_SUCCESS").want(t, http.StatusOK, nil)
				synctest.Wait()
				got := map[string]int{}
				for _, d := range sink.deliveries() {
					got[d.header.Get("X-Gitea-Event")]++
				}
				if !maps.Equal(got, tt.want) {
					t.Errorf("delivered %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestMintingOfReleases(t *testing.T) {
	tests := []struct {
		profile   string
		get, post int // status
	}{
		{"gitea-1.22", http.StatusOK, http.StatusNotFound},
		{"gitea-1.23", http.StatusOK, http.StatusNotFound},
		{"gitea-1.24", http.StatusOK, http.StatusOK},
		{"gitea-1.25", http.StatusOK, http.StatusOK},
		{"gitea-1.26", http.StatusNotFound, http.StatusOK},
	}
	for _, tt := range tests {
		t.Run(tt.profile, func(t *testing.T) {
			c, server := newMemory(t, giteatest.Options{Profile: mustProfile(t, tt.profile)})
			server.AddToken(plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, "token-of-acme")
			c.rest(t, http.MethodGet, "/admin/runners/registration-token", nil).want(t, tt.get, nil)
			c.rest(t, http.MethodPost, "/admin/actions/runners/registration-token", nil).want(t, tt.post, nil)
			if tt.get == http.StatusOK {
				c.rest(t, http.MethodGet, "/orgs/acme/actions/runners/registration-token", nil).want(t, http.StatusOK, nil)
			}
		})
	}
}
