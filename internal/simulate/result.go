package simulate

import (
	"slices"
	"time"
)

// Result is what came of a replay. Everything is from the end of the warm-up
// on: jobs by their arrival, runners by the time that they spent.
type Result struct {
	Cost
	Jobs     int // that came
	Unserved int // of these, those that no runner took
	Pools    []PoolResult
	// Plot has the course of it, a point each Every from the trace's start.
	Plot  []Point
	Every time.Duration
}

// Cost is how long jobs have waited, and what that took.
type Cost struct {
	Wait Waits // from arrival until a runner has it
	// Runners is the time from the start of each runner to its end, together;
	// Busy is the part of it with a job, Starting that before it was online.
	Runners, Busy, Starting time.Duration
	Starts                  int
	Peak                    int // runners at most
}

// PoolResult is the part of one pool. Its waits are those of the jobs that its
// runners took.
type PoolResult struct {
	Name string
	Jobs int
	Cost
}

// Waits describes how long jobs have waited. The p95 is the shortest wait that
// 95 of 100 jobs did not exceed; likewise the others.
type Waits struct{ P50, P95, P99, Max time.Duration }

// Point is one stretch of time.
type Point struct {
	Waiting int // jobs at most
	// Runners on average.
	Starting, Idle, Busy, Leaving float64
	Wait                          Waits // of the jobs that came then
	Jobs                          int   // of these
}

// waitsOf sorts the waits.
func waitsOf(waits []time.Duration) Waits {
	if len(waits) == 0 {
		return Waits{}
	}
	slices.Sort(waits)
	// At least so many percent of all waits are not longer.
	at := func(percent int) time.Duration { return waits[(len(waits)*percent+99)/100-1] }
	return Waits{P50: at(50), P95: at(95), P99: at(99), Max: waits[len(waits)-1]}
}

func (m *meter) result() *Result {
	r := &Result{Cost: Cost{Peak: m.peak}, Every: m.every}
	var all []time.Duration
	for i := range m.pools {
		p := &m.pools[i]
		q := PoolResult{
			Name: m.world.fleet.Spec.Pools[i].Name, Jobs: len(p.waits),
			Cost: Cost{Wait: waitsOf(p.waits), Busy: p.spent[busy], Starting: p.spent[starting], Starts: p.starts, Peak: p.peak},
		}
		for s := starting; s < states; s++ {
			q.Runners += p.spent[s]
		}
		all = append(all, p.waits...)
		r.Runners, r.Busy, r.Starting, r.Starts = r.Runners+q.Runners, r.Busy+q.Busy, r.Starting+q.Starting, r.Starts+q.Starts
		r.Pools = append(r.Pools, q)
	}
	for i := range m.world.trace.Jobs {
		if m.counted(m.world.trace.Jobs[i].Arrival) {
			r.Jobs++
		}
	}
	r.Wait, r.Unserved = waitsOf(all), r.Jobs-len(all)
	for i := range m.parts {
		lasts := min(m.every, m.at-time.Duration(i)*m.every)
		r.Plot = append(r.Plot, m.parts[i].point(lasts))
	}
	return r
}

func (b *bucket) point(lasts time.Duration) Point {
	on := func(s state) float64 { return float64(b.spent[s]) / float64(max(lasts, 1)) }
	return Point{
		Waiting: b.waiting, Starting: on(starting), Idle: on(idle), Busy: on(busy), Leaving: on(leaving),
		Wait: waitsOf(b.waits), Jobs: len(b.waits),
	}
}
