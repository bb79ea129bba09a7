package simulate

import (
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
)

// daemon plays the loop of the daemon: it looks, lets plan.Compute decide, and
// does what the plan says.
type daemon struct {
	world   *world
	pace    pace
	due     time.Duration   // when its next cycle is worth to be computed
	changed []*runner       // those of which it has not seen all
	seenAt  []time.Duration // of each job of the trace when it was first seen waiting
	spec    plan.Spec
	runners []*runner     // those that it knows, by id
	views   []plan.Runner // what it knows of them
	byName  map[string]*runner
	jobs    []plan.Job // of the snapshot

	recent    []plan.Recent // by pool
	forecasts []*forecast
	counted   int // jobs of the trace up to this one are counted in the forecasts
}

func newDaemon(w *world) *daemon {
	d := &daemon{world: w, spec: w.fleet.Spec, byName: make(map[string]*runner), seenAt: slices.Repeat([]time.Duration{never}, len(w.trace.Jobs))}
	d.spec.Pools = slices.Clone(d.spec.Pools)
	d.spec.CanNudge = true
	d.pace = pace{Polls: w.fleet.Polls}
	d.pace.happened = -d.pace.Faded()
	d.recent = make([]plan.Recent, len(d.spec.Pools))
	for i := range d.spec.Pools {
		// What a runner on standby saves is for the cold starts to say.
		d.spec.Pools[i].Standby = 0
		if auto := d.spec.Pools[i].EverAuto(); auto != nil {
			d.forecasts = append(d.forecasts, &forecast{pool: i, wait: auto.Wait})
		}
	}
	return d
}

// trigger asks for a cycle at once, as when the engine reports something.
func (d *daemon) trigger() {
	d.due = min(d.due, max(d.world.now, d.pace.last+cycleGap))
}

// cycle is observe, plan, apply.
func (d *daemon) cycle() {
	w := d.world
	d.due = never
	d.observe()
	d.pace.last = w.now
	now := w.trace.Start.Add(w.now)
	d.setReady(now)
	for i := range d.spec.Pools {
		d.spec.Pools[i].Recent = d.recent[i].Within(d.spec.Pools[i].Pace, now)
	}
	p := plan.Compute(d.spec, plan.Snapshot{Now: now, Jobs: d.queued(), Runners: d.views})
	d.learn(now, p)
	for _, a := range p.Actions {
		d.apply(a, now)
	}
	for i, c := range p.Pools {
		d.recent[i].NoteSurplus(now, c.Surplus)
	}
	d.foresee(now, p)
}

// observe moves the runners to the phases that a look at them shows.
func (d *daemon) observe() {
	w := d.world
	now := w.trace.Start.Add(w.now)
	for _, r := range d.changed {
		r.changed = false
		d.look(r, now)
	}
	d.changed = d.changed[:0]
}

// look is what the daemon's own assessment does.
func (d *daemon) look(r *runner, now time.Time) {
	i, known := d.find(r)
	if !known {
		return
	}
	v := &d.views[i]
	enter := func(to plan.Phase) {
		if v.Phase != to {
			v.Phase, v.Since = to, now
			d.pace.happened = d.world.now
		}
	}
	had := v.HasJob
	v.HasJob = r.job != none
	if v.HasJob || had {
		v.JobSeen, v.LastJobAt = now, now
	}
	v.Repo = ""
	if v.HasJob {
		v.Repo = d.world.trace.Jobs[r.job].Repo
	}
	if v.HasJob && r.job != r.seenJob {
		r.seenJob = r.job
		v.Jobs++
		d.recent[r.pool].Active = now
	}
	if v.Phase == plan.PhaseStarting && r.state != starting && r.state != gone {
		d.cameOnline(r, now.Sub(v.Since))
	}
	v.Used = v.Used || r.ephemeral && (v.HasJob || r.state == gone && v.Phase != plan.PhaseStopping)
	if v.StartedAt.IsZero() && r.state != starting {
		v.StartedAt = now
	}
	switch {
	case r.state == gone:
		enter(plan.PhaseExited)
	case v.Phase == plan.PhaseDraining || v.Phase == plan.PhaseStopping:
	case r.state == busy:
		enter(plan.PhaseBusy)
	case r.state == idle:
		enter(plan.PhaseIdle)
	}
}

// find is where the daemon keeps a runner.
func (d *daemon) find(r *runner) (int, bool) {
	return slices.BinarySearchFunc(d.runners, r.id, func(r *runner, id int) int { return r.id - id })
}

// queued are the jobs that the server lists.
func (d *daemon) queued() []plan.Job {
	w := d.world
	d.jobs = d.jobs[:0]
	for j := range w.server.queue {
		t := &w.trace.Jobs[j]
		if d.seenAt[j] == never {
			d.seenAt[j], d.pace.happened = w.now, w.now
		}
		d.jobs = append(d.jobs, plan.Job{
			ID: int64(j) + 1, Repo: t.Repo, Labels: t.Labels, Status: plan.JobQueued,
			QueuedAt: w.trace.Start.Add(t.Arrival), SeenAt: w.trace.Start.Add(d.seenAt[j]),
		})
	}
	return d.jobs
}

// apply does one thing that the plan says.
func (d *daemon) apply(a plan.Action, now time.Time) {
	w := d.world
	if a.Kind == plan.ActionStart {
		pool := d.spec.Index(a.Pool)
		r := w.start(pool)
		d.recent[pool].Started(now)
		d.runners, d.byName[r.name] = append(d.runners, r), r
		d.views = append(d.views, plan.Runner{
			Name: r.name, Pool: a.Pool, Scope: d.spec.Pools[pool].Scope, Phase: plan.PhaseStarting,
			Ephemeral: r.ephemeral, Registered: true, CreatedAt: now, Since: now,
		})
		return
	}
	r := d.byName[a.Runner]
	i, _ := d.find(r)
	v := &d.views[i]
	switch a.Kind {
	case plan.ActionDrain:
		v.Phase, v.Since = plan.PhaseDraining, now
		w.disable(r)
	case plan.ActionStop, plan.ActionKill:
		v.Phase, v.Since, v.Told = plan.PhaseStopping, now, true
		w.end(r)
	case plan.ActionRemove, plan.ActionRestart:
		d.runners, d.views = slices.Delete(d.runners, i, i+1), slices.Delete(d.views, i, i+1)
		delete(d.byName, r.name)
		d.trigger()
		if a.Kind == plan.ActionRestart { // a new container takes as long as a new runner
			d.apply(plan.Action{Kind: plan.ActionStart, Pool: a.Pool}, now)
		}
	}
}

// foresee finds out when a plan may come out differently though nothing has
// happened.
func (d *daemon) foresee(now time.Time, p plan.Plan) {
	due := time.Time{}
	at := func(t time.Time) {
		if t.After(now) && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	timeouts := make([]time.Duration, len(d.spec.Pools))
	for i := range d.spec.Pools {
		pool, schedule := d.spec.Pools[i].At(now)
		timeouts[i] = pool.IdleTimeout
		at(schedule.Next)
		at(p.Pools[i].RampUntil)
		at(p.Pools[i].CoolingUntil)
		at(d.recent[i].Surplus.Grows(now, pool.IdleTimeout))
	}
	if slices.ContainsFunc(p.Actions, func(a plan.Action) bool { return a.Kind == plan.ActionDrain }) {
		at(now.Add(1)) // at the next poll there may be another one to go
	}
	if len(d.forecasts) > 0 {
		at(now.Truncate(lookAgain).Add(lookAgain))
	}
	for i := range d.views {
		v := &d.views[i]
		if most := d.spec.Pools[d.runners[i].pool].Renewal.MaxLifetime; most > 0 && !v.StartedAt.IsZero() {
			at(v.StartedAt.Add(most))
		}
		switch {
		case v.HasJob:
		case v.Phase == plan.PhaseIdle:
			at(v.Since.Add(timeouts[d.runners[i].pool]))
		case v.Phase == plan.PhaseDraining:
			since := v.Since
			if v.JobSeen.After(since) {
				since = v.JobSeen
			}
			at(since.Add(max(d.spec.DrainSettle, 1))) // the next poll, if not later
		}
	}
	if !due.IsZero() {
		d.due = min(d.due, d.pace.next(due.Sub(d.world.trace.Start)))
	}
}
