package gitea_test

import (
	"errors"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

const (
	apiToken = "api-token-5d41402abc4b"
	regToken = "registration-token-7d793037a076"
)

var (
	instance = plan.Scope{Kind: plan.ScopeInstance}
	repoApp  = plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "app"}
	linux    = []plan.Label{{Name: "linux", Schema: "host"}}
)

// start serves an in-memory Gitea and returns it with a client.
func start(t *testing.T, o giteatest.Options) (*giteatest.Server, *gitea.Client) {
	t.Helper()
	o.RegistrationToken, o.APIToken = regToken, apiToken
	server := giteatest.New(o)
	t.Cleanup(server.Close)
	network := httptest.NewServer(server)
	t.Cleanup(network.Close)
	client, err := gitea.New(gitea.Options{
		URL:          network.URL,
		RunnerURL:    "https://git.example.com",
		Token:        func() (plan.Secret, error) { return apiToken, nil },
		RetryWaitMin: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

func register(t *testing.T, c *gitea.Client, name string) plan.Identity {
	t.Helper()
	id, err := c.Register(t.Context(), regToken, plan.Registration{Name: name, Labels: linux, Ephemeral: true, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestLifeOfARunner(t *testing.T) {
	for _, withDeregister := range []bool{false, true} {
		server, client := start(t, giteatest.Options{Deregister: withDeregister})
		ctx := t.Context()
		if got, err := client.Probe(ctx); err != nil || !got.Actions || got.Version != giteatest.DefaultVersion {
			t.Errorf("probe %+v, %v", got, err)
		}
		id := register(t, client, "linux-1")
		if id.Address != "https://git.example.com" || !slices.Equal(id.Labels, []string{"linux:host"}) || !id.Ephemeral {
			t.Errorf("identity %+v", id)
		}
		list, err := client.Runners(ctx, instance)
		if err != nil || !list.Complete || len(list.Runners) != 1 || list.Runners[0].ID != id.ID ||
			!slices.Equal(list.Runners[0].Labels, []string{"linux"}) {
			t.Errorf("runners %+v, %v", list, err)
		}
		if err := client.SetRunnerDisabled(ctx, instance, id.ID, true); err != nil {
			t.Error(err)
		}
		if r, err := client.Runner(ctx, instance, id.ID); err != nil || !r.Disabled {
			t.Errorf("runner %+v, %v", r, err)
		}
		err = client.Deregister(ctx, id)
		if withDeregister && err != nil || !withDeregister && !errors.Is(err, plan.ErrUnsupported) {
			t.Errorf("deregister: %v", err)
		}
		if !withDeregister {
			err = client.DeleteRunner(ctx, instance, id.ID)
		}
		if err != nil {
			t.Error(err)
		}
		if err := client.DeleteRunner(ctx, instance, id.ID); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("second delete: %v", err)
		}
		if n := len(server.State().Runners); n != 0 {
			t.Errorf("%d runners left", n)
		}
	}
}

func TestQueue(t *testing.T) {
	server, client := start(t, giteatest.Options{})
	server.AddJobs(giteatest.JobSpec{Repo: "acme/app", Labels: []string{"linux"}, Count: 120})
	server.AddJobs(giteatest.JobSpec{Repo: "acme/app", Needs: true, Count: 3})
	for _, scope := range []plan.Scope{instance, repoApp, {Kind: plan.ScopeOrg, Owner: "acme"}} {
		all, err := client.QueuedJobs(t.Context(), scope, 0, nil)
		if err != nil || len(all.Jobs) != 120 || all.Total != 120 || !all.Complete {
			t.Errorf("%s: %d of %d jobs, complete %t, %v", scope, len(all.Jobs), all.Total, all.Complete, err)
			continue
		}
		if j := all.Jobs[0]; j.Repo != "acme/app" || !slices.Equal(j.Labels, []string{"linux"}) || j.Status != plan.JobQueued || j.QueuedAt.IsZero() {
			t.Errorf("job %+v", j)
		}
	}
	some, err := client.QueuedJobs(t.Context(), instance, 10, nil)
	if err != nil || len(some.Jobs) != 50 || some.Total != 120 || some.Complete {
		t.Errorf("%d of %d jobs, complete %t, %v", len(some.Jobs), some.Total, some.Complete, err)
	}
	running, err := client.RunningJobs(t.Context(), instance)
	if err != nil || len(running.Jobs) != 0 || !running.Complete {
		t.Errorf("running %+v, %v", running, err)
	}
}

// TestShiftingPages: whatever order the pages come in, a list that claims to
// be complete is.
func TestShiftingPages(t *testing.T) {
	server, client := start(t, giteatest.Options{ShuffleJobs: true})
	server.AddJobs(giteatest.JobSpec{Repo: "acme/app", Count: 130})
	for range 5 {
		list, err := client.QueuedJobs(t.Context(), instance, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int64]bool{}
		for _, j := range list.Jobs {
			seen[j.ID] = true
		}
		if len(seen) != len(list.Jobs) || list.Complete != (len(seen) == 130) {
			t.Errorf("%d jobs, %d different, complete %t", len(list.Jobs), len(seen), list.Complete)
		}
	}
}

func TestTokens(t *testing.T) {
	server, client := start(t, giteatest.Options{})
	server.AddJobs(giteatest.JobSpec{Repo: "acme/app"}) // makes the repository
	token, err := client.MintToken(t.Context(), repoApp)
	if err != nil {
		t.Fatal(err)
	}
	reg := plan.Registration{Name: "a", Labels: linux}
	id, err := client.Register(t.Context(), token, reg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Runner(t.Context(), repoApp, id.ID); err != nil {
		t.Error(err)
	}
	org := plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}
	if err := client.DeleteRunner(t.Context(), org, id.ID); !errors.Is(err, plan.ErrDenied) {
		t.Errorf("delete in the wrong scope: %v", err)
	}
	server.InvalidateToken(token.Reveal())
	for _, bad := range []plan.Secret{token, "no-such-token"} {
		if _, err := client.Register(t.Context(), bad, reg); !errors.Is(err, plan.ErrTokenRejected) {
			t.Errorf("error %v", err)
		}
	}
	if n := server.State().Counts.Registrations; n != 1 {
		t.Errorf("%d registrations", n)
	}
}

func TestOlderServers(t *testing.T) {
	server, client := start(t, giteatest.Options{Version: "1.24.7", DisablePatch: true, DisableJobs: true, DisableMint: true, DisableEphemeral: true})
	id := register(t, client, "a")
	if id.Ephemeral {
		t.Error("the server does not know ephemeral runners")
	}
	for range 2 {
		if err := client.SetRunnerDisabled(t.Context(), instance, id.ID, true); !errors.Is(err, plan.ErrUnsupported) {
			t.Errorf("disable: %v", err)
		}
		if token, err := client.MintToken(t.Context(), instance); err != nil || token != plan.Secret(regToken) {
			t.Errorf("mint: %v", err)
		}
	}
	if _, err := client.QueuedJobs(t.Context(), instance, 1, nil); !errors.Is(err, plan.ErrUnsupported) {
		t.Errorf("jobs: %v", err)
	}
	if n := server.State().Counts.Calls["registration-token"]; n != 3 {
		t.Errorf("%d calls for a registration token, want one POST and then two GETs", n)
	}
}

func TestPermissions(t *testing.T) {
	server, client := start(t, giteatest.Options{})
	server.AddAPIToken(apiToken, giteatest.APIUser{Login: "ann", Scopes: []string{"read:user"}})
	if login, err := client.Login(t.Context()); err != nil || login != "ann" {
		t.Errorf("login %q, %v", login, err)
	}
	if _, err := client.Runners(t.Context(), plan.Scope{Kind: plan.ScopeUser, Owner: "Ann"}); err != nil {
		t.Error(err)
	}
	if _, err := client.QueuedJobs(t.Context(), instance, 1, nil); !errors.Is(err, plan.ErrDenied) {
		t.Errorf("error %v", err)
	}
	server.RemoveAPIToken(apiToken)
	if _, err := client.QueuedJobs(t.Context(), instance, 1, nil); !errors.Is(err, plan.ErrDenied) {
		t.Errorf("error %v", err)
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		name  string
		fault giteatest.Fault
		fails bool
		calls int
	}{
		{"one server error", giteatest.Fault{Status: 500, Times: 1}, false, 2},
		{"server errors", giteatest.Fault{Status: 502}, true, 3},
		{"one dropped connection", giteatest.Fault{Drop: true, Times: 1}, false, 2},
		{"two half pages", giteatest.Fault{HalfPage: true, Times: 2}, false, 3},
		{"half pages", giteatest.Fault{HalfPage: true}, true, 3},
		{"half a body", giteatest.Fault{HalfBody: true, Times: 1}, true, 1},
		{"bad request", giteatest.Fault{Status: 400}, true, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, client := start(t, giteatest.Options{})
			server.AddJobs(giteatest.JobSpec{Count: 3})
			if _, err := client.Capabilities(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := server.State().Counts.Calls["jobs"]
			tt.fault.Kind = "jobs"
			if err := server.SetFault(tt.fault); err != nil {
				t.Fatal(err)
			}
			list, err := client.QueuedJobs(t.Context(), instance, 10, nil)
			if tt.fails != (err != nil) || tt.fails == (len(list.Jobs) == 3) {
				t.Errorf("%d jobs, %v", len(list.Jobs), err)
			}
			if n := server.State().Counts.Calls["jobs"] - before; n != tt.calls {
				t.Errorf("%d calls, want %d", n, tt.calls)
			}
		})
	}
}

// TestLostRegistration: the connection breaks after the runner was made. One
// runner it is, and an error.
func TestLostRegistration(t *testing.T) {
	for _, fault := range []giteatest.Fault{{DropAfter: true}, {HalfPage: true}} {
		server, client := start(t, giteatest.Options{})
		fault.Kind = "Register"
		if err := server.SetFault(fault); err != nil {
			t.Fatal(err)
		}
		_, err := client.Register(t.Context(), regToken, plan.Registration{Name: "a", Labels: linux})
		if err == nil {
			t.Error("no error")
		}
		if n := server.State().Counts.Registrations; n != 1 {
			t.Errorf("%d registrations, want 1", n)
		}
	}
}

// TestWithoutNetwork: the client also works over the in-memory transport, as
// tests of what stands above it do, where time does not pass by itself.
func TestWithoutNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := giteatest.New(giteatest.Options{RegistrationToken: regToken, APIToken: apiToken})
		defer server.Close()
		client, err := gitea.New(gitea.Options{
			URL:       giteatest.BaseURL,
			Token:     func() (plan.Secret, error) { return apiToken, nil },
			Transport: server.Client().Transport,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := server.SetFault(giteatest.Fault{Kind: "jobs", Status: 503, RetryAfter: 5 * time.Second, Times: 1}); err != nil {
			t.Fatal(err)
		}
		server.AddJobs(giteatest.JobSpec{})
		begin := time.Now()
		list, err := client.QueuedJobs(t.Context(), instance, 1, nil)
		if err != nil || len(list.Jobs) != 1 {
			t.Errorf("jobs %v, %v", list, err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("took %s, want the 5s that the server asked for", took)
		}
	})
}
