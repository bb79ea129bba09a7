package plan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// fleetSize is how large the worlds of the benchmarks are.
type fleetSize struct{ jobs, runners, pools int }

// large is one cycle of a large fleet.
var large = fleetSize{jobs: 10_000, runners: 2_000, pools: 100}

// runsOn has a few dozen label sets, as the workflows of one server ask for.
func runsOn() [][]string {
	var sets [][]string
	for _, base := range []string{"linux", "linux x64", "linux arm64", "windows x64", "macos arm64", "ubuntu-latest"} {
		for _, extra := range []string{"", "small", "large", "gpu", "docker", "large docker"} {
			sets = append(sets, strings.Fields(base+" "+extra))
		}
	}
	return sets
}

// fleet makes a realistic world: 200 repositories of 20 owners, pools of every
// scope, half of the runners busy, some idle, starting or leaving.
func fleet(n fleetSize) (Spec, Snapshot) {
	r := rand.New(rand.NewPCG(1, 1))
	spec := Spec{CanNudge: true, DrainSettle: 10 * time.Second, MaxRunners: 2 * n.runners}
	snap := Snapshot{Now: now, Unknown: map[Scope]string{{Kind: ScopeOrg, Owner: "org19"}: "connection refused"}}
	platforms := []string{"linux x64 ubuntu-latest", "linux x64 ubuntu-latest docker", "linux arm64", "windows x64", "macos arm64"}
	sizes := []string{"small", "small docker", "large", "large docker", "large gpu"}
	for i := range n.pools {
		p := Pool{Name: fmt.Sprintf("pool-%d", i), Scope: Scope{Kind: ScopeInstance}, Labels: strings.Fields(platforms[i%5] + " " + sizes[i/5%5]),
			Max: 1 + 2*n.runners/n.pools, Idle: i % 3, Min: i % 2, IdleTimeout: 5 * time.Minute, BootTimeout: 2 * time.Minute, ShutdownTimeout: time.Hour}
		// 25 kinds of machine for everybody, then as many for some owner or one
		// repository, and so on.
		switch block := i / 25; {
		case block%2 == 1:
			p.Scope = Scope{Kind: ScopeOrg, Owner: fmt.Sprintf("org%d", block%20)}
		case block > 0:
			p.Scope = Scope{Kind: ScopeRepo, Owner: fmt.Sprintf("org%d", block%20), Repo: fmt.Sprintf("app%d", block%10)}
		}
		spec.Pools = append(spec.Pools, p)
	}
	phases := []Phase{PhaseBusy, PhaseBusy, PhaseBusy, PhaseBusy, PhaseBusy, PhaseIdle, PhaseIdle, PhaseStarting, PhaseDraining, PhaseExited}
	for i := range n.runners {
		p, at := spec.Pools[r.IntN(n.pools)], now.Add(-time.Duration(r.IntN(600))*time.Second)
		x := Runner{Name: fmt.Sprintf("%s-%06x", p.Name, i), Pool: p.Name, Scope: p.Scope, Phase: phases[i%10], Ephemeral: true,
			Registered: true, CreatedAt: at, StartedAt: at, Since: at, HasJob: phases[i%10] == PhaseBusy}
		snap.Runners = append(snap.Runners, x)
	}
	sets := runsOn()
	for i := range n.jobs {
		// As scopes are listed: owner by owner, from the oldest job on.
		share := (n.jobs + 19) / 20
		at := now.Add(-time.Hour + time.Duration(i%share)*time.Hour/time.Duration(share))
		snap.Jobs = append(snap.Jobs, Job{ID: int64(i + 1), Name: "build", Repo: fmt.Sprintf("org%d/app%d", i/share, r.IntN(10)),
			Labels: sets[r.IntN(len(sets))], Status: JobQueued, QueuedAt: at.Truncate(time.Second), SeenAt: at})
	}
	return spec, snap
}

// hostile has worlds that are made to be slow to plan, by what is odd of them.
var hostile = map[string]func(*Spec, *Snapshot){
	"labels=distinct": func(_ *Spec, snap *Snapshot) {
		for i := range snap.Jobs {
			snap.Jobs[i].Labels = []string{"linux", fmt.Sprintf("only-%d", i)}
		}
	},
	"labels=distinct,fit=some": func(spec *Spec, snap *Snapshot) {
		// No two jobs have the same four labels, nor the same repository.
		r := rand.New(rand.NewPCG(2, 2))
		for i := range spec.Pools {
			spec.Pools[i].Scope, spec.Pools[i].Labels = Scope{Kind: ScopeInstance}, nil
			for _, l := range r.Perm(60)[:30] {
				spec.Pools[i].Labels = append(spec.Pools[i].Labels, fmt.Sprint(l))
			}
		}
		for j := range snap.Jobs {
			snap.Jobs[j].Repo, snap.Jobs[j].Labels = fmt.Sprintf("Owner%d/app", j), nil
			for _, l := range r.Perm(60)[:4] {
				snap.Jobs[j].Labels = append(snap.Jobs[j].Labels, fmt.Sprint(l))
			}
		}
	},
	"fit=all": func(spec *Spec, snap *Snapshot) {
		for i := range spec.Pools {
			spec.Pools[i].Scope = Scope{Kind: ScopeInstance}
		}
		for j := range snap.Jobs {
			snap.Jobs[j].Labels = nil
		}
	},
	"fit=none": func(_ *Spec, snap *Snapshot) {
		for j := range snap.Jobs {
			snap.Jobs[j].Labels = append([]string{"quantum"}, snap.Jobs[j].Labels...)
		}
	},
	"fit=none,scope=repo": func(spec *Spec, snap *Snapshot) {
		for i := range spec.Pools {
			spec.Pools[i].Scope = Scope{Kind: ScopeRepo, Owner: "elsewhere", Repo: fmt.Sprintf("app%d", i)}
		}
		for j := range snap.Jobs {
			snap.Jobs[j].Repo = fmt.Sprintf("org%d/app", j)
		}
	},
	"fit=many": func(spec *Spec, _ *Snapshot) {
		for i := range spec.Pools {
			spec.Pools[i].Scope = Scope{Kind: ScopeInstance}
		}
	},
	"order=random": func(_ *Spec, snap *Snapshot) {
		r := rand.New(rand.NewPCG(4, 4))
		r.Shuffle(len(snap.Jobs), func(i, j int) { snap.Jobs[i], snap.Jobs[j] = snap.Jobs[j], snap.Jobs[i] })
	},
	"order=none": func(_ *Spec, snap *Snapshot) {
		for j := range snap.Jobs {
			snap.Jobs[j].ID, snap.Jobs[j].QueuedAt = int64(j*7919%len(snap.Jobs)), time.Time{}
		}
	},
	"pools=full": func(spec *Spec, snap *Snapshot) {
		for i := range spec.Pools {
			spec.Pools[i].Max = 1
		}
		for i := range snap.Runners {
			snap.Runners[i].Phase, snap.Runners[i].HasJob = PhaseBusy, true
		}
	},
	"pools=chain": func(spec *Spec, snap *Snapshot) {
		// The older half fits two neighbours each and fills all but the last
		// pool; each job of the younger half fits one pool, where there is room
		// only if a chain of others move on.
		last := len(spec.Pools) - 1
		for i := range spec.Pools {
			spec.Pools[i].Scope, spec.Pools[i].Max = Scope{Kind: ScopeInstance}, len(snap.Jobs)/2/len(spec.Pools)
			spec.Pools[i].Labels = []string{fmt.Sprint(i), fmt.Sprint(i + 1), fmt.Sprint("only-", i)}
		}
		for j := range snap.Jobs {
			label := fmt.Sprint(1 + j%last)
			if j >= len(snap.Jobs)/2 {
				label = fmt.Sprint("only-", j%last)
			}
			snap.Jobs[j].QueuedAt, snap.Jobs[j].Labels = now.Add(time.Duration(j)*time.Second), []string{label}
		}
		spec.Pools[last].Max, spec.MaxRunners, snap.Runners = len(snap.Jobs), 0, nil
	},
	"pools=maze": func(spec *Spec, snap *Snapshot) {
		// The older half fits three pools each and fills all but the last two to
		// the brim; each of the youngest jobs can look for a place among them in
		// vain, or else move one job from the last pool but one to the last.
		r, last, most := rand.New(rand.NewPCG(3, 3)), len(spec.Pools)-1, len(snap.Jobs)/2/len(spec.Pools)
		for i := range spec.Pools {
			spec.Pools[i].Scope, spec.Pools[i].Max = Scope{Kind: ScopeInstance}, most
			spec.Pools[i].Labels = nil
		}
		with := func(job *Job, pools ...int) {
			job.Labels = []string{fmt.Sprint("for-", pools)}
			for _, i := range pools {
				if p := &spec.Pools[i]; !slices.Contains(p.Labels, job.Labels[0]) {
					p.Labels = append(p.Labels, job.Labels[0])
				}
			}
		}
		for j := range snap.Jobs {
			job := &snap.Jobs[j]
			job.QueuedAt = now.Add(time.Duration(j) * time.Second)
			switch {
			case j < most*(last-1):
				with(job, r.IntN(last-1), r.IntN(last-1), r.IntN(last-1))
			case j < len(snap.Jobs)*3/4:
				with(job, last-1, last)
			default:
				with(job, 0, last-1)
			}
		}
		spec.Pools[last-1].Max, spec.Pools[last].Max = len(snap.Jobs)/4, len(snap.Jobs)
		spec.MaxRunners, snap.Runners = 0, nil
	},
	"runners=surplus": func(spec *Spec, snap *Snapshot) {
		spec.Shutdown, snap.Jobs = true, nil
		for i := range spec.Pools {
			spec.Pools[i].Max, spec.Pools[i].Min, spec.Pools[i].Idle = 0, 0, 0
		}
		for i := range snap.Runners {
			x := &snap.Runners[i]
			x.Pool, x.Scope, x.Phase, x.HasJob = spec.Pools[0].Name, spec.Pools[0].Scope, PhaseIdle, false
		}
	},
	"runners=deleted": func(spec *Spec, snap *Snapshot) {
		for i := range snap.Runners {
			x := &snap.Runners[i]
			x.Pool, x.Scope, x.Phase, x.HasJob, x.Gone = spec.Pools[0].Name, spec.Pools[0].Scope, PhaseIdle, false, true
		}
	},
}

// BenchmarkCompute plans one cycle. Each input alone, and all together, grow
// twice by a factor of two.
func BenchmarkCompute(b *testing.B) {
	grow := map[string]func(n *fleetSize, by int){
		"jobs":    func(n *fleetSize, by int) { n.jobs *= by },
		"runners": func(n *fleetSize, by int) { n.runners *= by },
		"pools":   func(n *fleetSize, by int) { n.pools *= by },
		"all":     func(n *fleetSize, by int) { n.jobs, n.runners, n.pools = n.jobs*by, n.runners*by, n.pools*by },
	}
	for _, what := range []string{"jobs", "runners", "pools", "all"} {
		for _, by := range []int{1, 2, 4} {
			n := large
			grow[what](&n, by)
			b.Run(fmt.Sprintf("grow=%s/by=%d", what, by), func(b *testing.B) {
				spec, snap := fleet(n)
				benchmark(b, spec, snap)
			})
		}
	}
}

// BenchmarkComputeHostile plans worlds that are made to be slow.
func BenchmarkComputeHostile(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(hostile)) {
		for _, by := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("%s/by=%d", name, by), func(b *testing.B) {
				spec, snap := fleet(fleetSize{large.jobs * by, large.runners * by, large.pools})
				hostile[name](&spec, &snap)
				benchmark(b, spec, snap)
			})
		}
	}
}

func benchmark(b *testing.B, spec Spec, snap Snapshot) {
	b.ReportAllocs()
	for b.Loop() {
		Compute(spec, snap)
	}
}

// BenchmarkServes asks for 10,000 jobs whether any of 100 pools may take each.
func BenchmarkServes(b *testing.B) {
	spec, snap := fleet(large)
	m := NewMatcher(spec.Pools)
	byPool := func(job Job) bool {
		return slices.ContainsFunc(spec.Pools, func(p Pool) bool { return p.Serves(job) })
	}
	for name, serves := range map[string]func(Job) bool{"by=matcher": m.Serves, "by=pool": byPool} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, job := range snap.Jobs {
					serves(job)
				}
			}
		})
	}
}

// A plan takes memory for what it says, and little for how it comes about.
func TestComputeAllocatesLittle(t *testing.T) {
	spec, snap := fleet(large)
	p := Compute(spec, snap)
	reasons := make(map[string]bool)
	for _, d := range p.Decisions {
		reasons[d.Reason] = true
	}
	got := testing.AllocsPerRun(3, func() { Compute(spec, snap) })
	if most := float64(2*len(p.Actions) + 2*len(reasons) + 1_000); got > most {
		t.Errorf("%.0f allocations for %d actions and %d different reasons, want %.0f at most", got, len(p.Actions), len(reasons), most)
	}
}
