package giteatest_test

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

func TestPickCollision(t *testing.T) {
	mend := map[string]func(*testing.T, client, *giteatest.Server){
		"a runner is disabled": func(t *testing.T, c client, _ *giteatest.Server) {
			disable(t, c, c.register(t, false, "other"), true)
		},
		"a job is queued": func(_ *testing.T, _ client, server *giteatest.Server) {
			server.AddJobs(giteatest.JobSpec{Labels: []string{"unrelated"}})
		},
	}
	for name, do := range mend {
		t.Run(name, func(t *testing.T) {
			c, server := newMemory(t, giteatest.Options{})
			id := c.register(t, false, "race")
			server.AddJobs(giteatest.JobSpec{Labels: []string{"race"}})
			server.SetPickCollisions(1)
			task, version := c.fetch(t, id, "0")
			if task != "" || version == "0" {
				t.Fatalf("the loser got task %q, version %s", task, version)
			}
			if task, _ = c.fetch(t, id, version); task != "" {
				t.Fatal("the loser asked again and got the job")
			}
			if st := server.State(); st.Jobs[giteatest.StatusQueued] != 1 || st.Counts.Lost != 1 {
				t.Fatalf("state %+v", st)
			}
			do(t, c, server)
			if task, _ = c.fetch(t, id, version); task == "" {
				t.Error("not mended")
			}
		})
	}
}

func TestNewRunnerTakesWhatALoserLeft(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{})
	server.AddJobs(giteatest.JobSpec{Labels: []string{"race"}})
	server.SetPickCollisions(1)
	c.fetch(t, c.register(t, false, "race"), "0")
	c.take(t, c.register(t, false, "race"))
}

func TestOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := newMemory(t, giteatest.Options{})
		id := c.register(t, false, "a", "b")
		blocked := server.AddJobs(giteatest.JobSpec{Labels: []string{"a"}, Needs: true})
		time.Sleep(time.Second)
		first := server.AddJobs(giteatest.JobSpec{Labels: []string{"b"}, Count: 2})
		time.Sleep(time.Second)
		if err := server.Release(blocked[0]); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int64{first[0], first[1], blocked[0]} {
			c.take(t, id)
			if j, _ := server.Job(want); j.Status != giteatest.StatusInProgress {
				t.Errorf("job %d is %s, want it taken next", want, j.Status)
			}
		}
	})
}

func TestNeeds(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{})
	id := c.register(t, false, "needs")
	ids := server.AddJobs(giteatest.JobSpec{Labels: []string{"needs"}, Needs: true})
	if task, _ := c.fetch(t, id, "0"); task != "" {
		t.Fatal("took a job that waits for another")
	}
	for query, want := range map[string]int{"?status=waiting": 1, "?status=pending": 1, "?status=queued": 0} {
		if jobs, _, _ := c.jobs(t, "/admin", query); len(jobs) != want {
			t.Errorf("%s: %d jobs, want %d", query, len(jobs), want)
		}
	}
	if err := server.Release(ids[0]); err != nil {
		t.Fatal(err)
	}
	if err := server.Release(ids[0]); !errors.Is(err, giteatest.ErrNoJob) {
		t.Errorf("second release: %v", err)
	}
	c.take(t, id)
}

func TestCancel(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{})
	ids := server.AddJobs(giteatest.JobSpec{Labels: []string{"x"}})
	if err := server.CancelJob(ids[0]); err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{ids[0], 1} {
		if err := server.CancelJob(id); !errors.Is(err, giteatest.ErrNoJob) {
			t.Errorf("cancel %d: %v", id, err)
		}
	}
	if task, _ := c.fetch(t, c.register(t, false, "x"), "0"); task != "" {
		t.Error("a cancelled job was taken")
	}
}

func TestScopes(t *testing.T) {
	scopes := map[string]plan.Scope{
		"instance": {Kind: plan.ScopeInstance},
		"org":      {Kind: plan.ScopeOrg, Owner: "acme"},
		"user":     {Kind: plan.ScopeUser, Owner: "ann"},
		"repo":     {Kind: plan.ScopeRepo, Owner: "acme", Repo: "one"},
	}
	takes := map[string][]string{
		"instance": {"acme/one", "acme/two", "ann/one", "ACME/one"},
		"org":      {"acme/one", "acme/two", "ACME/one"},
		"user":     {"ann/one"},
		"repo":     {"acme/one", "ACME/one"},
	}
	for name, scope := range scopes {
		for _, repo := range takes["instance"] {
			t.Run(name+" "+repo, func(t *testing.T) {
				c, server := newMemory(t, giteatest.Options{})
				server.AddToken(scope, "token-"+name)
				id := c.registerAt(t, "token-"+name, false, "any")
				_, version := c.fetch(t, id, "0")
				server.AddJobs(giteatest.JobSpec{Repo: repo})
				task, _ := c.fetch(t, id, version)
				want := false
				for _, r := range takes[name] {
					want = want || r == repo
				}
				if (task != "") != want {
					t.Errorf("task %q, want taken %v", task, want)
				}
			})
		}
	}
}

func TestViews(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{})
	org, repo := plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "one"}
	server.AddToken(org, "org-token")
	server.AddToken(repo, "repo-token")
	server.AddJobs(giteatest.JobSpec{Repo: "acme/one"})
	server.AddJobs(giteatest.JobSpec{Repo: "acme/two"})
	server.AddJobs(giteatest.JobSpec{Repo: "root/mine"})
	c.register(t, false)
	c.registerAt(t, "org-token", false)
	repoRunner := c.registerAt(t, "repo-token", false)
	for prefix, want := range map[string]struct{ runners, jobs int }{
		"/admin":          {3, 3},
		"/orgs/acme":      {1, 2},
		"/user":           {0, 1},
		"/repos/acme/one": {1, 1},
		"/repos/ACME/Two": {0, 1},
	} {
		var got struct {
			Total int `json:"total_count"`
		}
		c.rest(t, http.MethodGet, prefix+"/actions/runners", nil).want(t, http.StatusOK, &got)
		if _, jobs, _ := c.jobs(t, prefix, ""); got.Total != want.runners || jobs != want.jobs {
			t.Errorf("%s: %d runners, %d jobs, want %+v", prefix, got.Total, jobs, want)
		}
	}
	c.rest(t, http.MethodDelete, "/orgs/acme/actions/runners/"+repoRunner.ID, nil).wantMessage(t, http.StatusNotFound, "No permission to access this runner")
	c.rest(t, http.MethodDelete, "/repos/acme/one/actions/runners/"+repoRunner.ID, nil).want(t, http.StatusNoContent, nil)
}

func TestWeakUsers(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{})
	server.AddJobs(giteatest.JobSpec{Repo: "acme/one"})
	server.AddAPIToken("ann-token", giteatest.APIUser{Login: "ann"})
	server.AddAPIToken("bob-token", giteatest.APIUser{Login: "bob", Owns: []string{"acme"}})
	tests := []struct {
		token, path string
		status      int
		message     string
	}{
		{"ann-token", "/admin/actions/jobs", http.StatusForbidden, "user should be the site admin"},
		{"ann-token", "/orgs/acme/actions/runners", http.StatusForbidden, "Must be an organization owner"},
		{"ann-token", "/repos/acme/one/actions/runners", http.StatusForbidden, "user should be the owner of the repo"},
		{"ann-token", "/user/actions/runners", http.StatusOK, ""},
		{"bob-token", "/orgs/acme/actions/runners", http.StatusOK, ""},
		{"bob-token", "/repos/acme/one/actions/jobs", http.StatusOK, ""},
	}
	for _, tt := range tests {
		t.Run(tt.token+" "+tt.path, func(t *testing.T) {
			c.do(t, http.MethodGet, "/api/v1"+tt.path, nil, "Authorization", "token "+tt.token).wantMessage(t, tt.status, tt.message)
		})
	}
	server.RemoveAPIToken("bob-token")
	c.do(t, http.MethodGet, "/api/v1/user", nil, "Authorization", "token bob-token").want(t, http.StatusUnauthorized, nil)
}

func TestOrderOfListings(t *testing.T) {
	listing := func(t *testing.T, c client) string {
		jobs, _, _ := c.jobs(t, "/admin", "?limit=50")
		text := ""
		for _, j := range jobs {
			text += strconv.FormatInt(j.ID, 10) + " "
		}
		return text
	}
	for _, shuffle := range []bool{false, true} {
		c, server := newMemory(t, giteatest.Options{ShuffleJobs: shuffle})
		server.AddJobs(giteatest.JobSpec{Count: 20})
		first := listing(t, c)
		if changed := first != listing(t, c); changed != shuffle {
			t.Errorf("shuffle %v: order changed %v", shuffle, changed)
		}
		other, server := newMemory(t, giteatest.Options{ShuffleJobs: shuffle})
		server.AddJobs(giteatest.JobSpec{Count: 20})
		if first != listing(t, other) {
			t.Errorf("shuffle %v: another server has another order", shuffle)
		}
	}
}
