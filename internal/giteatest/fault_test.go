package giteatest_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

func TestFaults(t *testing.T) {
	tests := []struct {
		name  string
		fault giteatest.Fault
		// Of a Register call: its status or 0 for a connection that broke, and
		// how many runners there are after it.
		status, runners int
	}{
		{"none", giteatest.Fault{Kind: "jobs", Drop: true}, 200, 1},
		{"500", giteatest.Fault{Kind: "Register", Status: 500}, 500, 0},
		{"all", giteatest.Fault{Status: 503}, 503, 0},
		{"pattern", giteatest.Fault{Kind: "R*", Status: 404}, 404, 0},
		{"drop", giteatest.Fault{Kind: "Register", Drop: true}, 0, 0},
		{"drop after", giteatest.Fault{Kind: "Register", DropAfter: true}, 0, 1},
		{"half", giteatest.Fault{Kind: "Register", HalfPage: true}, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := giteatest.New(giteatest.Options{RegistrationToken: testRegistrationToken})
			web := httptest.NewServer(server)
			defer web.Close()
			if err := server.SetFault(tt.fault); err != nil {
				t.Fatal(err)
			}
			// The same over a socket and without one.
			for i, transport := range []*http.Client{web.Client(), server.Client()} {
				status, _ := register(transport, web.URL)
				if runners := len(server.State().Runners); status != tt.status || runners != (i+1)*tt.runners {
					t.Errorf("status %d, %d runners, want %d, %d", status, runners, tt.status, (i+1)*tt.runners)
				}
			}
			if calls := server.State().Counts.Calls["Register"]; calls != 2 {
				t.Errorf("%d calls counted", calls)
			}
			server.ClearFaults()
			if status, _ := register(server.Client(), web.URL); status != http.StatusOK {
				t.Errorf("status %d once cleared", status)
			}
		})
	}
}

// register makes a Register call and returns its status, or 0 if the answer
// did not come whole.
func register(c *http.Client, base string) (int, error) {
	resp, err := c.Post(base+"/api/actions/runner.v1.RunnerService/Register", "application/json",
		strings.NewReader(`{"name":"x","token":"`+testRegistrationToken+`"}`))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}

func TestFaultTimes(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{})
	for _, f := range []giteatest.Fault{
		{Kind: "jobs", Status: http.StatusTooManyRequests, RetryAfter: 3 * time.Second, Times: 2},
		{Kind: "jobs", Status: http.StatusBadGateway, Body: "bad gateway", Times: 1},
	} {
		if err := server.SetFault(f); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int{429, 429, 502, 200, 200} {
		a := c.rest(t, http.MethodGet, "/admin/actions/jobs", nil)
		if a.status != want || want == 429 && a.header.Get("Retry-After") != "3" {
			t.Errorf("request %d: %d %v, want %d", i+1, a.status, a.header, want)
		}
	}
	c.rest(t, http.MethodGet, "/admin/actions/runners", nil).want(t, http.StatusOK, nil)
}

func TestFaultLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := newMemory(t, giteatest.Options{})
		if err := server.SetFault(giteatest.Fault{Kind: "version", Latency: 7 * time.Second}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		c.rest(t, http.MethodGet, "/version", nil).want(t, http.StatusOK, nil)
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("took %s", took)
		}
		impatient := server.Client()
		impatient.Timeout = time.Second
		start = time.Now()
		if _, err := impatient.Get(giteatest.BaseURL + "/api/v1/version"); err == nil || time.Since(start) != time.Second {
			t.Errorf("err %v after %s", err, time.Since(start))
		}
	})
}

func TestFaultHalfBody(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{})
	server.AddJobs(giteatest.JobSpec{Count: 3})
	if err := server.SetFault(giteatest.Fault{Kind: "jobs", HalfBody: true}); err != nil {
		t.Fatal(err)
	}
	a := c.rest(t, http.MethodGet, "/admin/actions/jobs", nil)
	if a.status != http.StatusOK || json.Valid([]byte(a.body)) {
		t.Errorf("status %d, valid JSON %v", a.status, json.Valid([]byte(a.body)))
	}
}

func TestClientErrors(t *testing.T) {
	_, server := newMemory(t, giteatest.Options{})
	if err := server.SetFault(giteatest.Fault{Kind: "Register", Drop: true, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := register(server.Client(), giteatest.BaseURL); !errors.Is(err, giteatest.ErrDropped) {
		t.Errorf("dropped: %v", err)
	}
	if err := server.SetFault(giteatest.Fault{Kind: "Register", HalfPage: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := register(server.Client(), giteatest.BaseURL); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half: %v", err)
	}
}

func TestBadFaults(t *testing.T) {
	_, server := newMemory(t, giteatest.Options{})
	for name, f := range map[string]giteatest.Fault{
		"kind":     {Kind: "["},
		"status":   {Status: 42},
		"negative": {Latency: -1},
	} {
		if err := server.SetFault(f); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
