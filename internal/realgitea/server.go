// Package realgitea runs a real Gitea for tests: a server of its own in a
// fresh directory, with an administrator, an API token and a registration
// token. It speaks plain HTTP and JSON, so that what a test sees of the server
// does not pass through the code under test.
//
// It serves the conformance checks of the in-memory server and the end-to-end
// test. The invariant that it protects: nothing of a server outlives its test.
package realgitea

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The site administrator of every server.
const (
	Admin    = "root1"
	Password = "admin-password-1"
)

// Bounds of what the server may take.
const (
	callTimeout  = 20 * time.Second // one request
	setupTimeout = 2 * time.Minute  // one run of its command line
	bootTimeout  = time.Minute
	stopTimeout  = 20 * time.Second
)

// Server is a running Gitea. Its methods may be called concurrently.
type Server struct {
	URL               string // without a final slash
	Host              string // IP address that it listens on
	APIToken          string // the administrator's, with all scopes
	RegistrationToken string // the instance's

	api *http.Client
	web *http.Client // signed in on the pages
}

// Start runs the Gitea that SCALER_GITEA_BIN names until the test ends, on a
// free port of the host, an IP address. SCALER_GITEA_STATIC may name the
// directory of Gitea's templates and options, for a binary without them
// inside. The registration token needs 32 characters or more (Gitea,
// services/actions/init.go). Without a binary the test is skipped.
func Start(t testing.TB, host, registrationToken string) *Server {
	t.Helper()
	bin := os.Getenv("SCALER_GITEA_BIN")
	if bin == "" {
		t.Skip("SCALER_GITEA_BIN does not name a Gitea binary")
	}
	dir := t.TempDir()
	s := &Server{
		URL: "http://" + FreeAddress(t, host), Host: host, RegistrationToken: registrationToken,
		api: &http.Client{Timeout: callTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
	}
	program := command{bin: bin, dir: dir, config: writeConfig(t, dir, s.URL), token: registrationToken}
	program.run(t, "migrate")
	out := program.run(t, "admin", "user", "create", "--admin", "--username", Admin, "--password", Password,
		"--email", "root@example.invalid", "--must-change-password=false",
		"--access-token", "--access-token-name", "all", "--access-token-scopes", "all")
	if s.APIToken = regexp.MustCompile(`\b[0-9a-f]{40}\b`).FindString(out); s.APIToken == "" {
		t.Fatalf("no API token in what Gitea said:\n%s", out)
	}
	s.serve(t, program)
	s.signIn(t)
	return s
}

// FreeAddress returns an address of the host that was free a moment ago.
func FreeAddress(t testing.TB, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// command is Gitea's command line.
type command struct{ bin, dir, config, token string }

func (c command) prepare(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.bin, append([]string{"--config", c.config}, args...)...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "GITEA_WORK_DIR=" + c.dir,
		"GITEA_RUNNER_REGISTRATION_TOKEN=" + c.token,
	}
	return cmd
}

// run runs a command to its end and returns what it said.
func (c command) run(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), setupTimeout)
	defer cancel()
	out, err := c.prepare(ctx, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("gitea %s: %v\n%s", strings.Join(args[:min(len(args), 3)], " "), err, out)
	}
	return string(out)
}

// log is what Gitea has logged.
func (c command) log() []byte {
	text, _ := os.ReadFile(filepath.Join(c.dir, "log", "gitea.log")) // it may have none yet
	return text
}

// serve starts the server, waits until it answers, and stops it after the
// test.
func (s *Server) serve(t testing.TB, program command) {
	t.Helper()
	var said bytes.Buffer
	cmd := program.prepare(context.WithoutCancel(t.Context()), "web")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		select {
		case <-exited:
			t.Errorf("gitea web ended by itself: %s\n%s%s", cmd.ProcessState, said.Bytes(), program.log())
			return
		default:
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(stopTimeout):
			_ = cmd.Process.Kill()
			<-exited
		}
	})
	if err := s.await(t.Context(), exited); err != nil {
		t.Fatalf("gitea web: %v\n%s", err, program.log())
	}
}

// await waits until the server answers.
func (s *Server) await(ctx context.Context, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		resp, err := s.api.Get(s.URL + "/api/healthz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-poll.C:
		case <-exited:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", ctx.Err())
		}
	}
}

// signIn signs the administrator in on the pages, for what REST cannot do.
func (s *Server) signIn(t testing.TB) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.web = &http.Client{Jar: jar, Timeout: callTimeout, Transport: s.api.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	s.Submit(t, "/user/login", url.Values{"user_name": {Admin}, "password": {Password}})
}

// Submit posts a form to a page, by its path, as a signed-in administrator
// does.
func (s *Server) Submit(t testing.TB, page string, form url.Values) {
	t.Helper()
	resp, err := s.web.PostForm(s.URL+page, form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= http.StatusBadRequest {
		t.Fatalf("post to %s: %s", page, resp.Status)
	}
}
