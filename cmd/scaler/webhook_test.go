package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/webhook"
)

const hookSecret = "webhook-secret-4a8a08f09d37"

// hookRig is a Gitea and the webhook of a daemon, as a configuration names
// them.
type hookRig struct {
	server  *giteatest.Server
	client  *http.Client // of the server's deliveries
	gitea   string       // URL
	listen  string       // address of the daemon
	dir     string
	taken   chan webhook.Event
	secret  atomic.Value // plan.Secret of the daemon
	blocked atomic.Bool  // the server may not deliver
}

// RoundTrip implements http.RoundTripper for the server's deliveries.
func (r *hookRig) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.blocked.Load() {
		return nil, errors.New("webhook can only call allowed HTTP servers")
	}
	return r.client.Transport.RoundTrip(req)
}

func newHookRig(t *testing.T) *hookRig {
	t.Helper()
	r := &hookRig{client: &http.Client{Transport: &http.Transport{}}, dir: t.TempDir(), taken: make(chan webhook.Event, 100)}
	t.Cleanup(r.client.CloseIdleConnections)
	r.server = giteatest.New(giteatest.Options{APIToken: "api-token-of-the-test", HookClient: &http.Client{Transport: r}})
	t.Cleanup(r.server.Close)
	r.server.AddToken(plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}, "token-of-acme")
	r.server.AddJobs(giteatest.JobSpec{Repo: "acme/app"})
	network := httptest.NewServer(r.server)
	t.Cleanup(network.Close)
	r.gitea = network.URL
	return r
}

// serve runs the daemon's part until the test ends.
func (r *hookRig) serve(t *testing.T) {
	t.Helper()
	r.secret.Store(plan.Secret(hookSecret))
	r.listen = serveHooks(t, func() (plan.Secret, error) { return r.secret.Load().(plan.Secret), nil }, r.taken)
}

// serveHooks runs a receiver on a free port until the test ends, and returns
// its address.
func serveHooks(t *testing.T, secret func() (plan.Secret, error), taken chan<- webhook.Event) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	receiver := webhook.New(webhook.Config{Path: "/webhook", Secret: secret}, func(e webhook.Event) { taken <- e }, slog.New(slog.DiscardHandler))
	go func() { served <- receiver.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// config writes a configuration with a pool for each scope.
func (r *hookRig) config(t *testing.T, publicURL string, scopes ...string) string {
	t.Helper()
	var tokens, pools strings.Builder
	for i, s := range scopes {
		fmt.Fprintf(&tokens, "  - {name: t%d, scope: %q, mint: true}\n", i, s)
		fmt.Fprintf(&pools, "  - {name: p%d, registration_token: t%d, labels: [l%d], image: \"example/runner:1\"}\n", i, i, i)
	}
	write(t, filepath.Join(r.dir, "api-token"), "api-token-of-the-test\n")
	write(t, filepath.Join(r.dir, "webhook-secret"), hookSecret+"\n")
	path := filepath.Join(r.dir, "scaler.yaml")
	write(t, path, fmt.Sprintf(`gitea: {url: %q, api_token: {file: api-token}}
registration_tokens:
%spools:
%swebhook: {listen: %q, public_url: %q, secret: {file: webhook-secret}}
state_dir: %[6]s/state
control_socket: %[6]s/none.sock
`, r.gitea, tokens.String(), pools.String(), r.listen, publicURL, r.dir))
	return path
}

// outcomes runs webhook create.
func outcomes(t *testing.T, path string, code int, args ...string) []hookOutcome {
	t.Helper()
	out, errs, got := runCommand(t, append([]string{"webhook", "create", "--json", "--config", path}, args...)...)
	if got != code || errs != "" || strings.Contains(out, hookSecret) {
		t.Fatalf("exit code %d, %s%s", got, out, errs)
	}
	var list []hookOutcome
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// findings runs webhook test.
func findings(t *testing.T, path string, code int, args ...string) []webhookFinding {
	t.Helper()
	out, errs, got := runCommand(t, append([]string{"webhook", "test", "--json", "--config", path}, args...)...)
	if got != code || errs != "" || strings.Contains(out, hookSecret) {
		t.Fatalf("exit code %d, want %d: %s%s", got, code, out, errs)
	}
	var list []webhookFinding
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// rest makes a request to the server's API.
func (r *hookRig) rest(t *testing.T, method, path, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.gitea+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token api-token-of-the-test")
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s, %s, %v", method, path, resp.Status, text, err)
	}
	return string(text)
}

// event queues a job and waits for its event.
func (r *hookRig) event(t *testing.T) webhook.Event {
	t.Helper()
	r.server.AddJobs(giteatest.JobSpec{Repo: "acme/app", Labels: []string{"linux"}})
	return r.next(t)
}

// next waits for an event.
func (r *hookRig) next(t *testing.T) webhook.Event {
	t.Helper()
	select {
	case e := <-r.taken:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event came")
		return webhook.Event{}
	}
}

func TestWebhookCreate(t *testing.T) {
	r := newHookRig(t)
	r.serve(t)
	path := r.config(t, "http://"+r.listen, "instance")
	url := "http://" + r.listen + "/webhook"
	step := func(want hookOutcome, args ...string) {
		t.Helper()
		want.Scope, want.URL = plan.Scope{Kind: plan.ScopeInstance}, url
		if got := outcomes(t, path, exitOK, args...); !reflect.DeepEqual(got, []hookOutcome{want}) {
			t.Errorf("outcome %+v, want %+v", got, want)
		}
	}
	step(hookOutcome{Did: hookCreated, ID: 1})
	step(hookOutcome{Did: hookUnchanged, ID: 1})
	if e := r.event(t); e.Action != plan.JobQueued || e.Job.Repo != "acme/app" {
		t.Errorf("event %+v", e)
	}
	r.rest(t, "PATCH", "/admin/hooks/1", `{"active": false, "events": ["workflow_job"]}`)
	step(hookOutcome{Did: hookReplaced, ID: 2, Why: "it is not active"})
	step(hookOutcome{Did: hookReplaced, ID: 3, Why: "it has the secret as it is now"}, "--replace")
	r.server.AddHook(url, "another")
	step(hookOutcome{Did: hookReplaced, ID: 5, Why: "there were 2 of them"})
	r.server.AddHook("http://127.0.0.1:1/elsewhere", "")
	step(hookOutcome{Did: hookUnchanged, ID: 5})
	if list := r.rest(t, "GET", "/admin/hooks", ""); strings.Count(list, `"id":`) != 2 || !strings.Contains(list, "elsewhere") {
		t.Errorf("hooks %s", list)
	}
	r.event(t)
	if text := mustRun(t, "webhook", "create", "-c", path); !strings.Contains(text, "Events are sent to "+url+".\n") || !strings.Contains(text, "  instance  unchanged  5   -\n") {
		t.Errorf("output:\n%s", text)
	}
}

// TestWebhookCreateScopes: each scope of a pool has its webhook, if no wider one
// has it, and the failure of one does not keep the others.
func TestWebhookCreateScopes(t *testing.T) {
	r := newHookRig(t)
	r.serve(t)
	path := r.config(t, "http://"+r.listen+"/", "repo:acme/app", "org:nobody", "org:Acme", "user:"+giteatest.AdminLogin, "repo:acme/lib", "org:acme")
	want := [][2]string{{"org:nobody", hookFailed}, {"org:Acme", hookCreated}, {"user:root", hookCreated}}
	got := outcomes(t, path, exitFailure)
	for i, o := range got {
		if i >= len(want) || o.Scope.String() != want[i][0] || o.Did != want[i][1] || o.URL != "http://"+r.listen+"/webhook" {
			t.Errorf("outcome %+v", o)
		}
	}
	if len(got) != len(want) || !strings.Contains(got[0].Why, "there is no organization nobody") {
		t.Errorf("outcomes %+v", got)
	}
	if got := outcomes(t, path, exitOK, "--scope", "repo:acme/app", "--scope", "org:acme"); len(got) != 2 || got[0].Did != hookCreated || got[1].Did != hookUnchanged {
		t.Errorf("outcomes %+v", got)
	}
}

func TestWebhookUsage(t *testing.T) {
	good, dir := writeConfig(t)
	r := newHookRig(t)
	r.listen = "127.0.0.1:1"
	path := r.config(t, "http://127.0.0.1:1", "instance")
	tests := []struct {
		args   string
		code   int
		stderr string
	}{
		{"webhook", exitOK, ""},
		{"webhook crate", exitUsage, "did you mean create?"},
		{"webhook create --scope everything -c " + path, exitUsage, "must be instance, org:NAME"},
		{"webhook create now", exitUsage, "See scaler webhook create --help."},
		{"webhook create -c " + good, exitFailure, "has no webhook: add the section"},
		{"webhook test -c " + good, exitFailure, "has no webhook: add the section"},
		{"webhook create -c " + dir + "/none.yaml", exitFailure, "no such file"},
	}
	for _, tt := range tests {
		if _, stderr, code := runCommand(t, strings.Fields(tt.args)...); code != tt.code || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%s: exit code %d, %q", tt.args, code, stderr)
		}
	}
}

func TestPoolScopes(t *testing.T) {
	tests := []struct{ scopes, want string }{
		{"", ""},
		{"instance", "instance"},
		{"org:acme repo:acme/app instance user:ann", "instance"},
		{"instance org:acme", "instance"},
		{"repo:acme/app org:acme", "org:acme"},
		{"org:acme repo:ACME/app", "org:acme"},
		{"user:ann repo:ann/app", "user:ann"},
		{"org:acme org:Acme", "org:acme"},
		{"repo:acme/app repo:acme/lib", "repo:acme/app repo:acme/lib"},
		{"org:acme org:other repo:third/x", "org:acme org:other repo:third/x"},
		{"repo:acme/app repo:acme/app", "repo:acme/app"},
	}
	for _, tt := range tests {
		cfg := &config.Config{}
		for i, text := range strings.Fields(tt.scopes) {
			scope, err := plan.ParseScope(text)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprint(i)
			cfg.RegistrationTokens = append(cfg.RegistrationTokens, config.RegistrationToken{Name: name, Scope: scope})
			cfg.Pools = append(cfg.Pools, config.Pool{RegistrationToken: name})
		}
		var got []string
		for _, s := range poolScopes(cfg) {
			got = append(got, s.String())
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.scopes, got, tt.want)
		}
	}
}
