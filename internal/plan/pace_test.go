package plan

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// jobAgo gives a runner that lasts a last job.
func jobAgo(d time.Duration) func(*Runner) {
	return func(r *Runner) { lasting(r); r.LastJobAt = ago(d) }
}

func TestComputePace(t *testing.T) {
	ramp := func(starts ...time.Duration) func(*Pool) {
		return func(p *Pool) {
			p.Pace = Pace{Starts: 2, Per: time.Minute}
			for _, d := range starts {
				p.Recent.Starts = append(p.Recent.Starts, ago(d))
			}
		}
	}
	four := Snapshot{Jobs: []Job{job(1, "linux"), job(2, "linux"), job(3, "linux"), job(4, "linux")}}
	starts := []string{
		"start linux: job 1 of a/app waits and no runner of the pool is free",
		"start linux: job 2 of a/app waits and no runner of the pool is free",
	}
	idle := func(d ...time.Duration) (all []Runner) {
		for i, name := range []string{"a", "b", "c"}[:len(d)] {
			all = append(all, runner(name, PhaseIdle, time.Hour, jobAgo(d[i])))
		}
		return all
	}
	surplus := func(levels ...lasted) func(*Pool) {
		return func(p *Pool) { p.Recent.Surplus = levels }
	}
	tests := []struct {
		name string
		pool Pool
		snap Snapshot
		want []string
		job  string // the reason of the youngest job
	}{
		{"a ramp lets so many start", linux(ramp()), four, starts,
			"pool linux starts at most 2 in 1m0s (ramp), and may start the next one at 12:01:00 UTC"},
		{"earlier starts count", linux(ramp(61*time.Second, 50*time.Second)), four, starts[:1],
			"pool linux starts at most 2 in 1m0s (ramp), and may start the next one at 12:00:10 UTC"},
		{"none is left", linux(ramp(50*time.Second, 20*time.Second)), four, nil,
			"pool linux starts at most 2 in 1m0s (ramp), and may start the next one at 12:00:10 UTC"},
		{"more started under another ramp", linux(ramp(50*time.Second, 40*time.Second, 30*time.Second, 20*time.Second)), four, nil,
			"pool linux starts at most 2 in 1m0s (ramp), and may start the next one at 12:00:30 UTC"},
		{"min and idle are slowed too", linux(ramp(10*time.Second), func(p *Pool) { p.Min, p.Idle = 3, 3 }), Snapshot{},
			[]string{"start linux: the pool keeps min 3 and has 0"}, ""},
		{"the coldest goes first", linux(func(p *Pool) { p.Min = 2 }), Snapshot{Runners: idle(3*time.Hour, 5*time.Hour, time.Hour)},
			[]string{"drain linux b: idle for 1h0m0s, and the pool keeps 0 idle and min 2"}, ""},
		{"one that had no job goes before", linux(func(p *Pool) { p.Min = 2 }),
			Snapshot{Runners: append(idle(3*time.Hour, 5*time.Hour), runner("new", PhaseIdle, 10*time.Minute, lasting))},
			[]string{"drain linux new: idle for 10m0s, and the pool keeps 0 idle and min 2"}, ""},
		{"above max too", linux(func(p *Pool) { p.Max = 2 }), Snapshot{Runners: idle(3*time.Hour, 5*time.Hour, time.Hour)},
			[]string{"drain linux b: the pool's max is 2 and it has 3", "drain linux a: idle for 1h0m0s, and the pool keeps 0 idle and min 0",
				"drain linux c: idle for 1h0m0s, and the pool keeps 0 idle and min 0"}, ""},
		{"cooling down", linux(func(p *Pool) { p.Pace.CoolDown, p.Recent.Active = time.Minute, ago(59*time.Second) }),
			Snapshot{Runners: idle(time.Hour)}, nil, ""},
		{"cooled down", linux(func(p *Pool) { p.Pace.CoolDown, p.Recent.Active = time.Minute, ago(time.Minute) }),
			Snapshot{Runners: idle(time.Hour)}, []string{"drain linux a: idle for 1h0m0s, and the pool keeps 0 idle and min 0"}, ""},
		{"max does not wait for it", linux(func(p *Pool) { p.Pace.CoolDown, p.Recent.Active, p.Max = time.Minute, ago(time.Second), 0 }),
			Snapshot{Runners: idle(time.Hour)}, []string{"drain linux a: the pool's max is 0 and it has 1"}, ""},
		{"not surplus for long enough", linux(surplus(lasted{ago(time.Hour), 0}, lasted{ago(299 * time.Second), 1})),
			Snapshot{Runners: idle(time.Hour)}, nil, ""},
		{"surplus for long enough", linux(surplus(lasted{ago(time.Hour), 0}, lasted{ago(300 * time.Second), 1})),
			Snapshot{Runners: idle(2*time.Hour, time.Hour)}, []string{"drain linux a: idle for 1h0m0s, and the pool keeps 0 idle and min 0"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.snap.Now = now
			p := Compute(Spec{Pools: []Pool{tt.pool}}, tt.snap)
			if got := lines(p); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if n := len(p.Decisions); tt.job != "" && p.Decisions[n-1].Reason != tt.job {
				t.Errorf("the job is told %q, want %q", p.Decisions[n-1].Reason, tt.job)
			}
		})
	}
}

func TestPlanSaysWhenThePaceLetsGoOn(t *testing.T) {
	p := linux(func(p *Pool) {
		p.Pace = Pace{Starts: 1, Per: time.Minute, CoolDown: time.Hour}
		p.Recent = Recent{Starts: []time.Time{ago(20 * time.Second)}, Active: ago(20 * time.Second)}
	})
	c := Compute(Spec{Pools: []Pool{p}}, Snapshot{Now: now, Runners: []Runner{runner("a", PhaseIdle, time.Hour)}}).Pools[0]
	if c.RampUntil != now.Add(40*time.Second) || c.CoolingUntil != now.Add(3580*time.Second) || c.Surplus != 1 {
		t.Errorf("got %+v", c)
	}
	c = Compute(Spec{Pools: []Pool{linux()}}, Snapshot{Now: now, Unknown: map[Scope]string{instance: "unread"}}).Pools[0]
	if !c.RampUntil.IsZero() || !c.CoolingUntil.IsZero() || c.Surplus != -1 {
		t.Errorf("without a pace, and with an unknown queue: %+v", c)
	}
}

// Within no stretch of the ramp's length are more runners started than it says,
// and all are started that it lets start.
func TestRampProperties(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		p := Pace{Starts: 1 + r.IntN(5), Per: time.Duration(1+r.IntN(60)) * time.Second}
		var all []time.Time
		at := now
		for range 200 {
			at = at.Add(time.Duration(r.IntN(5000)) * time.Millisecond)
			known := all[r.IntN(1+max(len(all)-p.Starts, 0)):] // who forgets old ones decides the same
			n := p.left(known, at).left
			if again := p.left(all, at).left; again != n {
				t.Fatalf("seed %d: %d may start by %d starts, %d by all", seed, n, len(known), again)
			}
			within := 0
			for _, s := range all {
				if at.Sub(s) < p.Per {
					within++
				}
			}
			if n != max(p.Starts-within, 0) {
				t.Fatalf("seed %d: %d may start beside %d within %s, of %d", seed, n, within, p.Per, p.Starts)
			}
			for range r.IntN(n + 1) {
				all = append(all, at)
				n--
			}
			if n > 0 {
				continue
			}
			next := p.left(all, at).next
			before, after := p.left(all, next.Add(-1)).left, p.left(all, next).left
			if before != 0 || after == 0 {
				t.Fatalf("seed %d: said to go on at %s, where %d may start, and %d just before", seed, next, after, before)
			}
		}
	}
}

// Surplus tells what a list of all that was noted tells.
func TestSurplusIsTheLeastOfAStretch(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 12))
		var s Surplus
		var times []time.Time
		var levels []int
		at := now
		for range 100 {
			at = at.Add(time.Duration(1+r.IntN(5)) * time.Second)
			n := r.IntN(6) - 1
			times, levels = append(times, at), append(levels, max(n, 0))
			before := slices.Clone(s)
			next := s.Note(at, n)
			if !slices.Equal(before, s) {
				t.Fatalf("seed %d: Note has changed its receiver", seed)
			}
			s = next
			if len(s) > 6 {
				t.Fatalf("seed %d: remembers %d levels", seed, len(s))
			}
			d := time.Duration(1+r.IntN(60)) * time.Second
			later := at.Add(time.Duration(r.IntN(3)) * time.Second)
			want := levels[len(levels)-1]
			for i := range times {
				if i+1 == len(times) || times[i+1].After(later.Add(-d)) { // it still held then
					want = min(want, levels[i])
				}
			}
			if got := s.Lasting(later, d); got != want {
				t.Fatalf("seed %d: %d were surplus for %s, want %d: %+v", seed, got, d, want, s)
			}
		}
	}
	if got := (Surplus{}).Lasting(now, time.Hour); got != unbounded {
		t.Errorf("without memory %d", got)
	}
	if got := (Surplus{}.Note(now, 1)).Lasting(now, 0); got != unbounded {
		t.Errorf("without patience %d", got)
	}
}

// What Lasting says changes just when Grows has said that it would.
func TestSurplusGrows(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 500 {
		var s Surplus
		at, d := now, time.Duration(r.IntN(20))*time.Second
		for range r.IntN(8) {
			at = at.Add(time.Duration(r.IntN(5)) * time.Second)
			s = s.Note(at, r.IntN(6))
		}
		had, next := s.Lasting(at, d), s.Grows(at, d)
		for range 60 {
			at = at.Add(time.Second)
			got := s.Lasting(at, d)
			if got != had && !next.Equal(at) {
				t.Fatalf("%v for %s: %d become %d at %s, expected at %s", s, d, had, got, at, next)
			}
			if next.Equal(at) {
				next = s.Grows(at, d)
			}
			had = got
		}
	}
}
