package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Option changes what a Server offers.
type Option func(*Server)

// backupFunc writes a copy of the daemon's state, of several servers that of the
// named one, or of the first. The error wraps plan.ErrNotFound for one that there
// is not.
type backupFunc func(w io.Writer, server string) (int64, error)

// WithBackup has the Server give out copies of the daemon's state, which write
// makes. It writes to memory, so that no client, however slow, holds up the
// daemon.
func WithBackup(write func(w io.Writer, server string) (int64, error)) Option {
	return func(s *Server) { s.backup = write }
}

// getBackup answers a copy of the state file, with the tokens of all runners,
// which is why it is logged. It takes the parameter server.
func (s *Server) getBackup(w http.ResponseWriter, r *http.Request) {
	if s.backup == nil {
		writeError(w, http.StatusNotFound, errors.New("this scaler gives out no backup of its state"))
		return
	}
	var body bytes.Buffer
	if _, err := s.backup(&body, r.FormValue("server")); err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	s.log.Info("state exported", "bytes", body.Len())
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", fmt.Sprint(body.Len())) // so that half an answer is seen as such
	_, _ = body.WriteTo(w)                          // fails only if the client has gone
}

// Backup returns a copy of the daemon's state file, which holds the tokens of
// all runners: of several servers that of the named one, or of the first.
func (c *Client) Backup(ctx context.Context, server string) ([]byte, error) {
	return c.call(ctx, planTimeout, http.MethodGet, "/v1/state/backup?server="+url.QueryEscape(server))
}
