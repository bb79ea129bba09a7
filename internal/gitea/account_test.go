package gitea_test

import (
	"errors"
	"math"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/realgitea"
)

const password = "password-of-the-test"

// by returns a client with another token.
func by(t *testing.T, url string, token plan.Secret) *gitea.Client {
	t.Helper()
	c, err := gitea.New(gitea.Options{URL: url, Token: func() (plan.Secret, error) { return token, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAccountsOfAServer makes tokens at the in-memory server and, where there is
// one, at a real one.
func TestAccountsOfAServer(t *testing.T) {
	t.Run("in memory", func(t *testing.T) {
		s := giteatest.New(giteatest.Options{})
		s.AddPassword(password, giteatest.APIUser{Login: "root1", Admin: true, Owns: []string{"acme"}})
		s.AddToken(plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, "token-of-acme")
		s.AddToken(plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "app"}, "token-of-app")
		t.Cleanup(s.Close)
		network := httptest.NewServer(s)
		t.Cleanup(network.Close)
		checkAccount(t, network.URL, gitea.Credentials{Name: "root1", Password: password})
	})
	t.Run("real", func(t *testing.T) {
		s := realgitea.Start(t, "127.0.0.1", strings.Repeat("registration", 3))
		s.CreateOrg(t, "acme")
		s.CreateRepo(t, "acme/app")
		checkAccount(t, s.URL, gitea.Credentials{Name: realgitea.Admin, Password: realgitea.Password})
	})
}

func checkAccount(t *testing.T, url string, who gitea.Credentials) {
	t.Helper()
	c := by(t, url, "")
	got, err := c.AccountOf(t.Context(), who)
	if err != nil || got.Login != who.Name || !got.Admin || !slices.Equal(got.Orgs, []string{"acme"}) || !slices.Contains(got.Repos, "acme/app") {
		t.Fatalf("account %+v, %v", got, err)
	}
	wrong := gitea.Credentials{Name: who.Name, Password: "wrong-password"}
	if _, err := c.AccountOf(t.Context(), wrong); !errors.Is(err, plan.ErrDenied) || !strings.Contains(err.Error(), "two-factor") || strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("a wrong password gives %v", err)
	}
	if _, err := c.MakeToken(t.Context(), wrong, "scaler", "write:admin"); !errors.Is(err, plan.ErrDenied) {
		t.Errorf("a token for a wrong password: %v", err)
	}
	token, err := c.MakeToken(t.Context(), who, "scaler", gitea.Permission(instance))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.MakeToken(t.Context(), who, "scaler", "write:admin"); !errors.Is(err, plan.ErrConflict) {
		t.Errorf("a second token of the name: %v", err)
	}
	narrow := by(t, url, token)
	if _, err := narrow.Runners(t.Context(), instance); err != nil {
		t.Errorf("the token cannot list runners: %v", err)
	}
	if _, err := narrow.Account(t.Context()); !errors.Is(err, plan.ErrDenied) {
		t.Errorf("the narrow token says whose it is: %v", err)
	}
	if _, err := narrow.Runners(t.Context(), plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}); !errors.Is(err, plan.ErrDenied) {
		t.Errorf("the narrow token can do more: %v", err)
	}
	for range 2 { // the second finds nothing, which is success
		if err := c.DropToken(t.Context(), who, "scaler"); err != nil {
			t.Errorf("delete the token: %v", err)
		}
	}
	if _, err := narrow.Runners(t.Context(), instance); !errors.Is(err, plan.ErrDenied) {
		t.Errorf("the token outlives its deletion: %v", err)
	}
	user, err := c.MakeToken(t.Context(), who, "user", "read:user")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := by(t, url, user).Account(t.Context()); err != nil || got.Login != who.Name || got.Orgs != nil || got.Repos != nil {
		t.Errorf("account by a token for users only: %+v, %v", got, err)
	}
}

// TestPermissionsCanBeTried: what may be done to a runner shows on one that there
// is not, at each kind of scope, and nothing is changed by it.
func TestPermissionsCanBeTried(t *testing.T) {
	t.Run("in memory", func(t *testing.T) {
		s := giteatest.New(giteatest.Options{})
		s.AddPassword(password, giteatest.APIUser{Login: "root1", Admin: true, Owns: []string{"acme"}})
		s.AddToken(plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, "token-of-acme")
		s.AddToken(repoApp, "token-of-app")
		t.Cleanup(s.Close)
		network := httptest.NewServer(s)
		t.Cleanup(network.Close)
		checkTries(t, network.URL, gitea.Credentials{Name: "root1", Password: password})
	})
	t.Run("real", func(t *testing.T) {
		s := realgitea.Start(t, "127.0.0.1", strings.Repeat("registration", 3))
		s.CreateOrg(t, "acme")
		s.CreateRepo(t, "acme/app")
		checkTries(t, s.URL, gitea.Credentials{Name: realgitea.Admin, Password: realgitea.Password})
	})
}

func checkTries(t *testing.T, url string, who gitea.Credentials) {
	t.Helper()
	const nobody = math.MaxInt64
	for _, scope := range []plan.Scope{instance, {Kind: plan.ScopeOrg, Owner: "acme"}, {Kind: plan.ScopeUser, Owner: who.Name}, repoApp} {
		write := gitea.Permission(scope)
		for permission, want := range map[string]error{write: plan.ErrNotFound, strings.Replace(write, "write", "read", 1): plan.ErrDenied} {
			token, err := by(t, url, "").MakeToken(t.Context(), who, scope.String()+" "+permission, permission)
			if err != nil {
				t.Fatal(err)
			}
			c := by(t, url, token)
			if _, err := c.Runners(t.Context(), scope); err != nil {
				t.Errorf("%s with %s: list runners: %v", scope, permission, err)
			}
			if _, err := c.QueuedJobs(t.Context(), scope, 1, nil); err != nil {
				t.Errorf("%s with %s: list jobs: %v", scope, permission, err)
			}
			if err := c.DeleteRunner(t.Context(), scope, nobody); !errors.Is(err, want) {
				t.Errorf("%s with %s: delete a runner: %v, want %v", scope, permission, err, want)
			}
			if err := c.SetRunnerDisabled(t.Context(), scope, nobody, true); !errors.Is(err, want) {
				t.Errorf("%s with %s: disable a runner: %v, want %v", scope, permission, err, want)
			}
			if _, err := c.MintToken(t.Context(), scope); (err == nil) != (want == plan.ErrNotFound) {
				t.Errorf("%s with %s: registration token: %v", scope, permission, err)
			}
		}
	}
}

func TestPermission(t *testing.T) {
	for scope, want := range map[string]string{
		"instance": "write:admin", "org:acme": "write:organization", "user:ann": "write:user", "repo:acme/app": "write:repository",
	} {
		s, err := plan.ParseScope(scope)
		if err != nil {
			t.Fatal(err)
		}
		if got := gitea.Permission(s); got != want || !strings.Contains(gitea.PermissionAdvice(s), "the permission "+want) {
			t.Errorf("%s: %s, %s", scope, got, gitea.PermissionAdvice(s))
		}
	}
}
