package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"scaler.io/scaler/internal/plan"
)

// ErrUnreachable: no daemon answers on the socket, or it does not let us in.
// What the system said is wrapped beside it: fs.ErrNotExist (no socket),
// syscall.ECONNREFUSED (a socket left behind), fs.ErrPermission, or
// context.DeadlineExceeded (a daemon that hangs).
var ErrUnreachable = errors.New("no scaler answers")

// Bounds of a call on the client's side.
const (
	callTimeout = 5 * time.Second
	planTimeout = writeTimeout + 5*time.Second
	maxAnswer   = 64 << 20 // bytes
)

// Client calls the API. Its methods may be called concurrently.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client for the socket; it does not connect.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Path is the path of the socket.
func (c *Client) Path() string { return c.path }

// Status returns the daemon's status; its runners come without history.
func (c *Client) Status(ctx context.Context) (plan.Status, error) {
	return get[plan.Status](ctx, c, callTimeout, "/v1/status")
}

// Plan returns what a cycle of the daemon would do now, for which the daemon
// asks Gitea and Docker.
func (c *Client) Plan(ctx context.Context) (Plan, error) {
	return get[Plan](ctx, c, planTimeout, "/v1/plan")
}

// Runners returns all runners, without history.
func (c *Client) Runners(ctx context.Context) ([]plan.RunnerStatus, error) {
	return get[[]plan.RunnerStatus](ctx, c, callTimeout, "/v1/runners")
}

// Runner returns one runner with its history. The error wraps
// plan.ErrNotFound if there is none of that name.
func (c *Client) Runner(ctx context.Context, name string) (plan.RunnerStatus, error) {
	return get[plan.RunnerStatus](ctx, c, callTimeout, "/v1/runners/"+url.PathEscape(name))
}

// DotRunner returns the .runner file of a runner, which holds its token. The
// error wraps plan.ErrNotFound if there is none.
func (c *Client) DotRunner(ctx context.Context, name string) ([]byte, error) {
	return c.call(ctx, callTimeout, http.MethodGet, "/v1/runners/"+url.PathEscape(name)+"/dotrunner")
}

// Trigger asks the daemon for a cycle at once and does not wait for it.
func (c *Client) Trigger(ctx context.Context) error {
	_, err := c.call(ctx, callTimeout, http.MethodPost, "/v1/trigger")
	return err
}

// Reap has the daemon look for what has nobody, or nothing, behind it, and
// returns it; unless it is a dry run, what is due is cleared away.
func (c *Client) Reap(ctx context.Context, dryRun bool) ([]plan.Finding, error) {
	return ask[[]plan.Finding](ctx, c, planTimeout, http.MethodPost, fmt.Sprintf("/v1/reap?dry_run=%v", dryRun))
}

func get[T any](ctx context.Context, c *Client, timeout time.Duration, path string) (T, error) {
	return ask[T](ctx, c, timeout, http.MethodGet, path)
}

func ask[T any](ctx context.Context, c *Client, timeout time.Duration, method, path string) (T, error) {
	body, err := c.call(ctx, timeout, method, path)
	if err != nil {
		return *new(T), err
	}
	return decode[T](c, path, body)
}

// decode reads the body of a successful answer.
func decode[T any](c *Client, path string, body []byte) (T, error) {
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		return v, fmt.Errorf("read answer of %s to %s: %w", c.path, path, err)
	}
	return v, nil
}

// call makes one request and returns the body of a successful answer.
func (c *Client) call(ctx context.Context, timeout time.Duration, method, path string) ([]byte, error) {
	return c.send(ctx, timeout, method, path, nil)
}

// send is call with a body of JSON, or none.
func (c *Client) send(ctx context.Context, timeout time.Duration, method, path string, content io.Reader) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, method, "http://scaler"+path, content)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.path, err)
	}
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, c.explain(ctx, err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("ask %s for %s: the answer has more than %d bytes", c.path, path, maxAnswer)
	}
	if resp.StatusCode >= 300 {
		return nil, answerOf(resp.StatusCode, body)
	}
	return body, nil
}

// explain says what a failed connection most likely means. If the caller gave
// up it says only that.
func (c *Client) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask %s: %w", c.path, ctx.Err())
	}
	var dial *net.OpError
	switch {
	case errors.Is(err, fs.ErrPermission):
		err = &unreachable{err, fmt.Sprintf("no permission to use %s: run this as %s or as root", c.path, ownerOf(c.path))}
	case errors.As(err, &dial) && dial.Op == "dial":
		err = &unreachable{err, fmt.Sprintf("no scaler answers at %s: is the daemon running, and is --socket or control_socket right?", c.path)}
	case errors.Is(err, context.DeadlineExceeded):
		err = &unreachable{err, fmt.Sprintf("the scaler at %s accepts the connection but gives no answer in time: look at its log", c.path)}
	default:
		err = &unreachable{err, fmt.Sprintf("the connection to the scaler at %s broke: %v", c.path, err)}
	}
	return err
}

// ownerOf says whose a socket is, or else the directory that hides it.
func ownerOf(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		info, err = os.Lstat(filepath.Dir(path))
	}
	if err != nil {
		return "the daemon's user"
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || s.Uid == 0 {
		return "the daemon's user"
	}
	return "the daemon's user, " + userName(s.Uid) + ","
}

// unreachable is ErrUnreachable in words, with its cause.
type unreachable struct {
	cause   error
	message string
}

func (e *unreachable) Error() string   { return e.message }
func (e *unreachable) Unwrap() []error { return []error{ErrUnreachable, e.cause} }

// answer is an error that the daemon answered with.
type answer struct {
	status  int
	message string
}

func (e *answer) Error() string { return e.message }

// Is makes the daemon's 404 the plan.ErrNotFound that caused it, and so with
// plan.ErrInvalid and plan.ErrConflict.
func (e *answer) Is(target error) bool {
	switch e.status {
	case http.StatusBadRequest:
		return target == plan.ErrInvalid
	case http.StatusNotFound:
		return target == plan.ErrNotFound
	case http.StatusConflict:
		return target == plan.ErrConflict
	}
	return false
}

func answerOf(status int, body []byte) error {
	var b errorBody
	if json.Unmarshal(body, &b) != nil || b.Error == "" {
		b.Error = fmt.Sprintf("the daemon answered %d %s", status, http.StatusText(status))
	}
	return &answer{status: status, message: b.Error}
}
