package webhook

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

const testSecret = "webhook-secret-5d41402abc4b"

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

// rig is a receiver and what it has taken.
type rig struct {
	*Receiver
	log *logLines

	mu     sync.Mutex
	taken  []Event
	others int
	secret plan.Secret
	err    error // of reading the secret
}

func newRig(change func(*limits)) *rig {
	r := &rig{log: &logLines{}, secret: testSecret}
	l := defaultLimits()
	if change != nil {
		change(&l)
	}
	r.Receiver = newReceiver(Config{Path: "/webhook", Secret: r.readSecret, Other: r.other}, r.keep,
		slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})), l)
	return r
}

func (r *rig) readSecret() (plan.Secret, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.secret, r.err
}

func (r *rig) other() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.others++
}

func (r *rig) keep(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, e)
}

func (r *rig) events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event{}, r.taken...)
}

func (r *rig) do(req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return w
}

// body is an event of a job, as small as it can be.
func body(id int64, action string) string {
	return fmt.Sprintf(`{"action": %q, "workflow_job": {"id": %d}, "repository": {"full_name": "acme/app"}}`, action, id)
}

// delivery is a request as Gitea makes it.
func delivery(id, text string) *http.Request {
	req := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(text))
	sum := hex.EncodeToString(sign(testSecret, []byte(text)))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Gitea-Event", "workflow_job")
	req.Header.Set("X-Gitea-Delivery", id)
	req.Header.Set("X-Gitea-Signature", sum)
	req.Header.Set("X-Hub-Signature-256", "sha256="+sum)
	return req
}

// TestTake takes what Gitea 1.26 has sent.
func TestTake(t *testing.T) {
	text, err := os.ReadFile("testdata/waiting.json")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(nil)
	if w := r.do(delivery("d-1", string(text))); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("answer %d %q", w.Code, w.Body)
	}
	want := Event{Action: "waiting", Delivery: "d-1", Job: plan.Job{
		ID: 2, RunID: 1, Name: "test", Repo: "ann/app", Labels: []string{"linux", "arm64"}, Status: "waiting",
		QueuedAt: time.Date(2026, 11, 25, 1, 50, 35, 0, time.UTC), URL: "https://git.example.com/ann/app/actions/runs/1/jobs/2",
	}}
	if got := r.events(); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("taken %+v, want %+v", got, want)
	}
	if s := r.Stats(); s.Accepted != 1 || s.LastAccepted.IsZero() || len(s.Refused) != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestDecode(t *testing.T) {
	repo := `"repository": {"full_name": "acme/app"}`
	tests := []struct {
		name, body string
		want       Event
		err        string
	}{
		{"all", `{"action": "in_progress", "workflow_job": {"id": 7, "run_id": 3, "name": "b", "labels": ["x"], "status": "in_progress", "runner_id": 9,
			"runner_name": "r9", "created_at": "2026-01-02T03:04:05Z", "html_url": "http://g/h", "url": "http://g/api", "new": {}}, ` + repo + `, "sender": 1}`,
			Event{Action: "in_progress", Job: plan.Job{ID: 7, RunID: 3, Name: "b", Repo: "acme/app", Labels: []string{"x"}, Status: "in_progress",
				RunnerID: 9, RunnerName: "r9", QueuedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), URL: "http://g/h"}}, ""},
		{"attempt", `{"action": "completed", "workflow_job": {"id": 7, "run_attempt": 2, "started_at": "2026-01-02T03:04:05Z"}, ` + repo + `}`,
			Event{Action: "completed", Attempt: 2, Started: true, Job: plan.Job{ID: 7, Repo: "acme/app", Status: "completed"}}, ""},
		{"never started", `{"action": "completed", "workflow_job": {"id": 7, "run_attempt": 1, "started_at": "1970-01-01T00:00:00Z"}, ` + repo + `}`,
			Event{Action: "completed", Attempt: 1, Job: plan.Job{ID: 7, Repo: "acme/app", Status: "completed"}}, ""},
		{"least", body(1, "queued"), Event{Action: "queued", Job: plan.Job{ID: 1, Repo: "acme/app", Status: "queued"}}, ""},
		{"nulls", `{"action": "queued", "workflow_job": {"id": 1, "labels": null, "created_at": null, "runner_id": null}, ` + repo + `}`,
			Event{Action: "queued", Job: plan.Job{ID: 1, Repo: "acme/app", Status: "queued"}}, ""},
		{"unknown action", body(1, "dreaming"), Event{Action: "dreaming", Job: plan.Job{ID: 1, Repo: "acme/app", Status: "dreaming"}}, ""},
		{"address of the API", `{"action": "queued", "workflow_job": {"id": 1, "url": "http://g/api"}, ` + repo + `}`,
			Event{Action: "queued", Job: plan.Job{ID: 1, Repo: "acme/app", Status: "queued", URL: "http://g/api"}}, ""},
		{"empty", "", Event{}, "broken JSON at byte 0"},
		{"form", "payload=%7B%7D", Event{}, "broken JSON at byte 1"},
		{"half", body(1, "queued")[:40], Event{}, "broken JSON"},
		{"two", body(1, "queued") + body(2, "queued"), Event{}, "broken JSON"},
		{"list", "[]", Event{}, "the whole is of another type"},
		{"null", "null", Event{}, "no action"},
		{"no action", `{"workflow_job": {"id": 1}, ` + repo + `}`, Event{}, "no action"},
		{"no job", `{"action": "queued", ` + repo + `}`, Event{}, "no workflow_job.id"},
		{"negative id", `{"action": "queued", "workflow_job": {"id": -1}, ` + repo + `}`, Event{}, "no workflow_job.id"},
		{"id is text", `{"action": "queued", "workflow_job": {"id": "s3cret"}, ` + repo + `}`, Event{}, "workflow_job.id is of another type"},
		{"id overflows", `{"action": "queued", "workflow_job": {"id": 99999999999999999999}, ` + repo + `}`, Event{}, "workflow_job.id is of another type"},
		{"labels are text", `{"action": "queued", "workflow_job": {"id": 1, "labels": "s3cret"}, ` + repo + `}`, Event{}, "workflow_job.labels is of another type"},
		{"odd time", `{"action": "queued", "workflow_job": {"id": 1, "created_at": "s3cret"}, ` + repo + `}`, Event{}, "workflow_job.created_at or started_at is no time"},
		{"no repository", `{"action": "queued", "workflow_job": {"id": 1}}`, Event{}, "no repository.full_name"},
		{"repository without owner", `{"action": "queued", "workflow_job": {"id": 1}, "repository": {"full_name": "app"}}`, Event{}, "no repository.full_name"},
		{"repository of three parts", `{"action": "queued", "workflow_job": {"id": 1}, "repository": {"full_name": "a/b/c"}}`, Event{}, "no repository.full_name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decode([]byte(tt.body))
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("event %+v, want %+v", got, tt.want)
			}
			if (err != nil) != (tt.err != "") || err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

// TestRequests sends one request each to a receiver of its own.
func TestRequests(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	good := body(1, "queued")
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
		reason Reason // empty: not refused
		taken  bool
	}{
		{"as Gitea sends it", func(*http.Request) {}, 204, "", true},
		{"only the hub's signature", func(r *http.Request) { r.Header.Del("X-Gitea-Signature") }, 204, "", true},
		{"only Gitea's signature", func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }, 204, "", true},
		{"with a query", func(r *http.Request) { r.URL.RawQuery = "a=b" }, 204, "", true},
		{"another event", header("X-Gitea-Event", "push"), 204, "", false},
		{"no event", func(r *http.Request) { r.Header.Del("X-Gitea-Event") }, 204, "", false},
		{"another path", func(r *http.Request) { r.URL.Path = "/webhooks" }, 404, ReasonPath, false},
		{"a path below", func(r *http.Request) { r.URL.Path = "/webhook/" }, 404, ReasonPath, false},
		{"an escaped path", func(r *http.Request) { r.URL.RawPath = "/%77ebhook" }, 404, ReasonPath, false},
		{"GET", func(r *http.Request) { r.Method = http.MethodGet }, 405, ReasonMethod, false},
		{"PUT", func(r *http.Request) { r.Method = http.MethodPut }, 405, ReasonMethod, false},
		{"no signature", func(r *http.Request) { r.Header.Del("X-Gitea-Signature"); r.Header.Del("X-Hub-Signature-256") }, 401, ReasonUnsigned, false},
		{"empty signatures", func(r *http.Request) {
			r.Header.Set("X-Gitea-Signature", "")
			r.Header.Set("X-Hub-Signature-256", "sha256=")
		}, 401, ReasonUnsigned, false},
		{"signature without meaning", header("X-Gitea-Signature", strings.Repeat("z", 64)), 401, ReasonUnsigned, false},
		{"signature cut short", func(r *http.Request) {
			r.Header.Set("X-Gitea-Signature", r.Header.Get("X-Gitea-Signature")[:62])
		}, 401, ReasonUnsigned, false},
		{"wrong signature, good one of the hub", header("X-Gitea-Signature", strings.Repeat("0", 64)), 401, ReasonSignature, false},
		{"signature of another secret", header("X-Gitea-Signature", hex.EncodeToString(sign("another", []byte(good)))), 401, ReasonSignature, false},
		{"signature of another body", header("X-Gitea-Signature", hex.EncodeToString(sign(testSecret, []byte(body(2, "queued"))))), 401, ReasonSignature, false},
		{"another event, wrong signature", func(r *http.Request) {
			r.Header.Set("X-Gitea-Event", "push")
			r.Header.Set("X-Gitea-Signature", strings.Repeat("0", 64))
		}, 401, ReasonSignature, false},
		{"test event, wrong signature", func(r *http.Request) {
			r.Header.Set("X-Gitea-Event", "scaler_ping")
			r.Header.Set("X-Gitea-Signature", strings.Repeat("0", 64))
		}, 401, ReasonSignature, false},
		{"no delivery", func(r *http.Request) { r.Header.Del("X-Gitea-Delivery") }, 400, ReasonMalformed, false},
		{"long delivery", header("X-Gitea-Delivery", strings.Repeat("d", 129)), 400, ReasonMalformed, false},
		{"says it is large", func(r *http.Request) { r.ContentLength = maxBody + 1 }, 413, ReasonSize, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, req := newRig(nil), delivery("d-1", good)
			tt.change(req)
			w := r.do(req)
			if w.Code != tt.status || len(r.events()) == 1 != tt.taken {
				t.Errorf("answer %d, taken %v", w.Code, r.events())
			}
			s := r.Stats()
			want := map[Reason]uint64{}
			if tt.reason != "" {
				want[tt.reason] = 1
			}
			if !reflect.DeepEqual(s.Refused, want) || s.Accepted == 1 != tt.taken || s.Ignored == 1 != (tt.status == 204 && !tt.taken) || r.others != int(s.Ignored) {
				t.Errorf("stats %+v", s)
			}
			if w.Body.Len() > 80 || strings.Contains(w.Body.String()+r.log.String(), testSecret) {
				t.Errorf("answer %q, log %q", w.Body, r.log)
			}
			if tt.status == 405 && w.Header().Get("Allow") != "POST" {
				t.Errorf("Allow is %q", w.Header().Get("Allow"))
			}
		})
	}
}

func TestBodies(t *testing.T) {
	fill := func(n int) string {
		return `{"action": "queued", "pad": "` + strings.Repeat("x", n) + body(1, "queued")[len(`{"action": "queued`):]
	}
	base := len(fill(0))
	tests := []struct {
		name, body string
		status     int
		reason     Reason
	}{
		{"largest", fill(maxBody - base), 204, ""},
		{"one byte more", fill(maxBody - base + 1), 413, ReasonSize},
		{"empty", "", 400, ReasonMalformed},
		{"no JSON", "hello s3cret-body", 400, ReasonMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, req := newRig(nil), delivery("d-1", tt.body)
			req.ContentLength = -1 // as of a chunked body
			w := r.do(req)
			if w.Code != tt.status || len(r.events()) == 1 != (tt.status == 204) || tt.reason != "" && r.Stats().Refused[tt.reason] != 1 {
				t.Errorf("answer %d, %d taken, stats %+v", w.Code, len(r.events()), r.Stats())
			}
			if log := r.log.String(); strings.Contains(log, "s3cret") || (tt.reason != "") != strings.Contains(log, "webhook event refused") {
				t.Errorf("log %q", log)
			}
		})
	}
}

// TestSecret: without its secret the receiver takes nothing, and a new secret
// counts at once.
func TestSecret(t *testing.T) {
	r := newRig(nil)
	for _, set := range []func(){
		func() { r.secret, r.err = "", errors.New("no such file") },
		func() { r.secret, r.err = "", nil },
	} {
		set()
		empty := delivery("d-0", body(1, "queued"))
		empty.Header.Set("X-Gitea-Signature", hex.EncodeToString(sign("", []byte(body(1, "queued")))))
		for _, req := range []*http.Request{delivery("d-1", body(1, "queued")), empty} {
			if w := r.do(req); w.Code != http.StatusServiceUnavailable || len(r.events()) != 0 {
				t.Errorf("answer %d, taken %v", w.Code, r.events())
			}
		}
	}
	if s := r.Stats(); s.Refused[ReasonSecret] != 4 || !strings.Contains(r.log.String(), "no such file") {
		t.Errorf("stats %+v, log %q", s, r.log)
	}
	r.secret = "another-secret-of-the-hook"
	if w := r.do(delivery("d-1", body(1, "queued"))); w.Code != http.StatusUnauthorized {
		t.Errorf("answer %d with the wrong secret", w.Code)
	}
	r.secret = testSecret
	if w := r.do(delivery("d-1", body(1, "queued"))); w.Code != http.StatusNoContent || len(r.events()) != 1 {
		t.Errorf("answer %d, taken %v", w.Code, r.events())
	}
}

// TestDuplicates: a delivery counts once, for as long as it is remembered.
func TestDuplicates(t *testing.T) {
	r := newRig(nil)
	send := func(n int, want int) {
		t.Helper()
		if w := r.do(delivery(fmt.Sprintf("d-%d", n), body(int64(n+1), "queued"))); w.Code != want {
			t.Errorf("delivery %d: answer %d, want %d", n, w.Code, want)
		}
	}
	for n := range remembered {
		send(n, 204)
	}
	send(0, 200)
	send(remembered-1, 200)
	send(remembered, 204) // takes the place of the oldest
	send(0, 204)
	send(2, 200)
	if s := r.Stats(); s.Accepted != remembered+2 || s.Duplicates != 3 || len(r.events()) != remembered+2 {
		t.Errorf("stats %+v, %d taken", s, len(r.events()))
	}
	if n := len(r.recent.ids); n != remembered {
		t.Errorf("%d remembered", n)
	}
}

// TestMalformedIsNotRemembered: an event that was refused may come again.
func TestMalformedIsNotRemembered(t *testing.T) {
	r := newRig(nil)
	r.do(delivery("d-1", "{}"))
	if w := r.do(delivery("d-1", body(1, "queued"))); w.Code != http.StatusNoContent {
		t.Errorf("answer %d", w.Code)
	}
}

// TestConcurrent sends a thousand events at once, each twice.
func TestConcurrent(t *testing.T) {
	const n = 1000
	r := newRig(nil)
	var all sync.WaitGroup
	for i := range 2 * n {
		all.Go(func() {
			w := r.do(delivery(fmt.Sprintf("d-%d", i%n), body(int64(i%n+1), "queued")))
			if w.Code != http.StatusNoContent && w.Code != http.StatusOK {
				t.Errorf("answer %d", w.Code)
			}
		})
	}
	all.Wait()
	jobs := map[int64]int{}
	for _, e := range r.events() {
		jobs[e.Job.ID]++
	}
	if s := r.Stats(); len(jobs) != n || len(r.events()) != n || s.Accepted != n || s.Duplicates != n {
		t.Errorf("%d jobs in %d events, stats %+v", len(jobs), len(r.events()), s)
	}
}

// TestLogIsBounded: refusals of one kind are a line a minute, with the count.
func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		wrong := func(signature string) {
			req := delivery("d-1", body(1, "queued"))
			req.Header.Set("X-Gitea-Signature", signature)
			req.Header.Del("X-Hub-Signature-256")
			r.do(req)
		}
		for range 100 {
			wrong(strings.Repeat("0", 64))
			wrong("")
			time.Sleep(100 * time.Millisecond)
		}
		r.do(httptest.NewRequest(http.MethodGet, "/wp-admin", nil))
		if log := r.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "reason=signature count=1 ") {
			t.Errorf("log %q", log)
		}
		time.Sleep(time.Minute)
		wrong("")
		if log := r.log.String(); strings.Count(log, "\n") != 2 || !strings.Contains(log, "reason=unsigned count=200 ") {
			t.Errorf("log %q", log)
		}
		want := map[Reason]uint64{ReasonSignature: 100, ReasonUnsigned: 101, ReasonPath: 1}
		if s := r.Stats(); !reflect.DeepEqual(s.Refused, want) {
			t.Errorf("stats %+v", s)
		}
	})
}

// TestStatsAreACopy: what was given out does not change.
func TestStatsAreACopy(t *testing.T) {
	r := newRig(nil)
	before := r.Stats()
	r.do(httptest.NewRequest(http.MethodGet, "/", nil))
	if len(before.Refused) != 0 || r.Stats().Refused[ReasonPath] != 1 {
		t.Errorf("before %+v, after %+v", before, r.Stats())
	}
}

func BenchmarkReceive(b *testing.B) {
	text, err := os.ReadFile("testdata/waiting.json")
	if err != nil {
		b.Fatal(err)
	}
	taken := 0
	r := New(Config{Path: "/webhook", Secret: func() (plan.Secret, error) { return testSecret, nil }},
		func(Event) { taken++ }, slog.New(slog.DiscardHandler))
	h, req := r.Handler(), delivery("", string(text))
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		req.Header["X-Gitea-Delivery"][0] = fmt.Sprint("d-", taken)
		req.Body = readCloser{bytes.NewReader(text)}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, req); w.Code != http.StatusNoContent {
			b.Fatal(w.Code)
		}
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
