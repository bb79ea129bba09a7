package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"scaler.io/scaler/internal/gateway/runnerext"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// fuzzServer is Gitea as the daemon and as the proxy reach it. It makes every
// runner that it is asked for, and keeps what it was asked.
type fuzzServer struct {
	mu         sync.Mutex
	registered []string        // names
	passed     []*http.Request // without their bodies
}

func (s *fuzzServer) Scopes() []plan.Scope { return []plan.Scope{rigScope} }

func (s *fuzzServer) Register(_ context.Context, _ plan.Scope, req *runnerv1.RegisterRequest) (*runnerv1.RegisterResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registered = append(s.registered, req.Name)
	return &runnerv1.RegisterResponse{Runner: &runnerv1.Runner{Id: int64(len(s.registered)), Uuid: "fuzz", Token: "fuzz", Name: req.Name}}, nil
}

// RoundTrip implements http.RoundTripper.
func (s *fuzzServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passed = append(s.passed, r)
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, ProtoMajor: 1, ProtoMinor: 1, Request: r}, nil
}

// take returns what the server was asked since the last take.
func (s *fuzzServer) take() (registered []string, passed []*http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	registered, passed, s.registered, s.passed = s.registered, s.passed, nil, nil
	return registered, passed
}

// fuzzForge has no runners.
type fuzzForge struct{}

func (fuzzForge) Runners(context.Context, plan.Scope) (plan.RunnerList, error) {
	return plan.RunnerList{}, nil
}
func (fuzzForge) Runner(context.Context, plan.Scope, int64) (plan.ServerRunner, error) {
	return plan.ServerRunner{}, plan.ErrNotFound
}
func (fuzzForge) RunningJobs(context.Context, plan.Scope) (plan.JobList, error) {
	return plan.JobList{}, nil
}
func (fuzzForge) SetRunnerDisabled(context.Context, plan.Scope, int64, bool) error {
	return errors.New("there is no runner to disable")
}
func (fuzzForge) DeleteRunner(context.Context, plan.Scope, int64) error {
	return errors.New("there is no runner to delete")
}
func (fuzzForge) Verify(context.Context, plan.Identity) (int64, error) { return 0, plan.ErrNotFound }

// newFuzzed returns a gateway's handler with no network in it, and a good
// token.
func newFuzzed(t testing.TB, change func(*Config)) (*fuzzServer, http.Handler, plan.Secret) {
	t.Helper()
	db, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	server := &fuzzServer{}
	cfg := Config{
		PublicURL: "https://runners.example.com", Upstream: &url.URL{Scheme: "http", Host: "gitea.test"}, Transport: server,
		TrustedProxies: []netip.Prefix{rigProxy}, PassAll: true,
	}
	if change != nil {
		change(&cfg)
	}
	g := New(cfg, Ports{Enroller: server, Forge: fuzzForge{}, Verifier: fuzzForge{}, Store: db}, slog.New(slog.DiscardHandler))
	if err := g.Load(); err != nil {
		t.Fatal(err)
	}
	made, err := g.Create(t.Context(), "test", plan.TokenSpec{Name: "stacks", Scope: rigScope, Pinned: true})
	if err != nil {
		t.Fatal(err)
	}
	return server, g.Handler(), made.Secret
}

// serveRaw serves a request in the form of the wire, if it is one, and returns
// the status; else 0.
func serveRaw(h http.Handler, raw string) int {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return 0
	}
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

var registerLike = regexp.MustCompile(`runner\.v1\.runnerservice/+register($|[^a-z0-9_])`)

// looksLikeRegister reports whether any server might take a path for that of
// Register.
func looksLikeRegister(uri string) bool {
	p := uri
	for range 5 {
		if decoded, err := url.PathUnescape(p); err == nil {
			p = decoded
		}
	}
	p, _, _ = strings.Cut(strings.ToLower(strings.ReplaceAll(p, `\`, "/")), "?")
	return registerLike.MatchString(p) || registerLike.MatchString(path.Clean(p))
}

// kinds are content types that a call may have.
var kinds = []string{
	"application/proto", "application/json", "application/grpc", "application/grpc+proto", "application/grpc+json",
	"application/grpc-web", "application/grpc-web+json", "application/connect+proto", "application/x", "",
}

func FuzzRegisterBody(f *testing.F) {
	server, h, good := newFuzzed(f, nil)
	request := &runnerv1.RegisterRequest{Name: "r", Token: "GOOD", Labels: []string{"linux"}, Version: "v1"}
	inProto, _ := proto.Marshal(request)
	inJSON, _ := protojson.Marshal(request)
	f.Add(0, inProto)
	f.Add(1, inJSON)
	f.Add(2, append([]byte{0, 0, 0, 0, byte(len(inProto))}, inProto...))
	f.Add(1, []byte(`{"token":"GOOD","token":"x","name":"r"}`))
	f.Add(0, append(append([]byte{}, inProto...), inProto...))
	f.Fuzz(func(t *testing.T, kind int, body []byte) {
		if kind < 0 || kind >= len(kinds) {
			return
		}
		had := bytes.Contains(body, []byte("GOOD"))
		body = bytes.ReplaceAll(body, []byte("GOOD"), []byte(good.Reveal()))
		r := httptest.NewRequest(http.MethodPost, service+"Register", bytes.NewReader(body))
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Content-Type", kinds[kind])
		h.ServeHTTP(httptest.NewRecorder(), r)
		registered, passed := server.take()
		if len(passed) != 0 || len(registered) > 1 || len(registered) == 1 && !had {
			t.Errorf("registered %q, passed %v", registered, passed)
		}
	})
}

func FuzzDeregisterBody(f *testing.F) {
	server, h, _ := newFuzzed(f, nil)
	request := &runnerext.DeregisterRequest{Id: 7, Uuid: "a-1", Token: "t", Force: true}
	inProto, _ := proto.Marshal(request)
	inJSON, _ := protojson.Marshal(request)
	f.Add(0, inProto)
	f.Add(1, inJSON)
	f.Add(1, []byte(`{"id":"-7","uuid":"%"}`))
	f.Add(2, append([]byte{0, 0, 0, 0, byte(len(inProto))}, inProto...))
	f.Fuzz(func(t *testing.T, kind int, body []byte) {
		if kind < 0 || kind >= len(kinds) {
			return
		}
		r := httptest.NewRequest(http.MethodPost, service+"Deregister", bytes.NewReader(body))
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Content-Type", kinds[kind])
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		registered, passed := server.take()
		if len(registered)+len(passed) != 0 {
			t.Errorf("registered %q, passed %v", registered, passed)
		}
		if unary := kind < 2; unary && w.Code == http.StatusOK {
			t.Errorf("deregistered: %s", w.Body)
		}
	})
}

func FuzzPath(f *testing.F) {
	server, h, _ := newFuzzed(f, func(c *Config) { c.Upstream.Path = "/gitea" })
	for _, p := range tricks {
		f.Add(p)
	}
	f.Add("/api/v1/version?x=%2F")
	f.Add("http://gitea.test" + service + "Register")
	f.Fuzz(func(t *testing.T, to string) {
		status := serveRaw(h, "POST "+to+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n{\"name\":\"r\",\"token\":\"bad\"}")
		registered, passed := server.take()
		if len(registered) != 0 {
			t.Errorf("%q registered %q", to, registered)
		}
		for _, p := range passed {
			if looksLikeRegister(p.URL.RequestURI()) {
				t.Errorf("%q reached %s", to, p.URL.RequestURI())
			}
		}
		if status == http.StatusInternalServerError {
			t.Errorf("%q failed", to)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	server, h, _ := newFuzzed(f, nil)
	paths := []string{service + "Register", service + "Declare", service + "FetchTask", service + "UpdateLog", service + "Deregister", "/api/v1/version"}
	f.Add(2, "Content-Type: application/proto\r\nX-Runner-Uuid: a-1\r\nX-Runner-Uuid: b-2\r\n")
	f.Add(0, "Content-Type: application/json\r\nX-Original-Url: /x\r\nConnection: X-Runner-Uuid\r\n")
	f.Add(5, "Connection: Upgrade\r\nUpgrade: h2c\r\nX-Forwarded-For: 8.8.8.8, ::1%x, [::1]:5\r\nX-Forwarded-Proto: https\r\n")
	f.Add(1, "Content-Type: application/grpc\r\nGrpc-Timeout: 1H\r\nTe: trailers\r\n")
	f.Add(3, "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nTrailer: X\r\n")
	f.Add(5, "x-webauth-user: root\r\nForwarded: for=1.1.1.1\r\n")
	f.Fuzz(func(t *testing.T, to int, headers string) {
		if to < 0 || to >= len(paths) {
			return
		}
		serveRaw(h, "POST "+paths[to]+" HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n{}")
		registered, passed := server.take()
		if len(registered) != 0 {
			t.Errorf("registered %q", registered)
		}
		for _, p := range passed {
			if looksLikeRegister(p.URL.RequestURI()) {
				t.Errorf("reached %s", p.URL.RequestURI())
			}
			if _, err := netip.ParseAddr(p.Header.Get("X-Forwarded-For")); err != nil {
				t.Errorf("source passed on: %v", err)
			}
			for _, name := range []string{"Upgrade", "Forwarded", "X-Forwarded-Proto", "X-Webauth-User"} {
				if got := p.Header.Values(name); got != nil {
					t.Errorf("%s: %q was passed on", name, got)
				}
			}
		}
	})
}
