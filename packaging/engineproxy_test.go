package packaging

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// engineSocket is a socket that leads to this machine's engine. Others than
// the engine's own it belongs to the group that the test says, and can be cut.
type engineSocket struct {
	path  string
	gid   int
	serve *http.Server
}

// newEngineSocket opens the socket, in a directory of its own.
func newEngineSocket(t *testing.T, gid int) *engineSocket {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "scaler-engine") // short, whatever TMPDIR is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &engineSocket{path: filepath.Join(dir, "docker.sock"), gid: gid}
	s.open(t)
	t.Cleanup(s.cut)
	return s
}

// open begins to answer, as the engine does when it has been started.
func (s *engineSocket) open(t *testing.T) {
	t.Helper()
	l, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chown(s.path, 0, s.gid), os.Chmod(s.path, 0o660)); err != nil {
		t.Fatal(err)
	}
	s.serve = &http.Server{Handler: newEngineProxy(t)}
	go s.serve.Serve(l)
}

// cut ends all connections, and takes the socket away.
func (s *engineSocket) cut() { _ = s.serve.Close() }

// newEngineProxy passes requests on to the engine that DOCKER_HOST names, as
// the docker command does.
func newEngineProxy(t *testing.T) http.Handler {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	network, address, found := strings.Cut(host, "://")
	if !found || network != "unix" && network != "tcp" {
		t.Skipf("needs an engine at a socket or an address, not %s", host)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	proxy.FlushInterval = -1 // events are to come at once
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	return proxy
}
