package giteatest

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"

	pingv1 "code.gitea.io/actions-proto-go/ping/v1"
	"code.gitea.io/actions-proto-go/ping/v1/pingv1connect"
	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"code.gitea.io/actions-proto-go/runner/v1/runnerv1connect"
	"connectrpc.com/connect"
)

// Headers that identify a runner in every call but Register.
const (
	uuidHeader  = "X-Runner-Uuid"
	tokenHeader = "X-Runner-Token"
)

// requestHeader has a key that a runner of Forgejo makes for each request for
// work, and repeats until it has an answer.
const requestHeader = "X-Runner-Request-Key"

// maxMessage bounds the body of a call, in bytes.
const maxMessage = 8 << 20

// A runner's name of more than maxRunnerName bytes is cut after keptRunnerName
// characters and gets an ellipsis. Gitea counts wide characters twice; this is
// right for ASCII.
const (
	maxRunnerName  = 255
	keptRunnerName = 252
)

// refusal is why a call fails.
type refusal struct {
	code connect.Code // what Forgejo answers
	grpc string       // the code of the gRPC status that Gitea returns; empty: a plain error
	text string
}

// Gitea returns gRPC status errors and plain errors from its Connect handlers.
// Connect knows neither, so that every one of them is HTTP 500 with the code
// "unknown", and only the text tells them apart. Forgejo returns Connect's own.
var (
	noToken      = refusal{connect.CodeInvalidArgument, "", "runner registration token not found"}
	staleToken   = refusal{connect.CodeInvalidArgument, "", "runner registration token has been invalidated, please use the latest one"}
	noName       = refusal{connect.CodeInvalidArgument, "", "missing runner token, name"}
	unregistered = refusal{connect.CodeUnauthenticated, "Unauthenticated", "unregistered runner"}
	noTask       = refusal{connect.CodeInternal, "Internal", "update task: resource does not exist"}
	notYours     = refusal{connect.CodeInternal, "Internal", "update task: invalid runner for task"}
	noLogTask    = refusal{connect.CodeInternal, "Internal", "get task: resource does not exist"}
	logArchived  = refusal{connect.CodeAlreadyExists, "AlreadyExists", "log file has been archived"}
	logNotYours  = refusal{connect.CodeInternal, "Internal", "invalid runner for task"}
)

// refuse is the refusal as the release returns it. The caller holds s.mu.
func (s *Server) refuse(r refusal) error {
	switch {
	case s.profile.rules.codes:
		return connect.NewError(r.code, errors.New(r.text))
	case r.grpc != "":
		return fmt.Errorf("rpc error: code = %s desc = %s", r.grpc, r.text)
	}
	return errors.New(r.text)
}

// rpcHandler serves both services below /api/actions.
func (s *Server) rpcHandler() http.Handler {
	mux := http.NewServeMux()
	limit := connect.WithReadMaxBytes(maxMessage)
	mux.Handle(pingv1connect.NewPingServiceHandler(pingService{}, limit))
	mux.Handle(runnerv1connect.NewRunnerServiceHandler(runnerService{s}, limit, connect.WithCompressMinBytes(1024)))
	if s.profile.rules.bind {
		mux.HandleFunc("POST "+singleProcedure, s.fetchSingle)
	}
	if s.opts.Deregister {
		mux.Handle("POST "+deregisterProcedure, connect.NewUnaryHandler(deregisterProcedure, s.deregister, limit))
	}
	return http.StripPrefix("/api/actions", mux)
}

type pingService struct{}

// Ping implements pingv1connect.PingServiceHandler.
func (pingService) Ping(_ context.Context, req *connect.Request[pingv1.PingRequest]) (*connect.Response[pingv1.PingResponse], error) {
	return connect.NewResponse(&pingv1.PingResponse{Data: "Hello, " + req.Msg.Data + "!"}), nil
}

// runnerService implements runnerv1connect.RunnerServiceHandler.
type runnerService struct{ s *Server }

// Register makes a runner in the scope of its registration token. It is not
// idempotent: names are not unique, and every call makes a runner.
func (h runnerService) Register(_ context.Context, req *connect.Request[runnerv1.RegisterRequest]) (*connect.Response[runnerv1.RegisterResponse], error) {
	h.s.lock()
	defer h.s.mu.Unlock()
	if req.Msg.Token == "" || req.Msg.Name == "" {
		return nil, h.s.refuse(noName)
	}
	t := h.s.db.token(req.Msg.Token)
	if t == nil {
		return nil, h.s.refuse(noToken)
	}
	if !t.active {
		return nil, h.s.refuse(staleToken)
	}
	r := h.s.db.addRunner(req.Msg.Name, t.scope)
	r.version, r.labels = req.Msg.Version, slices.Clone(req.Msg.Labels)
	r.ephemeral = req.Msg.Ephemeral && h.s.profile.rules.ephemeral
	h.s.countRunner(r)
	return connect.NewResponse(&runnerv1.RegisterResponse{Runner: &runnerv1.Runner{
		Id: r.id, Uuid: r.uuid, Token: r.token, Name: r.name, Version: r.version,
		Labels: r.labels, Ephemeral: r.ephemeral,
	}}), nil
}

// countRunner notes that there is a new runner. The caller holds s.mu.
func (s *Server) countRunner(r *registered) {
	s.counts.Registrations++
	s.counts.PeakRunners = max(s.counts.PeakRunners, len(s.db.runners))
	s.log.Debug("runner registered", "runner", r.name)
	s.touch()
}

// Declare overwrites the runner's labels and version.
func (h runnerService) Declare(_ context.Context, req *connect.Request[runnerv1.DeclareRequest]) (*connect.Response[runnerv1.DeclareResponse], error) {
	r, unlock, err := h.caller(req.Header(), false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r.labels = slices.Clone(req.Msg.Labels)
	r.version = req.Msg.Version
	h.s.touch()
	return connect.NewResponse(&runnerv1.DeclareResponse{Runner: &runnerv1.Runner{
		Id: r.id, Uuid: r.uuid, Name: r.name, Version: r.version, Labels: r.labels,
	}}), nil
}

// FetchTask gives the runner a job if there is one for it.
func (h runnerService) FetchTask(_ context.Context, req *connect.Request[runnerv1.FetchTaskRequest]) (*connect.Response[runnerv1.FetchTaskResponse], error) {
	r, unlock, err := h.caller(req.Header(), false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	resp, err := h.s.fetch(r, wish{version: req.Msg.TasksVersion, request: req.Header().Get(requestHeader)})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(resp), nil
}

// UpdateTask takes a report. A result ends the job; a report on a job that is
// done changes nothing and tells the runner how it ended.
func (h runnerService) UpdateTask(_ context.Context, req *connect.Request[runnerv1.UpdateTaskRequest]) (*connect.Response[runnerv1.UpdateTaskResponse], error) {
	r, unlock, err := h.caller(req.Header(), true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	j := h.s.db.task(req.Msg.State.GetId())
	if j == nil {
		return nil, h.s.refuse(noTask)
	}
	if j.runner != r.id && h.s.profile.rules.ownTasks {
		return nil, h.s.refuse(notYours)
	}
	if !j.done() {
		j.reported = h.s.opts.Now()
		if result := req.Msg.State.GetResult(); result != runnerv1.Result_RESULT_UNSPECIFIED {
			status, err := resultStatus(result)
			if err != nil {
				return nil, err
			}
			h.s.finish(j, status)
		}
	}
	sent := make([]string, 0, len(req.Msg.Outputs))
	for k := range req.Msg.Outputs {
		sent = append(sent, k)
	}
	return connect.NewResponse(&runnerv1.UpdateTaskResponse{
		State:       &runnerv1.TaskState{Id: j.task, Result: statusResult(j.status)},
		SentOutputs: sent,
	}), nil
}

// UpdateLog counts log lines and keeps none of them. It accepts a batch only
// where it continues what it has.
func (h runnerService) UpdateLog(_ context.Context, req *connect.Request[runnerv1.UpdateLogRequest]) (*connect.Response[runnerv1.UpdateLogResponse], error) {
	r, unlock, err := h.caller(req.Header(), true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	j := h.s.db.task(req.Msg.TaskId)
	if j == nil {
		return nil, h.s.refuse(noLogTask)
	}
	if j.runner != r.id && h.s.profile.rules.ownTasks {
		return nil, h.s.refuse(logNotYours)
	}
	continues := req.Msg.Index <= j.logLines
	end := req.Msg.Index + int64(len(req.Msg.Rows))
	switch {
	case continues && end > j.logLines:
		if j.logDone {
			return nil, h.s.refuse(logArchived)
		}
		j.logLines = end
		j.logDone = req.Msg.NoMore
		j.reported = h.s.opts.Now()
	case continues && req.Msg.NoMore && h.s.profile.rules.resealed:
		j.logDone = true
	}
	return connect.NewResponse(&runnerv1.UpdateLogResponse{AckIndex: j.logLines}), nil
}

// caller finds the runner that calls, notes that it did, and returns with the
// mutex held unless there is an error. active says that the call is a report
// on a task.
func (h runnerService) caller(header http.Header, active bool) (*registered, func(), error) {
	h.s.lock()
	r := h.s.db.runnerByUUID(header.Get(uuidHeader))
	if r == nil || subtle.ConstantTimeCompare([]byte(r.token), []byte(header.Get(tokenHeader))) != 1 {
		defer h.s.mu.Unlock()
		return nil, nil, h.s.refuse(unregistered)
	}
	now := h.s.opts.Now()
	if !r.online(now) {
		h.s.touch()
	}
	debounced := h.s.profile.rules.debounced
	if !debounced || now.Sub(r.lastOnline) >= heartbeatInterval {
		r.lastOnline = now
	}
	if active && (!debounced || now.Sub(r.lastActive) >= activeInterval) {
		r.lastActive = now
	}
	return r, h.s.mu.Unlock, nil
}

// ellipsis cuts a runner's name that is too long.
func ellipsis(name string) string {
	if len(name) <= maxRunnerName {
		return name
	}
	runes := []rune(name)
	return string(runes[:min(len(runes), keptRunnerName)]) + "…"
}
