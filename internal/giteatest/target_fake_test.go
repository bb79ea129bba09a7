package giteatest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

const (
	testRegistrationToken = "registration-token-0123456789abcdef"
	testAPIToken          = "api-token"
)

// fakeTarget is the in-memory server, behind a socket or without one.
type fakeTarget struct {
	server *giteatest.Server
	url    string
	http   *http.Client
	repos  atomic.Int64
}

func newFakeTarget(t *testing.T, p giteatest.Profile) *fakeTarget {
	server := giteatest.New(giteatest.Options{Profile: p, RegistrationToken: testRegistrationToken, APIToken: testAPIToken})
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	return &fakeTarget{server: server, url: web.URL, http: web.Client()}
}

// newMemory returns a server that is reached without a socket, for synctest.
// Tokens are added to the options.
func newMemory(t *testing.T, opts giteatest.Options) (client, *giteatest.Server) {
	opts.RegistrationToken, opts.APIToken = testRegistrationToken, testAPIToken
	server := giteatest.New(opts)
	t.Cleanup(server.Close)
	target := &fakeTarget{server: server, url: giteatest.BaseURL, http: server.Client()}
	return client{target, server.Client()}, server
}

func (f *fakeTarget) profile() giteatest.Profile { return f.server.Profile() }
func (f *fakeTarget) base() string               { return f.url }
func (f *fakeTarget) registrationToken() string  { return testRegistrationToken }
func (f *fakeTarget) apiToken() string           { return testAPIToken }

func (f *fakeTarget) addJobs(t *testing.T, n int, labels ...string) (string, []int64) {
	t.Helper()
	repo := fmt.Sprintf("%s/r%d", giteatest.AdminLogin, f.repos.Add(1))
	body, err := json.Marshal(map[string]any{"repo": repo, "count": n, "labels": labels})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := f.http.Post(f.url+"/fake/jobs", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct{ IDs []int64 }
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || len(got.IDs) != n {
		t.Fatalf("ids %v, err %v", got.IDs, err)
	}
	return repo, got.IDs
}

func (f *fakeTarget) resetUserToken(*testing.T) {
	f.server.ResetToken(plan.Scope{Kind: plan.ScopeUser, Owner: giteatest.AdminLogin})
}

func (f *fakeTarget) cancel(t *testing.T, _ string, ids []int64) {
	t.Helper()
	if err := f.server.CancelJob(ids[0]); err != nil {
		t.Fatal(err)
	}
}

func (f *fakeTarget) limitedToken(_ *testing.T, scope string) string {
	f.server.AddAPIToken("limited", giteatest.APIUser{Login: giteatest.AdminLogin, Admin: true, Scopes: []string{scope}})
	return "limited"
}
