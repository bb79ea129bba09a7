package giteatest

import (
	"encoding/json"
	"net/http"
	"strings"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
)

// singleProcedure is the path of Forgejo's call for one task, below
// /api/actions.
const singleProcedure = "/runner.v1.RunnerService/FetchSingleTask"

// singleRequest is its body in JSON. Connect's JSON writes an int64 as a
// string, and reads a number as well.
type singleRequest struct {
	TasksVersion json.Number `json:"tasksVersion"`
	Handle       string      `json:"handle"`
}

// fetchSingle serves FetchSingleTask: one task, of the job that has the handle
// if one is given. There is none if that job is taken, done or not for the
// runner. Gitea's protocol does not know the call, so that it is served in JSON
// only; its fields have names there.
func (s *Server) fetchSingle(w http.ResponseWriter, r *http.Request) {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/json" {
		w.Header().Set("Accept-Post", "application/json")
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	resp, err := s.single(w, r)
	if err != nil {
		_ = connect.NewErrorWriter().Write(w, r, err) // the client may be gone
		return
	}
	body, err := protojson.Marshal(resp)
	if err != nil {
		_ = connect.NewErrorWriter().Write(w, r, connect.NewError(connect.CodeInternal, err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// single answers a request. The answer has the fields that FetchTask's has.
func (s *Server) single(w http.ResponseWriter, r *http.Request) (*runnerv1.FetchTaskResponse, error) {
	var body singleRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	version, err := body.TasksVersion.Int64()
	if err != nil && body.TasksVersion != "" {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	caller, unlock, err := runnerService{s}.caller(r.Header, false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return s.fetch(caller, wish{version: version, handle: body.Handle, request: r.Header.Get(requestHeader)})
}
