package gitea

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

func TestNewRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"nothing", Options{}, "parse url"},
		{"no scheme", Options{URL: "git.example.com"}, "must be http://HOST or https://HOST"},
		{"another scheme", Options{URL: "ssh://git.example.com"}, "must be http://HOST"},
		{"no host", Options{URL: "https:///git"}, "must be http://HOST"},
		{"not a URL", Options{URL: "https://a:s3cret@b:x/"}, "parse url: not a URL"},
		{"a password", Options{URL: "https://ann:s3cret@git.example.com"}, "must not contain a user or password"},
		{"a query", Options{URL: "https://git.example.com?x=1"}, "must not have a query"},
		{"runner url", Options{URL: "https://git.example.com", RunnerURL: "x"}, "parse runner url"},
		{"no CA file", Options{URL: "https://git.example.com", CAFile: empty + "x"}, "read CA file: open "},
		{"an empty CA file", Options{URL: "https://git.example.com", CAFile: empty}, "no certificate in it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.o)
			wantError(t, err, tt.want)
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("password in %q", err)
			}
		})
	}
}

func TestRunnerURL(t *testing.T) {
	tests := []struct{ url, runner, want string }{
		{"http://gitea:3000/", "", "http://gitea:3000"},
		{"http://gitea:3000", "https://example.com/git/", "https://example.com/git"},
	}
	for _, tt := range tests {
		c, err := New(Options{URL: tt.url, RunnerURL: tt.runner})
		if err != nil {
			t.Fatal(err)
		}
		if c.runnerURL != tt.want || c.url != "http://gitea:3000" {
			t.Errorf("urls %q and %q", c.url, c.runnerURL)
		}
	}
}

func TestSubPathAndUserAgent(t *testing.T) {
	s := newStub(map[string][]reply{"GET /git" + strings.TrimPrefix(adminJobs, "GET "): {jobsPage(1, 1)}, strings.Replace(pingPath, "/api", "/git/api", 1): {{kind: "application/proto"}},
		"GET /git/api/v1/version": {jsonReply(200, object{"version": "1.26.0"})}})
	server := httptest.NewServer(s)
	defer server.Close()
	c := newClient(t, Options{URL: server.URL + "/git/", UserAgent: "scaler/1.2.3"}, nil)
	if _, err := c.QueuedJobs(t.Context(), instance, 1, nil); err != nil {
		t.Error(err)
	}
	if _, err := c.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	for _, r := range s.seen {
		if got := r.Header.Get("User-Agent"); got != "scaler/1.2.3" {
			t.Errorf("%s: user agent %q", r.URL.Path, got)
		}
	}
}

func TestTLS(t *testing.T) {
	var requests atomic.Int32
	s := newStub(map[string][]reply{adminJobs: {jobsPage(1, 1)}})
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the failed handshake
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"unknown authority", Options{}, "certificate"},
		{"CA file", Options{CAFile: ca}, ""},
		{"no verification", Options{InsecureSkipVerify: true}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requests.Store(0)
			tt.o.URL = server.URL
			tt.o.Observe = func(string, error, time.Duration) { requests.Add(1) }
			_, err := newClient(t, tt.o, nil).QueuedJobs(t.Context(), instance, 1, nil)
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" {
				wantError(t, err, tt.want)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d attempts, want 1", n)
			}
		})
	}
}

func TestRedirects(t *testing.T) {
	other := newStub(map[string][]reply{adminJobs: {jobsPage(1, 1)}})
	elsewhere := httptest.NewServer(other)
	defer elsewhere.Close()
	foreign := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	to := func(status int, url string) reply {
		return reply{status: status, kind: "text/html", header: http.Header{"Location": {url}}}
	}
	jobs := func(c *Client) error { _, err := c.QueuedJobs(t.Context(), orgAcme, 1, nil); return err }
	tests := []struct {
		name    string
		do      func(*Client) error
		replies map[string][]reply
		want    string
	}{
		{"a renamed organisation", jobs, map[string][]reply{
			"GET /api/v1/orgs/acme/actions/jobs": {to(307, "/api/v1/orgs/new/actions/jobs?status=queued")},
			"GET /api/v1/orgs/new/actions/jobs":  {jobsPage(1, 1)}}, ""},
		{"another host", jobs, map[string][]reply{
			"GET /api/v1/orgs/acme/actions/jobs": {to(302, foreign+"/x")}}, "redirect refused: the server sends to another host, localhost:"},
		{"round and round", jobs, map[string][]reply{
			"GET /api/v1/orgs/acme/actions/jobs": {to(302, "/api/v1/orgs/acme/actions/jobs")}}, "more than 5 in a row"},
		{"a delete becomes no read", func(c *Client) error { return c.DeleteRunner(t.Context(), instance, 5) }, map[string][]reply{
			"DELETE " + runner5: {to(301, "/elsewhere")}, "GET /elsewhere": {{body: "{}"}}}, "redirect refused: the server sends a DELETE to"},
		{"nor does a registration", func(c *Client) error { _, err := c.Register(t.Context(), regToken, registration); return err }, map[string][]reply{
			registerPath: {to(308, "/elsewhere")}}, "redirect refused: the server sends a POST to"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStub(tt.replies)
			err := tt.do(serve(t, s, nil))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				if got := s.seen[1].Header.Get("Authorization"); got != "token "+apiToken {
					t.Error("the API token did not follow on the same host")
				}
				return
			}
			wantError(t, err, tt.want)
			if len(s.seen) > 5 || strings.Contains(tt.want, "refused") && len(s.seen) != 1 {
				t.Errorf("%d requests", len(s.seen))
			}
		})
	}
	if n := other.count(""); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	s := newStub(map[string][]reply{adminJobs: {jobsPage(1, 1)}})
	c := serve(t, s, nil)
	seen := map[string]bool{}
	for range 10 {
		if _, err := c.QueuedJobs(t.Context(), instance, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range s.seen {
		seen[r.RemoteAddr] = true
	}
	if len(seen) != 1 {
		t.Errorf("%d connections for 10 requests", len(seen))
	}
}

func TestConcurrentUse(t *testing.T) {
	s := newStub(map[string][]reply{
		"GET /api/v1/user":              {jsonReply(200, object{"login": "ann"})},
		"GET /api/v1/user/actions/jobs": {jobsPage(1, 1)},
		adminJobs:                       {jobsPage(1, 1)},
		"GET " + adminRunners:           {runnersPage(1, 1)},
		"PATCH " + runner5:              {jsonReply(200, object{"id": 5, "disabled": true})},
	})
	c := serve(t, s, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err1 := c.QueuedJobs(t.Context(), userAnn, 1, nil)
			_, err2 := c.RunningJobs(t.Context(), instance)
			_, err3 := c.Runners(t.Context(), instance)
			err4 := c.SetRunnerDisabled(t.Context(), instance, 5, true)
			if err := errors.Join(err1, err2, err3, err4); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestWithoutAPIToken(t *testing.T) {
	c, err := New(Options{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.QueuedJobs(t.Context(), instance, 1, nil)
	wantError(t, err, "list queued jobs of instance: access denied: the API token is missing")
	if !errors.Is(err, plan.ErrDenied) {
		t.Errorf("error %v is not ErrDenied", err)
	}
}
