package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// hangingStatus is a daemon whose loop hangs, and whose Docker does not answer.
func hangingStatus() fakeStatus {
	at := time.Now()
	return fakeStatus{Version: "9.9.9", CycleAt: at.Add(-time.Hour), DueAt: at.Add(-time.Hour), Problems: []plan.Problem{
		{Subject: "docker", Since: at, Message: "words of the engine"}, {Subject: "pool secretive", Since: at, Message: "words of a pool"},
	}}
}

func TestHealthPages(t *testing.T) {
	fine := fakeStatus{CycleAt: time.Now(), DueAt: time.Now().Add(time.Second)}
	tests := []struct {
		name, path string
		status     fakeStatus
		code       int
		want       string // in the text
	}{
		{"alive", "/healthz", fine, 200, "ok\n"},
		{"ready", "/readyz", fine, 200, "ok loop\nok first_cycle\nok docker\nok gitea\nok state\nok running\n"},
		{"starting", "/healthz", fakeStatus{}, 200, "ok\n"},
		{"not ready yet", "/readyz", fakeStatus{}, 503, "not ok first_cycle: the first cycle is not done yet\n"},
		{"hangs", "/healthz", hangingStatus(), 503, "the loop was to turn 1h0m"},
		{"not ready", "/readyz", hangingStatus(), 503, "not ok docker: Docker cannot be asked, since "},
		{"other problems", "/readyz", hangingStatus(), 503, "other problems: 1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t, NewWeb(WebConfig{}, tt.status, nil, slog.New(slog.DiscardHandler)))
			w := b.get(tt.path)
			text := w.Body.String()
			if w.Code != tt.code || !strings.Contains(text, tt.want) || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%d %s: %q, want %d with %q", w.Code, w.Header(), text, tt.code, tt.want)
			}
			j := b.get(tt.path + "?format=json")
			var h plan.Health
			if err := json.Unmarshal(j.Body.Bytes(), &h); err != nil || j.Code != tt.code || len(h.Checks) != 6 || j.Header().Get("Content-Type") != "application/json" {
				t.Errorf("as JSON: %d %v %+v", j.Code, err, h)
			}
			for _, secret := range []string{"words of", "secretive", "9.9.9"} {
				if strings.Contains(text+j.Body.String(), secret) {
					t.Errorf("it tells %q", secret)
				}
			}
			b.header.Set("Accept", "application/json")
			if w := b.get(tt.path); w.Code != tt.code || !json.Valid(w.Body.Bytes()) {
				t.Errorf("asked for JSON: %d %q", w.Code, w.Body)
			}
		})
	}
}

// hangingSource is a daemon whose loop hangs.
type hangingSource struct{ fakeSource }

func (*hangingSource) Status() plan.Status { return plan.Status(hangingStatus()) }

func TestHealthOverTheControlSocket(t *testing.T) {
	c := serve(t, &hangingSource{}, slog.New(slog.DiscardHandler))
	h, err := c.Health(t.Context())
	if err != nil || h.Alive || h.Ready || h.Others != 1 || len(h.Checks) != 6 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := NewClient(c.Path() + "x").Health(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("without a daemon: %v", err)
	}
}

func TestHealthIsReadOnly(t *testing.T) {
	b := newBrowser(t, NewWeb(WebConfig{}, fakeStatus{}, nil, slog.New(slog.DiscardHandler)))
	for _, path := range []string{"/healthz", "/readyz"} {
		if w := b.send(http.MethodPost, path, formType, strings.NewReader("x=y")); w.Code < 400 && w.Code != http.StatusSeeOther {
			t.Errorf("POST %s: %d", path, w.Code)
		}
	}
}
