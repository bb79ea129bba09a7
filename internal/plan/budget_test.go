package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// ration gives a world priorities, weights, costs and limits, the same costs for
// all pools if uniform.
func ration(r *rand.Rand, spec *Spec, snap *Snapshot, uniform bool) {
	cost := Resources{MilliCPU: 500 * r.Int64N(4), Memory: r.Int64N(3) << 30}
	for i := range spec.Pools {
		p := &spec.Pools[i]
		p.Priority, p.Weight, p.Cost = r.IntN(3), r.IntN(4), cost
		if !uniform {
			p.Cost = Resources{MilliCPU: 500 * r.Int64N(4), Memory: r.Int64N(3) << 30}
		}
	}
	runners := int64(len(snap.Runners)) + r.Int64N(8)
	spec.Most = Resources{MilliCPU: r.Int64N(2) * 500 * runners, Memory: r.Int64N(2) * runners << 30}
	if r.IntN(2) == 0 {
		spec.Reserve = Resources{MilliCPU: 2000, Memory: 1 << 30}
		snap.Engine = Resources{MilliCPU: 2000 + 800*runners, Memory: runners << 30}
	}
	for i := range snap.Runners {
		if r.IntN(4) == 0 {
			snap.Runners[i].Cost = &Resources{MilliCPU: 250, Memory: 1 << 29}
		}
	}
}

// With equal costs no assignment serves more jobs. With any costs, what was
// given out fits, and no start that is left out would fit beside it.
func TestBudgetProperties(t *testing.T) {
	short := 0
	for seed := range uint64(12_000) {
		r := rand.New(rand.NewPCG(seed, 6))
		spec, snap := world(r)
		uniform := seed%2 == 0
		ration(r, &spec, &snap, uniform)
		p := Compute(spec, snap)
		if uniform {
			checkServed(t, seed, spec, snap, p)
		}
		short += checkBudget(t, seed, spec, snap, p)
		if t.Failed() {
			return
		}
	}
	if short < 500 {
		t.Errorf("the budget fell short in %d worlds only", short)
	}
}

// checkBudget is 1 if the budget kept a job waiting.
func checkBudget(t *testing.T, seed uint64, spec Spec, snap Snapshot, p Plan) (short int) {
	t.Helper()
	c := newComputation(spec, snap)
	before := c.budget.taken
	all, starts := map[string]int{}, map[string]int{}
	for _, q := range c.pools {
		all[q.Name] = q.all
	}
	for _, a := range p.Actions {
		if a.Kind == ActionStart {
			starts[a.Pool]++
			c.budget.take(c.byName[a.Pool].cost)
		}
	}
	for what := range resources {
		if b := &c.budget; b.limited[what] && b.taken[what] > max(b.most[what], before[what]) {
			t.Errorf("seed %d: %s of %d are taken of %d, %d before", seed, what, b.taken[what], b.most[what], before[what])
		}
	}
	for _, d := range p.Decisions {
		if d.Served() {
			continue
		}
		for _, q := range c.pools {
			full := q.hold != "" || q.all+starts[q.Name] >= q.Max || q.Probe
			if q.Serves(*d.Job) && !full && c.budget.lacks(q.cost) == none {
				t.Errorf("seed %d: job %d waits (%s), and pool %s could start a runner", seed, d.Job.ID, d.Reason, q.Name)
			}
			if q.Serves(*d.Job) && !full {
				short = 1
			}
		}
	}
	return short
}

func costs(cpus, gib int64) func(*Pool) {
	return func(p *Pool) { p.Cost = Resources{MilliCPU: 1000 * cpus, Memory: gib << 30} }
}

func named(name string, labels ...string) func(*Pool) {
	return func(p *Pool) { p.Name, p.Labels = name, append([]string{name}, labels...) }
}

// queue has so many jobs for each label, the first of each label first.
func queue(labels map[string]int) []Job {
	var jobs []Job
	for n := range 20 {
		for _, l := range []string{"a", "b", "c", "linux"} {
			if n < labels[l] {
				jobs = append(jobs, job(int64(len(jobs)+1), l))
			}
		}
	}
	return jobs
}

func TestBudget(t *testing.T) {
	tests := []struct {
		name   string
		spec   Spec
		snap   Snapshot
		starts map[string]int // for jobs, min and idle
		why    string         // of the first job that is not served
	}{
		{
			name:   "memory",
			spec:   Spec{Most: Resources{Memory: 10 << 30}, Pools: []Pool{linux(costs(1, 4))}},
			snap:   Snapshot{Jobs: queue(map[string]int{"linux": 3})},
			starts: map[string]int{"linux": 2},
			why:    "limits.memory of 10 GiB is reached: 8 GiB are taken, and a runner of pool linux needs 4 GiB",
		},
		{
			name: "every runner counts until its container is gone, those of no pool as they were made",
			spec: Spec{Most: Resources{MilliCPU: 6500}, Pools: []Pool{linux(costs(2, 1))}},
			snap: Snapshot{Jobs: queue(map[string]int{"linux": 2}), Runners: []Runner{
				runner("r1", PhaseRemoving, time.Minute),
				runner("r2", PhaseBusy, time.Minute, withJob, func(r *Runner) { r.Pool, r.Cost = "gone", &Resources{MilliCPU: 1500} }),
			}},
			starts: map[string]int{"linux": 1},
			why:    "limits.cpus of 6.5 is reached: 5.5 are taken, and a runner of pool linux needs 2",
		},
		{
			name: "the reserve is kept from what the engine has",
			spec: Spec{Most: Resources{MilliCPU: 8000}, Reserve: Resources{MilliCPU: 1000}, Pools: []Pool{linux(costs(2, 1))}},
			snap: Snapshot{Jobs: queue(map[string]int{"linux": 2}), Engine: Resources{MilliCPU: 4000, Memory: 1 << 30}},

			starts: map[string]int{"linux": 1},
			why:    "limits.reserve.cpus of 1 leaves 3 of the Docker host's 4: 2 are taken, and a runner of pool linux needs 2",
		},
		{
			name: "a limit below what the reserve leaves holds",
			spec: Spec{Most: Resources{MilliCPU: 2000}, Reserve: Resources{MilliCPU: 1000}, Pools: []Pool{linux(costs(2, 1))}},
			snap: Snapshot{Jobs: queue(map[string]int{"linux": 2}), Engine: Resources{MilliCPU: 8000}},

			starts: map[string]int{"linux": 1},
			why:    "limits.cpus of 2 is reached: 2 are taken, and a runner of pool linux needs 2",
		},
		{
			name: "a reserve of what is not known lets nothing start",
			spec: Spec{Reserve: Resources{Memory: 1 << 30}, Pools: []Pool{linux(func(p *Pool) { p.Min = 1 })}},
			snap: Snapshot{Jobs: queue(map[string]int{"linux": 1}), Engine: Resources{MilliCPU: 8000}, EngineUnknown: "info of docker: no answer"},
			why:  "nothing new starts: limits.reserve is kept from what the Docker host has, and that is not known: info of docker: no answer",
		},
		{
			name: "a pool that costs nothing of what is short goes on, and a job finds it",
			spec: Spec{Most: Resources{Memory: 4 << 30}, Pools: []Pool{
				linux(costs(1, 3), func(p *Pool) { p.Priority = 1 }), linux(func(p *Pool) { p.Name = "free" })}},
			snap:   Snapshot{Jobs: queue(map[string]int{"linux": 3})},
			starts: map[string]int{"linux": 1, "free": 2},
		},
		{
			name:   "equal weights share what there is, each gets one first",
			spec:   Spec{MaxRunners: 5, Pools: []Pool{linux(named("a")), linux(named("b")), linux(named("c"))}},
			snap:   Snapshot{Jobs: queue(map[string]int{"a": 9, "b": 9, "c": 1})},
			starts: map[string]int{"a": 2, "b": 2, "c": 1},
			why:    "limits.runners of 5 is reached",
		},
		{
			name: "weights, over the runners that are there too",
			spec: Spec{MaxRunners: 8, Pools: []Pool{linux(named("a"), func(p *Pool) { p.Weight = 3 }), linux(named("b"))}},
			snap: Snapshot{Jobs: queue(map[string]int{"a": 9, "b": 9}), Runners: []Runner{
				runner("r1", PhaseBusy, time.Minute, withJob, func(r *Runner) { r.Pool = "b" }),
				runner("r2", PhaseBusy, time.Minute, withJob, func(r *Runner) { r.Pool = "b" })}},
			starts: map[string]int{"a": 6},
			why:    "limits.runners of 8 is reached",
		},
		{
			name:   "priority comes before weight and age",
			spec:   Spec{MaxRunners: 4, Pools: []Pool{linux(named("a")), linux(named("b"), func(p *Pool) { p.Priority, p.Weight = 1, 1 })}},
			snap:   Snapshot{Jobs: queue(map[string]int{"a": 9, "b": 3})},
			starts: map[string]int{"a": 1, "b": 3},
			why:    "limits.runners of 4 is reached",
		},
		{
			name: "jobs come before min, and min before idle, by priority",
			spec: Spec{MaxRunners: 6, Pools: []Pool{
				linux(named("a"), func(p *Pool) { p.Min, p.Idle = 2, 4 }), linux(named("b"), func(p *Pool) { p.Min, p.Priority = 3, 1 }), linux(named("c"))}},
			snap:   Snapshot{Jobs: queue(map[string]int{"c": 1})},
			starts: map[string]int{"a": 2, "b": 3, "c": 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.snap.Now = now
			p := Compute(tt.spec, tt.snap)
			got := map[string]int{}
			for _, a := range p.Actions {
				if a.Kind == ActionStart {
					got[a.Pool]++
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.starts) {
				t.Errorf("starts %v, want %v", got, tt.starts)
			}
			why := ""
			if i := slices.IndexFunc(p.Decisions, func(d Decision) bool { return !d.Served() }); i >= 0 {
				why = p.Decisions[i].Reason
			}
			if why != tt.why {
				t.Errorf("the first job without a runner: %q, want %q", why, tt.why)
			}
		})
	}
}

// Of the jobs of one pool the oldest get the places that there are.
func TestBudgetGoesByAge(t *testing.T) {
	spec := Spec{MaxRunners: 4, Pools: []Pool{linux(named("a")), linux(named("b"))}}
	p := Compute(spec, Snapshot{Now: now, Jobs: queue(map[string]int{"a": 5, "b": 5})})
	var served []string
	for _, d := range p.Decisions {
		if d.Served() {
			served = append(served, fmt.Sprint(d.Job.ID, " ", d.Pool))
		}
	}
	if got := strings.Join(served, ", "); got != "1 a, 2 b, 3 a, 4 b" {
		t.Errorf("served: %s", got)
	}
}

func TestBudgetsOfThePlan(t *testing.T) {
	spec := Spec{MaxRunners: 4, Most: Resources{MilliCPU: 3500}, Reserve: Resources{Memory: 1 << 30}, Pools: []Pool{linux(costs(1, 2))}}
	p := Compute(spec, Snapshot{Now: now, Jobs: queue(map[string]int{"linux": 9}), Engine: Resources{MilliCPU: 8000, Memory: 8 << 30}})
	want := []Budget{
		{Resource: "runners", Taken: 3, Limit: 4},
		{Resource: "cpus", Taken: 3, Limit: 3.5},
		{Resource: "memory", Taken: 6 << 30, Limit: 7 << 30, Host: 8 << 30, Reserve: 1 << 30},
	}
	if !slices.Equal(p.Budgets, want) {
		t.Errorf("budgets %+v, want %+v", p.Budgets, want)
	}
}
