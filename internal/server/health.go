package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// getAlive answers whether the daemon's loop turns: 200 or 503. It says nothing
// about Gitea or Docker, which a restart of the daemon would not mend.
func (web *Web) getAlive(w http.ResponseWriter, r *http.Request) {
	h := web.status.Status().Health(time.Now())
	text := "ok\n"
	if !h.Alive {
		text = h.Checks[0].Reason + "\n"
	}
	writeHealth(w, r, h, h.Alive, text)
}

// getReady answers whether the daemon can do all of its work, 200 or 503, and what
// each check says.
func (web *Web) getReady(w http.ResponseWriter, r *http.Request) {
	h := web.status.Status().Health(time.Now())
	var text strings.Builder
	for _, c := range h.Checks {
		if c.Good {
			fmt.Fprintf(&text, "ok %s\n", c.Name)
		} else {
			fmt.Fprintf(&text, "not ok %s: %s\n", c.Name, c.Reason)
		}
	}
	if h.Others > 0 {
		fmt.Fprintf(&text, "other problems: %d\n", h.Others)
	}
	writeHealth(w, r, h, h.Ready, text.String())
}

// writeHealth answers in JSON to who asks for that, and else in text.
func writeHealth(w http.ResponseWriter, r *http.Request, h plan.Health, good bool, text string) {
	status := http.StatusOK
	if !good {
		status = http.StatusServiceUnavailable
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") || r.URL.Query().Get("format") == "json" {
		writeJSON(w, status, h)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprint(w, text) // fails only if the client has gone
}

// getHealth answers 200 whatever is wrong: that is for who asks to judge.
func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.source.Status().Health(time.Now()))
}

// Health returns whether the daemon lives and can do its work, as it judges by
// its own clock.
func (c *Client) Health(ctx context.Context) (plan.Health, error) {
	return get[plan.Health](ctx, c, callTimeout, "/v1/health")
}
