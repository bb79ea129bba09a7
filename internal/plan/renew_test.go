package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// made gives a runner that lasts a recipe.
func made(r Recipe) func(*Runner) {
	return func(x *Runner) { lasting(x); x.Recipe, x.Labels = r, []string{"linux", "x64"} }
}

func TestComputeRenews(t *testing.T) {
	is, was := Recipe{"r", "c", "i"}, Recipe{"r", "c", "old"}
	other := Recipe{"old", "c", "i"}
	renewing := func(p *Pool) { p.Renewal = Renewal{Recipe: is, Unavailable: Portion{Count: 1}} }
	const why = "the pool's image is another one now (i)"
	const whyReg = "the pool's labels, scope or kind are others now than it was registered with"
	tests := []struct {
		name string
		pool Pool
		snap Snapshot
		want []string
	}{
		{"one at a time, the coldest first", linux(renewing, func(p *Pool) { p.Idle = 3 }), Snapshot{Runners: []Runner{
			runner("a", PhaseIdle, time.Minute, made(was), jobAgo(time.Second)), runner("b", PhaseIdle, time.Minute, made(was)), runner("c", PhaseIdle, time.Minute, made(is))}},
			[]string{"drain linux b: " + why, "start linux: the pool keeps 3 idle and has 2"}},
		{"a share of max", linux(renewing, func(p *Pool) { p.Renewal.Unavailable, p.Max = Portion{Percent: 25}, 5 }), Snapshot{Runners: []Runner{
			runner("a", PhaseIdle, time.Minute, made(was)), runner("b", PhaseIdle, time.Minute, made(was)), runner("c", PhaseIdle, time.Minute, made(was))}},
			[]string{"drain linux a: " + why, "drain linux b: " + why}},
		{"none while one is leaving", linux(renewing), Snapshot{Runners: []Runner{
			runner("a", PhaseIdle, time.Minute, made(was)), runner("b", PhaseDraining, time.Second, made(was))}}, nil},
		{"none while a new one comes", linux(renewing), Snapshot{Runners: []Runner{
			runner("a", PhaseIdle, time.Minute, made(was)), runner("b", PhaseStarting, time.Second, made(is))}}, nil},
		{"none while none can be started", linux(renewing, func(p *Pool) { p.Hold = "image unavailable" }), Snapshot{Runners: []Runner{runner("a", PhaseIdle, time.Minute, made(was))}}, nil},
		{"none after failures", linux(renewing, func(p *Pool) { p.Probe = true }), Snapshot{Runners: []Runner{runner("a", PhaseIdle, time.Minute, made(was))}}, nil},
		{"none that a job needs", linux(renewing), Snapshot{Jobs: []Job{job(1, "linux")}, Runners: []Runner{runner("a", PhaseIdle, time.Minute, made(was))}}, nil},
		{"idle ones before busy ones", linux(renewing), Snapshot{Runners: []Runner{
			runner("a", PhaseBusy, time.Minute, made(was), withJob), runner("b", PhaseIdle, time.Minute, made(was))}}, []string{"drain linux b: " + why}},
		{"a busy one finishes first", linux(renewing), Snapshot{Runners: []Runner{
			runner("a", PhaseBusy, time.Minute, made(was), withJob), runner("b", PhaseBusy, time.Minute, made(was), withJob)}},
			[]string{"drain linux a: " + why + ": it finishes its job first"}},
		{"an ephemeral one ends by itself", linux(renewing), Snapshot{Runners: []Runner{
			runner("a", PhaseBusy, time.Minute, made(was), withJob, func(r *Runner) { r.Ephemeral = true })}}, nil},
		{"what is not known makes no difference", linux(renewing), Snapshot{Runners: []Runner{runner("a", PhaseIdle, time.Minute, made(Recipe{"r", "", ""}))}}, nil},
		{"nothing where the jobs are unknown", linux(renewing), Snapshot{Unknown: map[Scope]string{instance: "unread"},
			Runners: []Runner{runner("a", PhaseIdle, time.Minute, made(was))}}, nil},
		{"above max once only", linux(renewing, func(p *Pool) { p.Max = 1 }), Snapshot{Runners: []Runner{
			runner("a", PhaseBusy, time.Minute, made(was), withJob), runner("b", PhaseBusy, time.Minute, made(was), withJob)}},
			[]string{"drain linux a: the pool's max is 1 and it has 2: it finishes its job first"}},
		{"with other labels it is no supply", linux(renewing, func(p *Pool) { p.Labels = []string{"linux", "gpu"} }), Snapshot{Jobs: []Job{job(1, "gpu")},
			Runners: []Runner{runner("a", PhaseIdle, time.Minute, made(other))}},
			[]string{"start linux: job 1 of a/app waits and no runner of the pool is free"}}, // which is missing first
		{"of another scope neither", linux(renewing), Snapshot{Jobs: []Job{job(1, "linux")},
			Runners: []Runner{runner("a", PhaseIdle, time.Minute, made(other), func(r *Runner) { r.Scope = orgA })}},
			[]string{"start linux: job 1 of a/app waits and no runner of the pool is free"}},
		{"with more labels it is", linux(renewing, func(p *Pool) { p.Labels = []string{"linux"} }), Snapshot{Jobs: []Job{job(1, "linux")},
			Runners: []Runner{runner("a", PhaseIdle, time.Minute, made(other))}}, nil},
		{"and goes", linux(renewing, func(p *Pool) { p.Labels = []string{"gpu"} }), Snapshot{Runners: []Runner{
			runner("a", PhaseIdle, time.Minute, made(other)), runner("b", PhaseIdle, time.Minute, made(other))}}, []string{"drain linux a: " + whyReg}},
		{"above max it goes too", linux(renewing, func(p *Pool) { p.Labels, p.Max = []string{"gpu"}, 0 }), Snapshot{Runners: []Runner{
			runner("a", PhaseIdle, time.Minute, made(other)), runner("b", PhaseIdle, time.Minute, made(other))}},
			[]string{"drain linux a: the pool's max is 0 and it has 2", "drain linux b: the pool's max is 0 and it has 1"}},
		{"an ended one is made anew with its identity", linux(renewing), Snapshot{Runners: []Runner{runner("a", PhaseExited, time.Minute, made(was))}},
			[]string{"restart linux a: its container has ended"}},
		{"but not with other labels", linux(renewing), Snapshot{Runners: []Runner{runner("a", PhaseExited, time.Minute, made(other))}},
			[]string{"remove linux a: its container has ended"}},
		{"on standby it goes", linux(renewing, func(p *Pool) { p.Standby = 1 }), Snapshot{Runners: []Runner{
			runner("a", PhaseStandby, time.Minute, made(was), func(r *Runner) { r.Prepared = true })}}, []string{"remove linux a: " + why}},
		{"old", linux(renewing, func(p *Pool) { p.Renewal.MaxLifetime = time.Hour }), Snapshot{Runners: []Runner{
			runner("a", PhaseIdle, time.Hour, made(is), withIdle(time.Second)), runner("b", PhaseIdle, 59*time.Minute, made(is), withIdle(time.Second)),
			runner("c", PhaseIdle, 2*time.Hour, withIdle(time.Second))}},
			[]string{"drain linux a: its container has run for 1h0m0s (max_lifetime 1h0m0s)"}},
		{"spent", linux(func(p *Pool) { p.Renewal.MaxJobs = 2 }), Snapshot{Jobs: []Job{job(1, "linux")}, Runners: []Runner{
			runner("a", PhaseIdle, time.Second, lasting, had(2)), runner("b", PhaseBusy, time.Minute, lasting, withJob, had(2)), runner("c", PhaseBusy, time.Minute, lasting, withJob, had(1)),
			runner("d", PhaseDraining, 0, lasting, withJob, had(2)), runner("e", PhaseExited, time.Minute, lasting, had(2))}},
			[]string{
				"remove linux e: its container has ended",
				"drain linux a: it has had 2 jobs (max_jobs 2)",
				"drain linux b: it has had 2 jobs (max_jobs 2): it finishes its job first",
				"start linux: job 1 of a/app waits and no runner of the pool is free",
			}},
		{"spent and above max", linux(func(p *Pool) { p.Renewal.MaxJobs, p.Max = 2, 0 }), Snapshot{Runners: []Runner{
			runner("a", PhaseIdle, time.Second, lasting, had(2)), runner("b", PhaseBusy, time.Minute, lasting, withJob, had(2))}},
			[]string{"drain linux a: it has had 2 jobs (max_jobs 2)", "drain linux b: it has had 2 jobs (max_jobs 2): it finishes its job first"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.snap.Now = now
			if got := lines(Compute(Spec{DrainSettle: time.Minute, Pools: []Pool{tt.pool}}, tt.snap)); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func had(jobs int) func(*Runner) { return func(r *Runner) { r.Jobs = jobs } }

func withIdle(d time.Duration) func(*Runner) { return func(r *Runner) { r.Since = ago(d) } }

func TestPortion(t *testing.T) {
	for _, tt := range []struct {
		p    Portion
		of   int
		want int
		text string
	}{{Portion{}, 10, 0, "0"}, {Portion{Count: 3}, 1, 3, "3"}, {Portion{Percent: 25}, 10, 3, "25%"}, {Portion{Percent: 100}, 7, 7, "100%"}, {Portion{Percent: 1}, 0, 1, "1%"}} {
		if got := tt.p.Of(tt.of); got != tt.want || tt.p.String() != tt.text {
			t.Errorf("%+v of %d = %d, %q", tt.p, tt.of, got, tt.p)
		}
	}
}

// replacement is a pool whose recipe changes now and then, under load.
type replacement struct {
	t    *testing.T
	seed uint64
	r    *rand.Rand
	spec Spec
	snap Snapshot
	ends map[string]time.Time // of jobs, by runner
	next int
	// excused is set while those are leaving that were on their way out when the
	// recipe changed.
	excused bool
}

func (w *replacement) pool() *Pool { return &w.spec.Pools[0] }

// step does what the plan says and lets some seconds pass.
func (w *replacement) step() {
	p := Compute(w.spec, w.snap)
	kinds := map[string]ActionKind{}
	for _, a := range p.Actions {
		if a.Kind == ActionStart {
			w.next++
			w.snap.Runners = append(w.snap.Runners, Runner{Name: fmt.Sprintf("r%04d", w.next), Pool: "linux", Scope: w.pool().Scope, Labels: w.pool().Labels,
				Recipe: w.pool().Renewal.Recipe, Phase: PhaseStarting, Registered: true, CreatedAt: w.snap.Now, StartedAt: w.snap.Now, Since: w.snap.Now})
			continue
		}
		kinds[a.Runner] = a.Kind
	}
	w.snap.Now = w.snap.Now.Add(time.Duration(1+w.r.IntN(3)) * time.Second)
	var stay []Runner
	missing := 0
	for _, x := range w.snap.Runners {
		w.check(&x, kinds[x.Name])
		if x = w.live(x, kinds[x.Name]); x.Phase == "" {
			continue
		}
		stay = append(stay, x)
		if (x.Phase == PhaseDraining || x.Phase == PhaseStopping || x.Phase == PhaseExited) && w.pool().stale(&x, w.snap.Now) {
			missing++
		}
	}
	w.snap.Runners = stay
	limit := w.pool().Renewal.Unavailable.Count
	w.excused = w.excused && missing > limit
	if missing > limit && !w.excused && w.pool().Renewal.MaxJobs == 0 {
		w.t.Fatalf("seed %d: %d are missing at a time, of %d", w.seed, missing, limit)
	}
}

func (w *replacement) check(x *Runner, kind ActionKind) {
	switch {
	case x.HasJob && kind != "" && kind != ActionDrain:
		w.t.Fatalf("seed %d: %s of busy %s", w.seed, kind, x.Name)
	case w.pool().Renewal.MaxJobs > 0 && x.Jobs > w.pool().Renewal.MaxJobs:
		w.t.Fatalf("seed %d: %s had %d jobs of %d", w.seed, x.Name, x.Jobs, w.pool().Renewal.MaxJobs)
	}
}

// live moves a runner on by what the plan says of it, and by what happens.
func (w *replacement) live(x Runner, kind ActionKind) Runner {
	enter := func(p Phase) { x.Phase, x.Since = p, w.snap.Now }
	switch kind {
	case ActionDrain:
		enter(PhaseDraining)
	case ActionStop:
		enter(PhaseStopping)
	case ActionRemove:
		return Runner{}
	case ActionRestart:
		x.Recipe.Container, x.Recipe.Image, x.StartedAt = w.pool().Renewal.Recipe.Container, w.pool().Renewal.Recipe.Image, w.snap.Now
		enter(PhaseStarting)
	}
	age := w.snap.Now.Sub(x.Since)
	switch {
	case x.HasJob && w.snap.Now.After(w.ends[x.Name]):
		x.HasJob, x.LastJobAt, x.JobSeen = false, w.snap.Now, w.snap.Now
		if x.Phase == PhaseBusy {
			enter(PhaseIdle)
		}
	case x.Phase == PhaseStarting && age > 5*time.Second:
		enter(PhaseIdle)
	case x.Phase == PhaseStopping && !x.HasJob:
		enter(PhaseExited)
	case x.Phase == PhaseIdle && len(w.snap.Jobs) > 0 && w.r.IntN(3) > 0:
		w.snap.Jobs = w.snap.Jobs[1:]
		x.HasJob, x.LastJobAt, x.JobSeen = true, w.snap.Now, w.snap.Now
		x.Jobs++
		w.ends[x.Name] = w.snap.Now.Add(time.Duration(w.r.IntN(60)) * time.Second)
		enter(PhaseBusy)
	}
	return x
}

// However recipes change under load: no busy runner is stopped, no more than
// max_unavailable are missing for it, none has more jobs than max_jobs, no job
// is left, and in the end all are of the last recipe.
func TestRenewalProperties(t *testing.T) {
	renewed := 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 13))
		w := &replacement{t: t, seed: seed, r: r, ends: map[string]time.Time{}, snap: Snapshot{Now: now}}
		w.spec = Spec{DrainSettle: 10 * time.Second, Pools: []Pool{linux(func(p *Pool) {
			p.Max, p.Min, p.Idle = 2+r.IntN(8), r.IntN(3), r.IntN(3)
			p.Renewal = Renewal{Recipe: Recipe{"0", "0", "0"}, Unavailable: Portion{Count: 1 + r.IntN(3)}}
			if r.IntN(2) == 0 {
				p.Renewal.MaxJobs = 1 + r.IntN(5)
			}
		})}}
		for i := range 400 {
			if r.IntN(4) == 0 {
				w.snap.Jobs = append(w.snap.Jobs, Job{ID: int64(i + 1), Repo: "a/app", Labels: []string{"linux"}, QueuedAt: w.snap.Now})
			}
			if r.IntN(60) == 0 && i < 300 {
				was := w.pool().Renewal.Recipe
				part := []*string{&w.pool().Renewal.Recipe.Registration, &w.pool().Renewal.Recipe.Container, &w.pool().Renewal.Recipe.Image}[r.IntN(3)]
				*part = fmt.Sprint(i)
				if was.Registration != w.pool().Renewal.Recipe.Registration && r.IntN(2) == 0 {
					w.pool().Labels = []string{"linux", fmt.Sprint("x", i)}
				}
				w.excused = true
			}
			w.step()
		}
		for range 2000 {
			w.step()
		}
		for _, x := range w.snap.Runners {
			if w.pool().stale(&x, w.snap.Now) || len(w.snap.Jobs) > 0 {
				t.Fatalf("seed %d: at the end %d jobs wait and there is %+v", seed, len(w.snap.Jobs), x)
			}
			if x.Recipe != (Recipe{"0", "0", "0"}) {
				renewed++
			}
		}
	}
	if renewed < 100 {
		t.Errorf("%d were renewed only, so this shows little", renewed)
	}
}

// Random worlds without any of this are planned as ever: see
// TestComputeKeepsItsPlans. With it, the rules of check hold too.
func TestRenewalOfRandomWorlds(t *testing.T) {
	for seed := range uint64(3_000) {
		r := rand.New(rand.NewPCG(seed, 14))
		spec, snap := world(r)
		for i := range spec.Pools {
			spec.Pools[i].Renewal = Renewal{Recipe: Recipe{"1", "1", "1"}, MaxLifetime: time.Minute, MaxJobs: 2, Unavailable: Portion{Count: r.IntN(3)}}
		}
		for i := range snap.Runners {
			x := &snap.Runners[i]
			x.Recipe, x.Jobs = Recipe{fmt.Sprint(r.IntN(2)), fmt.Sprint(r.IntN(2)), "1"}, r.IntN(4)
		}
		acted := map[string]ActionKind{}
		for _, a := range Compute(spec, snap).Actions {
			if a.Runner != "" && acted[a.Runner] != "" {
				t.Fatalf("seed %d: %s and %s of %s", seed, acted[a.Runner], a.Kind, a.Runner)
			}
			acted[a.Runner] = a.Kind
		}
		for _, x := range snap.Runners {
			kind := acted[x.Name]
			_, unknown := snap.Unknown[x.Scope]
			if kind != "" && kind != ActionRemove && kind != ActionRestart && (unknown || x.HasJob && (kind != ActionDrain || x.Ephemeral)) {
				t.Fatalf("seed %d: %s of %+v", seed, kind, x)
			}
		}
	}
}
