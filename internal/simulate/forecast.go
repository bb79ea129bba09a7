package simulate

import (
	"time"

	"scaler.io/scaler/internal/plan"
)

// forecast is what a pool that chooses by itself how many runners are ready
// knows of its jobs.
type forecast struct {
	pool     int
	wait     time.Duration // of its target
	arrivals plan.Arrivals
}

// lookAgain is how often at least the choice of ready runners is made anew.
const lookAgain = time.Minute

// setReady has the pools choose how many runners they keep ready.
func (d *daemon) setReady(now time.Time) {
	for _, f := range d.forecasts {
		d.spec.Pools[f.pool].SetReady(&f.arrivals, now)
	}
}

// learn takes note of the jobs that this cycle has seen for the first time.
func (d *daemon) learn(now time.Time, p plan.Plan) {
	came := make([]int, len(d.spec.Pools))
	for j := d.counted; j < d.world.arrived; j++ {
		if by := d.world.server.by[j]; by >= 0 {
			came[by]++
		}
	}
	for i := range p.Decisions {
		j := int(p.Decisions[i].Job.ID) - 1
		if j < d.counted {
			continue
		}
		pool := d.spec.Index(p.Decisions[i].Pool)
		if pool < 0 {
			pool = d.world.server.kinds[d.world.server.kindOf[j]].pools[0]
		}
		came[pool]++
	}
	d.counted = d.world.arrived
	for _, f := range d.forecasts {
		f.arrivals.Look(now)
		f.arrivals.Add(now, came[f.pool], f.wait)
	}
}

// cameOnline takes note of how long a start took.
func (d *daemon) cameOnline(r *runner, took time.Duration) {
	for _, f := range d.forecasts {
		if f.pool == r.pool {
			f.arrivals.Started(took)
		}
	}
}
