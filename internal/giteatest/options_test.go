package giteatest_test

import (
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"strconv"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

func TestOlderServers(t *testing.T) {
	tests := []struct {
		name         string
		opts         giteatest.Options
		method, path string
		status       int
	}{
		{"no PATCH", giteatest.Options{DisablePatch: true}, http.MethodPatch, "/admin/actions/runners/1", http.StatusMethodNotAllowed},
		{"no DELETE", giteatest.Options{DisableDelete: true}, http.MethodDelete, "/admin/actions/runners/1", http.StatusMethodNotAllowed},
		{"no runners", giteatest.Options{DisableRunners: true}, http.MethodGet, "/admin/actions/runners", http.StatusNotFound},
		{"no jobs", giteatest.Options{DisableJobs: true}, http.MethodGet, "/admin/actions/jobs?status=queued", http.StatusNotFound},
		{"no minting by POST", giteatest.Options{DisableMint: true}, http.MethodPost, "/orgs/demo/actions/runners/registration-token", http.StatusMethodNotAllowed},
		{"minting by GET", giteatest.Options{DisableMint: true}, http.MethodGet, "/orgs/demo/actions/runners/registration-token", http.StatusOK},
		{"minting by GET, instance", giteatest.Options{DisableMint: true}, http.MethodGet, "/admin/runners/registration-token", http.StatusOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := newMemory(t, tt.opts)
			c.rest(t, tt.method, tt.path, nil).want(t, tt.status, nil)
		})
	}
}

func TestDisableEphemeral(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{DisableEphemeral: true})
	if id := c.register(t, true, "x"); id.Ephemeral {
		t.Error("the answer says ephemeral")
	}
	if server.State().Runners[0].Ephemeral {
		t.Error("the runner is ephemeral")
	}
}

func TestDefaults(t *testing.T) {
	server := giteatest.New(giteatest.Options{})
	c := client{&fakeTarget{server: server, url: giteatest.BaseURL}, server.Client()}
	c.do(t, http.MethodGet, "/api/v1/admin/actions/jobs", nil, "Authorization", "token ").want(t, http.StatusUnauthorized, nil)
	c.rpc(t, identity{}, "Register", map[string]any{"name": "x", "token": ""}).wantError(t, "missing runner token, name")
	var got struct{ Version string }
	c.do(t, http.MethodGet, "/api/v1/version", nil).want(t, http.StatusOK, &got)
	if got.Version != giteatest.DefaultVersion {
		t.Errorf("version %q", got.Version)
	}
}

func TestInjectedClock(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	c, server := newMemory(t, giteatest.Options{Now: func() time.Time { return now }})
	id := c.register(t, false, "x")
	c.rpc(t, id, "Declare", map[string]any{"labels": []string{"x"}}).want(t, http.StatusOK, nil)
	ids := server.AddJobs(giteatest.JobSpec{Labels: []string{"x"}})
	if j := c.job(t, giteatest.DefaultRepo, ids[0]); !j.CreatedAt.Equal(now.Truncate(time.Second)) {
		t.Errorf("created at %s", j.CreatedAt)
	}
	now = now.Add(61 * time.Second)
	if r, _ := c.runner(t, id); r.Status != "offline" {
		t.Errorf("status %s after 61 s", r.Status)
	}
}

func TestTokens(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{})
	org := plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}
	server.AddToken(org, "one")
	c.registerAt(t, "one", false, "x")
	two := server.ResetToken(org)
	stale := "runner registration token has been invalidated, please use the latest one"
	c.rpc(t, identity{}, "Register", map[string]any{"name": "x", "token": "one"}).wantError(t, stale)
	c.registerAt(t, two, false, "x")
	c.register(t, false, "x") // the instance's is another scope
	server.InvalidateToken(two)
	c.rpc(t, identity{}, "Register", map[string]any{"name": "x", "token": two}).wantError(t, stale)
	var minted struct{ Token string }
	c.rest(t, http.MethodPost, "/orgs/acme/actions/runners/registration-token", nil).want(t, http.StatusOK, &minted)
	if minted.Token == two || len(minted.Token) != 40 {
		t.Errorf("minted %q", minted.Token)
	}
	st := server.State()
	if st.Counts.Registrations != 3 || st.Runners[0].Scope != "org:acme" || st.Runners[0].Owner != "acme" || st.Runners[2].Scope != "instance" {
		t.Errorf("state %+v", st)
	}
}

func TestDeregister(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{Deregister: true})
	inJSON := func(id identity) answer {
		return c.rpc(t, identity{}, "Deregister", map[string]any{"id": id.ID, "uuid": id.UUID, "token": id.Token})
	}
	inProto := func(id identity) answer {
		number, _ := strconv.ParseUint(id.ID, 10, 64)
		var b []byte
		b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), number)
		b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), id.UUID)
		b = protowire.AppendString(protowire.AppendTag(b, 3, protowire.BytesType), id.Token)
		return c.do(t, http.MethodPost, "/api/actions/runner.v1.RunnerService/Deregister", b, "Content-Type", "application/proto")
	}
	for name, call := range map[string]func(identity) answer{"JSON": inJSON, "protobuf": inProto} {
		t.Run(name, func(t *testing.T) {
			id := c.register(t, false, "x")
			wrong := id
			wrong.Token = "wrong"
			call(wrong).want(t, http.StatusUnauthorized, nil)
			call(id).want(t, http.StatusOK, nil)
			call(id).want(t, http.StatusNotFound, nil)
			if n := len(server.State().Runners); n != 0 {
				t.Errorf("%d runners left", n)
			}
		})
	}
	c.do(t, http.MethodPost, "/api/actions/runner.v1.RunnerService/Deregister", []byte{0xff}, "Content-Type", "application/proto").
		want(t, http.StatusBadRequest, nil)
	if n := server.State().Counts.Deregistrations; n != 2 {
		t.Errorf("%d deregistrations", n)
	}
}
