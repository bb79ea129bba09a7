package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestComputeUnderWindow(t *testing.T) {
	nightly := func(w Window) func(*Pool) {
		w.Name, w.Next, w.Duration = "`0 10 * * *` for 4h", starting(in(-2)), 4*time.Hour
		return func(p *Pool) { p.Windows = NewWindows(w) }
	}
	tests := []struct {
		name string
		pool Pool
		snap Snapshot
		want []string
		job  string // the reason of the first job
	}{
		{
			name: "max 0 drains", pool: linux(func(p *Pool) { p.Max = 5 }, nightly(Window{Max: ptr(0)})),
			snap: Snapshot{Jobs: []Job{job(1)}, Runners: []Runner{
				runner("a", PhaseIdle, time.Second), runner("b", PhaseBusy, time.Hour, withJob), runner("c", PhaseExited, time.Second, lasting)}},
			want: []string{
				"remove linux c: its container has ended",
				"drain linux a: the pool's max is 0 and it has 2 (window `0 10 * * *` for 4h, until 14:00 UTC)",
			},
			job: "pool linux is at its max of 0 (window `0 10 * * *` for 4h, until 14:00 UTC)",
		},
		{
			name: "min is raised", pool: linux(nightly(Window{Min: ptr(1)})),
			want: []string{"start linux: the pool keeps min 1 and has 0 (window `0 10 * * *` for 4h, until 14:00 UTC)"},
		},
		{
			name: "idle is raised", pool: linux(nightly(Window{Idle: ptr(1)})),
			want: []string{"start linux: the pool keeps 1 idle and has 0 (window `0 10 * * *` for 4h, until 14:00 UTC)"},
		},
		{
			name: "idle_timeout is shortened", pool: linux(nightly(Window{IdleTimeout: ptr(time.Minute)})),
			snap: Snapshot{Runners: []Runner{runner("a", PhaseIdle, 2*time.Minute)}},
			want: []string{"drain linux a: idle for 2m0s, and the pool keeps 0 idle and min 0 (window `0 10 * * *` for 4h, until 14:00 UTC)"},
		},
		{
			name: "a number that the window does not set is not put down to it", pool: linux(func(p *Pool) { p.Min = 1 }, nightly(Window{Idle: ptr(0)})),
			want: []string{"start linux: the pool keeps min 1 and has 0"},
		},
		{
			name: "the rest of the world is as ever", pool: linux(nightly(Window{Max: ptr(20)})),
			snap: Snapshot{Jobs: []Job{job(1)}},
			want: []string{"start linux: job 1 of a/app waits and no runner of the pool is free"},
			job:  "a runner is being started for it",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.snap.Now = now
			p := Compute(Spec{Pools: []Pool{tt.pool}}, tt.snap)
			if got := lines(p); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if tt.job != "" && p.Decisions[0].Reason != tt.job {
				t.Errorf("the job is told %q, want %q", p.Decisions[0].Reason, tt.job)
			}
		})
	}
}

func TestReasonsSayUntilWhen(t *testing.T) {
	tests := []struct {
		name string
		next time.Time
		want string
	}{
		{"that is not known", time.Time{}, " (window w)"},
		{"by the clock of the window's zone", in(1).In(time.FixedZone("CET", 3600)), " (window w, until 14:00 CET)"},
		{"a zone without letters", in(10.5).In(time.FixedZone("", 7200)), " (window w, until 00:30 +0200)"},
		{"a day away, with the date", in(24), " (window w, until 2026-03-02 12:00 UTC)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &span{state: ScheduleState{Window: "w", Next: tt.next}}
			if got := s.note(true, now); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := s.note(false, now); got != "" {
				t.Errorf("for a number that it does not set: %q", got)
			}
		})
	}
}

// A plan under windows is the plan for pools with the windows' numbers, but for
// what it says of them.
func TestComputeGoesByTheNumbersThatHold(t *testing.T) {
	bare := func(p Plan) Plan {
		for i := range p.Actions {
			p.Actions[i].Reason = ""
		}
		for i := range p.Decisions {
			p.Decisions[i].Reason, p.Decisions[i].Next, p.Decisions[i].Kind = "", "", ""
		}
		for i := range p.Pools {
			p.Pools[i].Schedule = ScheduleState{}
		}
		return p
	}
	changed := 0
	for seed := range uint64(2_000) {
		r := rand.New(rand.NewPCG(seed, 7))
		spec, snap := crowd(r)
		plain, settled := spec, spec
		plain.Pools, settled.Pools = slices.Clone(spec.Pools), slices.Clone(spec.Pools)
		for i := range spec.Pools {
			w := Window{Name: "w", Next: every(2 * time.Hour), Duration: time.Duration(1+r.IntN(120)) * time.Minute}
			for _, number := range []**int{&w.Min, &w.Idle, &w.Max} {
				if r.IntN(2) == 0 {
					*number = ptr(r.IntN(20))
				}
			}
			if r.IntN(2) == 0 {
				w.IdleTimeout = ptr(time.Duration(r.IntN(5)) * time.Minute)
			}
			spec.Pools[i].Windows = NewWindows(w)
			settled.Pools[i], _ = spec.Pools[i].At(snap.Now)
		}
		got, want := fmt.Sprintf("%+v", bare(Compute(spec, snap))), fmt.Sprintf("%+v", bare(Compute(settled, snap)))
		if got != want {
			t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, got, want)
		}
		if got != fmt.Sprintf("%+v", bare(Compute(plain, snap))) {
			changed++
		}
	}
	if changed < 1_000 {
		t.Errorf("the windows changed %d plans only, so this shows little", changed)
	}
}

func TestStatusShowsTheNumbersThatHold(t *testing.T) {
	w := Window{Name: "w", Next: starting(in(-1)), Duration: 2 * time.Hour, Min: ptr(1), Idle: ptr(2), Max: ptr(3)}
	spec := Spec{Pools: []Pool{linux(func(p *Pool) { p.Windows = NewWindows(w) })}}
	s := NewStatus(spec, Compute(spec, Snapshot{Now: now})).Pools[0]
	if s.Min != 1 || s.IdleWant != 2 || s.Max != 3 || s.Window != "w" || s.NextChange != in(1) || s.NextWindow != "" {
		t.Errorf("within the window: %+v", s)
	}
	s = NewStatus(spec, Compute(spec, Snapshot{Now: in(-2)})).Pools[0]
	if s.Min != 0 || s.IdleWant != 0 || s.Max != 10 || s.Window != "" || s.NextChange != in(-1) || s.NextWindow != "w" {
		t.Errorf("before it: %+v", s)
	}
}
