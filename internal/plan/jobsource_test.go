package plan

import (
	"strings"
	"testing"
	"time"
)

func TestJobSource(t *testing.T) {
	for _, tt := range []struct {
		name   string
		caps   Capabilities
		events bool
		want   JobSource
	}{
		{"it lists them", Capabilities{Jobs: true, JobEvents: true}, true, SourceList},
		{"it sends events", Capabilities{JobEvents: true}, true, SourceEvents},
		{"it could send events", Capabilities{JobEvents: true}, false, SourceNone},
		{"it sends events of other kinds", Capabilities{}, true, SourceNone},
		{"it tells nothing", Capabilities{}, false, SourceNone},
	} {
		if got := tt.caps.JobSource(tt.events); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// A pool that is kept ahead of its jobs has a runner ready, within its max, and
// whatever its idle and its windows say.
func TestKeepAhead(t *testing.T) {
	const ahead = "the server does not tell which jobs wait"
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	none, many := 0, 3
	always := func(after time.Time) time.Time { return after.Add(time.Hour).Truncate(time.Hour) }
	window := func(w Window) *Windows {
		w.Next, w.Duration = always, 2*time.Hour
		return NewWindows(w)
	}
	busy := Runner{Name: "a", Pool: "linux", Phase: PhaseBusy, Ephemeral: true, HasJob: true, Registered: true, StartedAt: now, Since: now}
	idle := busy
	idle.Name, idle.Phase, idle.HasJob = "b", PhaseIdle, false
	for _, tt := range []struct {
		name    string
		pool    Pool
		runners []Runner
		starts  int
	}{
		{"nothing is there", Pool{Max: 2}, nil, 1},
		{"one is ready", Pool{Max: 2}, []Runner{idle}, 0},
		{"one has a job", Pool{Max: 2}, []Runner{busy}, 1},
		{"at max", Pool{Max: 1}, []Runner{busy}, 0},
		{"more are asked for", Pool{Max: 9, Idle: 3}, []Runner{idle}, 2},
		{"a window without idle", Pool{Max: 2, Idle: 2, Windows: window(Window{Idle: &none})}, nil, 1},
		{"a window with more", Pool{Max: 9, Windows: window(Window{Idle: &many})}, nil, 3},
		{"a window that drains", Pool{Max: 2, Windows: window(Window{Max: &none})}, nil, 0},
		{"paused", Pool{Max: 2, Paused: &Pause{By: "ann"}}, nil, 0},
		{"on hold", Pool{Max: 2, Hold: "its token is refused"}, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.pool
			p.Name, p.Labels, p.Scope, p.Ahead = "linux", []string{"linux"}, Scope{Kind: ScopeInstance}, ahead
			got := Compute(Spec{Pools: []Pool{p}}, Snapshot{Now: now, Runners: tt.runners})
			starts := 0
			for _, a := range got.Actions {
				if a.Kind == ActionStart {
					starts++
				}
				if p.Idle == 0 && p.Windows == nil && !strings.HasSuffix(a.Reason, "("+ahead+")") {
					t.Errorf("reason %q", a.Reason)
				}
			}
			if starts != tt.starts {
				t.Errorf("%d starts, want %d: %+v", starts, tt.starts, got.Actions)
			}
		})
	}
}

func TestExplainOfAServerThatDoesNotTell(t *testing.T) {
	for source, want := range map[JobSource]string{SourceList: "", SourceNone: "does not tell which jobs wait", SourceEvents: "what its events have told"} {
		v := View{Spec: Spec{Source: source, Pools: []Pool{{Name: "linux", Max: 1, Labels: []string{"linux"}, Scope: Scope{Kind: ScopeInstance}}}}}
		for _, q := range []Query{{Job: 7}, {Labels: []string{"linux"}}} {
			e, err := v.Explain(q)
			if text := strings.Join(e.Summary, " "); err != nil || !strings.Contains(text, want) || (want == "") == strings.Contains(text, "This server does not") {
				t.Errorf("%s: %q, %v; want %q", source, text, err, want)
			}
		}
	}
}
