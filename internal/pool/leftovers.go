package pool

import (
	"context"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// leftover is what the jobs of a runner that is gone have left on the engine.
type leftover struct {
	jobs     []string // containers that it made for its jobs
	retryAt  time.Time
	retries  int
	sweeping bool
}

// lookForLeftovers compares the containers that runners have made for their
// jobs with the runners: of one that lives their names are noted, and what has
// no runner behind it any more is to be swept. A runner has a record before it
// has a container, so one without both is gone.
func (m *Manager) lookForLeftovers(seen *observation) {
	if seen.madeForJobs == nil {
		return
	}
	made, err := seen.madeForJobs.names, seen.madeForJobs.err
	m.conditions.set("containers of jobs", text(err), seen.at)
	if err != nil || !m.leftoversDue(seen.at) {
		return
	}
	m.lookedAt = seen.at
	for name, r := range m.runners {
		if r.op == "" && seen.containers[name].State == plan.ContainerRunning {
			m.noteJobContainers(r, made[name])
		}
	}
	for name, jobs := range made {
		if _, container := seen.containers[name]; container || m.runners[name] != nil {
			continue
		}
		l := m.leftovers[name]
		l.jobs = union(l.jobs, jobs)
		m.leftovers[name] = l
	}
}

// leftoversDue reports whether it is time to compare.
func (m *Manager) leftoversDue(now time.Time) bool { return now.Sub(m.lookedAt) >= auditInterval }

// noteJobContainers stores the names of the containers that a runner which
// lives has for its jobs now. They outlive the containers, and with them what
// proves whose they were. Those of earlier jobs are not kept: a runner that
// lives has cleaned up after them itself.
func (m *Manager) noteJobContainers(r *runner, names []string) {
	names = union(names, nil)
	if slices.Equal(names, r.rec.JobContainers) {
		return
	}
	r.rec.JobContainers = names
	m.save(r)
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// clearJobs removes what the jobs of a runner left whose container has ended.
// One that ended in its own time has left nothing.
func (m *Manager) clearJobs(ctx context.Context, rec state.Record) error {
	removed, err := m.ports.Sweeper.Sweep(ctx, rec.Name, rec.JobContainers)
	if len(removed) > 0 {
		m.ports.Meter.Reaped(plan.RemainsJob, len(removed))
		m.log.Info("leftovers of a job removed", "pool", rec.Pool, "runner", rec.Name, "removed", strings.Join(removed, ", "))
		m.tell(plan.Event{Kind: plan.EventOrphan, Pool: rec.Pool, Runner: rec.Name, Text: "left by a job: " + strings.Join(removed, ", ")})
	}
	return err
}

// remember keeps what could not be cleared away with its runner.
func (m *Manager) remember(rec state.Record, err error) {
	if err != nil {
		m.leftovers[rec.Name] = leftover{jobs: rec.JobContainers}
		m.conditions.set("leftovers "+rec.Name, err.Error(), time.Now())
	}
}

// sweepDue begins to sweep what has no runner behind it, beside the loop.
func (m *Manager) sweepDue(ctx context.Context) {
	for name, l := range m.leftovers {
		if l.sweeping || time.Now().Before(l.retryAt) {
			continue
		}
		l.sweeping = true
		m.leftovers[name] = l
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTimeout)
			defer cancel()
			err := m.clearJobs(ctx, state.Record{Name: name, JobContainers: l.jobs})
			select {
			case m.requests <- func() { m.swept(name, err) }:
			case <-m.stopping.Done(): // the next start finds it again
			}
		}()
	}
}

// swept takes note of how a sweep ended.
func (m *Manager) swept(name string, err error) {
	m.conditions.set("leftovers "+name, text(err), time.Now())
	l := m.leftovers[name]
	if err == nil {
		delete(m.leftovers, name)
		return
	}
	l.sweeping = false
	l.retries++
	l.retryAt = time.Now().Add(retryPause(l.retries))
	m.leftovers[name] = l
}

// leftoverFindings lists what is to be swept.
func (m *Manager) leftoverFindings(now time.Time) []plan.Finding {
	var out []plan.Finding
	for name, l := range m.leftovers {
		due := now
		if l.retryAt.After(now) {
			due = l.retryAt
		}
		out = append(out, plan.Finding{Kind: "leftovers of a job", Name: name, Due: due,
			Reason: "its runner is gone; containers, and what belongs to them: " + strings.Join(l.jobs, ", ")})
	}
	return out
}
