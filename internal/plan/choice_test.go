package plan

import "testing"

func TestChoiceOfPool(t *testing.T) {
	repo := Scope{Kind: ScopeRepo, Owner: "a", Repo: "app"}
	priority := func(n int) func(*Pool) { return func(p *Pool) { p.Priority = n } }
	scope := func(s Scope) func(*Pool) { return func(p *Pool) { p.Scope = s } }
	most := func(n int) func(*Pool) { return func(p *Pool) { p.Max = n } }
	tests := []struct {
		name string
		// The second pool is to be taken.
		first, second []func(*Pool)
		runners       []Runner
	}{
		{name: "the higher priority, whatever else", second: []func(*Pool){named("b", "x", "y", "z"), priority(1), most(1)}, first: []func(*Pool){scope(repo)}},
		{name: "an owner before the instance, whatever its labels", second: []func(*Pool){named("b", "x", "y", "z"), scope(orgA)}},
		{name: "a repository before its owner", second: []func(*Pool){scope(repo)}, first: []func(*Pool){scope(orgA)}},
		{name: "fewer labels to spare, whatever the room", first: []func(*Pool){named("a", "x")}, second: []func(*Pool){most(1)}},
		{name: "more room", first: []func(*Pool){most(9)}},
		{name: "more room, counting what is there", runners: []Runner{runner("r1", PhaseBusy, 0, withJob, func(r *Runner) { r.Pool = "a" })}},
		{name: "the other one is full", first: []func(*Pool){priority(1), most(0)}},
		{name: "the other one is on hold", first: []func(*Pool){priority(1), func(p *Pool) { p.Hold = "token disabled" }}},
		{name: "the other one's breaker is open", first: []func(*Pool){priority(1), func(p *Pool) { p.Probe = true }},
			runners: []Runner{runner("r1", PhaseExited, 0, func(r *Runner) { r.Pool = "a" })}},
		{name: "a free runner before a start elsewhere", first: []func(*Pool){priority(1)},
			runners: []Runner{runner("r1", PhaseIdle, 0, func(r *Runner) { r.Pool = "b" })}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first := linux(append([]func(*Pool){named("a")}, tt.first...)...)
			second := linux(append([]func(*Pool){named("b")}, tt.second...)...)
			first.Labels, second.Labels = append(first.Labels, "linux"), append(second.Labels, "linux")
			p := Compute(Spec{Pools: []Pool{first, second}}, Snapshot{Now: now, Jobs: []Job{job(1, "linux")}, Runners: tt.runners})
			if got := p.Decisions[0]; got.Pool != "b" {
				t.Errorf("the job goes to pool %q (%s), want b", got.Pool, got.Reason)
			}
			if p.Pools[0].Name != "a" || p.Pools[1].Name != "b" {
				t.Errorf("the pools are not in the order of the file: %+v", p.Pools)
			}
		})
	}
}

func TestOfLikePoolsTheFirstIsTaken(t *testing.T) {
	spec := Spec{Pools: []Pool{linux(func(p *Pool) { p.Name = "b" }), linux(func(p *Pool) { p.Name = "a" })}}
	if p := Compute(spec, Snapshot{Now: now, Jobs: []Job{job(1, "linux")}}); p.Decisions[0].Pool != "b" {
		t.Errorf("the job goes to pool %q, want b", p.Decisions[0].Pool)
	}
}
