package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

func TestHealthCommand(t *testing.T) {
	fine := plan.Status{CycleAt: time.Now(), DueAt: time.Now().Add(time.Hour), QueueSize: 2, Pools: []plan.PoolStatus{{Busy: 1, Idle: 1}}}
	unready := fine
	unready.Problems = []plan.Problem{{Subject: "docker", Since: noon, Message: "no such file"}}
	hangs := fine
	hangs.DueAt = time.Now().Add(-time.Hour)
	tests := []struct {
		name   string
		status plan.Status
		args   string
		code   int
		want   string // at the beginning of the one line
	}{
		{"all is well", fine, "", exitOK, "good: 2 jobs wait, 1 of 2 runners busy\n"},
		{"ready", fine, "--ready", exitOK, "good: 2 jobs wait, 1 of 2 runners busy\n"},
		{"alive", unready, "", exitOK, "good: 2 jobs wait, 1 of 2 runners busy; Docker cannot be asked, since 12:00:00 UTC\n"},
		{"not ready", unready, "--ready", exitFailure, "bad: 2 jobs wait, 1 of 2 runners busy; Docker cannot be asked, since 12:00:00 UTC\n"},
		{"hangs", hangs, "", exitFailure, "bad: 2 jobs wait, 1 of 2 runners busy; the loop was to turn 1h0m"},
		{"starting", plan.Status{}, "", exitOK, "good: starting; the first cycle is not done yet\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			socket := startDaemon(t, &fakeDaemon{status: tt.status})
			args := append([]string{"health", "--socket", socket}, strings.Fields(tt.args)...)
			out, errs, code := runCommand(t, args...)
			if code != tt.code || !strings.HasPrefix(out, tt.want) || strings.Count(out, "\n") != 1 || errs != "" {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d and %q", code, out, errs, tt.code, tt.want)
			}
			out, _, code = runCommand(t, append(args, "--json")...)
			var h plan.Health
			if err := json.Unmarshal([]byte(out), &h); err != nil || code != tt.code || len(h.Checks) != 6 {
				t.Errorf("as JSON: exit code %d, %v, %s", code, err, out)
			}
		})
	}
	t.Run("no daemon", func(t *testing.T) {
		out, errs, code := runCommand(t, "health", "--socket", "/nowhere/s.sock")
		if code != exitFailure || !strings.HasPrefix(out, "bad: unknown: no scaler answers at /nowhere/s.sock") || strings.Count(out, "\n") != 1 || errs != "" {
			t.Errorf("exit code %d, stdout %q, stderr %q", code, out, errs)
		}
	})
	t.Run("usage", func(t *testing.T) {
		if _, _, code := runCommand(t, "health", "now"); code != exitUsage {
			t.Errorf("exit code %d", code)
		}
	})
}
