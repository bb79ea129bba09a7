package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// binding is a pool whose starts are bound, and jobs with handles.
func binding(now time.Time, jobs int, change ...func(*Pool)) (Spec, Snapshot) {
	p := Pool{Name: "linux", Scope: Scope{Kind: ScopeInstance}, Labels: []string{"linux"}, Max: 5, Binds: true, BootTimeout: time.Minute, IdleTimeout: time.Minute}
	for _, c := range change {
		c(&p)
	}
	snap := Snapshot{Now: now}
	for i := range jobs {
		snap.Jobs = append(snap.Jobs, Job{ID: int64(i + 1), Repo: fmt.Sprintf("acme/r%d", i), Labels: []string{"linux"}, Handle: fmt.Sprintf("h%d", i+1), QueuedAt: now.Add(time.Duration(i) * time.Second)})
	}
	return Spec{Pools: []Pool{p}, DrainSettle: 10 * time.Second}, snap
}

func boundRunner(now time.Time, job int, phase Phase, age time.Duration) Runner {
	return Runner{Name: fmt.Sprintf("r%d", job), Pool: "linux", Phase: phase, Ephemeral: true, Registered: true, Scope: Scope{Kind: ScopeInstance},
		Since: now.Add(-age), StartedAt: now.Add(-age), Bound: &Bound{Job: int64(job), Repo: "acme/app", Handle: fmt.Sprintf("h%d", job)}}
}

func TestBoundRunners(t *testing.T) {
	now := time.Unix(1e9, 0)
	free := Runner{Name: "free", Pool: "linux", Phase: PhaseIdle, Ephemeral: true, Registered: true, Since: now}
	for _, tc := range []struct {
		name    string
		jobs    int
		runners []Runner
		change  func(*Pool)
		snap    func(*Snapshot)
		starts  []int64 // jobs that runners are started for
		bound   bool    // and bound to
		others  []string
	}{
		{name: "a start is bound to its job", jobs: 2, starts: []int64{1, 2}, bound: true},
		{name: "but not where the runner cannot", jobs: 1, change: func(p *Pool) { p.Binds = false }, starts: []int64{1}},
		{name: "nor without a handle", jobs: 1, snap: func(s *Snapshot) { s.Jobs[0].Handle = "" }, starts: []int64{1}},
		{name: "a job with its runner needs no other", jobs: 2, runners: []Runner{boundRunner(now, 1, PhaseStarting, time.Second)}, starts: []int64{2}, bound: true},
		{name: "a runner without its job is none for another", jobs: 1, runners: []Runner{boundRunner(now, 9, PhaseIdle, time.Second)}, starts: []int64{1}, bound: true},
		{name: "a free runner takes what nothing is bound to", jobs: 2, runners: []Runner{free, boundRunner(now, 1, PhaseIdle, time.Second)}},
		{name: "one that has its job is none either", jobs: 1, snap: func(s *Snapshot) { s.Runners[0].HasJob = true }, runners: []Runner{boundRunner(now, 9, PhaseBusy, time.Second)}, starts: []int64{1}, bound: true},
		{name: "one that did not get it goes, and another comes", jobs: 1, runners: []Runner{boundRunner(now, 1, PhaseIdle, bindGrace)}, starts: []int64{1}, bound: true, others: []string{"drain r1"}},
		{name: "one whose job is gone goes too", runners: []Runner{boundRunner(now, 1, PhaseIdle, bindGrace)}, others: []string{"drain r1"}},
		{name: "and is given the time to end", runners: []Runner{boundRunner(now, 1, PhaseIdle, bindGrace-time.Second)}},
		{name: "one that never comes online goes as any other", jobs: 1, runners: []Runner{boundRunner(now, 1, PhaseStarting, time.Minute)}, others: []string{"drain r1"}},
		{name: "one that somebody deleted serves nobody", jobs: 1, snap: func(s *Snapshot) { s.Runners[0].Gone = true }, runners: []Runner{boundRunner(now, 1, PhaseStarting, time.Second)}, starts: []int64{1}, bound: true},
		{name: "one of an unread scope stays", snap: func(s *Snapshot) { s.Unknown = map[Scope]string{{Kind: ScopeInstance}: "HTTP 500"} }, runners: []Runner{boundRunner(now, 1, PhaseIdle, time.Hour)}},
		{name: "max counts them", jobs: 3, change: func(p *Pool) { p.Max = 2 }, runners: []Runner{boundRunner(now, 1, PhaseStarting, time.Second)}, starts: []int64{2}, bound: true},
		{name: "a ceiling counts them", jobs: 2, change: func(p *Pool) { p.MaxPerOwner = 1 }, runners: []Runner{boundRunner(now, 1, PhaseStarting, time.Second)}},
		{name: "idle is kept beside them", runners: []Runner{boundRunner(now, 1, PhaseIdle, time.Second)}, change: func(p *Pool) { p.Idle = 1 }, others: []string{"start "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec, snap := binding(now, tc.jobs)
			if tc.change != nil {
				tc.change(&spec.Pools[0])
			}
			snap.Runners = slices.Clone(tc.runners)
			if tc.snap != nil {
				tc.snap(&snap)
			}
			var starts []int64
			var others []string
			for _, a := range Compute(spec, snap).Actions {
				if a.Job == 0 {
					others = append(others, string(a.Kind)+" "+a.Runner)
					continue
				}
				starts = append(starts, a.Job)
				if bound := a.Bound != nil && a.Bound.Job == a.Job && a.Bound.Handle == fmt.Sprintf("h%d", a.Job); bound != tc.bound || a.Bound == nil == tc.bound {
					t.Errorf("bound to %+v", a.Bound)
				}
			}
			if !slices.Equal(starts, tc.starts) || !slices.Equal(others, tc.others) {
				t.Errorf("starts for %v, want %v; %v, want %v", starts, tc.starts, others, tc.others)
			}
			checkExplained(t, spec, snap)
		})
	}
}

func TestBoundRunnerIsExplained(t *testing.T) {
	now := time.Unix(1e9, 0)
	spec, snap := binding(now, 1)
	snap.Runners = []Runner{boundRunner(now, 1, PhaseStarting, time.Second)}
	e, err := View{Spec: spec, Snap: snap, QueueSize: 1}.Explain(Query{Job: 1})
	if err != nil || e.Job.Pool != "linux" || !strings.Contains(e.Summary[0], "Runner r1 of pool linux was started for it") {
		t.Errorf("%+v, %v", e, err)
	}
	if p := Compute(spec, snap).Pools[0]; p.Waiting != 1 || p.Starting != 1 {
		t.Errorf("pool %+v", p)
	}
}

// A runner on standby was made for no job in particular.
func TestStandbyIsNotBound(t *testing.T) {
	now := time.Unix(1e9, 0)
	spec, snap := binding(now, 1)
	snap.Runners = []Runner{{Name: "ahead", Pool: "linux", Phase: PhaseStandby, Prepared: true, Registered: true, Ephemeral: true}}
	p := Compute(spec, snap)
	if len(p.Actions) == 0 || p.Actions[0].Runner != "ahead" || p.Actions[0].Bound != nil {
		t.Errorf("%+v", p.Actions)
	}
}

// Whatever there is, no more runners exist than max, no job has two runners that
// are bound to it, and after the starts nothing more is to be started.
func TestBindingProperties(t *testing.T) {
	now := time.Unix(1e9, 0)
	phases := []Phase{PhaseStarting, PhaseIdle, PhaseBusy, PhaseFinishing, PhaseDraining, PhaseStopping, PhaseExited}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		spec, snap := binding(now, r.IntN(6), func(p *Pool) { p.Max, p.Idle, p.Min = r.IntN(8), r.IntN(2), r.IntN(2) })
		for job := range r.IntN(5) {
			b := boundRunner(now, 1+job, phases[r.IntN(len(phases))], time.Duration(r.IntN(50))*time.Second)
			b.HasJob = b.Phase == PhaseBusy || r.IntN(5) == 0
			if r.IntN(4) == 0 {
				b.Bound = nil
			}
			snap.Runners = append(snap.Runners, b)
		}
		p := Compute(spec, snap)
		before := len(snap.Runners)
		all, seen := before, make(map[string]bool)
		for i := range snap.Runners {
			if b := &snap.Runners[i]; b.awaits(now) {
				seen[b.Bound.Handle] = true
			}
		}
		for i, a := range p.Actions {
			if a.Kind != ActionStart {
				continue
			}
			all++
			if a.Bound != nil {
				if seen[a.Bound.Handle] {
					t.Fatalf("seed %d: a second runner for %s", seed, a.Bound.Handle)
				}
				seen[a.Bound.Handle] = true
			}
			snap.Runners = append(snap.Runners, Runner{Name: fmt.Sprint("new", i), Pool: "linux", Phase: PhaseStarting, Since: now, StartedAt: now, Bound: a.Bound, Ephemeral: true})
		}
		if all > before && all > spec.Pools[0].Max {
			t.Fatalf("seed %d: %d runners, and max is %d", seed, all, spec.Pools[0].Max)
		}
		for _, a := range Compute(spec, snap).Actions {
			if a.Kind == ActionStart {
				t.Fatalf("seed %d: after the plan another start: %+v", seed, a)
			}
		}
	}
}
