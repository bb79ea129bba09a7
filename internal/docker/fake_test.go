package docker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// fakeEngine serves the given requests, "METHOD /path" without the API
// version, on a socket at the path; any other gives 404.
func fakeEngine(t *testing.T, socket string, routes map[string]http.HandlerFunc) {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/_ping" {
			w.Header().Set("Api-Version", "1.41")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		path := strings.TrimPrefix(r.URL.Path, "/v1.41")
		if handle, ok := routes[r.Method+" "+path]; ok {
			handle(w, r)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"message":"no such object: %s"}`, path)
	}))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
}

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "docker") // t.TempDir() can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func fakeClient(t *testing.T, cfg Config) *Engine {
	t.Helper()
	cfg.Instance = "i"
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	e.backoff = backoff{first: time.Millisecond, max: 2 * time.Millisecond}
	return e
}

func TestEngineUnreachable(t *testing.T) {
	stale := socketPath(t)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	_ = listener.Close()
	absent := socketPath(t)
	for _, tc := range []struct{ name, host, want string }{
		{"no socket", "unix://" + absent, "unix://" + absent + " does not exist: start Docker, or correct the address"},
		{"stale socket", "unix://" + stale, "nothing listens on unix://" + stale + ": start Docker"},
		{"no listener", "tcp://127.0.0.1:1", "nothing listens on tcp://127.0.0.1:1: start Docker"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := fakeClient(t, Config{Host: tc.host, Pools: map[string]Options{"p": {Image: "x", Pull: PullAlways}}})
			_, pingErr := e.Ping(t.Context())
			for name, err := range map[string]error{"ping": pingErr, "ensure image": e.EnsureImage(t.Context(), "p"), "remove": e.Remove(t.Context(), "x", true)} {
				if !errors.Is(err, ErrUnreachable) || errors.Is(err, plan.ErrImage) || errors.Is(err, plan.ErrNotFound) {
					t.Errorf("%s: %v, want ErrUnreachable alone", name, err)
				}
				if !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "docker info") {
					t.Errorf("%s: %v, want %q", name, err, tc.want)
				}
			}
		})
	}
}

func TestDialErrorNamesTheGroup(t *testing.T) {
	err := &dialError{host: "unix:///s", cause: &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}}
	if want := "add this user to the group docker"; !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	err.cause = &net.DNSError{Err: "no such host", Name: "h"}
	if want := `cannot connect to unix:///s: lookup h: no such host; check with "docker info"`; err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no instance id": {},
		`docker host "fd://host": write unix:///path/to/docker.sock, tcp://host:port or ssh://user@host`: {Instance: "i", Host: "fd://host"},
		"docker host": {Instance: "i", Host: "nonsense"},
		"pool a: no image\npool b: pull \"x\": must be always, missing or never": {
			Instance: "i", Pools: map[string]Options{"b": {Image: "x", Pull: "x"}, "a": {}},
		},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New() = %v, want %q", err, name)
		}
	}
}

func TestSlowEngine(t *testing.T) {
	socket := socketPath(t)
	wait := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	fakeEngine(t, socket, map[string]http.HandlerFunc{
		"GET /containers/json": wait, "GET /events": wait, "POST /images/create": wait,
	})
	e := fakeClient(t, Config{
		Host: "unix://" + socket, Timeout: 30 * time.Millisecond,
		Pools: map[string]Options{"p": {Image: "x", Pull: PullAlways, PullTimeout: 40 * time.Millisecond}},
	})
	if _, err := e.List(t.Context()); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "no answer within 30ms") {
		t.Errorf("List() = %v", err)
	}
	if err := e.follow(t.Context(), stream{}, func() { t.Error("connected") }, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("follow() = %v", err)
	}
	err := e.EnsureImage(t.Context(), "p")
	if !errors.Is(err, plan.ErrImage) || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "not done within 40ms") {
		t.Errorf("EnsureImage() = %v", err)
	}
}

// TestNameBeingRemoved: the name is still taken by a container that is gone
// when it is looked at.
func TestNameBeingRemoved(t *testing.T) {
	socket := socketPath(t)
	fakeEngine(t, socket, map[string]http.HandlerFunc{
		"GET /images/x/json": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) },
		"POST /containers/create": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"message":"the name is in use"}`)
		},
	})
	e := fakeClient(t, Config{Host: "unix://" + socket, Pools: map[string]Options{"p": {Image: "x"}}})
	_, err := e.Create(t.Context(), "p", "r", nil)
	if err == nil || !strings.Contains(err.Error(), "the name is in use") || errors.Is(err, plan.ErrImage) {
		t.Errorf("Create() = %v, want the conflict", err)
	}
}
