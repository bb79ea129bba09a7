package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// crowd makes a random world that is larger than those of world and has what
// they lack: more pools than a machine word has bits, pools that overlap in
// part, unknown and repeated labels, names in another case, jobs listed twice.
func crowd(r *rand.Rand) (Spec, Snapshot) {
	pools, runners, jobs, most := 1+r.IntN(8), r.IntN(40), r.IntN(80), 16
	switch r.IntN(16) {
	case 0, 1:
		pools, runners = 60+r.IntN(80), r.IntN(200)
	case 2:
		pools, jobs, most = 2+r.IntN(10), 100+r.IntN(500), 60
	}
	labels := []string{"linux", "x64", "gpu", "arm", "large", "docker", "kvm"}[:1+r.IntN(7)]
	scopes := []Scope{instance, instance, orgA, {Kind: ScopeUser, Owner: "B"}, {Kind: ScopeRepo, Owner: "b", Repo: "Lib"}, {Kind: ScopeRepo, Owner: "a", Repo: "app"}}
	repos := []string{"a/app", "A/App", "a/tool", "b/lib", "B/LIB", "b/tool", "c/tool", "c"}
	spec := Spec{MaxRunners: r.IntN(3) * r.IntN(60), DrainSettle: 10 * time.Second, CanNudge: r.IntN(2) == 0, Shutdown: r.IntN(16) == 0}
	for i := range pools {
		p := Pool{Name: fmt.Sprintf("p%d", i), Scope: scopes[r.IntN(len(scopes))], Labels: subset(r, labels), Max: r.IntN(most),
			IdleTimeout: time.Duration(r.IntN(3)) * time.Minute, BootTimeout: 2 * time.Minute, ShutdownTimeout: time.Hour, Probe: r.IntN(12) == 0}
		if r.IntN(3) > 0 {
			p.Min, p.Idle = r.IntN(p.Max+1), r.IntN(p.Max+1)/2
		}
		if r.IntN(12) == 0 {
			p.Hold = "on hold"
		}
		if r.IntN(4) == 0 {
			p.NudgedAt = now.Add(-time.Duration(r.IntN(30)) * time.Second)
		}
		spec.Pools = append(spec.Pools, p)
	}
	snap := Snapshot{Now: now, Unknown: map[Scope]string{}}
	if r.IntN(6) == 0 {
		snap.Unknown[scopes[r.IntN(len(scopes))]] = "unread"
	}
	if r.IntN(32) == 0 {
		snap.Hold = "engine down"
	}
	for range jobs {
		snap.Jobs = append(snap.Jobs, crowdJob(r, repos, labels))
	}
	for range min(jobs, r.IntN(4)) {
		snap.Jobs = append(snap.Jobs, snap.Jobs[r.IntN(jobs)])
	}
	for i := range runners {
		snap.Runners = append(snap.Runners, crowdRunner(r, i, spec))
	}
	return spec, snap
}

func crowdJob(r *rand.Rand, repos, labels []string) Job {
	j := Job{ID: r.Int64N(1 << 40), Repo: repos[r.IntN(len(repos))], Labels: subset(r, subset(r, labels)), QueuedAt: now.Add(-time.Duration(r.IntN(60)) * time.Second)}
	if r.IntN(20) == 0 {
		j.Labels = append(j.Labels, "Linux")
	}
	if r.IntN(20) == 0 {
		j.Labels = append(j.Labels, "vax", labels[0], "vax")
	}
	if r.IntN(4) > 0 {
		j.SeenAt = now.Add(-time.Duration(r.IntN(20)) * time.Second)
	}
	if r.IntN(20) == 0 {
		j.QueuedAt = time.Time{}
	}
	return j
}

func crowdRunner(r *rand.Rand, i int, spec Spec) Runner {
	age := time.Duration(r.IntN(300)) * time.Second
	x := Runner{Name: fmt.Sprintf("r%d", i), Pool: "gone", Scope: instance, Phase: somePhases[r.IntN(len(somePhases))], Ephemeral: r.IntN(2) == 0,
		CreatedAt: now.Add(-age), Since: now.Add(-age), Registered: r.IntN(4) > 0, Gone: r.IntN(8) == 0, Told: r.IntN(4) == 0}
	if r.IntN(3) > 0 {
		x.Phase = []Phase{PhaseStarting, PhaseIdle}[r.IntN(2)]
	}
	if k := r.IntN(len(spec.Pools) + 1); k < len(spec.Pools) {
		x.Pool, x.Scope = spec.Pools[k].Name, spec.Pools[k].Scope
	}
	if r.IntN(2) == 0 {
		x.StartedAt, x.Note = x.CreatedAt, "noted"
	}
	if r.IntN(4) == 0 {
		x.JobSeen = now.Add(-time.Duration(r.IntN(100)) * time.Second)
	}
	x.HasJob = x.Phase == PhaseBusy && r.IntN(4) > 0 || r.IntN(6) == 0
	x.Used = x.Ephemeral && x.Phase == PhaseFinishing
	return x
}

// record writes everything that a plan says.
func record(h hash.Hash, p Plan) {
	fmt.Fprintf(h, "plan %t %t %t\n", p.Actions == nil, p.Decisions == nil, p.Pools == nil)
	for _, a := range p.Actions {
		fmt.Fprintf(h, "action %q %q %q %d %q\n", a.Kind, a.Pool, a.Runner, a.Job, a.Reason)
	}
	for _, d := range p.Decisions {
		fmt.Fprintf(h, "job %d %q %q %d %q %q\n", d.Job.ID, d.Job.Repo, d.Job.Labels, d.Job.QueuedAt.Unix(), d.Pool, d.Reason)
	}
	for _, c := range p.Pools {
		fmt.Fprintf(h, "pool %q %d %d %d %d %d %d %q\n", c.Name, c.Total, c.Starting, c.Idle, c.Busy, c.Leaving, c.Waiting, c.Hold)
	}
}

// The plans of many random worlds, to the last reason and in their order, are
// what they always were. Who changes a decision or a reason on purpose, or the
// worlds, takes over the new value.
func TestComputeKeepsItsPlans(t *testing.T) {
	names := append([]string{""}, slices.Sorted(maps.Keys(hostile))...)
	benchmarked := func(r *rand.Rand) (Spec, Snapshot) {
		spec, snap := fleet(fleetSize{jobs: 300 + r.IntN(500), runners: 50 + r.IntN(100), pools: 20 + r.IntN(60)})
		if name := names[0]; name != "" {
			hostile[name](&spec, &snap)
		}
		names = append(names[1:], names[0])
		return spec, snap
	}
	tests := []struct {
		name   string
		worlds uint64
		make   func(*rand.Rand) (Spec, Snapshot)
		want   string
	}{
		{"small worlds", 20_000, world, "8e32a983f5ba2cc1d150eca064acc3c1"},
		{"crowded worlds", 4_000, crowd, "9fe9c1f0121b570e7e3354a200dca6dc"},
		{"worlds of the benchmarks", uint64(4 * (len(hostile) + 1)), benchmarked, "e7f35fbe0a2606620331b1fa76f94e5b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := sha256.New()
			for seed := range tt.worlds {
				record(h, Compute(tt.make(rand.New(rand.NewPCG(seed, 4)))))
			}
			if got := hex.EncodeToString(h.Sum(nil)[:16]); got != tt.want {
				t.Errorf("the plans have the hash %s, want %s", got, tt.want)
			}
		})
	}
}
