package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/realgitea"
	"scaler.io/scaler/internal/webhook"
)

// wantFinding checks one finding of a test.
func wantFinding(t *testing.T, list []webhookFinding, i int, result string, parts ...string) {
	t.Helper()
	if i >= len(list) {
		t.Fatalf("only %d findings: %+v", len(list), list)
	}
	text := list[i].Subject + ": " + list[i].Detail + ": " + list[i].Remedy
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("finding %q lacks %q", text, part)
		}
	}
	if list[i].Result != result {
		t.Errorf("finding %q is %s, want %s", text, list[i].Result, result)
	}
}

func TestWebhookTest(t *testing.T) {
	r := newHookRig(t)
	r.serve(t)
	public := "http://" + r.listen
	path := r.config(t, public, "repo:acme/app")

	list := findings(t, path, exitFailure)
	wantFinding(t, list, 0, resultOK, public+"/webhook", "the daemon can be reached from here", "no event has come since it started")
	wantFinding(t, list, 1, resultFailed, "repo:acme/app", "no webhook in Gitea sends to "+public+"/webhook", "scaler webhook create")

	outcomes(t, path, exitOK)
	list = findings(t, path, exitOK)
	wantFinding(t, list, 1, resultOK, "repo:acme/app, webhook 1", "Gitea has delivered a test event, after 0.")
	text := mustRun(t, "webhook", "test", "-c", path)
	if !strings.HasPrefix(text, "ok       http://") || !strings.Contains(text, "\nok       repo:acme/app, webhook 1: Gitea has delivered") {
		t.Errorf("output:\n%s", text)
	}
	if events := r.rest(t, "GET", "/repos/acme/app/hooks/1", ""); !strings.Contains(events, `"events":["workflow_job"]`) {
		t.Errorf("the webhook is %s", events)
	}

	r.rest(t, "PATCH", "/repos/acme/app/hooks/1", `{"active": false}`)
	wantFinding(t, findings(t, path, exitFailure), 1, resultFailed, "webhook 1 is not right: it is not active", "scaler webhook create")
	outcomes(t, path, exitOK)

	r.blocked.Store(true)
	list = findings(t, path, exitFailure, "--wait", "400ms")
	wantFinding(t, list, 1, resultFailed, "none has arrived within 400ms", "ALLOWED_HOST_LIST = external, 127.0.0.1 in the section [webhook]",
		"its own", r.gitea+"/acme/app/settings/hooks/2")
	if out, _, code := runCommand(t, "webhook", "test", "--wait", "10ms", "-c", path); code != exitFailure || !strings.Contains(out, "\n         To do: Gitea sends to public") {
		t.Errorf("exit code %d, output:\n%s", code, out)
	}
	r.blocked.Store(false)

	body := `{"type": "gitea", "active": true, "events": ["workflow_job"], "config": {"url": "` + public + `/webhook", "content_type": "json", "secret": "SECRET"}}`
	for _, secret := range []string{"another-secret-of-it", ""} {
		list := strings.Split(r.rest(t, "GET", "/repos/acme/app/hooks", ""), `"id":`)
		r.rest(t, "DELETE", "/repos/acme/app/hooks/"+list[1][:1], "")
		r.rest(t, "POST", "/repos/acme/app/hooks", strings.Replace(body, "SECRET", secret, 1))
		wantFinding(t, findings(t, path, exitFailure), 1, resultFailed, "which the daemon refused", "scaler webhook create --replace")
	}
	outcomes(t, path, exitOK, "--replace")
	wantFinding(t, findings(t, path, exitOK), 1, resultOK, "has delivered")

	r.rest(t, "POST", "/repos/acme/app/hooks", body)
	wantFinding(t, findings(t, path, exitFailure), 1, resultFailed, "2 webhooks in Gitea send to")
	wantFinding(t, findings(t, path, exitFailure, "--scope", "org:nobody"), 1, resultFailed, "there is no organization nobody")
}

// TestWebhookTestOfInstance: what Gitea's API cannot test shows by the events
// that come.
func TestWebhookTestOfInstance(t *testing.T) {
	r := newHookRig(t)
	r.serve(t)
	path := r.config(t, "http://"+r.listen, "instance")
	outcomes(t, path, exitOK)
	wantFinding(t, findings(t, path, exitOK), 1, resultUnknown, "instance, webhook 1", "no event has come yet", "run any workflow", "ALLOWED_HOST_LIST", r.gitea+"/-/admin/hooks/1")
	r.event(t)
	list := findings(t, path, exitOK)
	wantFinding(t, list, 0, resultOK, "1 event since it started")
	wantFinding(t, list, 1, resultOK, "events do come: 1 event")
}

// TestWebhookTestFromHere: each way in which the daemon cannot be reached.
func TestWebhookTestFromHere(t *testing.T) {
	r := newHookRig(t)
	r.serve(t)
	other := serveHooks(t, func() (plan.Secret, error) { return hookSecret, nil }, r.taken)
	foreign := serveHooks(t, func() (plan.Secret, error) { return "secret-of-another-one", nil }, r.taken)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	t.Cleanup(page.Close)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nil
	t.Cleanup(secure.Close)
	moved := httptest.NewServer(http.RedirectHandler("https://scaler.example/webhook", http.StatusMovedPermanently))
	t.Cleanup(moved.Close)
	free := realgitea.FreeAddress(t, "127.0.0.1")
	tests := []struct {
		name, public, listen string
		secret               plan.Secret // of the daemon
		first, second        [2]string   // result and part of the text; empty for none
	}{
		{"not running", "http://" + free, free, hookSecret, [2]string{resultFailed, "see that the daemon runs"}, [2]string{}},
		{"not running, by a proxy", page.URL, free, hookSecret, [2]string{resultFailed, "see that the daemon runs"}, [2]string{resultFailed, "something else answers"}},
		{"only by the public URL", "http://" + other, free, hookSecret, [2]string{resultOK, "can be reached"}, [2]string{}},
		{"another secret", "http://" + r.listen, r.listen, "secret-of-another-one", [2]string{resultFailed, "the daemon reads another secret"}, [2]string{}},
		{"another daemon", "http://" + other, r.listen, hookSecret, [2]string{resultFailed, "another daemon answers there"}, [2]string{}},
		{"another daemon with a secret of its own", "http://" + foreign, r.listen, hookSecret, [2]string{resultOK, "the daemon itself answers"}, [2]string{resultFailed, "has another secret, or is another one"}},
		{"wrong port", "http://" + free, r.listen, hookSecret, [2]string{resultOK, "the daemon itself answers"}, [2]string{resultFailed, "correct the port"}},
		{"wrong path", "http://" + r.listen + "/scaler", r.listen, hookSecret, [2]string{resultOK, "the daemon itself answers"}, [2]string{resultFailed, "webhook.path"}},
		{"wrong scheme", "https://" + r.listen, r.listen, hookSecret, [2]string{resultOK, "the daemon itself answers"}, [2]string{resultFailed, "write http and not https"}},
		{"unknown certificate", secure.URL, r.listen, hookSecret, [2]string{resultOK, "the daemon itself answers"}, [2]string{resultFailed, "let the certificate be one"}},
		{"a page", page.URL, r.listen, hookSecret, [2]string{resultOK, "the daemon itself answers"}, [2]string{resultFailed, "something else answers"}},
		{"a redirect", moved.URL, r.listen, hookSecret, [2]string{resultOK, "the daemon itself answers"}, [2]string{resultFailed, "https://scaler.example/webhook"}},
	}
	own := r.listen
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r.listen = tt.listen
			r.secret.Store(tt.secret)
			defer func() { r.listen = own; r.secret.Store(plan.Secret(hookSecret)) }()
			list := findings(t, r.config(t, tt.public, "repo:acme/app"), exitFailure)
			wantFinding(t, list, 0, tt.first[0], tt.first[1])
			n := 2
			if tt.second[0] != "" {
				wantFinding(t, list, 1, tt.second[0], tt.second[1])
				n = 3
			}
			if len(list) != n {
				t.Errorf("findings %+v", list)
			}
		})
	}
}

func TestRemedyOfWay(t *testing.T) {
	wrap := func(err error) error { return &url.Error{Op: "Post", URL: "http://x", Err: err} }
	tests := []struct {
		err  error
		want string
	}{
		{wrap(&net.DNSError{Err: "no such host", Name: "x"}), "correct the name"},
		{wrap(&tls.CertificateVerificationError{Err: x509.HostnameError{Host: "x", Certificate: &x509.Certificate{}}}), "one for the name"},
		{wrap(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}), "correct the port"},
		{wrap(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}), "open the way"},
		{wrap(os.ErrDeadlineExceeded), "open the way"},
		{wrap(errors.New("something new")), "what stands between"},
		{&webhook.StatusError{Status: 404}, "webhook.path"},
		{&webhook.StatusError{Status: 413}, "1 MiB"},
		{&webhook.StatusError{Status: 502}, "the proxy does not reach the daemon"},
		{&webhook.StatusError{Status: 503}, "unable to read webhook.secret"},
		{&webhook.StatusError{Status: 403}, "see what answers"},
		{webhook.ErrSignature, "has another secret"},
	}
	for _, tt := range tests {
		if got := remedyOfWay(tt.err); !strings.Contains(got, tt.want) {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestDialAddress(t *testing.T) {
	for listen, want := range map[string]string{
		":8089": "localhost:8089", "0.0.0.0:8089": "localhost:8089", "[::]:8089": "localhost:8089",
		"127.0.0.1:8089": "127.0.0.1:8089", "[fd00::1]:8089": "[fd00::1]:8089", "localhost:1": "localhost:1",
	} {
		if got := dialAddress(listen); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
}

func TestInnerAddress(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1": "127.0.0.1", "10.1.2.3": "10.1.2.3", "fd00::1": "fd00::1", "169.254.1.1": "169.254.1.1", "::ffff:10.0.0.1": "10.0.0.1",
		"192.0.2.7": "", "2001:db8::1": "", "no.such.host.invalid": "",
	} {
		got, loopback := innerAddress(t.Context(), host)
		if want == "" && got.IsValid() || want != "" && got != netip.MustParseAddr(want) || loopback != (host == "127.0.0.1") {
			t.Errorf("%s: %s, loopback %t", host, got, loopback)
		}
	}
}

func TestHookPage(t *testing.T) {
	for scope, want := range map[plan.Scope]string{
		{Kind: plan.ScopeInstance}:                         "https://g/-/admin/hooks/7",
		{Kind: plan.ScopeOrg, Owner: "acme"}:               "https://g/org/acme/settings/hooks/7",
		{Kind: plan.ScopeUser, Owner: "ann"}:               "https://g/user/settings/hooks/7",
		{Kind: plan.ScopeRepo, Owner: "acme", Repo: "app"}: "https://g/acme/app/settings/hooks/7",
	} {
		if got := hookPage("https://g", scope, 7); got != want {
			t.Errorf("%s: %s, want %s", scope, got, want)
		}
	}
}

// realHookRig is a daemon's webhook and a real Gitea with a repository, whose
// webhook is made.
func realHookRig(t *testing.T) (r *hookRig, server *realgitea.Server, path string) {
	t.Helper()
	server = realgitea.Start(t, "127.0.0.1", "registration-token-0123456789abcdef")
	server.CreateOrg(t, "acme")
	server.CreateRepo(t, "acme/app")
	r = &hookRig{gitea: server.URL, dir: t.TempDir(), taken: make(chan webhook.Event, 100)}
	r.serve(t)
	path = r.config(t, "http://"+r.listen, "repo:acme/app")
	write(t, filepath.Join(r.dir, "api-token"), server.APIToken+"\n")
	outcomes(t, path, exitOK)
	return r, server, path
}

// TestWebhookThatGiteaMayNotCall: by default a real server sends nothing to this
// host.
func TestWebhookThatGiteaMayNotCall(t *testing.T) {
	_, _, path := realHookRig(t)
	wantFinding(t, findings(t, path, exitFailure, "--wait", "3s"), 1, resultFailed, "none has arrived", "ALLOWED_HOST_LIST = external, 127.0.0.1")
}

// TestWebhookOfARealGitea does what the remedy says, by a script that adds the
// setting to the configuration before it becomes Gitea.
func TestWebhookOfARealGitea(t *testing.T) {
	if bin := os.Getenv("SCALER_GITEA_BIN"); bin != "" {
		script := filepath.Join(t.TempDir(), "gitea")
		text := "#!/bin/sh\nset -e\n" + // the arguments begin with --config FILE
			"grep -q '^\\[webhook\\]' \"$2\" || printf '[webhook]\\nALLOWED_HOST_LIST = external, 127.0.0.1\\n' >> \"$2\"\n" +
			"exec '" + bin + "' \"$@\"\n"
		if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("SCALER_GITEA_BIN", script)
	}
	r, server, path := realHookRig(t)
	wantFinding(t, findings(t, path, exitOK), 1, resultOK, "Gitea has delivered a test event")
	write(t, filepath.Join(r.dir, "webhook-secret"), "another-secret-of-the-hook\n")
	outcomes(t, path, exitOK, "--replace")
	write(t, filepath.Join(r.dir, "webhook-secret"), hookSecret+"\n")
	wantFinding(t, findings(t, path, exitFailure), 1, resultFailed, "which the daemon refused: signature")
	if got := outcomes(t, path, exitOK, "--replace"); len(got) != 1 || got[0].Did != hookReplaced {
		t.Errorf("outcomes %+v", got)
	}
	wantFinding(t, findings(t, path, exitOK), 1, resultOK, "Gitea has delivered a test event")
	server.AddWorkflow(t, "acme/app", "test.yaml", "on: push\njobs:\n  a:\n    runs-on: [linux]\n    steps:\n      - run: echo\n")
	e := r.next(t)
	if e.Action != plan.JobQueued || e.Job.Repo != "acme/app" || len(e.Job.Labels) != 1 || e.Job.ID == 0 {
		t.Errorf("event %+v", e)
	}
}
