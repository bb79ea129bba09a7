package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"

	"scaler.io/scaler/internal/gateway/runnerext"
	"scaler.io/scaler/internal/plan"
)

// Bounds of the calls that are read here, in bytes, also once uncompressed.
const (
	maxCall       = 64 << 10
	maxDeregister = 16 << 10
)

// uuidHeader says whose call it is, in every one but Register and Deregister.
const uuidHeader = "X-Runner-Uuid"

// errUnregistered has the server's own words.
var errUnregistered = errors.New("unregistered runner")

// newCalls makes the handlers of the calls that are decoded here: those of the
// Connect protocol, gRPC and gRPC-Web, in protobuf and in JSON.
func (f *front) newCalls() {
	limit := connect.WithReadMaxBytes(maxCall)
	f.register = connect.NewUnaryHandler(service+"Register", f.callRegister, limit)
	f.deregister = connect.NewUnaryHandler(service+"Deregister", f.callDeregister, connect.WithReadMaxBytes(maxDeregister))
	f.declare = connect.NewUnaryHandler(service+"Declare", f.callDeclare, limit)
	f.fetch = connect.NewUnaryHandler(service+"FetchTask", f.callFetch, limit)
}

func (f *front) serveRegister(w http.ResponseWriter, r *http.Request) {
	f.serveOrPass(w, r, f.register)
}

// callRegister registers a runner. A token that is none of ours passes where
// that is allowed.
func (f *front) callRegister(ctx context.Context, req *connect.Request[runnerv1.RegisterRequest]) (*connect.Response[runnerv1.RegisterResponse], error) {
	resp, err := f.gateway.admit(ctx, registration{Request: req.Msg, Source: sourceOf(ctx)})
	switch {
	case errors.Is(err, errForeignToken):
		passOn(ctx)
		return nil, err
	case err != nil:
		return nil, f.callError(err)
	}
	return connect.NewResponse(resp), nil
}

func (f *front) serveDeregister(w http.ResponseWriter, r *http.Request) {
	if _, ok := f.readCall(w, r, maxDeregister); ok {
		f.deregister.ServeHTTP(w, r)
	}
}

// callDeregister deletes a runner by its own wish.
func (f *front) callDeregister(ctx context.Context, req *connect.Request[runnerext.DeregisterRequest]) (*connect.Response[runnerext.DeregisterResponse], error) {
	gone, err := f.gateway.Deregister(ctx, DeregisterRequest{
		ID: req.Msg.GetId(), UUID: req.Msg.GetUuid(), Token: plan.Secret(req.Msg.GetToken()),
		Force: req.Msg.GetForce(), Source: sourceOf(ctx),
	})
	if err != nil {
		return nil, f.callError(err)
	}
	return connect.NewResponse(&runnerext.DeregisterResponse{Runner: &runnerv1.Runner{
		Id: gone.RunnerID, Uuid: gone.UUID, Name: gone.Name, Version: gone.Version,
		Labels: gone.Labels, Ephemeral: gone.Ephemeral,
	}}), nil
}

func (f *front) serveDeclare(w http.ResponseWriter, r *http.Request) {
	f.serveOrPass(w, r, f.declare)
}

// callDeclare refuses labels that the runner may not have. All else passes.
func (f *front) callDeclare(ctx context.Context, req *connect.Request[runnerv1.DeclareRequest]) (*connect.Response[runnerv1.DeclareResponse], error) {
	uuid, err := runnerUUID(req.Header())
	if err != nil {
		return nil, connect.NewError(connect.CodeUnauthenticated, err)
	}
	if err := f.gateway.mayDeclare(uuid, req.Msg.GetLabels()); err != nil {
		return nil, f.callError(err)
	}
	passOn(ctx)
	return nil, errors.New("passed on")
}

// serveFetch passes FetchTask on while the runner may have a job. The call is
// read before it counts as under way, and is bounded in time, so that nobody
// who knows a runner's UUID can keep it from leaving.
func (f *front) serveFetch(w http.ResponseWriter, r *http.Request) {
	body, ok := f.readCall(w, r, maxCall)
	if !ok {
		return
	}
	uuid, err := runnerUUID(r.Header)
	if err != nil {
		f.fail(w, r, http.StatusUnauthorized, connect.CodeUnauthenticated, err.Error())
		return
	}
	done, allowed := f.gateway.beginFetch(uuid)
	defer done()
	if !allowed {
		f.fetch.ServeHTTP(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), f.limits.fetch)
	defer cancel()
	// Not every ResponseWriter knows deadlines; those of net/http do.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(f.limits.fetch))
	f.pass(w, r.WithContext(ctx), body)
}

// callFetch tells a runner that there is no job for it.
func (f *front) callFetch(context.Context, *connect.Request[runnerv1.FetchTaskRequest]) (*connect.Response[runnerv1.FetchTaskResponse], error) {
	return connect.NewResponse(&runnerv1.FetchTaskResponse{}), nil
}

// pass sends on a call that has been read, as it was.
func (f *front) pass(w http.ResponseWriter, r *http.Request, body []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.TransferEncoding, r.Trailer = nil, nil
	f.proxy.ServeHTTP(w, r)
}

// verdict is whether a call passes to the server after all.
type verdict struct{ pass bool }

// verdictKey is the key of the verdict in a call's context.
type verdictKey struct{}

// passOn has the call that ctx is of sent on to the server, whatever its
// handler returns.
func passOn(ctx context.Context) {
	if v, ok := ctx.Value(verdictKey{}).(*verdict); ok {
		v.pass = true
	}
}

// serveOrPass has the handler decode a call and answer it, unless the handler
// calls passOn.
func (f *front) serveOrPass(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	header := r.Header.Clone() // the handler changes it
	body, ok := f.readCall(w, r, maxCall)
	if !ok {
		return
	}
	v := &verdict{}
	handler.ServeHTTP(&quiet{w, v}, r.WithContext(context.WithValue(r.Context(), verdictKey{}, v)))
	if v.pass {
		clear(w.Header())
		r.Header = header
		f.pass(w, r, body)
	}
}

// quiet is a ResponseWriter that writes nothing if the call passes.
type quiet struct {
	http.ResponseWriter
	verdict *verdict
}

// WriteHeader implements http.ResponseWriter.
func (q *quiet) WriteHeader(status int) {
	if !q.verdict.pass {
		q.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (q *quiet) Write(p []byte) (int, error) {
	if q.verdict.pass {
		return len(p), nil
	}
	return q.ResponseWriter.Write(p)
}

// readCall reads the whole body of a call, which has to come in time and be of
// at most limit bytes, and puts it back into the request. If it answers the
// call itself, ok is false.
func (f *front) readCall(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, ok bool) {
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(f.limits.body)) // as with SetWriteDeadline
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		f.fail(w, r, http.StatusRequestEntityTooLarge, connect.CodeResourceExhausted,
			"the request is larger than "+strconv.FormatInt(limit, 10)+" bytes")
	case errors.Is(err, os.ErrDeadlineExceeded):
		f.fail(w, r, http.StatusRequestTimeout, connect.CodeDeadlineExceeded, "the request took too long to arrive")
	case err != nil:
		f.fail(w, r, http.StatusBadRequest, connect.CodeInvalidArgument, "the request broke off")
	default:
		_ = deadline.SetReadDeadline(time.Time{})
		r.Body = io.NopCloser(bytes.NewReader(body))
		return body, true
	}
	return nil, false
}

// runnerUUID returns the UUID that a call is made under. Of several, or of one
// that is none, the server might see another than is seen here.
func runnerUUID(h http.Header) (string, error) {
	given := h.Values(uuidHeader)
	if len(given) != 1 || given[0] == "" || !plainUUID(given[0]) {
		return "", errUnregistered
	}
	return given[0], nil
}

// callCodes are the codes of the protocol for each kind of refusal.
var callCodes = map[refusalKind]connect.Code{
	kindUnauthenticated: connect.CodeUnauthenticated,
	kindForbidden:       connect.CodePermissionDenied,
	kindInvalid:         connect.CodeInvalidArgument,
	kindLimited:         connect.CodeResourceExhausted,
	kindUnavailable:     connect.CodeUnavailable,
	kindBusy:            connect.CodeFailedPrecondition,
}

// callError makes the protocol's error of a refusal. Any other is not for the
// eyes of a runner.
func (f *front) callError(err error) error {
	var refused *refusal
	if !errors.As(err, &refused) || callCodes[refused.kind] == 0 {
		f.log.Error("call not served", "err", err)
		return connect.NewError(connect.CodeInternal, errors.New("the gateway failed; its log says more"))
	}
	answer := connect.NewError(callCodes[refused.kind], errors.New(refused.message))
	if refused.retryAfter > 0 {
		answer.Meta().Set("Retry-After", strconv.Itoa(int(math.Ceil(refused.retryAfter.Seconds()))))
	}
	return answer
}
