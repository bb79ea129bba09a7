package gitea

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	apiToken = "api-token-5d41402abc4b"
	regToken = "registration-token-7d793037a076"
)

var (
	instance = plan.Scope{Kind: plan.ScopeInstance}
	orgAcme  = plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"}
	userAnn  = plan.Scope{Kind: plan.ScopeUser, Owner: "ann"}
	repoApp  = plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "app"}
)

// reply is an answer of a stub server.
type reply struct {
	status int // default 200
	body   string
	kind   string // content type, default JSON
	header http.Header
	drop   bool // close the connection in place of an answer
	half   bool // close the connection in the middle of the body
}

func jsonReply(status int, v any) reply {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return reply{status: status, body: string(b)}
}

func apiMessage(status int, message string) reply {
	return jsonReply(status, map[string]any{"message": message, "url": "http://x/api/swagger"})
}

// noRoute is what Gitea's router says to an unknown address.
func noRoute() reply {
	return reply{status: 404, body: "404 page not found\n", kind: "text/plain; charset=utf-8"}
}

// stub is a server that answers by "METHOD PATH", each time with the next of
// the replies and from then on with the last one. Everything else is noRoute.
type stub struct {
	mu      sync.Mutex
	replies map[string][]reply
	seen    []*http.Request
	bodies  []string
}

func newStub(replies map[string][]reply) *stub {
	if replies["GET /api/v1/version"] == nil {
		replies["GET /api/v1/version"] = []reply{jsonReply(200, map[string]string{"version": "1.26.0"})}
	}
	return &stub{replies: replies}
}

func (s *stub) next(r *http.Request) reply {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, r)
	s.bodies = append(s.bodies, string(body))
	key := r.Method + " " + r.URL.Path
	list := s.replies[key]
	if len(list) == 0 {
		return noRoute()
	}
	if len(list) > 1 {
		s.replies[key] = list[1:]
	}
	return list[0]
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	re := s.next(r)
	if re.drop {
		panic(http.ErrAbortHandler)
	}
	kind := re.kind
	if kind == "" {
		kind = "application/json;charset=utf-8"
	}
	if r.Header.Get("Connect-Protocol-Version") != "" && re.kind == "" {
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	for k, v := range re.header {
		w.Header()[k] = v
	}
	body := re.body
	if re.half {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		body = body[:len(body)/2]
	}
	if re.status != 0 {
		w.WriteHeader(re.status)
	}
	_, _ = io.WriteString(w, body)
	if re.half {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// count says how many requests there were for "METHOD PATH", or altogether.
func (s *stub) count(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.seen {
		if key == "" || r.Method+" "+r.URL.Path == key {
			n++
		}
	}
	return n
}

// serve starts the stub and returns a client of it, which waits almost not at
// all between attempts and takes it for Gitea 1.26. change may adapt the options.
func serve(t *testing.T, s http.Handler, change func(*Options)) *Client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return newClient(t, Options{URL: server.URL}, change)
}

func newClient(t *testing.T, o Options, change func(*Options)) *Client {
	t.Helper()
	o.Token = func() (plan.Secret, error) { return apiToken, nil }
	o.RetryWaitMin, o.RetryWaitMax = time.Microsecond, time.Millisecond
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.found.set(promise{caps: capabilitiesOf("1.26.0")}, time.Now())
	return c
}

// logBuffer collects what a logger writes at any level.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// wantError checks the text of an error: all parts must be in it.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has more than one line: %q", err)
	}
	wantNoSecret(t, err.Error())
}

func wantNoSecret(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{apiToken, regToken} {
		if strings.Contains(text, secret) {
			t.Errorf("secret in %q", text)
		}
	}
}

type object = map[string]any

func jobJSON(id int64) object {
	return object{
		"id": id, "run_id": 7, "name": "build", "status": "queued", "labels": []string{"linux"},
		"url":        fmt.Sprintf("http://git.example.com/api/v1/repos/acme/app/actions/jobs/%d", id),
		"html_url":   fmt.Sprintf("http://git.example.com/acme/app/actions/runs/7/jobs/%d", id),
		"created_at": "2026-11-24T21:43:31Z", "started_at": "1970-01-01T00:00:00Z",
	}
}

// jobsPage is a page with jobs of these ids.
func jobsPage(total int, ids ...int64) reply {
	jobs := []object{}
	for _, id := range ids {
		jobs = append(jobs, jobJSON(id))
	}
	return jsonReply(200, object{"jobs": jobs, "total_count": total})
}

func runnersPage(total int, ids ...int64) reply {
	runners := []object{}
	for _, id := range ids {
		runners = append(runners, object{"id": id, "name": fmt.Sprintf("r%d", id), "status": "online", "labels": []object{{"name": "linux"}}})
	}
	return jsonReply(200, object{"runners": runners, "total_count": total})
}

// ids is first, first+1, … up to last.
func ids(first, last int64) []int64 {
	var list []int64
	for id := first; id <= last; id++ {
		list = append(list, id)
	}
	return list
}

// direct answers without a network, so that time can pass by itself.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("connection reset")
		}
	}()
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	d.handler.ServeHTTP(w, r)
	resp = w.Result()
	resp.Request = r
	return resp, nil
}
