package server

import (
	"context"
	"fmt"
	"net/http"

	"scaler.io/scaler/internal/plan"
)

// corpseKeeper keeps in mind the runners that the server cannot be told to delete.
// Errors wrap plan.ErrInvalid and plan.ErrNotFound where the request is at fault.
type corpseKeeper interface {
	// ForgetCorpses takes those out of the list that somebody has deleted at the
	// server, and returns their names.
	ForgetCorpses(ctx context.Context, actor string, f plan.ForgetCorpses) (forgotten []string, err error)
}

// WithCorpses has the Server forget corpses.
func WithCorpses(k corpseKeeper) Option { return func(s *Server) { s.corpses = k } }

// forgottenCorpses is the answer to a request to forget some.
type forgottenCorpses struct {
	Forgotten []string `json:"forgotten"`
}

func (s *Server) corpseRoutes() []route {
	routes := []route{
		{http.MethodGet, "/v1/corpses", s.getCorpses},
		{http.MethodDelete, "/v1/corpses", s.deleteCorpses},
		{http.MethodDelete, "/v1/corpses/{name}", s.deleteCorpses},
	}
	if s.corpses == nil {
		for i := range routes[1:] {
			routes[i+1].serve = func(w http.ResponseWriter, _ *http.Request) { writeError(w, http.StatusNotFound, errNoOperator) }
		}
	}
	return routes
}

func (s *Server) getCorpses(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, append([]plan.CorpseStatus{}, s.source.Status().Corpses...))
}

// deleteCorpses forgets the one that is named, or all with the parameter all=true.
func (s *Server) deleteCorpses(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), previewTimeout)
	defer cancel()
	f := plan.ForgetCorpses{All: r.URL.Query().Get("all") == "true"}
	if name := r.PathValue("name"); name != "" {
		f = plan.ForgetCorpses{Names: []string{name}}
	}
	if !f.All && len(f.Names) == 0 {
		writeError(w, http.StatusBadRequest, fmt.Errorf("forget corpses: %w: name one in the path, or say all=true", plan.ErrInvalid))
		return
	}
	forgotten, err := s.corpses.ForgetCorpses(ctx, peerName(r), f)
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	writeJSON(w, http.StatusOK, forgottenCorpses{append([]string{}, forgotten...)})
}

// Corpses returns the runners that the server cannot be told to delete.
func (c *Client) Corpses(ctx context.Context) ([]plan.CorpseStatus, error) {
	return get[[]plan.CorpseStatus](ctx, c, callTimeout, "/v1/corpses")
}

// ForgetCorpse takes a corpse out of the list that somebody has deleted at the
// server. The error wraps plan.ErrNotFound if there is none of that name.
func (c *Client) ForgetCorpse(ctx context.Context, name string) error {
	_, err := c.call(ctx, planTimeout, http.MethodDelete, "/v1/corpses/"+segment(name))
	return err
}

// ForgetCorpses takes all corpses out of the list, and returns their names.
func (c *Client) ForgetCorpses(ctx context.Context) ([]string, error) {
	answer, err := ask[forgottenCorpses](ctx, c, planTimeout, http.MethodDelete, "/v1/corpses?all=true")
	return answer.Forgotten, err
}
