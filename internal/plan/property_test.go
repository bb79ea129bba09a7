package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var (
	somePhases = []Phase{PhaseStarting, PhaseIdle, PhaseBusy, PhaseFinishing, PhaseDraining, PhaseStopping, PhaseExited, PhaseRemoving}
	someScopes = []Scope{instance, orgA, {Kind: ScopeRepo, Owner: "b", Repo: "lib"}}
	someRepos  = []string{"a/app", "b/lib", "c/tool"}
	someLabels = []string{"linux", "x64", "gpu"}
)

func subset(r *rand.Rand, from []string) []string {
	var out []string
	for _, s := range from {
		if r.IntN(2) == 0 {
			out = append(out, s)
		}
	}
	return out
}

// world makes a random specification and snapshot.
func world(r *rand.Rand) (Spec, Snapshot) {
	spec := Spec{MaxRunners: r.IntN(12), DrainSettle: 10 * time.Second, CanNudge: r.IntN(2) == 0}
	for i := range r.IntN(4) {
		p := Pool{Name: fmt.Sprintf("p%d", i), Scope: someScopes[r.IntN(3)], Labels: subset(r, someLabels), Max: r.IntN(6),
			IdleTimeout: time.Duration(r.IntN(3)) * time.Minute, BootTimeout: 2 * time.Minute, ShutdownTimeout: time.Hour}
		if p.Max > 0 {
			p.Min, p.Idle = r.IntN(p.Max+1), r.IntN(p.Max+1)
		}
		if r.IntN(8) == 0 {
			p.Hold = "on hold"
		}
		p.Probe = r.IntN(8) == 0
		spec.Pools = append(spec.Pools, p)
	}
	snap := Snapshot{Now: now, Unknown: map[Scope]string{}}
	if r.IntN(8) == 0 {
		snap.Unknown[someScopes[r.IntN(3)]] = "unread"
	}
	if r.IntN(16) == 0 {
		snap.Hold = "engine down"
	}
	for i := range r.IntN(8) {
		snap.Jobs = append(snap.Jobs, Job{ID: int64(i), Repo: someRepos[r.IntN(3)], Labels: subset(r, someLabels),
			QueuedAt: now.Add(-time.Duration(r.IntN(100)) * time.Second), SeenAt: now.Add(-time.Duration(r.IntN(20)) * time.Second)})
	}
	for i := range r.IntN(8) {
		age := time.Duration(r.IntN(300)) * time.Second
		x := Runner{Name: fmt.Sprintf("r%d", i), Pool: fmt.Sprintf("p%d", r.IntN(4)), Scope: instance, Phase: somePhases[r.IntN(len(somePhases))],
			Ephemeral: r.IntN(2) == 0, CreatedAt: now.Add(-age), Since: now.Add(-age)}
		if r.IntN(2) == 0 {
			x.StartedAt = x.CreatedAt
		}
		if k := slices.IndexFunc(spec.Pools, func(p Pool) bool { return p.Name == x.Pool }); k >= 0 {
			x.Scope = spec.Pools[k].Scope
		}
		x.HasJob = x.Phase == PhaseBusy || r.IntN(4) == 0
		x.Used = x.Ephemeral && x.Phase == PhaseFinishing
		x.Registered, x.Gone, x.Told = r.IntN(4) > 0, r.IntN(8) == 0, x.Phase == PhaseStopping || r.IntN(4) == 0
		snap.Runners = append(snap.Runners, x)
	}
	return spec, snap
}

// withOrders has people order some things in a random world.
func withOrders(r *rand.Rand) (Spec, Snapshot) {
	spec, snap := world(r)
	for i := range spec.Pools {
		p := &spec.Pools[i]
		if r.IntN(6) == 0 {
			p.Paused = &Pause{Since: ago(time.Hour), By: "alice", Drain: r.IntN(2) == 0}
		}
		if r.IntN(6) == 0 {
			spec.Asked = append(spec.Asked, Ask{p.Name, "bob"})
		}
	}
	for i := range snap.Runners {
		if r.IntN(8) == 0 {
			snap.Runners[i].Leave = &Pause{Since: ago(time.Minute), By: "alice", Drain: true}
		}
	}
	return spec, snap
}

// apply does what the plan says, as far as it shows at once: starts appear as
// starting runners, the others move by one phase.
func apply(snap Snapshot, p Plan, spec Spec) Snapshot {
	scopes := map[string]Scope{}
	for _, q := range spec.Pools {
		scopes[q.Name] = q.Scope
	}
	next := snap
	next.Runners = nil
	done := map[string]ActionKind{}
	for i, a := range p.Actions {
		if a.Kind == ActionStart {
			next.Runners = append(next.Runners, Runner{Name: fmt.Sprintf("new%d", i), Pool: a.Pool, Scope: scopes[a.Pool],
				Phase: PhaseStarting, Ephemeral: true, CreatedAt: snap.Now, Since: snap.Now})
			continue
		}
		done[a.Runner] = a.Kind
	}
	for _, r := range snap.Runners {
		switch done[r.Name] {
		case ActionRemove:
			continue
		case ActionKill:
			continue
		case ActionRestart:
			r.Phase, r.Since, r.StartedAt = PhaseStarting, snap.Now, snap.Now
		case ActionNudge:
			for i := range spec.Pools {
				if spec.Pools[i].Name == r.Pool {
					spec.Pools[i].NudgedAt = snap.Now
				}
			}
		case ActionStop:
			r.Phase, r.Since = PhaseStopping, snap.Now
		case ActionDrain:
			r.Phase, r.Since = PhaseDraining, snap.Now
		}
		next.Runners = append(next.Runners, r)
	}
	return next
}

// check holds one random world to the rules that must never break.
func check(t *testing.T, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	spec, snap := withOrders(r)
	p := Compute(spec, snap)
	byName := map[string]Runner{}
	count := map[string]int{}
	for _, x := range snap.Runners {
		byName[x.Name] = x
		count[x.Pool]++
	}
	total, starts := len(snap.Runners), map[string]int{}
	checkAsked(t, seed, spec, p)
	for _, a := range p.Actions {
		if a.Reason == "" {
			t.Errorf("seed %d: %s %s%s has no reason", seed, a.Kind, a.Pool, a.Runner)
		}
		if snap.Hold != "" {
			t.Errorf("seed %d: %s while the engine is unknown", seed, a.Kind)
		}
		x := byName[a.Runner]
		_, unknown := snap.Unknown[x.Scope]
		switch a.Kind {
		case ActionStart:
			starts[a.Pool]++
			total++
		case ActionRemove:
			if x.Phase != PhaseExited && x.Phase != PhaseRemoving {
				t.Errorf("seed %d: removes %s in phase %s", seed, a.Runner, x.Phase)
			}
		case ActionRestart:
			q := spec.Pool(x.Pool)
			if x.Phase != PhaseExited || x.Ephemeral || x.Told || x.Gone || x.Leave != nil || q.Paused != nil {
				t.Errorf("seed %d: restarts %+v", seed, x)
			}
		default:
			// A busy runner that would take job after job may be told to take no
			// more, which does not stop it.
			lastJob := a.Kind == ActionDrain && !x.Ephemeral
			if x.HasJob && !lastJob || unknown {
				t.Errorf("seed %d: %s of %s, has job %v, unknown %v", seed, a.Kind, a.Runner, x.HasJob, unknown)
			}
		}
	}
	for _, q := range spec.Pools {
		if n := starts[q.Name]; n > 0 && (count[q.Name]+n > q.Max || q.Hold != "" || q.Paused != nil) {
			t.Errorf("seed %d: pool %s has %d, starts %d, max %d, hold %q, paused %v", seed, q.Name, count[q.Name], n, q.Max, q.Hold, q.Paused)
		}
	}
	if spec.MaxRunners > 0 && len(starts) > 0 && total > spec.MaxRunners {
		t.Errorf("seed %d: %d runners over the limit of %d", seed, total, spec.MaxRunners)
	}
	checkServed(t, seed, spec, snap, p)

	// What was freed may let the next plan start more; what was started must not.
	settled := snap
	spec.Asked = nil // what was asked for is asked for once
	for range 20 {
		settled = apply(settled, Compute(spec, settled), spec)
	}
	if again := Compute(spec, settled); len(again.Actions) > 0 {
		t.Errorf("seed %d: after applying: %v", seed, lines(again))
	}
}

// checkAsked holds a plan to what people asked for: each is answered, by a
// start or with a reason.
func checkAsked(t *testing.T, seed uint64, spec Spec, p Plan) {
	t.Helper()
	for _, a := range p.Actions {
		if a.By != "" && a.Kind != ActionStart {
			t.Errorf("seed %d: %s for %s", seed, a.Kind, a.By)
		}
	}
	for i, a := range p.Answers {
		started := slices.ContainsFunc(p.Actions, func(x Action) bool { return x.By == a.By && x.Pool == a.Pool })
		if a.Ask != spec.Asked[i] || started == (a.Why != "") {
			t.Errorf("seed %d: answer %+v to %+v, started %v", seed, a, spec.Asked[i], started)
		}
	}
	if len(p.Answers) != len(spec.Asked) {
		t.Errorf("seed %d: %d answers to %d questions", seed, len(p.Answers), len(spec.Asked))
	}
}

// checkServed compares the number of jobs served with the best that a brute
// force finds for the same free runners and room.
func checkServed(t *testing.T, seed uint64, spec Spec, snap Snapshot, p Plan) {
	t.Helper()
	served := 0
	for _, d := range p.Decisions {
		if d.Served() {
			served++
		}
	}
	c := newComputation(spec, snap)
	if snap.Hold == "" {
		c.leave()
	}
	if len(c.pools) == 0 {
		return
	}
	m := newMatching(c.jobs, c.pools)
	free := make([]int, len(c.pools))
	room := make([]int, len(c.pools))
	for i, q := range c.pools {
		free[i], room[i] = q.supply, q.room()
	}
	global := len(c.jobs)
	for what := range resources {
		if cost := c.pools[0].cost[what]; cost > 0 && c.budget.limited[what] {
			global = min(global, int(max(c.budget.most[what]-c.budget.taken[what], 0)/cost))
		}
	}
	if best := bruteForce(m.choices, free, room, global); served != best {
		t.Errorf("seed %d: serves %d jobs of %d, could serve %d", seed, served, len(c.jobs), best)
	}
}

func bruteForce(choices [][]int, free, room []int, global int) int {
	if len(choices) == 0 {
		return 0
	}
	best := bruteForce(choices[1:], free, room, global)
	for _, i := range choices[0] {
		if free[i] > 0 {
			free[i]--
			best = max(best, 1+bruteForce(choices[1:], free, room, global))
			free[i]++
		} else if room[i] > 0 && global > 0 {
			room[i]--
			best = max(best, 1+bruteForce(choices[1:], free, room, global-1))
			room[i]++
		}
	}
	return best
}

func TestComputeProperties(t *testing.T) {
	for seed := range uint64(20_000) {
		check(t, seed)
		if t.Failed() {
			return
		}
	}
}

func FuzzCompute(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed << 40)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { check(t, seed) })
}

func TestComputeIsDeterministic(t *testing.T) {
	for seed := range uint64(200) {
		spec, snap := world(rand.New(rand.NewPCG(seed, 2)))
		a := Compute(spec, snap)
		shuffled := snap
		shuffled.Jobs = slices.Clone(snap.Jobs)
		rand.New(rand.NewPCG(seed, 3)).Shuffle(len(shuffled.Jobs), func(i, j int) {
			shuffled.Jobs[i], shuffled.Jobs[j] = shuffled.Jobs[j], shuffled.Jobs[i]
		})
		if b := Compute(spec, shuffled); !slices.Equal(lines(a), lines(b)) {
			t.Fatalf("seed %d: the order of the jobs changes the plan:\n%v\n%v", seed, lines(a), lines(b))
		}
	}
}
