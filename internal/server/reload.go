package server

import (
	"context"
	"errors"
	"net/http"
)

// Reloaded is what a reload of the configuration has changed, in words.
type Reloaded struct {
	Changes []string `json:"changes"`           // taken over
	Restart []string `json:"restart,omitempty"` // to be taken over by a restart
}

// reloadFunc reads the configuration again and takes it over, or nothing of it.
// Its ctx has a deadline.
type reloadFunc func(ctx context.Context) (Reloaded, error)

// WithReload lets the configuration be read again over the API.
func WithReload(reload func(ctx context.Context) (Reloaded, error)) Option {
	return func(s *Server) { s.reload = reload }
}

// postReload answers what has changed, or 400 with what is wrong with the file.
func (s *Server) postReload(w http.ResponseWriter, r *http.Request) {
	if s.reload == nil {
		writeError(w, http.StatusNotFound, errors.New("this scaler does not read its configuration again"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	out, err := s.reload(ctx)
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	if out.Changes == nil {
		out.Changes = []string{}
	}
	writeJSON(w, http.StatusOK, out)
}

// Reload has the daemon read its configuration again. The error says what is
// wrong with it.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	return ask[Reloaded](ctx, c, planTimeout, http.MethodPost, "/v1/reload")
}
