package gitea

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

// newForgejo returns a client of a stub that calls itself a Forgejo, and is not
// known to be one.
func newForgejo(t *testing.T, version string, replies map[string][]reply, change func(*Options)) (*Client, *stub) {
	t.Helper()
	replies["GET /api/v1/version"] = []reply{jsonReply(200, map[string]string{"version": version + "+gitea-1.22.0"})}
	s := newStub(replies)
	c := serve(t, s, change)
	c.found = newFound()
	return c, s
}

func repoReply(name string) reply { return jsonReply(200, map[string]string{"full_name": name}) }

// listOf is Forgejo's list of jobs, which is null if there are none.
func listOf(jobs ...forgejoJob) reply { return jsonReply(200, jobs) }

var (
	waiting = forgejoJob{ID: 7, Attempt: 1, Handle: "h-7", RepoID: 3, Name: "build", RunsOn: []string{"linux"}, Status: "waiting"}
	running = forgejoJob{ID: 6, Attempt: 1, Handle: "h-6", RepoID: 3, Name: "test", RunsOn: []string{"linux"}, TaskID: 41, Status: "running"}
	orphan  = forgejoJob{ID: 9, Attempt: 1, Handle: "h-9", RepoID: 3, Name: "lost", Status: "waiting"}
)

func TestForgejoJobsPath(t *testing.T) {
	for _, tc := range []struct {
		version string
		scope   plan.Scope
		path    string
		query   string
	}{
		{"11.0.15", instance, "/api/v1/admin/runners/jobs", "labels=linux%2Cbig"},
		{"13.0.5", orgAcme, "/api/v1/orgs/acme/actions/runners/jobs", "labels=linux%2Cbig"},
		{"14.0.0", instance, "/api/v1/admin/runners/jobs", ""},
		{"14.0.5", repoApp, "/api/v1/repos/acme/app/actions/runners/jobs", ""},
		{"15.0.3", instance, "/api/v1/admin/actions/runners/jobs", ""},
		{"16.0.0", orgAcme, "/api/v1/orgs/acme/actions/runners/jobs", ""},
		{"15.0.3", userAnn, "/api/v1/user/actions/runners/jobs", ""},
	} {
		t.Run(tc.version+" "+tc.scope.String(), func(t *testing.T) {
			c, s := newForgejo(t, tc.version, map[string][]reply{
				"GET " + tc.path:             {listOf(waiting, running)},
				"GET /api/v1/repositories/3": {repoReply("acme/app")},
				"GET /api/v1/user":           {jsonReply(200, map[string]string{"login": "ann"})},
			}, func(o *Options) { o.Labels = func() []string { return []string{"linux", "big"} } })
			list, err := c.QueuedJobs(t.Context(), tc.scope, 0, nil)
			if err != nil || len(list.Jobs) != 1 || list.Jobs[0].ID != 7 || !list.Complete || list.Total != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			for _, r := range s.seen {
				if r.URL.Path == tc.path && r.URL.RawQuery != tc.query {
					t.Errorf("query %q, want %q", r.URL.RawQuery, tc.query)
				}
			}
		})
	}
}

func TestForgejoNeedsLabelsBefore14(t *testing.T) {
	c, s := newForgejo(t, "12.0.4", map[string][]reply{}, nil)
	_, err := c.QueuedJobs(t.Context(), instance, 0, nil)
	if !errors.Is(err, plan.ErrUnsupported) || !strings.Contains(err.Error(), "labels") || s.count("GET /api/v1/admin/runners/jobs") != 0 {
		t.Errorf("an empty list would have been taken for an empty queue: %v", err)
	}
}

func TestForgejoJobs(t *testing.T) {
	const jobs = "GET /api/v1/admin/actions/runners/jobs"
	c, s := newForgejo(t, "15.0.3", map[string][]reply{
		jobs:                         {listOf(running, waiting, orphan), {body: "null"}},
		"GET /api/v1/repositories/3": {repoReply("acme/app")},
	}, func(o *Options) { o.RunnerURL = "https://git.example.com/sub" })
	queued, err := c.QueuedJobs(t.Context(), instance, 0, nil)
	if err != nil || len(queued.Jobs) != 2 || queued.Total != 2 {
		t.Fatalf("queued %+v, %v", queued, err)
	}
	if j := queued.Jobs[0]; j.Handle != "h-7" || j.Repo != "acme/app" || j.Status != plan.JobQueued || j.Barred != "" || j.QueuedAt.IsZero() || j.URL != "https://git.example.com/sub/acme/app/actions" {
		t.Errorf("job %+v", j)
	}
	if j := queued.Jobs[1]; j.Barred == "" {
		t.Errorf("a job without runs-on is demand: %+v", j)
	}
	for _, want := range []int{1, 2} { // the answer serves the running jobs once, and no longer
		ran, err := c.RunningJobs(t.Context(), instance)
		if err != nil || !ran.Complete || len(ran.Jobs) != 2-want || s.count(jobs) != want {
			t.Fatalf("running %+v, %v after %d requests", ran, err, s.count(jobs))
		}
		if want == 1 && (ran.Jobs[0].TaskID != 41 || ran.Jobs[0].Status != plan.JobInProgress || ran.Jobs[0].RunnerID != 0) {
			t.Errorf("job %+v", ran.Jobs[0])
		}
	}
	if n := s.count("GET /api/v1/repositories/3"); n != 1 {
		t.Errorf("the repository was asked for %d times", n)
	}
}

// The first job that counts ends the reading, and what is left out is said.
func TestForgejoQueueLimit(t *testing.T) {
	second := waiting
	second.ID = 8
	c, _ := newForgejo(t, "15.0.3", map[string][]reply{
		"GET /api/v1/repos/acme/app/actions/runners/jobs": {listOf(orphan, waiting, second)},
	}, nil)
	list, err := c.QueuedJobs(t.Context(), repoApp, 1, func(j plan.Job) bool { return j.Barred == "" })
	if err != nil || len(list.Jobs) != 2 || list.Total != 3 || list.Complete {
		t.Errorf("%+v, %v", list, err)
	}
}

// A list tells no times: a job waits since it was seen first, and an attempt
// that is made again since that was.
func TestForgejoWaits(t *testing.T) {
	again := waiting
	again.Attempt, again.Handle = 2, "h-7b"
	c, _ := newForgejo(t, "15.0.3", map[string][]reply{
		"GET /api/v1/repos/acme/app/actions/runners/jobs": {listOf(waiting), listOf(waiting), listOf(again)},
	}, nil)
	var times []time.Time
	for range 3 {
		list, err := c.QueuedJobs(t.Context(), repoApp, 0, nil)
		if err != nil || len(list.Jobs) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		times = append(times, list.Jobs[0].QueuedAt)
	}
	if !times[1].Equal(times[0]) || !times[2].After(times[1]) {
		t.Errorf("times %v", times)
	}
}

// What the API token may not read has to be served all the same, by the pools
// whose scope covers it.
func TestForgejoRepoNames(t *testing.T) {
	denied := apiMessage(403, "token does not have at least one of required scope(s): [read:repository]")
	for _, tc := range []struct {
		name   string
		scope  plan.Scope
		answer reply
		want   string // "" for an error
	}{
		{"readable", instance, repoReply("Acme/App"), "Acme/App"},
		{"denied", instance, denied, "#3"},
		{"denied, owner known", orgAcme, denied, "acme/#3"},
		{"gone", orgAcme, apiMessage(404, "The target couldn't be found."), "acme/#3"},
		{"scope of the repository", repoApp, denied, "acme/app"},
		{"broken", instance, reply{status: 501, body: "x", kind: "text/html"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, s := newForgejo(t, "15.0.3", map[string][]reply{
				"GET /api/v1" + pathOf(tc.scope) + "/actions/runners/jobs": {listOf(waiting)},
				"GET /api/v1/repositories/3":                               {tc.answer},
			}, nil)
			for range 2 {
				list, err := c.QueuedJobs(t.Context(), tc.scope, 0, nil)
				if tc.want == "" {
					if err == nil || !strings.Contains(err.Error(), "repository 3") {
						t.Fatalf("%+v, %v", list, err)
					}
					return
				}
				if err != nil || list.Jobs[0].Repo != tc.want || !tc.scope.Covers(list.Jobs[0].Repo) {
					t.Fatalf("%+v, %v", list, err)
				}
			}
			if n := s.count("GET /api/v1/repositories/3"); n > 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestForgejoRepoNameChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{URL: "http://git.example.com", Token: func() (plan.Secret, error) { return apiToken, nil }})
		if err != nil {
			t.Fatal(err)
		}
		c.forgejo.repos[3] = repoName{"acme/old", time.Now()}
		time.Sleep(repoAge - time.Second)
		if name, err := c.repoName(t.Context(), instance, 3); err != nil || name != "acme/old" {
			t.Errorf("%s, %v", name, err)
		}
	})
}

func TestForgejoRunners(t *testing.T) {
	idle := forgejoRunnerInfo{ID: 4, Name: "a", Status: "idle", Labels: []string{"linux"}, Ephemeral: true}
	active := forgejoRunnerInfo{ID: 5, Name: "b", Status: "active"}
	offline := forgejoRunnerInfo{ID: 6, Name: "c", Status: "offline"}
	list := jsonReply(200, []forgejoRunnerInfo{idle, active, offline})
	list.header = map[string][]string{"X-Total-Count": {"3"}}
	const path = "GET /api/v1/admin/actions/runners"
	c, s := newForgejo(t, "15.0.3", map[string][]reply{
		path:        {list},
		path + "/5": {jsonReply(200, active)},
		path + "/6": {apiMessage(404, "runner with ID 6: resource does not exist")},
		"GET /api/v1/orgs/acme/actions/runners/6":    {apiMessage(404, "runner with ID 6: resource does not exist")},
		"DELETE /api/v1/orgs/acme/actions/runners/5": {apiMessage(404, "No permission to delete this runner")},
		"DELETE /api/v1/admin/actions/runners/5":     {{status: 204}},
	}, nil)
	got, err := c.Runners(t.Context(), instance)
	want := []plan.ServerRunner{
		{ID: 4, Name: "a", Online: true, Ephemeral: true, Labels: []string{"linux"}}, {ID: 5, Name: "b", Online: true, Busy: true}, {ID: 6, Name: "c"},
	}
	if err != nil || !got.Complete || !slices.EqualFunc(got.Runners, want, func(a, b plan.ServerRunner) bool {
		return a.ID == b.ID && a.Name == b.Name && a.Online == b.Online && a.Busy == b.Busy && a.Ephemeral == b.Ephemeral && slices.Equal(a.Labels, b.Labels)
	}) {
		t.Errorf("%+v, %v", got, err)
	}
	if i := slices.IndexFunc(s.seen, func(r *http.Request) bool { return r.URL.Path == "/api/v1/admin/actions/runners" }); s.seen[i].URL.Query().Get("visible") != "true" {
		t.Error("the runners of organisations are not asked for")
	}
	if r, err := c.Runner(t.Context(), instance, 5); err != nil || !r.Busy {
		t.Errorf("%+v, %v", r, err)
	}
	for _, scope := range []plan.Scope{instance, orgAcme} {
		if _, err := c.Runner(t.Context(), scope, 6); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("gone at %s: %v", scope, err)
		}
	}
	if err := c.DeleteRunner(t.Context(), orgAcme, 5); !errors.Is(err, plan.ErrDenied) {
		t.Errorf("another scope's: %v", err)
	}
	if err := c.DeleteRunner(t.Context(), instance, 5); err != nil {
		t.Error(err)
	}
	if err := c.SetRunnerDisabled(t.Context(), instance, 5, true); !errors.Is(err, plan.ErrUnsupported) || !strings.Contains(err.Error(), "Forgejo") {
		t.Errorf("disable: %v", err)
	}
}

func TestForgejoOlder(t *testing.T) {
	c, _ := newForgejo(t, "11.0.15", map[string][]reply{}, nil)
	_, err := c.Runners(t.Context(), instance)
	if !errors.Is(err, plan.ErrUnsupported) || !strings.Contains(err.Error(), "this needs Forgejo 15 or later, and the server is 11.0.15+gitea-1.22.0") {
		t.Errorf("runners: %v", err)
	}
	c, _ = newForgejo(t, "7.0.16", map[string][]reply{}, func(o *Options) { o.Labels = func() []string { return []string{"linux"} } })
	if _, err = c.RunningJobs(t.Context(), instance); !errors.Is(err, plan.ErrUnsupported) || !strings.Contains(err.Error(), "this needs Forgejo 11 or later") {
		t.Errorf("jobs: %v", err)
	}
}

func TestForgejoMint(t *testing.T) {
	for version, get := range map[string]string{"11.0.15": "GET /api/v1/admin/runners/registration-token", "7.0.16": "GET /api/v1/admin/runners/registration-token"} {
		c, _ := newForgejo(t, version, map[string][]reply{get: {jsonReply(200, map[string]string{"token": regToken})}}, nil)
		if token, err := c.MintToken(t.Context(), instance); err != nil || token.Reveal() != regToken {
			t.Errorf("%s: %v", version, err)
		}
	}
}

func TestCreateRunner(t *testing.T) {
	const post = "POST /api/v1/orgs/acme/actions/runners"
	reg := plan.Registration{Name: "scaler-x-1", Ephemeral: true, Labels: []plan.Label{{Name: "linux", Schema: "host"}}}
	made := jsonReply(201, map[string]any{"id": 12, "uuid": "u-12", "token": "runner-token-12"})
	for _, tc := range []struct {
		name    string
		answers []reply
		is      error
		says    string
		posts   int
	}{
		{name: "made", answers: []reply{made}, posts: 1},
		{name: "lost answer: not repeated", answers: []reply{{drop: true}}, says: "create runner scaler-x-1 of org:acme", posts: 1},
		{name: "server error: not repeated", answers: []reply{apiMessage(500, "")}, says: "HTTP 500", posts: 1},
		{name: "half an answer", answers: []reply{jsonReply(201, map[string]any{"id": 12})}, says: "lacks an id, a UUID or a token", posts: 1},
		{name: "read only", answers: []reply{apiMessage(403, "token does not have at least one of required scope(s): [write:organization]")}, is: plan.ErrDenied, says: "write:organization", posts: 1},
		{name: "too old", answers: []reply{{status: 405}}, is: plan.ErrUnsupported, says: "this needs Forgejo 15", posts: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, s := newForgejo(t, "15.0.3", map[string][]reply{post: tc.answers}, func(o *Options) { o.RunnerURL = "https://git.example.com" })
			id, err := c.CreateRunner(t.Context(), orgAcme, reg)
			if s.count(post) != tc.posts {
				t.Errorf("%d requests", s.count(post))
			}
			if tc.says != "" {
				if err == nil || !strings.Contains(err.Error(), tc.says) || tc.is != nil && !errors.Is(err, tc.is) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || id.ID != 12 || id.UUID != "u-12" || id.Token.Reveal() != "runner-token-12" || id.Name != reg.Name ||
				id.Address != "https://git.example.com" || !id.Ephemeral || !slices.Equal(id.Labels, []string{"linux:host"}) {
				t.Errorf("%+v, %v", id, err)
			}
			var sent map[string]any
			if err := json.Unmarshal([]byte(s.bodies[len(s.bodies)-1]), &sent); err != nil || sent["name"] != "scaler-x-1" || sent["ephemeral"] != true {
				t.Errorf("sent %v, %v", sent, err)
			}
		})
	}
}
