package gitea

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestServerIsNotAskedBeforeItWants: what the server asks for holds for all
// later requests, whatever they are about.
func TestServerIsNotAskedBeforeItWants(t *testing.T) {
	after := func(s string) http.Header { return http.Header{"Retry-After": {s}} }
	for _, tc := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		held   time.Duration // 0 for not at all
	}{
		{"too many requests", status(429, after("60")), time.Minute},
		{"down for maintenance", status(503, after("11")), 11 * time.Second},
		{"until a time", status(429, after("Sat, 01 Jan 2000 00:00:30 GMT")), 30 * time.Second},
		{"for a day, which is not believed", status(429, after("86400")), maxHold},
		{"short enough to wait for", status(429, after("10")), 0},
		{"not saying how long", status(429, nil), 0},
		{"no wish to wait", status(500, after("60")), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Duration
				c := newClient(t, Options{URL: "http://git.example.com", RetryMax: -1}, func(o *Options) {
					o.Transport = attempts(&at, tc.answer, good)
				})
				if _, err := c.QueuedJobs(t.Context(), instance, 0, nil); err == nil {
					t.Fatal("no error")
				}
				if tc.held > 0 {
					time.Sleep(tc.held - time.Millisecond)
					_, err := c.QueuedJobs(t.Context(), orgAcme, 0, nil)
					wantError(t, err, "list queued jobs of org:acme: ")
					wantError(t, err, "not asked before ")
					if answer, ok := errors.AsType[*StatusError](err); !ok || answer.RetryAfter == "" {
						t.Errorf("%v does not wrap the server's answer", err)
					}
					if err := c.SetRunnerDisabled(t.Context(), instance, 5, true); err == nil {
						t.Error("a runner was disabled")
					}
					if len(at) != 1 {
						t.Errorf("asked at %v all the same", at)
					}
					time.Sleep(time.Millisecond)
				}
				if _, err := c.QueuedJobs(t.Context(), instance, 0, nil); err != nil || len(at) != 2 {
					t.Errorf("afterwards: %v, asked at %v", err, at)
				}
			})
		})
	}
}

// TestHeldRequestsAreNotRepeated: no operation waits for what it was told at
// once.
func TestHeldRequestsAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		c := wireClient(t, attempts(&at, status(429, http.Header{"Retry-After": {"60"}})))
		start := time.Now()
		for range 10 {
			_, err := c.QueuedJobs(t.Context(), instance, 0, nil)
			wantError(t, err, "HTTP 429 Too Many Requests: no (retry after 60)")
		}
		if took := time.Since(start); took != 0 || len(at) != 1 {
			t.Errorf("took %s and %d requests, want none and 1", took, len(at))
		}
	})
}

func TestTheLongestWishHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h hold
		for _, seconds := range []string{"60", "20"} {
			h.heed(answer{status: 429, retryAfter: seconds})
		}
		time.Sleep(59 * time.Second)
		if h.check() == nil {
			t.Error("not held for the longer time")
		}
		time.Sleep(time.Second)
		if err := h.check(); err != nil {
			t.Errorf("held for too long: %v", err)
		}
	})
}
