package plan

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const pressed = "the host is under memory pressure"

func TestStartHold(t *testing.T) {
	second := linux(func(p *Pool) { p.Name = "second" })
	tests := []struct {
		name string
		spec Spec
		snap Snapshot
		want []string
		why  string // the job that is not served
	}{
		{
			name: "a job waits, and is told once for all pools",
			spec: Spec{Pools: []Pool{linux(), second}},
			snap: Snapshot{Jobs: []Job{job(1, "linux")}},
			why:  "nothing new starts: " + pressed,
		},
		{
			name: "a pool's own hold comes first",
			spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Hold = "token disabled" }), second}},
			snap: Snapshot{Jobs: []Job{job(1, "linux")}},
			why:  "pool linux is on hold: token disabled; nothing new starts: " + pressed,
		},
		{
			name: "min and idle wait",
			spec: Spec{Pools: []Pool{linux(func(p *Pool) { p.Min, p.Idle = 2, 1 })}},
		},
		{
			name: "a persistent runner's new container waits, and its identity stays",
			spec: Spec{Pools: []Pool{linux()}},
			snap: Snapshot{Runners: []Runner{runner("r1", PhaseExited, time.Minute, lasting)}},
		},
		{
			name: "a free runner serves",
			spec: Spec{Pools: []Pool{linux()}},
			snap: Snapshot{Jobs: []Job{job(1, "linux")}, Runners: []Runner{runner("r1", PhaseIdle, time.Second)}},
		},
		{
			name: "the way down goes on",
			spec: Spec{DrainSettle: 10 * time.Second, Pools: []Pool{linux()}},
			snap: Snapshot{Runners: []Runner{runner("r1", PhaseExited, time.Minute, used), runner("r2", PhaseDraining, time.Minute),
				runner("r3", PhaseIdle, time.Hour), runner("r4", PhaseBusy, time.Hour, withJob)}},
			want: []string{
				"remove linux r1: its container has ended",
				"stop linux r2: disabled, and no job has come to it since",
				"drain linux r3: idle for 1h0m0s, and the pool keeps 0 idle and min 0",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.snap.Now, tt.snap.StartHold = now, pressed
			p := Compute(tt.spec, tt.snap)
			if got := lines(p); !slices.Equal(got, tt.want) {
				t.Errorf("actions:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			for _, d := range p.Decisions {
				if !d.Served() && d.Reason != tt.why || d.Served() && tt.why != "" {
					t.Errorf("job %d: pool %q, %q; want %q", d.Job.ID, d.Pool, d.Reason, tt.why)
				}
			}
			if len(p.Decisions) == 0 && tt.why != "" {
				t.Error("no job was decided")
			}
		})
	}
}

// A hold of all starts is a hold of each pool: it starts and restarts nothing,
// and changes nothing else.
func TestStartHoldIsAHoldOfEachPool(t *testing.T) {
	held := 0
	for seed := range uint64(4_000) {
		spec, snap := crowd(rand.New(rand.NewPCG(seed, 7)))
		free := Compute(spec, snap)
		snap.StartHold = pressed
		got := Compute(spec, snap)
		snap.StartHold = ""
		for i := range spec.Pools {
			spec.Pools[i].Hold = orElse(spec.Pools[i].Hold, pressed)
		}
		want := Compute(spec, snap)
		for i := range want.Pools { // which of the two it is is another matter
			got.Pools[i].HoldKind, want.Pools[i].HoldKind = "", ""
		}
		if !reflect.DeepEqual(got.Actions, want.Actions) || !reflect.DeepEqual(got.Pools, want.Pools) {
			t.Fatalf("seed %d: actions %v, want %v", seed, lines(got), lines(want))
		}
		for _, a := range got.Actions {
			if a.Kind == ActionStart || a.Kind == ActionRestart {
				t.Fatalf("seed %d: %+v", seed, a)
			}
		}
		if slices.ContainsFunc(free.Actions, func(a Action) bool { return a.Kind == ActionStart }) {
			held++
		}
	}
	if held < 1_000 {
		t.Errorf("only %d worlds had something to start", held)
	}
}
