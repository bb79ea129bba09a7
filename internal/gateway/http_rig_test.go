package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"code.gitea.io/actions-proto-go/runner/v1/runnerv1connect"
	"connectrpc.com/connect"

	"scaler.io/scaler/internal/gateway/runnerext"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

const (
	rigToken    = "registration-token-of-gitea-7d793037"
	rigAPIToken = "api-token-of-gitea-5d41402abc4b"
)

// rigProxy is where the tests' clients come from, as a proxy to trust.
var rigProxy = netip.MustParsePrefix("127.0.0.1/32")

var rigScope = plan.Scope{Kind: plan.ScopeInstance}

// logLines is a log that can be read while it is written.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// witness stands before an upstream and keeps the heads of the requests that
// reach it.
type witness struct {
	next http.Handler
	mu   sync.Mutex
	seen []*http.Request
}

// ServeHTTP implements http.Handler.
func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.seen = append(w.seen, r.Clone(context.Background()))
	w.mu.Unlock()
	w.next.ServeHTTP(rw, r)
}

// take returns what has reached the upstream since the last take.
func (w *witness) take() []*http.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// rigEnroller registers at the rig's Gitea.
type rigEnroller struct{ client *gitea.Client }

func (e rigEnroller) Scopes() []plan.Scope { return []plan.Scope{rigScope} }

func (e rigEnroller) Register(ctx context.Context, _ plan.Scope, req *runnerv1.RegisterRequest) (*runnerv1.RegisterResponse, error) {
	return e.client.RegisterAs(ctx, rigToken, req)
}

type rigVerifier struct{ client *gitea.Client }

func (v rigVerifier) Verify(ctx context.Context, id plan.Identity) (int64, error) {
	return v.client.Verify(ctx, id, "test")
}

// rigOptions say how a frontRig differs from the usual one.
type rigOptions struct {
	upstream http.Handler // in place of the in-memory Gitea, for what passes
	config   func(*Config)
	limits   func(*limits)
	tls      *TLSFiles
}

// frontRig is a gateway that listens, before an in-memory Gitea.
type frontRig struct {
	gitea    *giteatest.Server
	upstream *witness
	server   *httptest.Server // upstream's
	gateway  *Gateway
	front    *front
	addr     string
	url      string // with the path of PublicURL
	log      *logLines
	token    plan.Secret  // one of ours, reusable
	stop     func() error // ends Serve and waits for it
	client   *http.Client // HTTP/1.1
	h2c      *http.Client // HTTP/2 without TLS
}

func newFrontRig(t testing.TB, o rigOptions) *frontRig {
	t.Helper()
	r := &frontRig{log: &logLines{}}
	r.gitea = giteatest.New(giteatest.Options{RegistrationToken: rigToken, APIToken: rigAPIToken})
	t.Cleanup(r.gitea.Close)
	direct := httptest.NewServer(r.gitea) // what the daemon itself asks passes no witness
	t.Cleanup(direct.Close)
	if o.upstream == nil {
		o.upstream = r.gitea
	}
	r.upstream = &witness{next: o.upstream}
	r.server = httptest.NewServer(r.upstream)
	t.Cleanup(r.server.Close)
	client, err := gitea.New(gitea.Options{URL: direct.URL, Token: func() (plan.Secret, error) { return rigAPIToken, nil }})
	if err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	to, err := url.Parse(r.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{PublicURL: "https://runners.example.com", Upstream: to, Version: "test"}
	if o.config != nil {
		o.config(&cfg)
	}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.gateway = New(cfg, Ports{Enroller: rigEnroller{client}, Forge: client, Verifier: rigVerifier{client}, Store: db}, log)
	if err := r.gateway.Load(); err != nil {
		t.Fatal(err)
	}
	made, err := r.gateway.Create(t.Context(), "test", plan.TokenSpec{Name: "stacks", Scope: rigScope, Pinned: true})
	if err != nil {
		t.Fatal(err)
	}
	r.token = made.Secret
	r.serve(t, o, cfg)
	return r
}

// serve starts the listener.
func (r *frontRig) serve(t testing.TB, o rigOptions, cfg Config) {
	t.Helper()
	l := defaultLimits()
	if o.limits != nil {
		o.limits(&l)
	}
	r.front = newFront(r.gateway, l)
	listener, err := Listen("127.0.0.1:0", o.tls)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = listener.Addr().String()
	r.url = "http://" + r.addr
	if public, err := url.Parse(cfg.PublicURL); err == nil {
		r.url += public.Path
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.front.serve(ctx, listener) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	r.client = &http.Client{Transport: &http.Transport{}}
	both := new(http.Protocols)
	both.SetUnencryptedHTTP2(true)
	r.h2c = &http.Client{Transport: &http.Transport{Protocols: both}}
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		r.h2c.CloseIdleConnections()
		if err := r.stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

// dialect is a way to speak the protocol.
type dialect struct {
	name string
	grpc bool
	opts []connect.ClientOption
}

var dialects = []dialect{
	{name: "protobuf"},
	{name: "JSON", opts: []connect.ClientOption{connect.WithProtoJSON()}},
	{name: "compressed", opts: []connect.ClientOption{connect.WithSendGzip()}},
	{name: "gRPC", grpc: true, opts: []connect.ClientOption{connect.WithGRPC()}},
	{name: "gRPC-Web", opts: []connect.ClientOption{connect.WithGRPCWeb()}},
}

func (r *frontRig) http(d dialect) *http.Client {
	if d.grpc {
		return r.h2c
	}
	return r.client
}

func (r *frontRig) runners(d dialect) runnerv1connect.RunnerServiceClient {
	return runnerv1connect.NewRunnerServiceClient(r.http(d), r.url+"/api/actions", d.opts...)
}

func (r *frontRig) deregister(d dialect) *connect.Client[runnerext.DeregisterRequest, runnerext.DeregisterResponse] {
	return connect.NewClient[runnerext.DeregisterRequest, runnerext.DeregisterResponse](r.http(d), r.url+service+"Deregister", d.opts...)
}

// register registers a runner with our token.
func (r *frontRig) register(t testing.TB, name string) *runnerv1.Runner {
	t.Helper()
	resp, err := r.runners(dialects[0]).Register(t.Context(), connect.NewRequest(&runnerv1.RegisterRequest{
		Name: name, Token: r.token.Reveal(), Version: "v1", Labels: []string{"linux"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return resp.Msg.Runner
}

// as makes a call in a runner's name.
func as[T any](runner *runnerv1.Runner, msg *T) *connect.Request[T] {
	req := connect.NewRequest(msg)
	req.Header().Set("X-Runner-Uuid", runner.Uuid)
	req.Header().Set("X-Runner-Token", runner.Token)
	return req
}

// raw sends a request whose path no client has put in order.
func (r *frontRig) raw(t testing.TB, method, path string) (status int) {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"name":"trick","token":"` + rigToken + `"}`
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		method, path, len(body), body)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// get returns status and body.
func (r *frontRig) get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	resp, err := r.client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}
