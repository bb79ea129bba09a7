package simulate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// tick is the step of the reference, of which all times of its loads are
// multiples.
const tick = 50 * time.Millisecond

// reference is a replay that looks at everything at every tick and computes a
// plan at every poll. It is slow, and shares with the other one the planner
// and the rules of the server only.
type reference struct {
	trace   Trace
	fleet   Fleet
	options Options
	chance  *rand.Rand
	now     time.Duration
	begun   []time.Duration // of each job, -1 before
	by      []int           // of each job its pool
	runners []*refRunner
	idle    [][]*refRunner
	last    time.Duration // poll
	event   time.Duration // when a poll last found something
	urgent  bool
	turns   int
	starts  [][]time.Time // what the pools did lately
	active  []time.Time
	surplus []plan.Surplus
	found   map[int]bool // jobs that a poll has seen waiting
}

type refRunner struct {
	view     plan.Runner
	pool     int
	from, to time.Duration // to is 0 while it lives
	onlineAt time.Duration
	job      int
	gone     bool // nothing is left of it
	disabled bool
	freed    bool // in a list of idle ones
	seenJob  int  // the last one that a cycle has seen
	turn     int  // when its job or its start began
}

func (x *reference) run() {
	x.begun, x.by, x.idle = make([]time.Duration, len(x.trace.Jobs)), make([]int, len(x.trace.Jobs)), make([][]*refRunner, len(x.fleet.Spec.Pools))
	for j := range x.begun {
		x.begun[j] = -1
	}
	pools := len(x.fleet.Spec.Pools)
	x.starts, x.active, x.surplus = make([][]time.Time, pools), make([]time.Time, pools), make([]plan.Surplus, pools)
	x.last, x.event = -time.Hour, -time.Hour
	for left := len(x.trace.Jobs); left > 0; x.now += tick {
		left -= x.happen()
		x.arrive()
		if x.now-x.last >= x.fleet.After(x.last-x.event) || x.urgent && x.now-x.last >= cycleGap {
			x.cycle()
		}
	}
	x.now -= tick
	for _, r := range x.runners {
		if r.to == 0 {
			r.to = x.now
		}
	}
}

// happen ends the jobs that are over and lets runners come online, in the
// order in which these began.
func (x *reference) happen() (ended int) {
	var due []*refRunner
	for _, r := range x.runners {
		if r.job >= 0 && x.begun[r.job]+x.trace.Jobs[r.job].Duration == x.now || r.to == 0 && r.onlineAt == x.now {
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *refRunner) int { return a.turn - b.turn })
	for _, r := range due {
		if r.job >= 0 {
			ended++
			r.job = -1
			if r.view.Ephemeral {
				r.to, x.urgent = x.now, true
				continue
			}
		}
		if !r.disabled {
			x.free(r)
		}
	}
	return ended
}

func (x *reference) arrive() {
	for j := range x.trace.Jobs {
		if x.trace.Jobs[j].Arrival != x.now {
			continue
		}
		var may []*refRunner
		for i := range x.idle {
			if x.serves(i, j) {
				may = append(may, x.idle[i]...)
			}
		}
		pick := 0
		if len(may) > 1 {
			pick = x.chance.IntN(len(may))
		}
		if len(may) > 0 {
			x.unlist(may[pick])
			x.give(may[pick], j)
		}
	}
}

func (x *reference) serves(pool, j int) bool {
	return x.fleet.Spec.Pools[pool].Serves(plan.Job{Repo: x.trace.Jobs[j].Repo, Labels: x.trace.Jobs[j].Labels})
}

func (x *reference) free(r *refRunner) {
	for j := range x.trace.Jobs {
		if x.trace.Jobs[j].Arrival <= x.now && x.begun[j] < 0 && x.serves(r.pool, j) && !(x.trace.Jobs[j].Arrival == x.now) {
			x.give(r, j)
			return
		}
	}
	r.freed = true
	x.idle[r.pool] = append(x.idle[r.pool], r)
}

func (x *reference) give(r *refRunner, j int) {
	x.turns++
	r.job, r.turn, x.begun[j], x.by[j] = j, x.turns, x.now, r.pool
}

func (x *reference) unlist(r *refRunner) {
	list := x.idle[r.pool]
	at := slices.Index(list, r)
	list[at] = list[len(list)-1]
	x.idle[r.pool], r.freed = list[:len(list)-1], false
}

func (x *reference) cycle() {
	now := x.trace.Start.Add(x.now)
	x.urgent, x.last = false, x.now
	snap := plan.Snapshot{Now: now}
	byName := make(map[string]*refRunner)
	for _, r := range x.runners {
		if r.gone {
			continue
		}
		x.look(r, now)
		byName[r.view.Name] = r
		snap.Runners = append(snap.Runners, r.view)
	}
	for j := range x.trace.Jobs {
		if t := x.trace.Jobs[j]; t.Arrival <= x.now && x.begun[j] < 0 {
			if !x.found[j] {
				x.found[j], x.event = true, x.now
			}
			snap.Jobs = append(snap.Jobs, plan.Job{ID: int64(j + 1), Repo: t.Repo, Labels: t.Labels, QueuedAt: x.trace.Start.Add(t.Arrival), SeenAt: now})
		}
	}
	spec := x.fleet.Spec
	spec.CanNudge = true
	spec.Pools = slices.Clone(spec.Pools)
	for i := range spec.Pools {
		spec.Pools[i].Recent = plan.Recent{Starts: x.starts[i], Active: x.active[i], Surplus: x.surplus[i]}
	}
	p := plan.Compute(spec, snap)
	for _, a := range p.Actions {
		x.apply(a, byName[a.Runner], now)
	}
	for i, c := range p.Pools {
		x.surplus[i] = x.surplus[i].Note(now, c.Surplus)
	}
}

func (x *reference) look(r *refRunner, now time.Time) {
	phase, had := r.view.Phase, r.view.HasJob
	r.view.HasJob = r.job >= 0
	if had || r.view.HasJob {
		r.view.JobSeen, r.view.LastJobAt = now, now
	}
	r.view.Repo = ""
	if r.job >= 0 {
		r.view.Repo = x.trace.Jobs[r.job].Repo
	}
	if r.job >= 0 && r.job != r.seenJob {
		r.seenJob, x.active[r.pool] = r.job, now
		r.view.Jobs++
	}
	switch {
	case r.to != 0:
		phase = plan.PhaseExited
	case r.disabled:
	case r.job >= 0:
		phase, r.view.Used = plan.PhaseBusy, r.view.Ephemeral
	case r.freed:
		phase = plan.PhaseIdle
	}
	if phase != r.view.Phase {
		r.view.Phase, r.view.Since = phase, now
		x.event = x.now
	}
}

func (x *reference) apply(a plan.Action, r *refRunner, now time.Time) {
	switch a.Kind {
	case plan.ActionStart:
		i := slices.IndexFunc(x.fleet.Spec.Pools, func(p plan.Pool) bool { return p.Name == a.Pool })
		cold := x.options.ColdStarts[0]
		if n := len(x.options.ColdStarts); n > 1 {
			cold = x.options.ColdStarts[x.chance.IntN(n)]
		}
		x.turns++
		x.starts[i], x.active[i] = append(x.starts[i], now), now
		x.runners = append(x.runners, &refRunner{pool: i, seenJob: -1, turn: x.turns, from: x.now, onlineAt: x.now + cold, job: -1, view: plan.Runner{
			Name: fmt.Sprintf("%s-%08d", a.Pool, len(x.runners)+1), Pool: a.Pool, Scope: x.fleet.Spec.Pools[i].Scope, Phase: plan.PhaseStarting,
			Ephemeral: x.fleet.Ephemeral[a.Pool], Registered: true, CreatedAt: now, Since: now,
		}})
	case plan.ActionDrain:
		r.disabled, r.view.Phase, r.view.Since = true, plan.PhaseDraining, now
		if r.freed {
			x.unlist(r)
		}
	case plan.ActionStop, plan.ActionKill:
		r.to, r.view.Told, r.view.Phase, x.urgent = x.now, true, plan.PhaseStopping, true
	case plan.ActionRemove:
		r.gone, x.urgent = true, true
	}
}

// randomLoad is a small trace and a fleet for it.
func randomLoad(seed uint64) (Trace, Fleet) {
	r := rand.New(rand.NewPCG(seed, 9))
	scopes := []plan.Scope{{Kind: plan.ScopeInstance}, {Kind: plan.ScopeInstance}, {Kind: plan.ScopeOrg, Owner: "acme"}}
	names := []string{"linux", "arm", "gpu"}[:1+r.IntN(3)]
	var pools []plan.Pool
	var lasting []string
	for _, name := range names {
		zero, many := 0, 1+r.IntN(6)
		p := pool(name, func(p *plan.Pool) {
			p.Scope, p.Max = scopes[r.IntN(len(scopes))], 1+r.IntN(6)
			p.Labels = append(p.Labels, "any")
			p.Min, p.Idle = r.IntN(2), r.IntN(p.Max+1)/2
			p.IdleTimeout = time.Duration(r.IntN(90)) * time.Second
			p.Pace = plan.Pace{Starts: r.IntN(2) * r.IntN(4), Per: time.Duration(1+r.IntN(90)) * time.Second, CoolDown: time.Duration(r.IntN(2)*r.IntN(90)) * time.Second}
		})
		if r.IntN(3) == 0 {
			p.Windows = plan.NewWindows(plan.Window{Name: "w", Next: daily(time.Duration(1+r.IntN(10)) * time.Minute), Duration: 3 * time.Minute, Min: &zero, Idle: &zero, Max: &many})
		}
		if r.IntN(2) == 0 {
			lasting = append(lasting, name)
		}
		pools = append(pools, p)
	}
	f := fleet(pools, lasting...)
	f.Spec.MaxRunners = r.IntN(2) * (3 + r.IntN(6))
	f.Spec.DrainSettle = time.Duration(r.IntN(12)) * time.Second
	for i := range pools {
		pools[i].MaxPerRepo = r.IntN(2) * r.IntN(2) * (2 + r.IntN(3))
	}
	trace := Trace{Start: monday}
	for range 1 + r.IntN(40) {
		j := Job{Arrival: tick * time.Duration(1+r.IntN(12000)), Duration: tick * time.Duration(1+r.IntN(2000)), Repo: "acme/app", Labels: []string{names[r.IntN(len(names))]}}
		if r.IntN(4) == 0 {
			j.Labels = []string{"any"}
		}
		for range 1 + r.IntN(3)*r.IntN(3) {
			trace.Jobs = append(trace.Jobs, j)
		}
	}
	trace.sort()
	return trace, f
}

func TestRunEqualsTheReference(t *testing.T) {
	starts := 0
	for seed := range uint64(40) {
		trace, f := randomLoad(seed)
		o := Options{ColdStarts: []time.Duration{2 * time.Second, 20 * time.Second, 7500 * time.Millisecond}[:1+seed%3], Seed: seed}
		got, err := Run(trace, f, o)
		if err != nil {
			t.Fatal(err)
		}
		if got.Unserved > 0 {
			continue // limits.runners is used up by what other pools keep: the reference would wait for ever
		}
		x := &reference{trace: trace, fleet: f, options: o, chance: rand.New(rand.NewPCG(seed, 1)), found: make(map[int]bool)}
		x.run()
		starts += got.Starts
		for i := range f.Spec.Pools {
			var waits []time.Duration
			var lived time.Duration
			for j, by := range x.by {
				if by == i {
					waits = append(waits, x.begun[j]-trace.Jobs[j].Arrival)
				}
			}
			n := 0
			for _, r := range x.runners {
				if r.pool == i {
					n++
					lived += r.to - r.from
				}
			}
			p := got.Pools[i]
			if p.Jobs != len(waits) || p.Wait != waitsOf(waits) || p.Starts != n || p.Runners != lived {
				t.Fatalf("seed %d, pool %s: %d jobs, %v, %d starts, %s; the reference has %d, %v, %d, %s",
					seed, p.Name, p.Jobs, p.Wait, p.Starts, p.Runners, len(waits), waitsOf(waits), n, lived)
			}
		}
	}
	if starts < 400 {
		t.Errorf("only %d starts: the test tests too little", starts)
	}
}
