package plan

import (
	"strings"
	"testing"
	"time"
)

func TestStale(t *testing.T) {
	for _, tt := range []struct {
		cycle, due time.Duration // ago
		want       bool
	}{{time.Minute, 0, false}, {10 * time.Minute, -time.Minute, false}, {10 * time.Minute, 30 * time.Second, false}, {10 * time.Minute, 61 * time.Second, true}} {
		s := Status{CycleAt: now.Add(-tt.cycle), DueAt: now.Add(-tt.due)}
		if got := s.Stale(now); got != tt.want {
			t.Errorf("a cycle %s ago, the next due %s ago: stale is %v", tt.cycle, tt.due, got)
		}
	}
	if (Status{DueAt: now.Add(-time.Hour)}).Stale(now) {
		t.Error("stale before the first cycle")
	}
}

func TestHealth(t *testing.T) {
	problem := func(subject string) Problem {
		return Problem{Subject: subject, Since: now.Add(-time.Hour), Message: "secret words of a server"}
	}
	good := Status{CycleAt: now.Add(-time.Second), DueAt: now, QueueSize: 3, Pools: []PoolStatus{{Name: "a", Busy: 4, Idle: 2}, {Name: "b", Busy: 1, Starting: 1, Leaving: 2}}}
	at := now.Add(-time.Hour).UTC().Format("15:04:05 MST")
	tests := []struct {
		name         string
		status       func(s *Status)
		alive, ready bool
		line         string
	}{
		{"all is well", func(*Status) {}, true, true, "3 jobs wait, 5 of 10 runners busy"},
		{"one of each", func(s *Status) { s.QueueSize, s.Pools = 1, []PoolStatus{{Busy: 1}} }, true, true, "1 job waits, 1 of 1 runner busy"},
		{"not begun", func(s *Status) { *s = Status{Problems: []Problem{problem("scaler")}} }, true, false, "starting; the first cycle is not done yet"},
		{"late, but not too late", func(s *Status) { s.DueAt = now.Add(time.Second - LoopBound) }, true, true, "3 jobs wait, 5 of 10 runners busy"},
		{"hangs", func(s *Status) { s.DueAt = now.Add(-LoopBound) }, false, false,
			"3 jobs wait, 5 of 10 runners busy; the loop was to turn 3m0s ago and has not"},
		{"hangs in its first cycle", func(s *Status) { *s = Status{DueAt: now.Add(-LoopBound)} }, false, false,
			"starting; the loop was to turn 3m0s ago and has not; the first cycle is not done yet"},
		{"Docker", func(s *Status) { s.Problems = []Problem{problem("docker")} }, true, false,
			"3 jobs wait, 5 of 10 runners busy; Docker cannot be asked, since " + at},
		{"Gitea", func(s *Status) { s.Problems = []Problem{problem("gitea instance")} }, true, false,
			"3 jobs wait, 5 of 10 runners busy; Gitea cannot be asked for the jobs of one scope, since " + at},
		{"Gitea for two scopes", func(s *Status) {
			s.Problems = []Problem{problem("gitea org:a"), {Subject: "gitea org:b", Since: now}}
		}, true, false, "3 jobs wait, 5 of 10 runners busy; Gitea cannot be asked for the jobs of 2 scopes, since " + at},
		{"state", func(s *Status) { s.Problems = []Problem{problem("state")} }, true, false,
			"3 jobs wait, 5 of 10 runners busy; the state cannot be written, since " + at},
		{"configuration and a pool", func(s *Status) { s.Problems = []Problem{problem("configuration"), problem("pool a")} }, true, true,
			"3 jobs wait, 5 of 10 runners busy; 2 other problems, see scaler status"},
		{"drains", func(s *Status) { s.Shutdown = true }, true, false,
			"3 jobs wait, 5 of 10 runners busy; the daemon drains to end and starts nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := good
			tt.status(&s)
			h := s.Health(now)
			if h.Alive != tt.alive || h.Ready != tt.ready {
				t.Errorf("alive %v, ready %v: %+v", h.Alive, h.Ready, h)
			}
			if got := h.Line(); got != tt.line || strings.Contains(got, "secret") {
				t.Errorf("line %q, want %q", got, tt.line)
			}
			if len(h.Checks) != 6 {
				t.Errorf("checks %+v", h.Checks)
			}
		})
	}
}
