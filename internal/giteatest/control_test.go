package giteatest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"scaler.io/scaler/internal/giteatest"
)

func TestControlJobs(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		problem    string
	}{
		{"one", `{}`, http.StatusOK, ""},
		{"all fields", `{"count":3,"labels":["a"],"repo":"o/r","duration_ms":50,"needs":true}`, http.StatusOK, ""},
		{"none", `{"count":0}`, http.StatusBadRequest, "count 0: must be 1 to 10000"},
		{"too many", `{"count":10001}`, http.StatusBadRequest, "count 10001: must be 1 to 10000"},
		{"bad repo", `{"repo":"x"}`, http.StatusBadRequest, `repo "x": must be owner/name`},
		{"deep repo", `{"repo":"x/y/z"}`, http.StatusBadRequest, `repo "x/y/z": must be owner/name`},
		{"negative duration", `{"duration_ms":-1}`, http.StatusBadRequest, "duration_ms -1: must be 0 to 86400000"},
		{"empty label", `{"labels":[""]}`, http.StatusBadRequest, "labels: must not be empty"},
		{"unknown field", `{"lables":["a"]}`, http.StatusBadRequest, `body: json: unknown field "lables"`},
		{"no JSON", `x`, http.StatusBadRequest, "body: invalid character 'x' looking for beginning of value"},
		{"too large", `{"repo":"` + strings.Repeat("x", 2<<20) + `"}`, http.StatusRequestEntityTooLarge, "body: must not exceed 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, server := newMemory(t, giteatest.Options{})
			var got struct {
				IDs   []int64
				Error string
			}
			c.do(t, http.MethodPost, "/fake/jobs", []byte(tt.body)).want(t, tt.status, &got)
			if got.Error != tt.problem {
				t.Errorf("error %q, want %q", got.Error, tt.problem)
			}
			st := server.State()
			if n := st.Jobs[giteatest.StatusQueued] + st.Jobs[giteatest.StatusWaiting]; n != len(got.IDs) {
				t.Errorf("%d jobs, ids %v", n, got.IDs)
			}
		})
	}
}

func TestControlState(t *testing.T) {
	c, server := newMemory(t, giteatest.Options{})
	changed := server.Changed()
	id := c.register(t, true, "a")
	select {
	case <-changed:
	default:
		t.Error("a registration is no change")
	}
	ids := server.AddJobs(giteatest.JobSpec{Labels: []string{"a"}, Count: 2})
	c.take(t, id)
	var st giteatest.State
	c.do(t, http.MethodGet, "/fake/state", nil).want(t, http.StatusOK, &st)
	if st.Jobs[giteatest.StatusQueued] != 1 || st.Jobs[giteatest.StatusInProgress] != 1 {
		t.Errorf("jobs %v", st.Jobs)
	}
	if len(st.Runners) != 1 || !st.Runners[0].Busy || !st.Runners[0].Online || st.Runners[0].UUID != id.UUID {
		t.Errorf("runners %+v", st.Runners)
	}
	if len(st.Waits) != 1 || st.Waits[0].ID != ids[0] || st.Waits[0].StartedAt.IsZero() || !st.Waits[0].CompletedAt.IsZero() {
		t.Errorf("waits %+v", st.Waits)
	}
	path := "/fake/jobs/" + strconv.FormatInt(ids[0], 10) + "/cancel"
	c.do(t, http.MethodPost, path, nil).want(t, http.StatusNoContent, nil)
	c.do(t, http.MethodPost, path, nil).want(t, http.StatusNotFound, nil)
	c.do(t, http.MethodPost, "/fake/jobs/x/cancel", nil).want(t, http.StatusBadRequest, nil)
	st = server.State()
	if st.Counts.EphemeralDeletions != 1 || st.Counts.PeakRunners != 1 || st.Counts.Calls["FetchTask"] != 1 || st.Counts.Calls["Register"] != 1 {
		t.Errorf("counts %+v", st.Counts)
	}
}

func TestControlFaults(t *testing.T) {
	c, _ := newMemory(t, giteatest.Options{})
	c.do(t, http.MethodPost, "/fake/faults", []byte(`{"kind":"jobs","status":503,"retry_after_s":9,"latency_ms":1}`)).want(t, http.StatusNoContent, nil)
	a := c.rest(t, http.MethodGet, "/admin/actions/jobs", nil)
	if a.want(t, http.StatusServiceUnavailable, nil); a.header.Get("Retry-After") != "9" {
		t.Errorf("retry after %q", a.header.Get("Retry-After"))
	}
	c.do(t, http.MethodDelete, "/fake/faults", nil).want(t, http.StatusNoContent, nil)
	c.rest(t, http.MethodGet, "/admin/actions/jobs", nil).want(t, http.StatusOK, nil)
	c.do(t, http.MethodPost, "/fake/faults", []byte(`{"status":42}`)).want(t, http.StatusBadRequest, nil)
	var got struct{ Error string }
	c.do(t, http.MethodGet, "/fake/nonsense", nil).want(t, http.StatusNotFound, &got)
	if !strings.Contains(got.Error, "POST /fake/jobs") {
		t.Errorf("error %q", got.Error)
	}
}
