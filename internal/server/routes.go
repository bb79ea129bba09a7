package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// Plan is the JSON form of what a cycle would do. It holds no secret.
type Plan struct {
	Actions []plan.Action      `json:"actions"` // in the order of execution
	Queue   []plan.JobDecision `json:"queue"`   // in order of age
}

// NewPlan returns the JSON form of a plan.
func NewPlan(p plan.Plan) Plan {
	status := plan.NewStatus(plan.Spec{}, plan.Plan{Decisions: p.Decisions})
	return Plan{Actions: append([]plan.Action{}, p.Actions...), Queue: status.Queue}
}

// errorBody is the body of every answer that is not a success.
type errorBody struct {
	Error string `json:"error"`
}

// route is one method of one path.
type route struct {
	method, path string
	serve        http.HandlerFunc
}

// routes lists all that is answered.
func (s *Server) routes() []route {
	return slices.Concat(s.tokenRoutes(), s.orderRoutes(), s.followRoutes(), s.corpseRoutes(), []route{
		{http.MethodGet, "/v1/status", s.getStatus},
		{http.MethodGet, "/v1/health", s.getHealth},
		{http.MethodGet, "/v1/plan", s.getPlan},
		{http.MethodGet, "/v1/explain", s.getExplain},
		{http.MethodGet, "/v1/runners", s.getRunners},
		{http.MethodGet, "/v1/runners/{name}", s.getRunner},
		{http.MethodGet, "/v1/runners/{name}/dotrunner", s.getDotRunner},
		{http.MethodGet, "/v1/state/backup", s.getBackup},
		{http.MethodPost, "/v1/trigger", s.postTrigger},
		{http.MethodPost, "/v1/reap", s.postReap},
		{http.MethodPost, "/v1/reload", s.postReload},
		{http.MethodGet, "/debug/pprof/", profiles().ServeHTTP},
	})
}

// handler returns the routes. Where net/http would answer plain text, for an
// unknown path or a wrong method, the answer is JSON too.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	methods := make(map[string][]string) // by path
	for _, r := range s.routes() {
		mux.HandleFunc(r.method+" "+r.path, r.serve)
		methods[r.path] = append(methods[r.path], r.method)
	}
	for path, allowed := range methods {
		mux.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			writeError(w, http.StatusMethodNotAllowed, fmt.Errorf("%s %s: use %s", req.Method, req.URL.Path, strings.Join(allowed, " or ")))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		writeError(w, http.StatusNotFound, fmt.Errorf("no %s: this scaler does not know it", req.URL.Path))
	})
	return mux
}

func (s *Server) getStatus(w http.ResponseWriter, _ *http.Request) {
	status := s.source.Status()
	status.Runners = withoutHistory(status.Runners)
	writeJSON(w, http.StatusOK, status)
}

func (s *Server) getRunners(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, withoutHistory(s.source.Status().Runners))
}

func (s *Server) getRunner(w http.ResponseWriter, r *http.Request) {
	runners := s.source.Status().Runners
	i := slices.IndexFunc(runners, func(q plan.RunnerStatus) bool { return q.Name == r.PathValue("name") })
	if i < 0 {
		writeError(w, http.StatusNotFound, fmt.Errorf("runner %s: %w", r.PathValue("name"), plan.ErrNotFound))
		return
	}
	writeJSON(w, http.StatusOK, runners[i])
}

// getDotRunner answers the file itself. Like a backup of the state it holds a
// secret, which is why it is logged.
func (s *Server) getDotRunner(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	data, err := s.source.DotRunner(name)
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	s.log.Info("runner exported", "runner", name)
	w.Header().Set("Cache-Control", "no-store")
	writeBody(w, http.StatusOK, data)
}

func (s *Server) getPlan(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	p, err := s.source.Preview(ctx)
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, NewPlan(p))
}

func (s *Server) postTrigger(w http.ResponseWriter, _ *http.Request) {
	s.source.Trigger()
	w.WriteHeader(http.StatusNoContent)
}

// postReap takes the parameter dry_run=true.
func (s *Server) postReap(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	findings, err := s.source.Reap(ctx, r.FormValue("dry_run") == "true")
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, findings)
}

// statusOf returns the HTTP status for an error of the daemon or of a request.
func statusOf(err error) int {
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, plan.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, plan.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, plan.ErrConflict), errors.Is(err, plan.ErrBusy):
		return http.StatusConflict
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable // the daemon is ending
	}
	return http.StatusInternalServerError
}

// withoutHistory leaves to the view of one runner what would swamp a list.
func withoutHistory(runners []plan.RunnerStatus) []plan.RunnerStatus {
	list := make([]plan.RunnerStatus, len(runners))
	for i, r := range runners {
		r.History = nil
		list[i] = r
	}
	return list
}

func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, errorBody{Error: err.Error()})
}

// writeJSON encodes before it writes, so that a failure can still be told.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		status = http.StatusInternalServerError
		body.Reset()
		fmt.Fprintf(&body, "{\"error\":%q}\n", "encode answer: "+err.Error())
	}
	writeBody(w, status, body.Bytes())
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client has gone
}
