package gitea

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	oneRunner = "OPTIONS /api/v1/user/actions/runners/0"
	allJobs   = "OPTIONS /api/v1/user/actions/jobs"
	minting   = "OPTIONS /api/v1/user/actions/runners/registration-token"
)

// allow is what a router says to OPTIONS of a route with these methods.
func allow(methods ...string) reply {
	return reply{status: 405, header: http.Header{"Allow": methods}}
}

func versionReply(v string) reply { return jsonReply(200, object{"version": v}) }

// ask returns a client of a server of which nothing is known yet.
func ask(t *testing.T, s *stub) *Client {
	c := serve(t, s, nil)
	unknown(c)
	return c
}

// unknown has a client know nothing of its server.
func unknown(c *Client) {
	c.found.mu.Lock()
	defer c.found.mu.Unlock()
	c.found.caps, c.found.asked = plan.Capabilities{}, time.Time{}
}

// TestRoutesDecide: what a server can do is what its routes say, and where they
// say nothing, what its release has.
func TestRoutesDecide(t *testing.T) {
	login := reply{status: 401, body: "<html>", kind: "text/html"}
	blocked := reply{status: 404, body: "<html>", kind: "text/html"}
	missing := apiMessage(404, "user redirect does not exist")
	forgejo15 := map[string][]reply{
		oneRunner: {allow("GET", "DELETE")}, "OPTIONS /api/v1/user/actions/runners": {allow("GET", "POST")},
		"OPTIONS /api/v1/user/actions/runners/jobs": {allow("GET", "DELETE")},
	}
	tests := []struct {
		name     string
		version  string
		replies  map[string][]reply
		as       string // the release whose capabilities come out, with what differs
		has, not []plan.Capability
		requests int
	}{
		{"as released", "1.26.0", map[string][]reply{oneRunner: {allow("GET", "DELETE", "PATCH")}, allJobs: {allow("GET")}}, "1.26.0", nil, nil, 3},
		{"methods in one line", "1.26.0", map[string][]reply{oneRunner: {allow("DELETE, GET, HEAD, PATCH")}, allJobs: {allow("GET, HEAD")}}, "1.26.0", nil, nil, 3},
		{"an old one", "1.22.3", map[string][]reply{}, "1.22.3", nil, nil, 3},
		{"Forgejo", "15.0.3+gitea-1.22.0", forgejo15, "15.0.3+gitea-1.22.0", nil, nil, 4},
		{"brought forward", "1.24.6", map[string][]reply{oneRunner: {allow("GET", "DELETE", "PATCH")}, allJobs: {allow("GET")}, minting: {allow("GET")}}, "1.24.6",
			[]plan.Capability{plan.CanDisableRunners, plan.CanListJobs, plan.CanNameRunners}, nil, 4},
		{"taken away", "1.26.0", map[string][]reply{oneRunner: {allow("GET")}, allJobs: {allow("GET")}, minting: {allow("POST")}}, "1.26.0",
			nil, []plan.Capability{plan.CanDisableRunners, plan.CanDeleteRunners}, 4},
		{"not the server that says so", "1.26.0", map[string][]reply{}, "1.26.0", nil, nil, 4},
		{"a login is no word", "1.26.0", map[string][]reply{oneRunner: {login}, allJobs: {login}}, "1.26.0", nil, nil, 3},
		{"a page that is not found is none", "1.26.0", map[string][]reply{oneRunner: {blocked}, allJobs: {blocked}}, "1.26.0", nil, nil, 3},
		{"nor is an owner that does not exist", "1.26.0", map[string][]reply{oneRunner: {missing}, allJobs: {missing}}, "1.26.0", nil, nil, 3},
		{"nor is a preflight", "1.26.0", map[string][]reply{oneRunner: {{status: 204}}, allJobs: {{status: 200, body: "{}"}}}, "1.26.0", nil, nil, 3},
		{"nor a proxy without OPTIONS", "1.26.0", map[string][]reply{oneRunner: {{status: 501}}, allJobs: {{status: 405}}}, "1.26.0", nil, nil, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.replies["GET /api/v1/version"] = []reply{versionReply(tt.version)}
			s := newStub(tt.replies)
			got, err := ask(t, s).Capabilities(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := capabilitiesOf(tt.as)
			for _, k := range tt.has {
				want.Set(k, true)
			}
			for _, k := range tt.not {
				want.Set(k, false)
			}
			if got.CheckedAt.IsZero() {
				t.Error("no time")
			}
			if got.CheckedAt = (time.Time{}); got != want {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
			if n := s.count(""); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			for _, r := range s.seen {
				if r.Method != http.MethodGet && r.Method != http.MethodOptions {
					t.Errorf("%s %s is no question", r.Method, r.URL.Path)
				}
			}
		})
	}
}

// TestNoAnswerIsNoWord: a server that does not answer lacks nothing.
func TestNoAnswerIsNoWord(t *testing.T) {
	for _, broken := range []reply{{drop: true}, {status: 502}, {status: 429}} {
		for _, path := range []string{"GET /api/v1/version", oneRunner, allJobs} {
			replies := map[string][]reply{oneRunner: {allow("GET", "DELETE", "PATCH")}, allJobs: {allow("GET")}}
			replies[path] = []reply{broken}
			c := ask(t, newStub(replies))
			if _, err := c.Capabilities(t.Context()); err == nil || errors.Is(err, plan.ErrUnsupported) {
				t.Errorf("%s with %+v: error %v", path, broken, err)
			}
			if _, known := c.found.latest(); known {
				t.Errorf("%s with %+v: something is known", path, broken)
			}
		}
	}
}

// inTime runs f in time that passes by itself, with a server that answers at once.
func inTime(t *testing.T, replies map[string][]reply, f func(t *testing.T, s *stub, c *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStub(replies)
		f(t, s, newClient(t, Options{URL: "http://git.example.com"}, func(o *Options) { o.Transport = direct{s} }))
	})
}

// pass lets time pass and returns what the server can do then, with how many
// requests that took.
func pass(t *testing.T, s *stub, c *Client, d time.Duration) (plan.Capabilities, int) {
	t.Helper()
	time.Sleep(d)
	before := s.count("")
	caps, err := c.Capabilities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return caps, s.count("") - before
}

func TestWhenTheServerIsAsked(t *testing.T) {
	current := func() map[string][]reply {
		return map[string][]reply{
			"GET /api/v1/version": {versionReply("1.26.0")}, oneRunner: {allow("GET", "DELETE", "PATCH")}, allJobs: {allow("GET")},
			adminJobs: {jobsPage(1, 1)},
		}
	}
	t.Run("hourly", func(t *testing.T) {
		inTime(t, current(), func(t *testing.T, s *stub, c *Client) {
			unknown(c)
			for _, step := range []struct {
				after time.Duration
				want  int
			}{{0, 3}, {0, 0}, {time.Second, 0}, {58 * time.Second, 0}, {time.Second, 1}, {58 * time.Minute, 1}, {time.Minute, 3}, {time.Second, 0}} {
				if _, n := pass(t, s, c, step.after); n != step.want {
					t.Errorf("after %s more: %d requests, want %d", step.after, n, step.want)
				}
			}
		})
	})
	t.Run("by the version where something is missing", func(t *testing.T) {
		replies := current()
		replies["GET /api/v1/version"] = []reply{versionReply("1.24.6"), versionReply("1.24.6"), versionReply("1.26.0")}
		replies[oneRunner] = []reply{allow("GET", "DELETE"), allow("GET", "DELETE", "PATCH")}
		replies[allJobs] = []reply{noRoute(), allow("GET")}
		inTime(t, replies, func(t *testing.T, s *stub, c *Client) {
			unknown(c)
			for _, step := range []struct {
				after   time.Duration
				want    int
				version string
			}{{0, 3, "1.24.6"}, {time.Millisecond, 0, "1.24.6"}, {time.Second, 1, "1.24.6"}, {time.Second, 3, "1.26.0"}, {time.Second, 0, "1.26.0"}} {
				caps, n := pass(t, s, c, step.after)
				if n != step.want || caps.Version != step.version || caps.Disable != (step.version == "1.26.0") {
					t.Errorf("after %s more: %d requests, want %d: %+v", step.after, n, step.want, caps)
				}
			}
		})
	})
	t.Run("by the version after trouble", func(t *testing.T) {
		for _, trouble := range []reply{{drop: true}, {status: 502}} {
			replies := current()
			replies[adminJobs] = []reply{trouble, trouble, trouble, jobsPage(1, 1)}
			replies["GET /api/v1/version"] = []reply{versionReply("1.26.0"), versionReply("1.26.0"), versionReply("1.25.5")}
			replies[oneRunner] = []reply{allow("GET", "DELETE", "PATCH"), allow("GET", "DELETE")}
			inTime(t, replies, func(t *testing.T, s *stub, c *Client) {
				unknown(c)
				pass(t, s, c, 0)
				_, _ = c.QueuedJobs(t.Context(), instance, 1, nil)
				if caps, n := pass(t, s, c, time.Second); n != 1 || !caps.Disable {
					t.Errorf("after trouble: %d requests, %+v", n, caps)
				}
				if _, n := pass(t, s, c, time.Second); n != 0 {
					t.Errorf("after that: %d requests", n)
				}
				c.found.distrust()
				if caps, n := pass(t, s, c, time.Second); n != 3 || caps.Disable {
					t.Errorf("after a change: %d requests, %+v", n, caps)
				}
			})
		}
	})
}

// TestAnswersCorrect: a call that shows the opposite of what was promised is
// believed at once, and for good if it does so again.
func TestAnswersCorrect(t *testing.T) {
	replies := map[string][]reply{
		oneRunner: {allow("GET", "DELETE", "PATCH")}, allJobs: {allow("GET")}, minting: {allow("POST")}, "PATCH " + runner5: {{status: 405}},
	}
	inTime(t, replies, func(t *testing.T, s *stub, c *Client) {
		unknown(c)
		if caps, _ := pass(t, s, c, 0); !caps.Disable {
			t.Fatal("not promised")
		}
		for i, step := range []struct {
			after time.Duration
			tries int // so far
		}{{0, 1}, {30 * time.Second, 1}, {31 * time.Second, 2}, {2 * time.Minute, 2}, {50 * time.Minute, 2}, {10 * time.Minute, 3}} {
			time.Sleep(step.after)
			if _, err := c.Capabilities(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.SetRunnerDisabled(t.Context(), instance, 5, true); !errors.Is(err, plan.ErrUnsupported) {
				t.Fatalf("error %v", err)
			}
			if caps, err := c.Capabilities(t.Context()); err != nil || caps.Disable {
				t.Errorf("step %d: %+v, %v", i, caps, err)
			}
			if n := s.count("PATCH " + runner5); n != step.tries {
				t.Errorf("step %d: %d tries, want %d", i, n, step.tries)
			}
		}
	})
}

// TestUnpromisedIsNotTried: a call for what the server lacks is not made.
func TestUnpromisedIsNotTried(t *testing.T) {
	s := newStub(map[string][]reply{"GET /api/v1/version": {versionReply("1.23.8")}})
	c := ask(t, s)
	_, err1 := c.QueuedJobs(t.Context(), instance, 1, nil)
	wantError(t, err1, "this needs Gitea 1.25 or later, and the server is 1.23.8")
	_, err2 := c.Runners(t.Context(), orgAcme)
	err3 := c.SetRunnerDisabled(t.Context(), instance, 5, true)
	err4 := c.DeleteRunner(t.Context(), instance, 5)
	for _, err := range []error{err1, err2, err3, err4} {
		if !errors.Is(err, plan.ErrUnsupported) {
			t.Errorf("error %v", err)
		}
	}
	if n := s.count(""); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

// TestOneAsksAtATime: callers side by side share one finding, and none waits
// beyond its own deadline.
func TestOneAsksAtATime(t *testing.T) {
	s := newStub(map[string][]reply{oneRunner: {allow("GET", "DELETE", "PATCH")}, allJobs: {allow("GET")}})
	c := ask(t, s)
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := c.Capabilities(t.Context())
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := s.count(""); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
	c.found.turn <- struct{}{} // one that gets no answer
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if caps, err := c.Capabilities(ctx); !errors.Is(err, context.DeadlineExceeded) || !caps.Jobs {
		t.Errorf("%+v, %v, want what was known before and a deadline", caps, err)
	}
}

// TestChange says in words what an upgrade brings.
func TestChange(t *testing.T) {
	change := capabilitiesOf("1.24.6").Change(capabilitiesOf("1.26.0"))
	for _, part := range []string{"the server was Gitea 1.24.6 and is Gitea 1.26.0 now", "it can now list queued and running jobs, ", "disable runners"} {
		if !strings.Contains(change, part) {
			t.Errorf("%q lacks %q", change, part)
		}
	}
	if back := capabilitiesOf("1.26.0").Change(capabilitiesOf("1.24.6")); !strings.Contains(back, "it can no longer list queued") {
		t.Errorf("%q", back)
	}
	if none := capabilitiesOf("1.26.0").Change(capabilitiesOf("1.26.0")); none != "" {
		t.Errorf("%q", none)
	}
	if lacks := capabilitiesOf("1.26.0").Missing(); len(lacks) != 0 {
		t.Errorf("1.26 lacks %+v", lacks)
	}
	if lacks := capabilitiesOf("15.0.3+gitea-1.22.0").Missing(); !slices.ContainsFunc(lacks, func(f plan.Feature) bool { return f.Capability == plan.CanDisableRunners }) || len(lacks) != 3 {
		t.Errorf("Forgejo 15 lacks %+v", lacks)
	}
}
