// Package realgitea runs a real Gitea or Forgejo for tests: a server of its
// own in a fresh directory, with an administrator, an API token and a
// registration token. It speaks plain HTTP and JSON, so that what a test sees
// of the server does not pass through the code under test.
//
// It serves the conformance checks of the in-memory server and the end-to-end
// test. The invariant that it protects: nothing of a server outlives its test.
package realgitea

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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

// Server is a running server. Its methods may be called concurrently, but for
// Upgrade.
type Server struct {
	URL               string // without a final slash
	Host              string // IP address that it listens on
	Version           string // as the server says it
	APIToken          string // the administrator's, with all scopes
	RegistrationToken string // the instance's

	program command
	process *process
	api     *http.Client
	web     *http.Client // signed in on the pages
}

// Start runs the Default server.
func Start(t testing.TB, host, registrationToken string) *Server {
	t.Helper()
	return StartBinary(t, Default(t), host, registrationToken)
}

// StartBinary runs a server until the test ends, on a free port of the host,
// an IP address. The registration token needs 32 characters or more (Gitea,
// services/actions/init.go). A server that cannot be given one (Gitea before
// 1.23, Forgejo) has one of its own.
func StartBinary(t testing.TB, b Binary, host, registrationToken string) *Server {
	t.Helper()
	s := &Server{
		URL: "http://" + FreeAddress(t, host), Host: host, RegistrationToken: registrationToken,
		program: command{Binary: b, dir: t.TempDir(), token: registrationToken},
		api:     &http.Client{Timeout: callTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
	}
	s.program.writeConfig(t, s.URL)
	s.program.run(t, "migrate")
	s.program.run(t, "admin", "user", "create", "--admin", "--username", Admin, "--password", Password,
		"--email", "root@example.invalid", "--must-change-password=false")
	t.Cleanup(func() { s.process.stop(t) })
	s.serve(t)
	s.makeToken(t)
	s.adoptToken(t)
	s.signIn(t)
	return s
}

// Upgrade replaces the server's program by another one, which goes on with
// the same data, at the same address.
func (s *Server) Upgrade(t testing.TB, b Binary) {
	t.Helper()
	s.process.stop(t)
	s.program.Binary = b
	s.program.writeConfig(t, s.URL)
	s.serve(t)
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

// serve starts the server and waits until it answers.
func (s *Server) serve(t testing.TB) {
	t.Helper()
	s.process = s.program.start(t, "web")
	if err := s.await(t.Context(), s.process.exited); err != nil {
		t.Fatalf("%s web: %v\n%s\n%s", s.program.Profile, err, s.process.output(), s.program.log())
	}
	var got struct{ Version string }
	s.call(t, http.MethodGet, "/version", nil, &got)
	s.Version = got.Version
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

// makeToken makes the administrator's API token.
func (s *Server) makeToken(t testing.TB) {
	t.Helper()
	var made struct {
		Token string `json:"sha1"`
	}
	err := s.do(t.Context(), http.MethodPost, "/users/"+Admin+"/tokens", map[string]any{"name": "all", "scopes": []string{"all"}},
		&made, func(r *http.Request) { r.SetBasicAuth(Admin, Password) })
	if err != nil || made.Token == "" {
		t.Fatalf("make an API token: %v", err)
	}
	s.APIToken = made.Token
}

// adoptToken takes the registration token that the server has, where it tells
// without making one anew: where it was given one, that is the same. A newer
// program is given it too, since another one would invalidate it.
func (s *Server) adoptToken(t testing.TB) {
	t.Helper()
	var got struct{ Token string }
	err := s.Call(t.Context(), http.MethodGet, "/admin/runners/registration-token", nil, &got)
	switch {
	case missing(err): // Gitea from 1.26 on, which takes the one that it is given
	case err != nil:
		t.Fatal(err)
	default:
		s.RegistrationToken, s.program.token = got.Token, got.Token
	}
}
