package plan

import "time"

// Bound is the one attempt of a job that a runner asks for. It takes no other.
type Bound struct {
	Job    int64
	Repo   string // "owner/name"
	Handle string
}

// bindGrace is how long a bound runner that is online may be without its job. It
// asks once, as soon as it is online, and ends if the job is not there any more.
const bindGrace = 30 * time.Second

// awaits reports whether the runner is bound to a job that it is to have yet.
func (r *Runner) awaits(now time.Time) bool {
	return r.Bound != nil && !r.HasJob && !r.Gone && r.Leave == nil && (r.Phase == PhaseStarting || r.Phase == PhaseIdle && !r.missed(now))
}

// missed reports whether a bound runner has not got its job, nor ended.
func (r *Runner) missed(now time.Time) bool {
	return r.Bound != nil && r.Phase == PhaseIdle && now.Sub(r.Since) >= bindGrace
}

// takes is the repository that a runner counts for under a ceiling, empty if it
// has no job and waits for none of its own.
func (r *Runner) takes() string {
	switch {
	case r.HasJob:
		return r.Repo
	case r.Bound != nil && (r.Phase == PhaseStarting || r.Phase == PhaseIdle):
		return r.Bound.Repo
	}
	return ""
}

// bindJobs finds the queued jobs that a runner is bound to. They need none of the
// runners that are free.
func (c *computation) bindJobs() {
	var by map[string]*Runner
	for i := range c.snap.Runners {
		if r := &c.snap.Runners[i]; r.awaits(c.snap.Now) && c.byName[r.Pool] != nil {
			if by == nil {
				by = make(map[string]*Runner)
			}
			by[r.Bound.Handle] = r
		}
	}
	if by == nil {
		return
	}
	for j := range c.jobs {
		d := &c.jobs[j]
		if r := by[d.Job.Handle]; r != nil && d.Job.Handle != "" {
			d.bound = r
			c.byName[r.Pool].bound++
		}
	}
}

// bindTo says what a runner that is started for a job is bound to, nil if nothing
// is.
func (p *Pool) bindTo(job *Job) *Bound {
	if !p.Binds || job.Handle == "" {
		return nil
	}
	return &Bound{Job: job.ID, Repo: job.Repo, Handle: job.Handle}
}
