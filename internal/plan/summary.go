package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// summary says in sentences what becomes of job j.
func (c *computation) summary(j int) []string {
	var lines []string
	switch d := &c.jobs[j]; {
	case d.Served():
		lines = c.howServed(j)
	case c.assigned.kind[j] == none:
		lines = append([]string{"No runner is there or on its way for it: " + d.Reason + "."}, c.remedies(j)...)
	default:
		lines = append([]string{"No runner is there or on its way for it: " + d.Reason + "."}, c.prospects(j)...)
	}
	if c.spec.Shutdown {
		lines = append(lines, "The daemon is draining to shut down and starts no more runners.")
	}
	return lines
}

// howServed says which runner is for a job. If none is bound to it, free runners
// go to the oldest jobs of a pool, then those that are starting.
func (c *computation) howServed(j int) []string {
	if r := c.jobs[j].bound; r != nil {
		return []string{fmt.Sprintf("Runner %s of pool %s was started for it, and takes no other job.", r.Name, r.Pool)}
	}
	i := int(c.assigned.pool[j])
	p, before := c.pools[i], 0
	for k := range j {
		if c.assigned.pool[k] == int32(i) {
			before++
		}
	}
	free := 0
	for _, r := range p.idle {
		if !p.misfit(r) {
			free++
		}
	}
	switch starting := c.starting(p); {
	case before < free:
		line := []string{fmt.Sprintf("A runner of pool %s is free and takes it at its next look, within seconds.", p.Name)}
		if p.Eager || !p.overdue || c.lazy(p) == none {
			return line
		}
		if c.spec.CanNudge {
			return append(line, fmt.Sprintf("A job has waited beside it for %s or more, so one is woken, every %s.", short(nudgeAfter), short(nudgeAgain)))
		}
		return append(line, fmt.Sprintf("A job has waited beside it for %s or more, so it is replaced by another one.", short(nudgeAfter)))
	case before >= p.supply:
		return []string{fmt.Sprintf("Pool %s starts a runner for it now, since none of its runners is free.", p.Name)}
	case before-free < len(starting):
		r := starting[before-free]
		line := fmt.Sprintf("Runner %s of pool %s is starting, for %s, and takes it once it is online.", r.Name, p.Name, short(c.snap.Now.Sub(later(r.CreatedAt, r.StartedAt))))
		if p.BootTimeout > 0 && !r.StartedAt.IsZero() {
			line += fmt.Sprintf(" If it is not by %s another one is started.", r.StartedAt.Add(p.BootTimeout).UTC().Format("15:04:05 MST"))
		}
		return []string{line}
	}
	return []string{fmt.Sprintf("A runner of pool %s is getting its new container and takes it once it is online.", p.Name)}
}

// starting lists the runners of a pool that are to come online and fit its jobs,
// those that were made first at the front.
func (c *computation) starting(p *pool) []*Runner {
	leaving := make(map[string]bool)
	for _, a := range c.plan.Actions {
		leaving[a.Runner] = true
	}
	var list []*Runner
	for i := range c.snap.Runners {
		r := &c.snap.Runners[i]
		if r.Pool == p.Name && r.Phase == PhaseStarting && !r.HasJob && !r.Gone && !leaving[r.Name] && !p.misfit(r) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *Runner) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Name, b.Name)) })
	return list
}

// remedies says what would have to change for a job that fits no pool.
func (c *computation) remedies(j int) []string {
	job := c.jobs[j].Job
	labelled := slices.ContainsFunc(c.pools, func(p *pool) bool { return hasAll(p.Labels, job.Labels) })
	covered := slices.ContainsFunc(c.pools, func(p *pool) bool { return p.Scope.Covers(job.Repo) })
	switch {
	case len(c.pools) == 0:
		return nil
	case job.Barred != "":
		return []string{"It waits until somebody cancels it: its workflow has to be corrected."}
	case labelled:
		return []string{"It waits until a pool with these labels has a registration token whose scope covers " + job.Repo + "."}
	case covered:
		return []string{"It waits until a pool has all of the labels. Or correct its runs-on."}
	}
	return []string{"It waits until a pool has all of the labels, and a registration token whose scope covers " + job.Repo + "."}
}

// prospects says when a job may be served that fits some pool.
func (c *computation) prospects(j int) []string {
	var lines []string
	if next := c.jobs[j].Next; next != "" {
		lines = append(lines, "It can get a runner "+next+".")
	} else {
		lines = append(lines, "It can get a runner once the configuration is another.")
	}
	if c.assigned.isAside(j) {
		return lines
	}
	older, set := 0, c.assigned.kinds.set(c.assigned.kind[j])
	for k := range j {
		if kind := c.assigned.kind[k]; kind != none && c.assigned.pool[k] == none && !c.assigned.isAside(k) && c.assigned.kinds.set(kind).meets(set) {
			older++
		}
	}
	switch {
	case older == 1:
		lines = append(lines, "An older job that these pools can serve comes before it.")
	case older > 1:
		lines = append(lines, fmt.Sprintf("%d older jobs that these pools can serve come before it.", older))
	}
	return lines
}

// notQueued says what is known of a job that is not in the queue.
func (v View) notQueued(id int64) Explanation {
	for _, j := range v.Running {
		if j.ID == id {
			e := Explanation{State: StateRunning, Job: (&Decision{Job: &j}).shown()}
			e.Job.Reason = fmt.Sprintf("runner %s has it, which is not one of this scaler's", j.RunnerName)
			if r := v.runner(func(r RunnerStatus) bool { return r.AtServer() == j.RunnerName || r.Job == id && r.Phase == PhaseBusy }); r != nil {
				e.Job.Pool, e.Job.Reason = r.Pool, fmt.Sprintf("runner %s of pool %s has it", r.Name, r.Pool)
			}
			e.Summary = []string{"It is running: " + e.Job.Reason + "."}
			return e
		}
	}
	if r := v.runner(func(r RunnerStatus) bool { return r.Job == id }); r != nil {
		e := Explanation{State: StateEnded, Job: JobDecision{ID: id, Labels: []string{}, Pool: r.Pool,
			Reason: fmt.Sprintf("runner %s of pool %s has had it, and is %s", r.Name, r.Pool, r.Phase)}}
		e.Summary = []string{"It is neither queued nor running: " + e.Job.Reason + "."}
		var scope Scope
		if p := v.Spec.Pool(r.Pool); p != nil {
			scope = p.Scope
		}
		if why, unknown := v.Snap.Unknown[scope]; unknown {
			e.State = StateUnknown
			e.Summary = []string{"It is not known whether it runs: " + e.Job.Reason + "; the jobs of its scope could not be read: " + why + "."}
		}
		return e
	}
	e := Explanation{State: StateUnknown, Job: JobDecision{ID: id, Labels: []string{}, Reason: "no queued or running job with this id was read"}}
	e.Summary = append(e.Summary, "No queued or running job with this id was read.")
	e.Summary = append(e.Summary, v.Spec.Source.doubt()...)
	for _, s := range slices.SortedFunc(maps.Keys(v.Snap.Unknown), func(a, b Scope) int { return cmp.Compare(a.String(), b.String()) }) {
		e.Summary = append(e.Summary, fmt.Sprintf("The jobs of %s could not be read: %s.", s, v.Snap.Unknown[s]))
	}
	if v.QueueSize > len(v.Snap.Jobs) {
		e.Summary = append(e.Summary, fmt.Sprintf("%d jobs are queued, of which %d were read, as many as the pools could serve: it may be one of the others.",
			v.QueueSize, len(v.Snap.Jobs)))
	}
	e.Summary = append(e.Summary,
		"Gitea queues a job once nothing blocks it: other jobs that it needs, a concurrency group, or an approval.",
		"It may also be over, or belong to a repository that no pool's scope covers. See its page in Gitea.")
	return e
}

// runner is the first of ours that is meant, or nil.
func (v View) runner(meant func(RunnerStatus) bool) *RunnerStatus {
	if i := slices.IndexFunc(v.Runners, meant); i >= 0 {
		return &v.Runners[i]
	}
	return nil
}
