package giteatest_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"code.gitea.io/actions-proto-go/runner/v1/runnerv1connect"
	"connectrpc.com/connect"
)

func checkPing(t *testing.T, c client) {
	a := c.do(t, http.MethodPost, "/api/actions/ping.v1.PingService/Ping", []byte(`{"data":"you"}`), "Content-Type", "application/json")
	var got struct{ Data string }
	a.want(t, http.StatusOK, &got)
	if got.Data != "Hello, you!" {
		t.Errorf("data %q", got.Data)
	}
}

func checkUnknownCall(t *testing.T, c client) {
	a := c.rpc(t, identity{}, "Deregister", map[string]any{})
	a.want(t, http.StatusNotFound, nil)
	if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("content type %q, want text/plain", kind)
	}
}

func checkBadToken(t *testing.T, c client) {
	a := c.rpc(t, identity{}, "Register", map[string]any{"name": "x", "token": "no-such-token"})
	c.wantRefused(t, a, "invalid_argument", "runner registration token not found")
}

func checkMissingName(t *testing.T, c client) {
	c.wantRefused(t, c.rpc(t, identity{}, "Register", map[string]any{"token": c.registrationToken()}), "invalid_argument", "missing runner token, name")
}

func checkInvalidatedToken(t *testing.T, c client) {
	mint := func() string { return c.mint(t, "/user") }
	old := mint()
	before := c.registerAt(t, old, false, "invalidated")
	c.resetUserToken(t)
	c.wantRefused(t, c.rpc(t, identity{}, "Register", map[string]any{"name": "x", "token": old}), "invalid_argument",
		"runner registration token has been invalidated, please use the latest one")
	c.rpc(t, before, "Declare", map[string]any{"labels": []string{"invalidated"}}).want(t, http.StatusOK, nil)
	if latest := mint(); latest == old {
		t.Error("the invalidated token was minted again")
	} else {
		c.registerAt(t, latest, false, "invalidated")
	}
}

func checkRegister(t *testing.T, c client) {
	id := c.register(t, false, "reg-a", "reg-b")
	if id.ID == "" || len(id.UUID) != 36 || len(id.Token) != 40 {
		t.Errorf("identity %+v: want an id, a UUID and a token of 40 characters", id)
	}
	if id.Name != "runner-reg-a-reg-b" || id.Version != "v1.2.3" || id.Ephemeral || !slices.Equal(id.Labels, []string{"reg-a", "reg-b"}) {
		t.Errorf("identity %+v does not repeat the request", id)
	}
}

func checkEphemeralRegister(t *testing.T, c client) {
	id := c.register(t, true, "reg-ephemeral")
	if r, _ := c.runner(t, id); !id.Ephemeral || !r.Ephemeral {
		t.Errorf("identity %+v, runner %+v: want ephemeral", id, r)
	}
}

func checkNoEphemeral(t *testing.T, c client) {
	id := c.register(t, true, "no-ephemeral")
	if id.Ephemeral {
		t.Errorf("identity %+v: want no ephemeral one", id)
	}
	c.addJobs(t, 2, "no-ephemeral")
	c.report(t, id, c.take(t, id), "RESULT_SUCCESS").want(t, http.StatusOK, nil)
	c.report(t, id, c.take(t, id), "RESULT_SUCCESS").want(t, http.StatusOK, nil)
}

func checkRegisterProto(t *testing.T, c client) {
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	rpc := runnerv1connect.NewRunnerServiceClient(http.DefaultClient, c.base()+"/api/actions")
	resp, err := rpc.Register(ctx, connect.NewRequest(&runnerv1.RegisterRequest{
		Name: "proto", Token: c.registrationToken(), Labels: []string{"proto"},
	}))
	if err != nil || resp.Msg.Runner.Id == 0 {
		t.Errorf("got %v, %v", resp, err)
	}
	_, err = rpc.Register(ctx, connect.NewRequest(&runnerv1.RegisterRequest{Name: "proto", Token: "no-such-token"}))
	code := connect.CodeUnknown
	if releaseOf(c.profile()).codes() {
		code = connect.CodeInvalidArgument
	}
	if connect.CodeOf(err) != code || !strings.Contains(err.Error(), "runner registration token not found") {
		t.Errorf("wrong token: %v", err)
	}
}

func checkRegisterTwice(t *testing.T, c client) {
	a, b := c.register(t, false, "twice"), c.register(t, false, "twice")
	if a.Name != b.Name || a.ID == b.ID || a.UUID == b.UUID || a.Token == b.Token {
		t.Errorf("got %+v and %+v: want two runners of one name", a, b)
	}
}

func checkLongName(t *testing.T, c client) {
	var got struct{ Runner identity }
	c.rpc(t, identity{}, "Register", map[string]any{"name": strings.Repeat("n", 300), "token": c.registrationToken()}).
		want(t, http.StatusOK, &got)
	if want := strings.Repeat("n", 252) + "…"; got.Runner.Name != want {
		t.Errorf("name of 300 characters became %q", got.Runner.Name)
	}
}

func checkDeclare(t *testing.T, c client) {
	id := c.register(t, false, "declare-old")
	var got struct{ Runner identity }
	c.rpc(t, id, "Declare", map[string]any{"version": "v9", "labels": []string{"declare-new", "more"}}).want(t, http.StatusOK, &got)
	if got.Runner.ID != id.ID || !slices.Equal(got.Runner.Labels, []string{"declare-new", "more"}) {
		t.Errorf("answer %+v", got.Runner)
	}
}

func checkDeclared(t *testing.T, c client) {
	id := c.register(t, false, "declared-old")
	c.rpc(t, id, "Declare", map[string]any{"version": "v9", "labels": []string{"declare-new", "more"}}).want(t, http.StatusOK, nil)
	r, _ := c.runner(t, id)
	if len(r.Labels) != 2 || r.Labels[0].Name != "declare-new" || r.Labels[1].ID != 1 || r.Labels[1].Type != "custom" {
		t.Errorf("labels %+v", r.Labels)
	}
}

func checkUnregistered(t *testing.T, c client) {
	for _, method := range []string{"Declare", "FetchTask", "UpdateTask", "UpdateLog"} {
		c.wantUnregistered(t, c.rpc(t, identity{}, method, map[string]any{}))
	}
}

func checkDeletedRunner(t *testing.T, c client) {
	id := c.register(t, false, "unregistered")
	c.rest(t, http.MethodDelete, "/admin/actions/runners/"+id.ID, nil).want(t, http.StatusNoContent, nil)
	for _, method := range []string{"Declare", "FetchTask", "UpdateTask", "UpdateLog"} {
		c.wantUnregistered(t, c.rpc(t, id, method, map[string]any{}))
	}
}

func checkWrongRunnerToken(t *testing.T, c client) {
	id := c.register(t, false, "wrong-token")
	id.Token = c.register(t, false, "wrong-token").Token
	c.wantUnregistered(t, c.rpc(t, id, "Declare", map[string]any{}))
}
