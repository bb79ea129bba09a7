package plan

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// byAlice is a pause of half an hour's age.
func byAlice(drain bool) *Pause {
	return &Pause{Since: ago(30 * time.Minute), By: "alice", Reason: "new disks", Drain: drain}
}

func paused(p *Pool)  { p.Paused = byAlice(false) }
func drained(p *Pool) { p.Paused = byAlice(true) }
func leaving(r *Runner) {
	r.Leave = byAlice(true)
}

func TestPauseAndDrain(t *testing.T) {
	tests := []struct {
		name string
		spec Spec
		snap Snapshot
		want []string
	}{
		{
			name: "a paused pool starts nothing, keeps what it has, and makes nothing ahead",
			spec: Spec{Pools: []Pool{linux(paused, func(p *Pool) { p.Min, p.Idle, p.Standby = 4, 2, 3 })}},
			snap: Snapshot{Jobs: []Job{job(1, "linux"), job(2, "linux"), job(3, "linux")}, Runners: []Runner{
				runner("a", PhaseIdle, time.Hour), runner("b", PhaseBusy, time.Hour, withJob), runner("c", PhaseStandby, time.Hour, func(r *Runner) { r.Prepared = true }),
			}},
		},
		{
			name: "a persistent runner of a paused pool that has ended waits for the pool",
			spec: Spec{Pools: []Pool{linux(paused)}},
			snap: Snapshot{Runners: []Runner{runner("a", PhaseExited, time.Minute, lasting)}},
		},
		{
			name: "a drained pool gives up what is idle, ahead or ended, and busy runners get no other job",
			spec: Spec{Pools: []Pool{linux(drained, func(p *Pool) { p.Min, p.Standby = 4, 1 })}},
			snap: Snapshot{Jobs: []Job{job(1, "linux")}, Runners: []Runner{
				runner("a", PhaseIdle, time.Minute), runner("b", PhaseBusy, time.Hour, withJob), runner("c", PhaseBusy, time.Hour, withJob, lasting),
				runner("d", PhaseStandby, time.Hour, func(r *Runner) { r.Prepared = true }), runner("e", PhaseExited, time.Minute, lasting),
				runner("f", PhaseStarting, time.Second),
			}},
			want: []string{
				"remove linux e: its container has ended",
				"remove linux d: the pool is drained by alice since 11:30 UTC (new disks)",
				"drain linux a: the pool is drained by alice since 11:30 UTC (new disks)",
				"drain linux c: the pool is drained by alice since 11:30 UTC (new disks): it finishes its job first",
			},
		},
		{
			name: "a drained runner goes whatever it is, and is replaced where it is needed",
			spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Min = 2 })}},
			snap: Snapshot{Runners: []Runner{
				runner("a", PhaseIdle, time.Minute, leaving), runner("b", PhaseBusy, time.Hour, withJob, leaving), runner("c", PhaseBusy, time.Hour, withJob, lasting, leaving),
				runner("d", PhaseStandby, time.Hour, leaving), runner("e", PhaseExited, time.Minute, lasting, leaving), runner("f", PhaseStarting, time.Second, leaving),
				runner("g", PhaseDraining, time.Hour, leaving), runner("h", PhaseIdle, time.Hour),
			}},
			want: []string{
				"remove linux d: it is drained by alice since 11:30 UTC (new disks)",
				"remove linux e: its container has ended",
				"stop linux g: disabled, and no job has come to it since",
				"drain linux a: it is drained by alice since 11:30 UTC (new disks)",
				"drain linux c: it is drained by alice since 11:30 UTC (new disks): it finishes its job first",
				"drain linux f: it is drained by alice since 11:30 UTC (new disks)",
			},
		},
		{
			name: "what cannot be read stays",
			spec: Spec{Pools: []Pool{linux(drained)}},
			snap: Snapshot{Unknown: map[Scope]string{instance: "gitea is down"}, Runners: []Runner{
				runner("a", PhaseIdle, time.Minute), runner("b", PhaseIdle, time.Minute, leaving), runner("c", PhaseBusy, time.Hour, lasting)}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.snap.Now = now
			if got := lines(Compute(tt.spec, tt.snap)); !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestPauseIsSaid(t *testing.T) {
	long := Pause{Since: ago(36 * time.Hour)}
	spec := Spec{Pools: []Pool{linux(paused), linux(func(p *Pool) { p.Name, p.Labels, p.Paused = "gpu", []string{"gpu"}, &long })}}
	snap := Snapshot{Now: now, Jobs: []Job{job(1, "linux"), job(2, "gpu")}}
	p := Compute(spec, snap)
	for i, want := range []string{"pool linux is paused by alice since 11:30 UTC (new disks)", "pool gpu is paused by somebody since 2026-02-28 00:00 UTC"} {
		d := p.Decisions[i]
		if d.Reason != want || d.Kind != ObstaclePaused || d.Next != "once pool "+spec.Pools[i].Name+" is resumed" {
			t.Errorf("decision %+v, want %q", d, want)
		}
	}
	s := NewStatus(spec, p)
	if got := s.Pools[0]; got.Hold != "paused by alice since 11:30 UTC (new disks)" || got.Paused == nil || got.Paused.By != "alice" {
		t.Errorf("status of the pool: %+v", got)
	}
	e, err := View{Spec: spec, Snap: snap}.Explain(Query{Job: 1})
	if err != nil || !slices.Contains(e.Summary, "It can get a runner once pool linux is resumed.") || e.Pools[0].Obstacles[0].Kind != ObstaclePaused {
		t.Errorf("explained as %+v, %v", e, err)
	}
}

func TestStartThatSomebodyAsksFor(t *testing.T) {
	tests := []struct {
		name string
		spec Spec
		snap Snapshot
		want []string
		why  string
	}{
		{name: "beyond what the queue needs", spec: Spec{Pools: []Pool{linux()}},
			snap: Snapshot{Jobs: []Job{job(1, "linux")}, Runners: []Runner{runner("a", PhaseIdle, time.Minute)}},
			want: []string{"start linux: bob asked for one more"}},
		{name: "of those that were made ahead", spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Standby = 1 })}},
			snap: Snapshot{Runners: []Runner{runner("a", PhaseStandby, time.Minute, func(r *Runner) { r.Prepared = true })}},
			want: []string{"start linux a: bob asked for one more"}},
		{name: "the queue comes first", spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Max = 1 })}}, snap: Snapshot{Jobs: []Job{job(1, "linux")}},
			want: []string{"start linux: job 1 of a/app waits and no runner of the pool is free"},
			why:  "pool linux is at its max of 1; try again when the one runner of pool linux is free or gone"},
		{name: "within the limits", spec: Spec{MaxRunners: 1, Pools: []Pool{linux()}}, snap: Snapshot{Runners: []Runner{runner("a", PhaseBusy, time.Minute, withJob)}},
			why: "limits.runners of 1 is reached; try again when the one runner of all pools is gone"},
		{name: "not while it is paused", spec: Spec{Pools: []Pool{linux(paused)}},
			why: "pool linux is paused by alice since 11:30 UTC (new disks); try again once pool linux is resumed"},
		{name: "not without an engine", spec: Spec{Pools: []Pool{linux()}}, snap: Snapshot{Hold: "no engine answers"},
			why: "pool linux is on hold: no engine answers; try again once the engine answers"},
		{name: "not at the end", spec: Spec{Shutdown: true, Pools: []Pool{linux()}}, why: "the daemon is draining to shut down"},
		{name: "not of a pool that has gone", why: "no pool linux is configured"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.snap.Now, tt.spec.Asked = now, []Ask{{"linux", "bob"}}
			p := Compute(tt.spec, tt.snap)
			if got := lines(p); !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
			if len(p.Answers) != 1 || p.Answers[0].Why != tt.why {
				t.Errorf("answers %+v, want %q", p.Answers, tt.why)
			}
		})
	}
}

// A drained pool comes to nothing once its jobs are done, and no job is cut off on
// the way.
func TestDrainEndsWithNothing(t *testing.T) {
	for seed := range uint64(2_000) {
		r := rand.New(rand.NewPCG(seed, 9))
		spec, snap := withOrders(r)
		snap.Hold, snap.Unknown, spec.Asked = "", map[Scope]string{}, nil
		for i := range spec.Pools {
			spec.Pools[i].Paused = byAlice(true)
		}
		for round := range 12 {
			p := Compute(spec, snap)
			had := map[string]Runner{}
			for _, x := range snap.Runners {
				had[x.Name] = x
			}
			for _, a := range p.Actions {
				if x := had[a.Runner]; x.HasJob && (a.Kind != ActionDrain || x.Ephemeral) && a.Kind != ActionRemove || a.Kind == ActionStart || a.Kind == ActionRestart {
					t.Fatalf("seed %d: %+v of %+v", seed, a, x)
				}
			}
			snap = hourOn(apply(snap, p, spec), round >= 3)
		}
		if len(snap.Runners) > 0 {
			t.Fatalf("seed %d: left %+v", seed, snap.Runners)
		}
	}
}

// hourOn is the world an hour on: what was told to stop has, what starts is
// online, and jobs may be over.
func hourOn(snap Snapshot, over bool) Snapshot {
	snap.Now = snap.Now.Add(time.Hour)
	for i := range snap.Runners {
		r := &snap.Runners[i]
		ended := r.HasJob && over
		r.HasJob = r.HasJob && !over
		switch {
		case r.HasJob:
		case r.Phase == PhaseFinishing || r.Phase == PhaseStopping || ended && r.Ephemeral:
			r.Phase, r.Since = PhaseExited, snap.Now
		case r.Phase == PhaseStarting || r.Phase == PhaseBusy:
			r.Phase, r.Since = PhaseIdle, snap.Now
		}
	}
	return snap
}

func TestUnservedJobsSayOfWhatKindTheReasonIs(t *testing.T) {
	full := linux(func(p *Pool) { p.Max = 0 })
	other := linux(func(p *Pool) { p.Name, p.Labels, p.Scope = "b", []string{"b-only"}, Scope{Kind: ScopeOrg, Owner: "b"} })
	p := Compute(Spec{Pools: []Pool{full, other}}, Snapshot{Now: now, Jobs: []Job{job(1, "linux"), job(2, "windows"), job(3, "b-only"), job(4, "linux", "windows")}})
	var got []string
	for _, d := range p.Decisions {
		got = append(got, string(d.Kind))
	}
	if want := "max label scope label"; strings.Join(got, " ") != want {
		t.Errorf("kinds %v, want %s", got, want)
	}
}
