package gitea

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// wire is a network of one function.
type wire func(*http.Request) (*http.Response, error)

func (w wire) RoundTrip(req *http.Request) (*http.Response, error) { return w(req) }

func respond(req *http.Request, status int, body string, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: req}
}

// attempts is a network that gives each of these answers in turn, the last
// one for ever, and notes when it was asked.
func attempts(at *[]time.Duration, answers ...func(*http.Request) (*http.Response, error)) wire {
	start := time.Now()
	return func(req *http.Request) (*http.Response, error) {
		i := min(len(*at), len(answers)-1)
		*at = append(*at, time.Since(start))
		return answers[i](req)
	}
}

func status(code int, header http.Header) func(*http.Request) (*http.Response, error) {
	return func(req *http.Request) (*http.Response, error) {
		return respond(req, code, `{"message":"no"}`, header.Clone()), nil
	}
}

func good(req *http.Request) (*http.Response, error) {
	return respond(req, 200, jobsPage(1, 1).body, nil), nil
}

func refused(*http.Request) (*http.Response, error) {
	return nil, errors.New("connect: connection refused")
}

func wireClient(t *testing.T, w wire) *Client {
	t.Helper()
	return newClient(t, Options{URL: "http://git.example.com"}, func(o *Options) {
		o.RetryWaitMin, o.RetryWaitMax = 0, 0
		o.Transport = w
	})
}

func TestReadsAreRepeated(t *testing.T) {
	after := func(s string) http.Header { return http.Header{"Retry-After": {s}} }
	tests := []struct {
		name    string
		answers []func(*http.Request) (*http.Response, error)
		timeout time.Duration
		want    string // error
		tries   int
		least   time.Duration
		most    time.Duration
	}{
		{"good at once", []func(*http.Request) (*http.Response, error){good}, 0, "", 1, 0, 0},
		{"server error, then good", []func(*http.Request) (*http.Response, error){status(500, nil), good}, 0, "", 2, DefaultRetryWaitMin / 2, DefaultRetryWaitMin},
		{"refused, then good", []func(*http.Request) (*http.Response, error){refused, refused, good}, 0, "", 3, 3 * DefaultRetryWaitMin / 2, 3 * DefaultRetryWaitMin},
		{"server error for ever", []func(*http.Request) (*http.Response, error){status(503, nil)}, 0, "HTTP 503", 3, 3 * DefaultRetryWaitMin / 2, 3 * DefaultRetryWaitMin},
		{"refused for ever", []func(*http.Request) (*http.Response, error){refused}, 0, "connection refused", 3, 3 * DefaultRetryWaitMin / 2, 3 * DefaultRetryWaitMin},
		{"not implemented", []func(*http.Request) (*http.Response, error){status(501, nil), good}, 0, "HTTP 501", 1, 0, 0},
		{"bad request", []func(*http.Request) (*http.Response, error){status(400, nil), good}, 0, "HTTP 400", 1, 0, 0},
		{"asked to wait", []func(*http.Request) (*http.Response, error){status(429, after("3")), good}, 0, "", 2, 3 * time.Second, 3 * time.Second},
		{"asked to wait till a time", []func(*http.Request) (*http.Response, error){status(503, after("Sat, 01 Jan 2000 00:00:04 GMT")), good}, 0, "", 2, 4 * time.Second, 4 * time.Second},
		{"asked to wait for long", []func(*http.Request) (*http.Response, error){status(429, after("3600")), good}, 0, "HTTP 429 Too Many Requests: no (retry after 3600)", 1, 0, 0},
		{"asked to wait past the deadline", []func(*http.Request) (*http.Response, error){status(429, after("3")), good}, 2 * time.Second, "HTTP 429", 1, 0, 0},
		{"asked to wait, not saying how long", []func(*http.Request) (*http.Response, error){status(429, after("soon")), good}, 0, "", 2, DefaultRetryWaitMin / 2, DefaultRetryWaitMin},
		{"deadline while waiting", []func(*http.Request) (*http.Response, error){status(500, nil), good}, 10 * time.Millisecond, "context deadline exceeded (the last answer was HTTP 500", 1, 10 * time.Millisecond, 10 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Duration
				c := wireClient(t, attempts(&at, tt.answers...))
				ctx := t.Context()
				if tt.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				start := time.Now()
				_, err := c.QueuedJobs(ctx, instance, 0, nil)
				took := time.Since(start)
				if tt.want == "" && err != nil {
					t.Error(err)
				}
				if tt.want != "" {
					wantError(t, err, tt.want)
				}
				if len(at) != tt.tries {
					t.Errorf("%d attempts, want %d", len(at), tt.tries)
				}
				if took < tt.least || took > tt.most {
					t.Errorf("took %s, want %s to %s", took, tt.least, tt.most)
				}
			})
		})
	}
}

// TestAttemptTimeout: each attempt has its own time, and one that hangs is
// given up and repeated.
func TestAttemptTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		hang := func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		c := wireClient(t, attempts(&at, hang, good))
		if _, err := c.QueuedJobs(t.Context(), instance, 0, nil); err != nil {
			t.Error(err)
		}
		if len(at) != 2 || at[1] < DefaultTimeout || at[1] > DefaultTimeout+DefaultRetryWaitMin {
			t.Errorf("attempts at %v", at)
		}
	})
}

func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		c := wireClient(t, attempts(&at, func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := c.QueuedJobs(ctx, instance, 0, nil)
		if !errors.Is(err, context.Canceled) || len(at) != 1 {
			t.Errorf("error %v after %d attempts", err, len(at))
		}
	})
}

func TestRetryMax(t *testing.T) {
	tests := []struct{ max, tries int }{{-1, 1}, {0, 1 + DefaultRetryMax}, {1, 2}}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			var at []time.Duration
			c := newClient(t, Options{URL: "http://git.example.com", RetryMax: tt.max}, func(o *Options) {
				o.Transport = attempts(&at, refused)
			})
			if _, err := c.Probe(t.Context()); err == nil || len(at) != tt.tries {
				t.Errorf("max %d: %d attempts, error %v", tt.max, len(at), err)
			}
		})
	}
}

// TestRegistrationTokenTextIsFinal: no repetition for an answer that is about
// the registration token, whatever its status.
func TestRegistrationTokenTextIsFinal(t *testing.T) {
	s := newStub(map[string][]reply{"POST /api/v1/admin/actions/runners/registration-token": {apiMessage(500, "registration token is broken")}})
	_, err := serve(t, s, nil).MintToken(t.Context(), instance)
	wantError(t, err, "mint registration token of instance: HTTP 500")
	if n := s.count(""); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestBackoffStaysInBounds(t *testing.T) {
	const least, most = 100 * time.Millisecond, time.Second
	for attempt := range 80 {
		for range 50 {
			top := min(least<<min(attempt, 10), most)
			if got := backoff(least, most, attempt, nil); got < top/2-1 || got > top {
				t.Fatalf("attempt %d: %s, want %s to %s", attempt, got, top/2, top)
			}
		}
	}
}

func TestRetriesAreLoggedWithoutSecrets(t *testing.T) {
	var log logBuffer
	var observed atomic.Int32
	s := newStub(map[string][]reply{adminJobs: {{drop: true}, {status: 500}, jobsPage(1, 1)}})
	c := serve(t, s, func(o *Options) {
		o.Logger = log.logger()
		o.Observe = func(kind string, err error, took time.Duration) {
			var status *StatusError
			switch n := observed.Add(1); {
			case kind != KindQueued || took <= 0:
				t.Errorf("observed %q in %s", kind, took)
			case n == 1 && err == nil, n == 2 && (!errors.As(err, &status) || status.Status != 500), n == 3 && err != nil:
				t.Errorf("request %d: observed error %v", n, err)
			}
		}
	})
	if _, err := c.QueuedJobs(t.Context(), instance, 1, nil); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	for _, want := range []string{"level=DEBUG", "retrying request", "status: 500", "err="} {
		if !strings.Contains(text, want) {
			t.Errorf("log lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "level=INFO") || strings.Contains(text, "level=ERROR") || strings.Contains(text, "performing request") {
		t.Errorf("log:\n%s", text)
	}
	wantNoSecret(t, text)
	if observed.Load() != 3 {
		t.Errorf("observed %d requests, want 3", observed.Load())
	}
}
