package plan

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// A job that no runner gets is no demand, also where its labels would fit, and
// people are told why.
func TestBarredJob(t *testing.T) {
	now := time.Unix(1e9, 0)
	const why = "it has no runs-on"
	spec := Spec{Pools: []Pool{{Name: "linux", Scope: Scope{Kind: ScopeInstance}, Labels: []string{"linux"}, Max: 3}}}
	jobs := []Job{
		{ID: 1, Repo: "a/b", Barred: why, QueuedAt: now.Add(-time.Minute)},
		{ID: 2, Repo: "a/b", QueuedAt: now},
	}
	snap := Snapshot{Now: now, Jobs: jobs}
	p := Compute(spec, snap)
	if len(p.Actions) != 1 || p.Actions[0].Job != 2 {
		t.Errorf("actions %+v", p.Actions)
	}
	if d := p.Decisions[0]; d.Served() || d.Reason != why {
		t.Errorf("decision %+v", d)
	}
	if m := NewMatcher(spec.Pools); m.Serves(jobs[0]) || !m.Serves(jobs[1]) {
		t.Error("the matcher counts it as demand, or another as none")
	}
	e, err := View{Spec: spec, Snap: snap, QueueSize: 2}.Explain(Query{Job: 1})
	if err != nil || e.Pools[0].Fits || e.Pools[0].Obstacles[0].Reason != why {
		t.Errorf("%+v, %v", e, err)
	}
	if !slices.ContainsFunc(e.Summary, func(s string) bool { return strings.Contains(s, why) }) {
		t.Errorf("summary %q", e.Summary)
	}
}
