package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// oneWindow is a window that holds from a moment on, for some time.
func oneWindow(name string, start time.Time, d time.Duration, limit int) Window {
	return Window{Name: name, Duration: d, Max: &limit, Next: func(after time.Time) time.Time {
		if after.Before(start) {
			return start
		}
		return time.Time{}
	}}
}

func TestObstacles(t *testing.T) {
	busy := []Runner{runner("a", PhaseBusy, time.Minute, withJob), runner("b", PhaseBusy, time.Minute, withJob)}
	tests := []struct {
		name string
		spec Spec
		pool Pool
		snap Snapshot
		want []string // kind, reason, next and, if it is known, when that is
	}{
		{name: "none", pool: linux()},
		{name: "the engine", pool: linux(), snap: Snapshot{Hold: "no engine answers"},
			want: []string{"engine: pool linux is on hold: no engine answers; over once the engine answers"}},
		{name: "the server", pool: linux(func(p *Pool) { p.Scope = orgA }), snap: Snapshot{Unknown: map[Scope]string{orgA: "gitea is down"}},
			want: []string{"server: pool linux is on hold: gitea is down; over once the jobs of org:a can be read"}},
		{name: "the token", pool: linux(func(p *Pool) { p.Hold = "token t is disabled" }),
			want: []string{"token: pool linux is on hold: token t is disabled; over once the registration token of pool linux can be used"}},
		{name: "a refused token", pool: linux(func(p *Pool) { p.Hold, p.HoldKind, p.RetryAt = "refused", ObstacleToken, now.Add(time.Minute) }),
			want: []string{"token: pool linux is on hold: refused; over at 12:01:00 UTC, when pool linux tries again, or once its registration token is another one (1m0s)"}},
		{name: "the breaker", pool: linux(func(p *Pool) {
			p.Hold, p.HoldKind, p.RetryAt = "image unavailable", ObstacleBreaker, now.Add(30*time.Second)
		}),
			want: []string{"breaker: pool linux is on hold: image unavailable; over at 12:00:30 UTC, when pool linux tries again (30s)"}},
		{name: "a runner that tries", pool: linux(func(p *Pool) { p.Probe = true }), snap: Snapshot{Runners: []Runner{runner("a", PhaseStarting, time.Second)}},
			want: []string{"probe: pool linux starts one runner at a time after failures; over once the runner that pool linux tries with is online"}},
		{name: "the host", pool: linux(), snap: Snapshot{StartHold: "little memory"},
			want: []string{"host: nothing new starts: little memory; over once the host is less loaded"}},
		{name: "max", pool: linux(func(p *Pool) { p.Max = 2 }), snap: Snapshot{Runners: busy},
			want: []string{"max: pool linux is at its max of 2; over when one of the 2 runners of pool linux is free or gone"}},
		{name: "a max that was lowered", pool: linux(func(p *Pool) { p.Max = 1 }), snap: Snapshot{Runners: busy},
			want: []string{"max: pool linux is at its max of 1; over when 2 of the 2 runners of pool linux are gone"}},
		{name: "a max of 0", pool: linux(func(p *Pool) { p.Max = 0 }), want: []string{"max: pool linux is at its max of 0; over "}},
		{name: "a window", pool: linux(func(p *Pool) { p.Windows = NewWindows(oneWindow("night", now.Add(-time.Hour), 3*time.Hour, 0)) }),
			want: []string{"schedule: pool linux is at its max of 0 (window night, until 14:00 UTC); over at 14:00 UTC, when the max of pool linux is 10 (2h0m0s)"}},
		{name: "a window to come", pool: linux(func(p *Pool) { p.Max, p.Windows = 2, NewWindows(oneWindow("day", now.Add(time.Hour), time.Hour, 20)) }), snap: Snapshot{Runners: busy},
			want: []string{"max: pool linux is at its max of 2; over at 13:00 UTC, when the max of pool linux is 20 (1h0m0s)"}},
		{name: "a window to come with no more", pool: linux(func(p *Pool) { p.Max, p.Windows = 2, NewWindows(oneWindow("day", now.Add(time.Hour), time.Hour, 2)) }), snap: Snapshot{Runners: busy},
			want: []string{"max: pool linux is at its max of 2; over when one of the 2 runners of pool linux is free or gone"}},
		{name: "the ramp", pool: linux(func(p *Pool) {
			p.Pace, p.Recent.Starts = Pace{Starts: 1, Per: time.Minute}, []time.Time{ago(50 * time.Second)}
		}),
			want: []string{"ramp: pool linux starts at most 1 in 1m0s (ramp), and may start the next one at 12:00:10 UTC; over at 12:00:10 UTC, when pool linux may start the next one (10s)"}},
		{name: "the limit over all pools", spec: Spec{MaxRunners: 2}, pool: linux(), snap: Snapshot{Runners: busy},
			want: []string{"budget: limits.runners of 2 is reached; over when one of the 2 runners of all pools is gone"}},
		{name: "several", spec: Spec{MaxRunners: 2}, pool: linux(func(p *Pool) { p.Max, p.Hold = 2, "no token" }), snap: Snapshot{StartHold: "no disk", Runners: busy},
			want: []string{
				"token: pool linux is on hold: no token; over once the registration token of pool linux can be used",
				"host: nothing new starts: no disk; over once the host is less loaded",
				"max: pool linux is at its max of 2; over when one of the 2 runners of pool linux is free or gone",
				"budget: limits.runners of 2 is reached; over when one of the 2 runners of all pools is gone",
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Pools, tt.snap.Now = []Pool{tt.pool}, now
			c := newComputation(tt.spec, tt.snap)
			var got []string
			for _, o := range c.obstacles(c.pools[0]) {
				line := fmt.Sprintf("%s: %s; over %s", o.Kind, o.Reason, o.Next)
				if !o.Until.IsZero() {
					line += fmt.Sprintf(" (%s)", o.Until.Sub(now))
				}
				got = append(got, line)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
			if starts := c.pools[0].room() > 0 && c.budget.lacks(c.pools[0].cost) == none; starts == (len(got) > 0) {
				t.Errorf("starts %v with %d obstacles", starts, len(got))
			}
		})
	}
}
