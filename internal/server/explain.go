package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// explainFunc says what the last cycle decided about a job, and why.
type explainFunc func(plan.Query) (plan.Explanation, error)

// WithExplain lets the API be asked about single jobs.
func WithExplain(explain func(plan.Query) (plan.Explanation, error)) Option {
	return func(s *Server) { s.explain = explain }
}

// getExplain takes the parameter job, an id or the address of the job's page, or
// else labels, separated by commas, and repo; and server, where there are several.
func (s *Server) getExplain(w http.ResponseWriter, r *http.Request) {
	if s.explain == nil {
		writeError(w, http.StatusNotFound, errors.New("this scaler explains nothing"))
		return
	}
	q, err := queryOf(r.URL.Query())
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	e, err := s.explain(q)
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, e)
}

// queryOf reads what encode has written.
func queryOf(values url.Values) (plan.Query, error) {
	if values.Has("job") == values.Has("labels") || values.Has("job") && values.Has("repo") {
		return plan.Query{}, fmt.Errorf("explain: %w: give job, or labels and repo", plan.ErrInvalid)
	}
	server := values.Get("server")
	if values.Has("job") {
		q, err := ParseJob(values.Get("job"))
		q.Server = server
		return q, err
	}
	q := plan.Query{Repo: values.Get("repo"), Server: server}
	if list := values.Get("labels"); list != "" {
		q.Labels = strings.Split(list, ",")
	}
	return q, nil
}

// ParseJob reads how people name a job: by its id, or by the address of its
// page. The error wraps plan.ErrInvalid.
func ParseJob(name string) (plan.Query, error) {
	if strings.Contains(name, "/") {
		return plan.Query{URL: name}, nil
	}
	id, err := strconv.ParseInt(name, 10, 64)
	if err != nil || id <= 0 {
		return plan.Query{}, fmt.Errorf("job %q: %w: give its id, or the address of its page", name, plan.ErrInvalid)
	}
	return plan.Query{Job: id}, nil
}

// Explain returns what the daemon's last cycle decided about a job, and why.
// The error wraps plan.ErrInvalid or plan.ErrNotFound.
func (c *Client) Explain(ctx context.Context, q plan.Query) (plan.Explanation, error) {
	values := url.Values{}
	switch {
	case q.URL != "":
		values.Set("job", q.URL)
	case q.Job != 0:
		values.Set("job", strconv.FormatInt(q.Job, 10))
	default:
		values.Set("labels", strings.Join(q.Labels, ","))
		if q.Repo != "" {
			values.Set("repo", q.Repo)
		}
	}
	if q.Server != "" {
		values.Set("server", q.Server)
	}
	return get[plan.Explanation](ctx, c, callTimeout, "/v1/explain?"+values.Encode())
}
