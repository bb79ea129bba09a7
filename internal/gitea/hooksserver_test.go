package gitea_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/realgitea"
)

// TestHooksOfAServer manages the webhooks of each kind of scope at the
// in-memory server, and at a real one where SCALER_GITEA_BIN names it.
func TestHooksOfAServer(t *testing.T) {
	org := plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}
	t.Run("fake", func(t *testing.T) {
		server, client := start(t, giteatest.Options{})
		server.AddToken(org, "token-of-acme")
		server.AddJobs(giteatest.JobSpec{Repo: "acme/app"})
		checkHooks(t, client, giteatest.AdminLogin)
	})
	t.Run("gitea", func(t *testing.T) {
		server := realgitea.Start(t, "127.0.0.1", "registration-token-0123456789abcdef")
		server.CreateOrg(t, "acme")
		server.CreateRepo(t, "acme/app")
		client, err := gitea.New(gitea.Options{URL: server.URL, Token: func() (plan.Secret, error) { return plan.Secret(server.APIToken), nil }})
		if err != nil {
			t.Fatal(err)
		}
		checkHooks(t, client, realgitea.Admin)
	})
}

// TestHooksOfOldServers: where there are no events about jobs, pushes are a sign
// that some may come; once there are, that is not enough any more.
func TestHooksOfOldServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := aside(t, giteatest.Options{Profile: profile(t, "gitea-1.22")})
		made, err := client.CreateHook(t.Context(), instance, "http://127.0.0.1:1/webhook", "a-secret-of-the-hook")
		if err != nil || made.Fault() != "" || !slices.Contains(made.Events, "push") {
			t.Fatalf("hook %+v, %v", made, err)
		}
		server.SetProfile(profile(t, "gitea-1.24"))
		time.Sleep(time.Second) // before that its version is not read again
		if _, err := client.Capabilities(t.Context()); err != nil {
			t.Fatal(err)
		}
		hooks, err := client.Hooks(t.Context(), instance)
		if err != nil || len(hooks) != 1 || !strings.Contains(hooks[0].Fault(), "workflow_job") {
			t.Errorf("hooks %+v, %v", hooks, err)
		}
	})
}

// aside serves an in-memory server without a network, so that time can pass by
// itself, and returns it with a client.
func aside(t *testing.T, o giteatest.Options) (*giteatest.Server, *gitea.Client) {
	t.Helper()
	o.RegistrationToken, o.APIToken = regToken, apiToken
	server := giteatest.New(o)
	t.Cleanup(server.Close)
	client, err := gitea.New(gitea.Options{
		URL: giteatest.BaseURL, Token: func() (plan.Secret, error) { return apiToken, nil }, Transport: server.Client().Transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

func profile(t *testing.T, name string) giteatest.Profile {
	t.Helper()
	p, err := giteatest.ParseProfile(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func checkHooks(t *testing.T, client *gitea.Client, login string) {
	for _, scope := range []plan.Scope{instance, {Kind: plan.ScopeOrg, Owner: "acme"}, {Kind: plan.ScopeUser, Owner: login}, repoApp} {
		t.Run(scope.String(), func(t *testing.T) { checkHooksOf(t, client, scope) })
	}
	if _, err := client.Hooks(t.Context(), plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "none"}); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("hooks of no repository: %v", err)
	}
}

func checkHooksOf(t *testing.T, client *gitea.Client, scope plan.Scope) {
	ctx := t.Context()
	list := func(want ...int64) {
		t.Helper()
		hooks, err := client.Hooks(ctx, scope)
		if err != nil || len(hooks) != len(want) {
			t.Fatalf("hooks %+v, %v, want %v", hooks, err, want)
		}
		for i, h := range hooks {
			if h.ID != want[i] || h.URL != "http://127.0.0.1:1/webhook" || h.Fault() != "" {
				t.Errorf("hook %+v, want %d", h, want[i])
			}
		}
	}
	list()
	first, err := client.CreateHook(ctx, scope, "http://127.0.0.1:1/webhook", "a-secret-of-the-hook")
	if err != nil {
		t.Fatal(err)
	}
	list(first.ID)
	second, err := client.UpdateHook(ctx, scope, first.ID, "http://127.0.0.1:1/webhook", "another-secret-of-it")
	if err != nil || second.ID == first.ID {
		t.Fatalf("hook %+v, %v", second, err)
	}
	list(second.ID)
	err = client.TestHook(ctx, scope, second.ID)
	if scope.Kind == plan.ScopeRepo && err != nil || scope.Kind != plan.ScopeRepo && !errors.Is(err, plan.ErrUnsupported) {
		t.Errorf("test: %v", err)
	}
	list(second.ID)
	if err := client.DeleteHook(ctx, scope, second.ID); err != nil {
		t.Error(err)
	}
	if err := client.DeleteHook(ctx, scope, second.ID); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("second delete: %v", err)
	}
	list()
}
