package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	osuser "os/user"
	"strconv"

	"scaler.io/scaler/internal/plan"
)

// operator carries out what people order. Its methods may be called concurrently;
// actor says for the audit log, and for those who look, who asks. Errors wrap
// plan.ErrInvalid, plan.ErrNotFound or plan.ErrConflict where the request is at
// fault. Each ctx has a deadline.
type operator interface {
	Pause(ctx context.Context, actor, pool, reason string) error
	Resume(ctx context.Context, actor, pool string) error
	Drain(ctx context.Context, actor string, target plan.DrainTarget) error
	StartOne(ctx context.Context, actor, pool string) (runner string, err error)
}

// WithOperator has the Server take orders.
func WithOperator(o operator) Option { return func(s *Server) { s.operator = o } }

// The orders to a pool, as they stand in a path.
const (
	orderPause  = "pause"
	orderResume = "resume"
	orderDrain  = "drain"
	orderStart  = "start"
)

// startedRunner is the answer to the order to start one.
type startedRunner struct {
	Runner string `json:"runner"`
}

var errNoOperator = errors.New("this scaler takes no orders")

func (s *Server) orderRoutes() []route {
	routes := []route{
		{http.MethodPost, "/v1/pools/{pool}/{order}", s.postPoolOrder},
		{http.MethodPost, "/v1/runners/{name}/drain", s.postRunnerDrain},
		{http.MethodPost, "/v1/drain", s.postDrainAll},
	}
	if s.operator == nil {
		for i := range routes {
			routes[i].serve = func(w http.ResponseWriter, _ *http.Request) { writeError(w, http.StatusNotFound, errNoOperator) }
		}
	}
	return routes
}

// postPoolOrder takes the parameter reason.
func (s *Server) postPoolOrder(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	pool, reason := r.PathValue("pool"), r.URL.Query().Get("reason")
	var err error
	switch order := r.PathValue("order"); order {
	case orderPause:
		err = s.operator.Pause(ctx, peerName(r), pool, reason)
	case orderResume:
		err = s.operator.Resume(ctx, peerName(r), pool)
	case orderDrain:
		err = s.operator.Drain(ctx, peerName(r), plan.DrainTarget{Pool: pool, Reason: reason})
	case orderStart:
		var runner string
		if runner, err = s.operator.StartOne(ctx, peerName(r), pool); err == nil {
			writeJSON(w, http.StatusOK, startedRunner{runner})
			return
		}
	default:
		writeError(w, http.StatusNotFound, fmt.Errorf("no %s: a pool knows pause, resume, drain and start", r.URL.Path))
		return
	}
	writeDone(w, err)
}

// postRunnerDrain takes the parameter reason.
func (s *Server) postRunnerDrain(w http.ResponseWriter, r *http.Request) {
	s.drain(w, r, plan.DrainTarget{Runner: r.PathValue("name"), Reason: r.URL.Query().Get("reason")})
}

// postDrainAll takes the parameter reason.
func (s *Server) postDrainAll(w http.ResponseWriter, r *http.Request) {
	s.drain(w, r, plan.DrainTarget{All: true, Reason: r.URL.Query().Get("reason")})
}

func (s *Server) drain(w http.ResponseWriter, r *http.Request, t plan.DrainTarget) {
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	writeDone(w, s.operator.Drain(ctx, peerName(r), t))
}

// writeDone answers that something is done, or why it is not.
func writeDone(w http.ResponseWriter, err error) {
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// peerName is the user at the other end of the connection.
func peerName(r *http.Request) string {
	uid, known := r.Context().Value(peerKey{}).(uint32)
	if !known {
		return "an unknown user"
	}
	return userName(uid)
}

// userName is the name of a user, or the id if the system knows none for it.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := osuser.LookupId(id); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + id
}

// Pause has a pool start nothing until Resume; what runs goes on. The reason may
// be empty. The error wraps plan.ErrNotFound if there is no such pool.
func (c *Client) Pause(ctx context.Context, pool, reason string) error {
	return c.order(ctx, poolPath(pool, orderPause), reason)
}

// Resume ends a pause, or the draining, of a pool. The error is that of Pause.
func (c *Client) Resume(ctx context.Context, pool string) error {
	return c.order(ctx, poolPath(pool, orderResume), "")
}

// Drain pauses a pool, or all of them, and has the idle runners go; or has one
// runner go. Busy ones finish their jobs. The error wraps plan.ErrNotFound if
// there is no such pool or runner.
func (c *Client) Drain(ctx context.Context, t plan.DrainTarget) error {
	path := "/v1/drain"
	switch {
	case t.Pool != "":
		path = poolPath(t.Pool, orderDrain)
	case t.Runner != "":
		path = "/v1/runners/" + segment(t.Runner) + "/drain"
	}
	return c.order(ctx, path, t.Reason)
}

// StartOne starts a runner of a pool beyond what the queue asks for, and returns
// its name. The error wraps plan.ErrConflict if the pool may not start one now.
func (c *Client) StartOne(ctx context.Context, pool string) (runner string, err error) {
	answer, err := ask[startedRunner](ctx, c, planTimeout, http.MethodPost, poolPath(pool, orderStart))
	return answer.Runner, err
}

func (c *Client) order(ctx context.Context, path, reason string) error {
	if reason != "" {
		path += "?" + url.Values{"reason": {reason}}.Encode()
	}
	_, err := c.call(ctx, planTimeout, http.MethodPost, path)
	return err
}

func poolPath(pool, order string) string { return "/v1/pools/" + segment(pool) + "/" + order }
