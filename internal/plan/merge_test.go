package plan

import (
	"slices"
	"testing"
	"time"
)

// parts are two servers of which the second one cannot be asked, on an engine that
// is well.
func parts(change ...func(a, b *Status)) []Part {
	a := Status{
		Version: "v1", Instance: "aaaaaaaaaaaa", StartedAt: at(0), Cycle: 7, CycleAt: at(100), DueAt: at(103), PollEvery: time.Second, EventsArrive: true,
		Problems: []Problem{}, Budgets: []Budget{{Resource: "runners", Limit: 3}}, QueueSize: 2,
		Pools:   []PoolStatus{{Name: "x", Busy: 1}},
		Runners: []RunnerStatus{{Name: "scaler-aaaaaaaaaaaa-x-1"}},
		Queue:   []JobDecision{{ID: 5, QueuedAt: at(20)}, {ID: 6, QueuedAt: at(40)}},
	}
	b := Status{
		Version: "v1", Instance: "bbbbbbbbbbbb", StartedAt: at(1), Cycle: 2, CycleAt: at(90), DueAt: at(120), PollEvery: 5 * time.Second,
		Problems: []Problem{{Subject: SubjectGitea + "instance", Since: at(80), Message: "refused"}}, QueueSize: 1,
		Pools: []PoolStatus{{Name: "y", Idle: 2}},
		Queue: []JobDecision{{ID: 5, QueuedAt: at(30)}},
	}
	for _, c := range change {
		c(&a, &b)
	}
	return []Part{{"acme", a}, {"lab", b}}
}

func at(second int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second)
}

func TestMerge(t *testing.T) {
	s := Merge(parts())
	if s.Version != "v1" || s.Instance != "aaaaaaaaaaaa" || s.StartedAt != at(0) || s.Cycle != 9 || s.CycleAt != at(90) || s.DueAt != at(103) ||
		s.PollEvery != time.Second || s.EventsArrive || s.QueueSize != 3 {
		t.Errorf("status %+v", s)
	}
	var queue []string
	for _, j := range s.Queue {
		queue = append(queue, j.Server)
	}
	if want := []string{"acme", "lab", "acme"}; !slices.Equal(queue, want) {
		t.Errorf("jobs in the order of their age are of %q, want %q", queue, want)
	}
	if s.Pools[0].Server != "acme" || s.Pools[1].Server != "lab" || s.Runners[0].Server != "acme" || s.Budgets[0].Server != "acme" || s.Problems[0].Server != "lab" {
		t.Errorf("not all says whose it is: %+v", s)
	}
	if !s.Servers[0].Working || s.Servers[1].Working || s.Servers[1].QueueSize != 1 {
		t.Errorf("servers %+v", s.Servers)
	}
}

// TestSharedProblemsAreToldOnce has both loops find that the engine is gone.
func TestSharedProblemsAreToldOnce(t *testing.T) {
	s := Merge(parts(func(a, b *Status) {
		a.Problems = append(a.Problems, Problem{Subject: SubjectDocker, Since: at(70), Message: "refused"})
		b.Problems = append(b.Problems, Problem{Subject: SubjectDocker, Since: at(60), Message: "refused"})
	}))
	if len(s.Problems) != 2 || s.Problems[0] != (Problem{Subject: SubjectDocker, Since: at(60), Message: "refused"}) {
		t.Errorf("problems %+v", s.Problems)
	}
}

func TestHealthOfSeveralServers(t *testing.T) {
	well := func(_, b *Status) { b.Problems = nil }
	for name, tc := range map[string]struct {
		change          func(a, b *Status)
		ready, degraded bool
		reasons         string
	}{
		"all are well":          {well, true, false, ""},
		"one cannot be asked":   {func(_, _ *Status) {}, true, true, "Gitea cannot be asked for the jobs of one scope at 1 of 2 servers, since 12:01:20 UTC"},
		"none can be asked":     {func(a, b *Status) { a.Problems = b.Problems }, false, false, "Gitea cannot be asked for the jobs of 2 scopes at 2 of 2 servers, since 12:01:20 UTC"},
		"one has not begun":     {func(_, b *Status) { *b = Status{} }, true, true, "the first cycle is not done yet for 1 of 2 servers"},
		"none has begun":        {func(a, b *Status) { *a, *b = Status{}, Status{} }, false, false, "the first cycle is not done yet"},
		"the engine is gone":    {func(a, b *Status) { a.Problems = []Problem{{Subject: SubjectDocker, Since: at(80)}}; b.Problems = nil }, false, false, "Docker cannot be asked, since 12:01:20 UTC"},
		"it drains":             {func(a, b *Status) { a.Shutdown = true; b.Problems = nil }, false, false, "the daemon drains to end and starts nothing"},
		"the loop of one hangs": {func(a, b *Status) { a.DueAt = at(-300); b.Problems = nil }, false, false, "the loop was to turn 6m45s ago and has not"},
	} {
		t.Run(name, func(t *testing.T) {
			h := Merge(parts(tc.change)).Health(at(105))
			if h.Ready != tc.ready || h.Degraded != tc.degraded || h.Reasons() != tc.reasons {
				t.Errorf("ready %v, degraded %v, %q", h.Ready, h.Degraded, h.Reasons())
			}
		})
	}
}

func TestSharedLimits(t *testing.T) {
	pool := Pool{Name: "x", Scope: Scope{Kind: ScopeInstance}, Labels: []string{"linux"}, Max: 10, BootTimeout: time.Minute, Cost: Resources{MilliCPU: 1000}}
	jobs := make([]Job, 9)
	for i := range jobs {
		jobs[i] = Job{ID: int64(i + 1), Labels: []string{"linux"}, QueuedAt: at(i)}
	}
	for name, tc := range map[string]struct {
		spec   Spec
		starts int
		reason string
	}{
		"none":                       {Spec{}, 9, ""},
		"others take some":           {Spec{Shared: &Shared{Limits: Limits{Runners: 5}, OtherRunners: 3}}, 2, "limits.runners of 5 is reached, with those of all servers"},
		"others take more than all":  {Spec{Shared: &Shared{Limits: Limits{Runners: 2}, OtherRunners: 3}}, 0, "limits.runners of 2 is reached, with those of all servers"},
		"its own are less":           {Spec{MaxRunners: 1, Shared: &Shared{Limits: Limits{Runners: 5}, OtherRunners: 3}}, 1, "the server's limits.runners of 1 is reached"},
		"CPUs":                       {Spec{Shared: &Shared{Limits: Limits{Most: Resources{MilliCPU: 5500}}, Others: Resources{MilliCPU: 2000}}}, 3, "limits.cpus of 5.5 is reached: 5 are taken, and a runner of pool x needs 1, with those of all servers"},
		"the reserve":                {Spec{Shared: &Shared{Limits: Limits{Reserve: Resources{MilliCPU: 2000}}, Others: Resources{MilliCPU: 1000}}}, 5, "limits.reserve.cpus of 2 leaves 6 of the Docker host's 8: 6 are taken, and a runner of pool x needs 1, with those of all servers"},
		"its own, where others have": {Spec{MaxRunners: 4, Shared: &Shared{OtherRunners: 30}}, 4, "the server's limits.runners of 4 is reached"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.spec.Pools = []Pool{pool}
			p := Compute(tc.spec, Snapshot{Now: at(60), Jobs: jobs, Engine: Resources{MilliCPU: 8000}})
			if len(p.Actions) != tc.starts {
				t.Errorf("%d starts, want %d", len(p.Actions), tc.starts)
			}
			if last := p.Decisions[len(jobs)-1]; tc.reason != "" && last.Reason != tc.reason {
				t.Errorf("the reason is %q, want %q", last.Reason, tc.reason)
			}
			if len(p.Budgets) != min(tc.spec.MaxRunners, 1) {
				t.Errorf("limits %+v: what is shared is not the plan's to tell", p.Budgets)
			}
		})
	}
}
