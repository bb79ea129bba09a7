package pool

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// longestTask is how long a task takes at most. Gitea and Forgejo end one
	// after 3 h ([actions] ENDLESS_TASK_TIMEOUT), and look for such ones every 30
	// minutes.
	longestTask = 3*time.Hour + 30*time.Minute
	// freshTask is how long after a task was begun a list of the jobs that run
	// may have been read before.
	freshTask = 10 * time.Second
	// bootUnknown is how long a runner whose pool is not known may take to come
	// online.
	bootUnknown = 2 * time.Minute
)

// findTask completes what the server says of a runner's job by what the runner
// has written into its log. Where neither tells, the runner counts as one that
// has a job.
func (m *Manager) findTask(r *runner, v *scopeView, seen *observation) {
	r.unsure = ""
	said, heard := seen.heard[r.rec.Name]
	if !heard {
		return
	}
	t := said.task
	if r.job != nil {
		r.job.TaskID = t.id
		return
	}
	if t.id == 0 && r.rec.Ephemeral && r.rec.Used {
		t.id = r.rec.Task // its log does not reach back so far
	}
	switch {
	case t.id == 0 && said.deaf != nil:
		r.unsure = "its log cannot be read: " + said.deaf.Error()
	case t.id == 0 && !said.online && m.overdue(r, seen.at):
		r.unsure = "its log does not say whether it has a job: it needs level info, and the lines of Gitea's or Forgejo's runner"
	case t.id == r.rec.Task && r.rec.TaskOver, t.id == 0 && !r.rec.Used:
	case m.isOver(r, t, v, seen):
		if t.id != r.rec.Task { // nobody has seen it run
			m.noteJob(r, &plan.Job{ID: seen.guessed[r.rec.Name], TaskID: t.id}, seen.at)
			r.rec.Used = r.rec.Used || r.rec.Ephemeral
		}
		r.rec.TaskOver = true
	default:
		r.job, r.jobSeen = &plan.Job{ID: seen.guessed[r.rec.Name], TaskID: t.id, Repo: t.repo, Status: plan.JobInProgress, RunnerName: r.rec.ServerName()}, seen.at
		if r.job.ID == 0 && t.id == r.rec.Task {
			r.job.ID = r.rec.Job
		}
		if j, listed := v.byTask(t.id); listed {
			j.RunnerName = r.rec.Name
			r.job = &j
		}
	}
}

// byTask finds the job that runs as a task, where the server says so (Forgejo).
func (v *scopeView) byTask(task int64) (plan.Job, bool) {
	if v == nil || task == 0 {
		return plan.Job{}, false
	}
	for _, j := range v.unnamed {
		if j.TaskID == task {
			return j, true
		}
	}
	return plan.Job{}, false
}

// noteUnsure says of which pools it is not known whether their runners have jobs.
func (m *Manager) noteUnsure(now time.Time) {
	why := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(m.runners)) {
		if r := m.runners[name]; r.unsure != "" && why[r.rec.Pool] == "" {
			why[r.rec.Pool] = "runner " + name + " counts as busy: " + r.unsure
		}
	}
	for pool := range m.cfg.Pools {
		m.conditions.set("logs of pool "+pool, why[pool], now)
	}
}

// overdue reports whether a runner should have said by now that it is online.
func (m *Manager) overdue(r *runner, now time.Time) bool {
	boot := bootUnknown
	if p := m.cfg.Spec.Pool(r.rec.Pool); p != nil {
		boot = cmp.Or(p.BootTimeout, boot)
	}
	return !r.rec.StartedAt.IsZero() && now.Sub(r.rec.StartedAt) >= boot
}

// isOver reports whether a task that a runner has begun is known to have ended.
// The end of a container, which ends all, is looked at elsewhere.
func (m *Manager) isOver(r *runner, t task, v *scopeView, seen *observation) bool {
	if v == nil || v.err != nil || t.id == 0 {
		return false
	}
	if seen.source == plan.SourceList && seen.at.Sub(t.at) >= freshTask && !v.mayRun(t) {
		return true
	}
	if id := r.rec.Identity; seen.source == plan.SourceEvents && id != nil && m.book.Ended(id.ID, t.at) {
		return true
	}
	return !r.rec.Ephemeral && seen.at.Sub(t.at) >= longestTask
}

// mayRun reports whether a task may be among the jobs that run.
func (v *scopeView) mayRun(t task) bool {
	for j := range v.allRunning() {
		if j.TaskID == t.id || j.TaskID == 0 && (t.repo == "" || j.Repo == t.repo) {
			return true
		}
	}
	return false
}

// comeOnline moves a runner on that has come online, where the server does not
// list its runners: by its log or, if that does not tell, since it has run for as
// long as a runner takes to.
func (m *Manager) comeOnline(r *runner, seen *observation) {
	switch said := seen.heard[r.rec.Name]; {
	case said.online:
		m.up(r, seen.at)
		r.rec.Enter(plan.PhaseIdle, "online, as its log says", seen.at)
	case m.overdue(r, seen.at):
		m.up(r, seen.at)
		r.rec.Enter(plan.PhaseIdle, "it runs, and nothing tells whether it is online", seen.at)
	}
}

// nameOf names a job, or the task that is known of it.
func nameOf(job, task int64) string {
	if job == 0 && task != 0 {
		return fmt.Sprintf("task %d", task)
	}
	return fmt.Sprintf("job %d", job)
}
