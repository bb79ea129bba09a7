package giteatest

import (
	"context"
	"crypto/subtle"
	"errors"

	"connectrpc.com/connect"

	"scaler.io/scaler/internal/gateway/runnerext"
)

// deregisterProcedure is the path of the proposed call, below /api/actions.
const deregisterProcedure = "/runner.v1.RunnerService/Deregister"

// deregister serves the proposed call: a runner deletes itself by what is in
// its .runner file. As the REST API's DELETE, it does not ask whether the
// runner has a job. Unknown runners are "not_found", a wrong token is
// "unauthenticated".
func (s *Server) deregister(_ context.Context, req *connect.Request[runnerext.DeregisterRequest]) (*connect.Response[runnerext.DeregisterResponse], error) {
	s.lock()
	defer s.mu.Unlock()
	r := s.db.runnerByUUID(req.Msg.GetUuid())
	if r == nil || r.id != req.Msg.GetId() {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("runner not found"))
	}
	if subtle.ConstantTimeCompare([]byte(r.token), []byte(req.Msg.GetToken())) != 1 {
		return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("unregistered runner"))
	}
	s.db.removeRunner(r)
	s.counts.Deregistrations++
	s.touch()
	return connect.NewResponse(&runnerext.DeregisterResponse{}), nil
}
