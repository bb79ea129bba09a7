package giteatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limits of POST /fake/jobs.
const (
	maxJobs     = 10_000
	maxDuration = 24 * time.Hour
)

// jobsRequest is the body of POST /fake/jobs.
type jobsRequest struct {
	Count      *int     `json:"count"` // default 1
	Labels     []string `json:"labels"`
	Repo       string   `json:"repo"` // default DefaultRepo
	DurationMS int64    `json:"duration_ms"`
	Needs      bool     `json:"needs"`
}

// spec checks the request; the error is for the client.
func (q jobsRequest) spec() (JobSpec, error) {
	count := 1
	if q.Count != nil {
		count = *q.Count
	}
	owner, repo, ok := strings.Cut(q.Repo, "/")
	switch {
	case count < 1 || count > maxJobs:
		return JobSpec{}, fmt.Errorf("count %d: must be 1 to %d", count, maxJobs)
	case q.DurationMS < 0 || q.DurationMS > maxDuration.Milliseconds():
		return JobSpec{}, fmt.Errorf("duration_ms %d: must be 0 to %d", q.DurationMS, maxDuration.Milliseconds())
	case q.Repo != "" && (!ok || owner == "" || repo == "" || strings.Contains(repo, "/")):
		return JobSpec{}, fmt.Errorf("repo %q: must be owner/name", q.Repo)
	}
	for _, l := range q.Labels {
		if l == "" {
			return JobSpec{}, errors.New("labels: must not be empty")
		}
	}
	return JobSpec{
		Repo: q.Repo, Labels: q.Labels, Count: count, Needs: q.Needs,
		Duration: time.Duration(q.DurationMS) * time.Millisecond,
	}, nil
}

// controlRoutes adds the endpoints that Gitea does not have. They need no
// token: the server holds nothing real.
func (s *Server) controlRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /fake/jobs", s.postJobs)
	mux.HandleFunc("POST /fake/jobs/{id}/cancel", s.jobAction(s.CancelJob))
	mux.HandleFunc("POST /fake/jobs/{id}/release", s.jobAction(s.Release))
	mux.HandleFunc("GET /fake/state", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.State())
	})
	mux.HandleFunc("POST /fake/profile", s.postProfile)
	mux.HandleFunc("POST /fake/faults", s.postFault)
	mux.HandleFunc("DELETE /fake/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/fake/", func(w http.ResponseWriter, r *http.Request) {
		controlError(w, http.StatusNotFound, fmt.Errorf(
			"no %s %s: there are POST /fake/jobs, POST /fake/jobs/ID/cancel, POST /fake/jobs/ID/release, "+
				"GET /fake/state, POST /fake/profile, POST /fake/faults and DELETE /fake/faults", r.Method, r.URL.Path))
	})
}

// postJobs adds jobs and answers {"ids": [...]}.
func (s *Server) postJobs(w http.ResponseWriter, r *http.Request) {
	var q jobsRequest
	if !decodeControl(w, r, &q) {
		return
	}
	spec, err := q.spec()
	if err != nil {
		controlError(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"ids": s.AddJobs(spec)})
}

// jobAction wraps what can be done to one job.
func (s *Server) jobAction(do func(int64) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			controlError(w, http.StatusBadRequest, fmt.Errorf("job id %q: must be a number", r.PathValue("id")))
			return
		}
		if err := do(id); err != nil {
			controlError(w, http.StatusNotFound, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// postProfile makes the server one of another release.
func (s *Server) postProfile(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Profile string `json:"profile"`
	}
	if !decodeControl(w, r, &q) {
		return
	}
	p, err := ParseProfile(q.Profile)
	if err != nil {
		controlError(w, http.StatusBadRequest, err)
		return
	}
	s.SetProfile(p)
	w.WriteHeader(http.StatusNoContent)
}

// faultRequest is the body of POST /fake/faults.
type faultRequest struct {
	Fault
	LatencyMS   int32 `json:"latency_ms"`
	RetryAfterS int32 `json:"retry_after_s"`
}

// postFault adds a fault.
func (s *Server) postFault(w http.ResponseWriter, r *http.Request) {
	var q faultRequest
	if !decodeControl(w, r, &q) {
		return
	}
	q.Latency = time.Duration(q.LatencyMS) * time.Millisecond
	q.RetryAfter = time.Duration(q.RetryAfterS) * time.Second
	if err := s.SetFault(q.Fault); err != nil {
		controlError(w, http.StatusBadRequest, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// decodeControl reads a JSON body strictly, or answers what is wrong with it.
func decodeControl(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return true
	case errors.As(err, &tooLarge):
		controlError(w, http.StatusRequestEntityTooLarge, fmt.Errorf("body: must not exceed %d bytes", maxBody))
	default:
		controlError(w, http.StatusBadRequest, fmt.Errorf("body: %w", err))
	}
	return false
}

// controlError answers {"error": text}.
func controlError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}
