package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

type answeredError int

func (e answeredError) Error() string   { return fmt.Sprint("HTTP ", int(e)) }
func (e answeredError) HTTPStatus() int { return int(e) }

func TestCallsByOutcome(t *testing.T) {
	for want, errs := range map[string][]error{
		"ok":           {nil},
		"not_found":    {answeredError(404), fmt.Errorf("get runner: %w", plan.ErrNotFound)},
		"denied":       {answeredError(401), answeredError(403)},
		"limited":      {answeredError(429)},
		"server_error": {answeredError(500), fmt.Errorf("list jobs: %w", answeredError(503))},
		"refused":      {answeredError(400), answeredError(409)},
		"no_answer":    {errors.New("connection refused")},
	} {
		for _, err := range errs {
			if got := outcome(err); got != want {
				t.Errorf("%v is %s, want %s", err, got, want)
			}
		}
	}
}

func TestCallsAreShown(t *testing.T) {
	calls := NewCalls(false)
	calls.Of("")("jobs_queued", nil, 1500*time.Millisecond)
	calls.Of("")("jobs_queued", answeredError(502), time.Second)
	ours, _ := exposition(t, WebConfig{Calls: calls}, busyStatus(), nil)
	for _, line := range []string{
		`scaler_gitea_requests_total{kind="jobs_queued",outcome="ok"} 1`,
		`scaler_gitea_requests_total{kind="jobs_queued",outcome="server_error"} 1`,
		`scaler_gitea_request_seconds_total{kind="jobs_queued"} 2.5`,
	} {
		if !strings.Contains(ours, line+"\n") {
			t.Errorf("no %s in\n%s", line, ours)
		}
	}
}
