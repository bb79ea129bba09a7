package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"scaler.io/scaler/internal/gateway/runnerext"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

func TestCallsInEveryDialect(t *testing.T) {
	rig := newFrontRig(t, rigOptions{})
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			c := rig.runners(d)
			made, err := c.Register(t.Context(), connect.NewRequest(&runnerv1.RegisterRequest{
				Name: "runner " + d.name, Token: rig.token.Reveal(), Version: "v1", Labels: []string{"linux"},
			}))
			if err != nil {
				t.Fatal(err)
			}
			runner := made.Msg.Runner
			if runner.Id == 0 || runner.Uuid == "" || runner.Token == "" || runner.Name != "runner "+d.name {
				t.Errorf("registered %v", runner)
			}
			if seen := rig.upstream.take(); len(seen) != 0 {
				t.Errorf("%s passed", seen[0].URL)
			}
			declared, err := c.Declare(t.Context(), as(runner, &runnerv1.DeclareRequest{Version: "v2", Labels: []string{"linux", d.name}}))
			if err != nil || !slices.Equal(declared.Msg.Runner.Labels, []string{"linux", d.name}) {
				t.Errorf("declare: %v, %v", declared, err)
			}
			if _, err := c.FetchTask(t.Context(), as(runner, &runnerv1.FetchTaskRequest{})); err != nil {
				t.Errorf("fetch: %v", err)
			}
			if n := len(rig.upstream.take()); n != 2 {
				t.Errorf("%d requests passed, want Declare and FetchTask", n)
			}
			wish := &runnerext.DeregisterRequest{Id: runner.Id, Uuid: runner.Uuid, Token: runner.Token}
			for range 2 {
				gone, err := rig.deregister(d).CallUnary(t.Context(), connect.NewRequest(wish))
				if err != nil {
					t.Fatalf("deregister: %v", err)
				}
				if got := gone.Msg.Runner; got.Id != runner.Id || got.Uuid != runner.Uuid || got.Name != runner.Name || got.Token != "" {
					t.Errorf("deregistered %v", got)
				}
			}
			wish.Token = "wrong"
			_, err = rig.deregister(d).CallUnary(t.Context(), connect.NewRequest(wish))
			if connect.CodeOf(err) != connect.CodeUnauthenticated {
				t.Errorf("deregister with a wrong token: %v", err)
			}
		})
	}
	if s := rig.gitea.State(); len(s.Runners) != 0 || s.Counts.Registrations != len(dialects) {
		t.Errorf("%d runners of %d registrations left", len(s.Runners), s.Counts.Registrations)
	}
}

func TestRefusedRegister(t *testing.T) {
	rig := newFrontRig(t, rigOptions{config: func(c *Config) { c.TrustedProxies = append(c.TrustedProxies, rigProxy) }})
	for i, d := range dialects {
		for _, token := range []string{"", "of nobody", rigToken, rig.token.Reveal() + "x"} {
			req := connect.NewRequest(&runnerv1.RegisterRequest{Name: "r", Token: token})
			req.Header().Set("X-Forwarded-For", fmt.Sprintf("10.0.0.%d", i)) // too many from one are held up
			_, err := rig.runners(d).Register(t.Context(), req)
			if connect.CodeOf(err) != connect.CodeUnauthenticated || token != "" && strings.Contains(err.Error(), token) {
				t.Errorf("%s, token %q: %v", d.name, token, err)
			}
		}
	}
	if n, passed := rig.gitea.State().Counts.Registrations, len(rig.upstream.take()); n+passed != 0 {
		t.Errorf("%d registrations, %d requests passed", n, passed)
	}
	if log := rig.log.String(); strings.Contains(log, rig.token.Reveal()) || strings.Contains(log, rigToken) {
		t.Errorf("a token is in the log: %s", log)
	}
}

func TestTokenOfGitea(t *testing.T) {
	rig := newFrontRig(t, rigOptions{config: func(c *Config) { c.AllowGiteaTokens = true }})
	for _, d := range dialects {
		_, err := rig.runners(d).Register(t.Context(), connect.NewRequest(&runnerv1.RegisterRequest{Name: "r", Token: rigToken}))
		if err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		if len(rig.upstream.take()) != 1 {
			t.Errorf("%s: it did not pass", d.name)
		}
		_, err = rig.runners(d).Register(t.Context(), connect.NewRequest(&runnerv1.RegisterRequest{Name: "r", Token: "wrong"}))
		if err == nil || !strings.Contains(err.Error(), "runner registration token not found") {
			t.Errorf("%s: %v, want the server's answer", d.name, err)
		}
		rig.upstream.take()
		_, err = rig.runners(d).Register(t.Context(), connect.NewRequest(&runnerv1.RegisterRequest{Name: "r", Token: rig.token.Reveal()}))
		if err != nil || len(rig.upstream.take()) != 0 {
			t.Errorf("%s: our own token: %v", d.name, err)
		}
	}
}

// A passed call is what the runner sent, byte for byte.
func TestDeclarePassesUnchanged(t *testing.T) {
	var got []byte
	var header http.Header
	rig := newFrontRig(t, rigOptions{upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		header = r.Header.Clone()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"of":"the server"}`)
	})})
	body := ` {"labels":["a"], "version":"v1", "ofTheFuture": {"x": 1} }`
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, rig.url+service+"Declare", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json;charset=UTF-8")
	req.Header.Set("X-Runner-Uuid", "ABC-1")
	req.Header.Set("X-Of-The-Future", "1")
	resp, err := rig.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if string(got) != body || header.Get("Content-Type") != "application/json;charset=UTF-8" || header.Get("X-Runner-Uuid") != "ABC-1" || header.Get("X-Of-The-Future") != "1" {
		t.Errorf("the server got %q with %v", got, header)
	}
	if string(answer) != `{"of":"the server"}` || len(resp.Header.Values("Content-Type")) != 1 {
		t.Errorf("the runner got %q with %v", answer, resp.Header)
	}
}

func TestDeclareOfLabelsThatAreNotAllowed(t *testing.T) {
	rig := newFrontRig(t, rigOptions{})
	made, err := rig.gateway.Create(t.Context(), "test", plan.TokenSpec{Name: "narrow", Scope: rigScope, Pinned: true, Labels: []string{"linux"}})
	if err != nil {
		t.Fatal(err)
	}
	rig.token = made.Secret
	runner := rig.register(t, "r")
	for _, d := range dialects {
		for _, uuid := range []string{runner.Uuid, strings.ToUpper(runner.Uuid)} {
			who := &runnerv1.Runner{Uuid: uuid, Token: runner.Token}
			_, err := rig.runners(d).Declare(t.Context(), as(who, &runnerv1.DeclareRequest{Labels: []string{"linux", "gpu"}}))
			if connect.CodeOf(err) != connect.CodePermissionDenied {
				t.Errorf("%s as %s: %v", d.name, uuid, err)
			}
		}
		if len(rig.upstream.take()) != 0 {
			t.Errorf("%s: it passed", d.name)
		}
		if _, err := rig.runners(d).Declare(t.Context(), as(runner, &runnerv1.DeclareRequest{Labels: []string{"linux:docker://x"}})); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		rig.upstream.take()
	}
}

func TestCallsWithoutAClearUUID(t *testing.T) {
	rig := newFrontRig(t, rigOptions{})
	for name, uuids := range map[string][]string{
		"none": nil, "empty": {""}, "two": {"a-1", "b-2"}, "accented": {"á-1"}, "with a space": {"a 1"}, "a pattern": {"%"},
	} {
		for _, call := range []string{"Declare", "FetchTask"} {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, rig.url+service+call, strings.NewReader("{}"))
			req.Header["Content-Type"] = []string{"application/json"}
			req.Header["X-Runner-Uuid"] = uuids
			resp, err := rig.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(string(answer), `"unregistered runner"`) {
				t.Errorf("%s, %s: %d %s", name, call, resp.StatusCode, answer)
			}
		}
	}
	if len(rig.upstream.take()) != 0 {
		t.Error("a call passed")
	}
}

func TestHeldRunnerGetsNoJob(t *testing.T) {
	rig := newFrontRig(t, rigOptions{})
	runner := rig.register(t, "r")
	if _, err := rig.runners(dialects[0]).Declare(t.Context(), as(runner, &runnerv1.DeclareRequest{Labels: []string{"linux"}})); err != nil {
		t.Fatal(err)
	}
	rig.gitea.AddJobs(giteatest.JobSpec{Labels: []string{"linux"}})
	if err := rig.gateway.hold(t.Context(), runner.Uuid); err != nil {
		t.Fatal(err)
	}
	rig.upstream.take()
	for _, d := range dialects {
		resp, err := rig.runners(d).FetchTask(t.Context(), as(runner, &runnerv1.FetchTaskRequest{TasksVersion: 3}))
		if err != nil || resp.Msg.Task != nil || resp.Msg.TasksVersion != 0 {
			t.Errorf("%s: %v, %v; want an empty answer", d.name, resp, err)
		}
	}
	for kind, want := range map[string]string{"application/json": "{}", "application/proto": ""} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, rig.url+service+"FetchTask", strings.NewReader(want))
		req.Header.Set("Content-Type", kind)
		req.Header.Set("X-Runner-Uuid", runner.Uuid)
		resp, err := rig.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != kind || string(body) != want {
			t.Errorf("%s: %d %q of %s", kind, resp.StatusCode, body, resp.Header.Get("Content-Type"))
		}
	}
	if len(rig.upstream.take()) != 0 {
		t.Error("the server was asked for a job")
	}
	rig.gateway.release(runner.Uuid)
	resp, err := rig.runners(dialects[0]).FetchTask(t.Context(), as(runner, &runnerv1.FetchTaskRequest{}))
	if err != nil || resp.Msg.Task == nil {
		t.Errorf("after the release: %v, %v; want the job", resp, err)
	}
}

func TestCallError(t *testing.T) {
	rig := newFrontRig(t, rigOptions{})
	tests := []struct {
		err        error
		code       connect.Code
		text       string
		retryAfter string
	}{
		{&refusal{kind: kindUnauthenticated, message: "m"}, connect.CodeUnauthenticated, "m", ""},
		{&refusal{kind: kindForbidden, message: "m"}, connect.CodePermissionDenied, "m", ""},
		{&refusal{kind: kindInvalid, message: "m"}, connect.CodeInvalidArgument, "m", ""},
		{&refusal{kind: kindLimited, message: "m", retryAfter: 1500 * time.Millisecond}, connect.CodeResourceExhausted, "m", "2"},
		{&refusal{kind: kindUnavailable, message: "m", cause: errors.New("secret")}, connect.CodeUnavailable, "m", ""},
		{&refusal{kind: kindBusy, message: "m", cause: plan.ErrBusy}, connect.CodeFailedPrecondition, "m", ""},
		{fmt.Errorf("wrapped: %w", &refusal{kind: kindBusy, message: "m"}), connect.CodeFailedPrecondition, "m", ""},
		{errors.New("secret"), connect.CodeInternal, "the gateway failed; its log says more", ""},
		{&refusal{message: "secret"}, connect.CodeInternal, "the gateway failed; its log says more", ""},
	}
	for _, tt := range tests {
		var got *connect.Error
		if !errors.As(rig.front.callError(tt.err), &got) {
			t.Fatalf("%v: no connect.Error", tt.err)
		}
		if got.Code() != tt.code || got.Message() != tt.text || got.Meta().Get("Retry-After") != tt.retryAfter {
			t.Errorf("%#v: %v, %v", tt.err, got, got.Meta())
		}
	}
}

// What is decoded here is not a second, smaller protocol.
func TestUnusualRequests(t *testing.T) {
	rig := newFrontRig(t, rigOptions{})
	good, err := proto.Marshal(&runnerv1.RegisterRequest{Name: "r", Token: rig.token.Reveal()})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, method, kind string
		body               []byte
		want               int
	}{
		{"fields of the future", "POST", "application/proto", append(slices.Clone(good), 0xFA, 0x3F, 1, 'x'), 200},
		{"broken protobuf", "POST", "application/proto", []byte{0xFF}, 400},
		{"broken JSON", "POST", "application/json", []byte(`{"name":`), 400},
		{"empty", "POST", "application/proto", nil, 401},
		{"text", "POST", "text/plain", good, 415},
		{"no type", "POST", "", good, 415},
		{"a form", "POST", "application/x-www-form-urlencoded", good, 415},
		{"another method", "PUT", "application/proto", good, 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, _ := http.NewRequestWithContext(t.Context(), tt.method, rig.url+service+"Register", bytes.NewReader(tt.body))
			req.Header["Content-Type"] = []string{tt.kind}
			resp, err := rig.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tt.want {
				t.Errorf("%s, want %d", resp.Status, tt.want)
			}
		})
	}
	if n, passed := rig.gitea.State().Counts.Registrations, len(rig.upstream.take()); n != 1 || passed != 0 {
		t.Errorf("%d registrations, %d requests passed", n, passed)
	}
}
