package gitea

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"google.golang.org/protobuf/proto"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

const (
	registerPath   = "POST /api/actions/runner.v1.RunnerService/Register"
	deregisterPath = "POST /api/actions/runner.v1.RunnerService/Deregister"
)

var registration = plan.Registration{
	Name:      "linux-1",
	Labels:    []plan.Label{{Name: "ubuntu-latest", Schema: "docker", Args: "//ubuntu:24.04"}, {Name: "linux", Schema: "host"}},
	Ephemeral: true,
	Version:   "scaler/1.0",
}

// protoReply is the answer of an RPC in the encoding that the client uses.
func protoReply(m proto.Message) reply {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return reply{body: string(b), kind: "application/proto"}
}

func registered() *runnerv1.Runner {
	return &runnerv1.Runner{Id: 12, Uuid: "4b84679c", Token: "runner-token", Name: "linux-1", Labels: []string{"ubuntu-latest", "linux"}, Ephemeral: true}
}

func rpcError(status int, code, message string) reply {
	r := jsonReply(status, object{"code": code, "message": message})
	r.kind = "application/json"
	return r
}

func TestRegister(t *testing.T) {
	s := newStub(map[string][]reply{registerPath: {protoReply(&runnerv1.RegisterResponse{Runner: registered()})}})
	c := serve(t, s, func(o *Options) { o.RunnerURL = "https://git.example.com/sub/" })
	id, err := c.Register(t.Context(), regToken, registration)
	if err != nil {
		t.Fatal(err)
	}
	if id.ID != 12 || id.UUID != "4b84679c" || id.Token != "runner-token" || id.Name != "linux-1" || !id.Ephemeral ||
		id.Address != "https://git.example.com/sub" ||
		!slices.Equal(id.Labels, []string{"ubuntu-latest:docker://ubuntu:24.04", "linux:host"}) {
		t.Errorf("identity %+v", id)
	}
	var sent runnerv1.RegisterRequest
	if err := proto.Unmarshal([]byte(s.bodies[0]), &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Name != "linux-1" || sent.Token != regToken || sent.Version != "scaler/1.0" || !sent.Ephemeral ||
		!slices.Equal(sent.Labels, []string{"ubuntu-latest", "linux"}) {
		t.Error("the request is not what was asked for")
	}
	if s.seen[0].Header.Get("Authorization") != "" {
		t.Error("the API token was sent along")
	}
}

func TestRegisterErrors(t *testing.T) {
	answer := &runnerv1.RegisterResponse{Runner: registered()}
	answer.Runner.Uuid = ""
	tests := []struct {
		name  string
		token plan.Secret
		reply reply
		is    error
		want  string
	}{
		{"bad token", regToken, rpcError(500, "unknown", "runner registration token not found"), plan.ErrTokenRejected, "registration token rejected"},
		{"invalidated token", regToken, rpcError(500, "unknown", "runner registration token has been invalidated, please use the latest one"), plan.ErrTokenRejected, "please use the latest one"},
		{"token of a deleted owner", regToken, rpcError(500, "unknown", "owner of the token not found"), plan.ErrTokenRejected, "owner of the token"},
		{"unauthenticated", regToken, rpcError(401, "unauthenticated", "go away"), plan.ErrTokenRejected, "go away"},
		{"permission denied", regToken, rpcError(403, "permission_denied", "go away"), plan.ErrTokenRejected, "go away"},
		{"the error repeats the token", regToken, rpcError(401, "unauthenticated", "no such token: "+regToken), plan.ErrTokenRejected, "no such token: [redacted]"},
		{"a proxy's 401", regToken, reply{status: 401, body: "<html>", kind: "text/html"}, plan.ErrDenied, "in front of Gitea"},
		{"no Actions", regToken, noRoute(), plan.ErrUnsupported, "not its Actions: set ENABLED = true"},
		{"another error", regToken, rpcError(500, "unknown", "can't create new runner"), nil, "can't create new runner"},
		{"not ready", regToken, reply{status: 503, body: "<html>", kind: "text/html"}, nil, "unavailable"},
		{"half an identity", regToken, protoReply(answer), nil, "lacks an id, a UUID or a token"},
		{"no identity", regToken, protoReply(&runnerv1.RegisterResponse{}), nil, "lacks an id"},
		{"a page", regToken, reply{body: "<html>", kind: "text/html"}, nil, "text/html"},
		{"dropped", regToken, reply{drop: true}, nil, "EOF"},
		{"empty token", "", reply{}, plan.ErrTokenRejected, "it is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{registerPath: {tt.reply}})
			var log logBuffer
			_, err := serve(t, s, func(o *Options) { o.Logger = log.logger() }).Register(t.Context(), tt.token, registration)
			wantError(t, err, "register runner linux-1: ", tt.want)
			wantNoSecret(t, log.String())
			for _, sentinel := range []error{plan.ErrTokenRejected, plan.ErrDenied, plan.ErrUnsupported} {
				if errors.Is(err, sentinel) != (sentinel == tt.is) {
					t.Errorf("error %v: errors.Is %v is %t", err, sentinel, errors.Is(err, sentinel))
				}
			}
			want := 1
			if tt.token == "" {
				want = 0
			}
			if n := s.count(registerPath); n != want {
				t.Errorf("%d requests, want %d", n, want)
			}
		})
	}
}

// TestRegisterOnUsedConnection: net/http itself repeats some requests on a
// connection that turns out to be closed. A registration is not among them.
func TestRegisterOnUsedConnection(t *testing.T) {
	s := newStub(map[string][]reply{adminJobs: {jobsPage(0)}, registerPath: {{drop: true}}})
	c := serve(t, s, nil)
	if _, err := c.QueuedJobs(t.Context(), instance, 1, nil); err != nil {
		t.Fatal(err)
	}
	_, err := c.Register(t.Context(), regToken, registration)
	wantError(t, err, "EOF")
	if n := s.count(registerPath); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

var identity = plan.Identity{ID: 12, UUID: "4b84679c", Name: "linux-1", Token: "runner-token"}

func TestDeregister(t *testing.T) {
	tests := []struct {
		name     string
		reply    reply
		is       error
		want     string
		requests int // of two calls
	}{
		{"done", reply{body: "{}", kind: "application/json"}, nil, "", 2},
		{"not found", rpcError(404, "not_found", "runner not found"), plan.ErrNotFound, "deregister runner linux-1: not found", 2},
		{"unregistered", rpcError(500, "unknown", "rpc error: code = Unauthenticated desc = unregistered runner"), plan.ErrNotFound, "unregistered runner", 2},
		{"no such call", noRoute(), plan.ErrUnsupported, "deregister runner linux-1: not supported by the server", 1},
		{"unimplemented", rpcError(501, "unimplemented", "no"), plan.ErrUnsupported, "not supported", 1},
		{"not ready", reply{status: 503, body: "<html>", kind: "text/html"}, nil, "unavailable", 2},
		{"dropped", reply{drop: true}, nil, "EOF", 2},
		{"the error repeats the token", rpcError(400, "invalid_argument", "what is runner-token?"), nil, "what is [redacted]?", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(map[string][]reply{deregisterPath: {tt.reply}})
			c := serve(t, s, nil)
			for range 2 {
				err := c.Deregister(t.Context(), identity)
				if tt.want == "" && err != nil {
					t.Error(err)
				}
				if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) && !errors.Is(err, plan.ErrUnsupported) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				if tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("error %v is not %v", err, tt.is)
				}
			}
			if n := s.count(deregisterPath); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			var sent map[string]any
			if err := json.Unmarshal([]byte(s.bodies[0]), &sent); err != nil {
				t.Fatal(err)
			}
			if len(sent) != 3 || sent["id"] != "12" || sent["uuid"] != "4b84679c" || sent["token"] != "runner-token" {
				t.Errorf("sent %v", sent)
			}
			if got := s.seen[0].Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
		})
	}
}

// TestDeregisterProbesOnce: many at the same time find out together.
func TestDeregisterProbesOnce(t *testing.T) {
	s := newStub(map[string][]reply{})
	c := serve(t, s, nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := c.Deregister(t.Context(), identity); !errors.Is(err, plan.ErrUnsupported) {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
	if n := s.count(deregisterPath); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestWithdraw(t *testing.T) {
	s := giteatest.New(giteatest.Options{RegistrationToken: "r", APIToken: "a"})
	c := serve(t, s, nil)
	id, err := c.Register(t.Context(), "r", plan.Registration{Name: "x", Labels: []plan.Label{{Name: "linux"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Withdraw(t.Context(), id, "v1"); err != nil {
		t.Fatal(err)
	}
	if got := s.State().Runners[0].Labels; len(got) != 1 || got[0] != "withdrawn-"+id.UUID {
		t.Errorf("labels at the server: %v", got)
	}
	id.Token = "not-its-token"
	err = c.Withdraw(t.Context(), id, "v1")
	if !errors.Is(err, plan.ErrNotFound) || strings.Contains(err.Error(), "not-its-token") {
		t.Errorf("error = %v, want not found, without the token", err)
	}
}

func TestRegisterAs(t *testing.T) {
	s := newStub(map[string][]reply{registerPath: {protoReply(&runnerv1.RegisterResponse{Runner: registered()}), rpcError(500, "unknown", "runner registration token not found: "+regToken)}})
	c := serve(t, s, nil)
	asked := &runnerv1.RegisterRequest{
		Name: "stack-1", Token: "one-of-ours", Version: "v1.0.8", Labels: []string{"linux:host"},
		Ephemeral: true,
		//lint:ignore SA1019 old runners send it, and it is passed on
		AgentLabels: []string{"old"},
	}
	resp, err := c.RegisterAs(t.Context(), regToken, asked)
	if err != nil || !proto.Equal(resp.Runner, registered()) {
		t.Errorf("answer %v, %v; want the server's as it is", resp, err)
	}
	if asked.Token != "one-of-ours" {
		t.Error("the caller's request was changed")
	}
	var sent runnerv1.RegisterRequest
	if err := proto.Unmarshal([]byte(s.bodies[0]), &sent); err != nil {
		t.Fatal(err)
	}
	asked.Token = regToken
	if !proto.Equal(&sent, asked) {
		t.Errorf("sent %v", &sent)
	}
	_, err = c.RegisterAs(t.Context(), regToken, asked)
	wantError(t, err, "register runner stack-1: ", "registration token rejected", "[redacted]")
	if !errors.Is(err, plan.ErrTokenRejected) {
		t.Errorf("error %v", err)
	}
	if _, err := c.RegisterAs(t.Context(), "", asked); !errors.Is(err, plan.ErrTokenRejected) || s.count(registerPath) != 2 {
		t.Errorf("empty token: %v, %d requests", err, s.count(registerPath))
	}
}

func TestVerify(t *testing.T) {
	s := giteatest.New(giteatest.Options{RegistrationToken: "r", APIToken: "a"})
	c := serve(t, s, nil)
	id, err := c.Register(t.Context(), "r", plan.Registration{Name: "x", Labels: []plan.Label{{Name: "linux"}}})
	if err != nil {
		t.Fatal(err)
	}
	claimed := id
	claimed.ID, claimed.Labels = 4711, []string{"linux"} // the id that a caller claims is not what counts
	if got, err := c.Verify(t.Context(), claimed, "v1"); err != nil || got != id.ID {
		t.Errorf("its own token: %d, %v; want %d", got, err, id.ID)
	}
	if got := s.State().Runners[0].Labels; len(got) != 1 || got[0] != "linux" {
		t.Errorf("labels at the server: %v", got)
	}
	for name, wrong := range map[string]plan.Identity{
		"token": {UUID: id.UUID, Token: "not-its-token"}, "uuid": {UUID: "no-such", Token: id.Token}, "nothing": {},
	} {
		if _, err := c.Verify(t.Context(), wrong, "v1"); !errors.Is(err, plan.ErrNotFound) || strings.Contains(err.Error(), "not-its-token") {
			t.Errorf("wrong %s: %v, want not found, without the token", name, err)
		}
	}
}

func TestVerifyKnowsWhatIsNoAnswer(t *testing.T) {
	const path = "POST /api/actions/runner.v1.RunnerService/Declare"
	for name, r := range map[string]reply{
		"not ready": {status: 503, body: "<html>", kind: "text/html"}, "dropped": {drop: true}, "no Actions": noRoute(),
		"a proxy's page": {body: "<html>", kind: "text/html"}, "no id": protoReply(&runnerv1.DeclareResponse{}),
	} {
		c := serve(t, newStub(map[string][]reply{path: {r}}), nil)
		if got, err := c.Verify(t.Context(), identity, "v1"); err == nil || got != 0 || errors.Is(err, plan.ErrNotFound) {
			t.Errorf("%s: %d, %v; want an error that proves nothing", name, got, err)
		}
	}
}
