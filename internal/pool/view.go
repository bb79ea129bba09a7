package pool

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sync/errgroup"

	"scaler.io/scaler/internal/plan"
)

// view reads one scope: its jobs, and its runners beside them.
func (m *Manager) view(ctx context.Context, seen *observation, scope plan.Scope, n *need) *scopeView {
	v := &scopeView{running: make(map[int64]plan.Job), runners: make(map[int64]plan.ServerRunner)}
	if v.err = seen.capsErr; v.err != nil {
		return v
	}
	var group errgroup.Group
	var list plan.RunnerList
	if n.runners || n.audit {
		group.Go(func() (err error) {
			list, err = m.ports.Forge.Runners(ctx, scope)
			return err
		})
	}
	switch seen.source {
	case plan.SourceList:
		v.err = m.viewJobs(ctx, scope, n, v)
	case plan.SourceEvents:
		m.viewBook(scope, n, v)
	}
	err := group.Wait()
	v.err = cmp.Or(v.err, err)
	// An incomplete list serves too: who is on it is there.
	v.listed = v.err == nil && list.Complete
	v.audited = n.audit && v.listed
	for _, r := range list.Runners {
		v.runners[r.ID] = r
	}
	return v
}

// viewJobs reads the jobs of one scope.
func (m *Manager) viewJobs(ctx context.Context, scope plan.Scope, n *need, v *scopeView) error {
	if n.queue {
		list, err := m.ports.Forge.QueuedJobs(ctx, scope, max(m.readLimit(n.limit), 1), m.demand(scope))
		if err != nil {
			return err
		}
		v.queued, v.total = list.Jobs, max(list.Total, len(list.Jobs))
	}
	if !n.running {
		return nil
	}
	return m.viewRunning(ctx, scope, v)
}

// viewRunning reads the jobs of one scope that some runner has.
func (m *Manager) viewRunning(ctx context.Context, scope plan.Scope, v *scopeView) error {
	list, err := m.ports.Forge.RunningJobs(ctx, scope)
	if err == nil && !list.Complete {
		err = fmt.Errorf("list running jobs of %s: the list changed while it was read", scope)
	}
	for _, j := range list.Jobs {
		v.runs(j)
	}
	v.counted = err == nil
	return err
}

// demand is plan.Demand of the pools of a scope. It is made when it is first
// asked: most of the time no job waits.
func (m *Manager) demand(scope plan.Scope) func(plan.Job) bool {
	var counts func(plan.Job) bool
	return func(j plan.Job) bool {
		if counts == nil {
			counts = plan.Demand(m.poolsOf(scope))
		}
		return counts(j)
	}
}

func (m *Manager) poolsOf(scope plan.Scope) []plan.Pool {
	return slices.DeleteFunc(slices.Clone(m.cfg.Spec.Pools), func(p plan.Pool) bool { return p.Scope != scope })
}

// runs notes that some runner has a job.
func (v *scopeView) runs(j plan.Job) {
	if j.RunnerID == 0 {
		v.unnamed = append(v.unnamed, j)
		return
	}
	v.running[j.RunnerID] = j
}

// jobOf is the job that runs on the runner with this id, if it is that runner
// which the server names.
func (v *scopeView) jobOf(id int64, name string) (j plan.Job, given bool) {
	j, given = v.running[id]
	return j, given && (j.RunnerName == "" || j.RunnerName == name)
}

// allRunning has the jobs that some runner has.
func (v *scopeView) allRunning() iter.Seq[plan.Job] {
	return func(yield func(plan.Job) bool) {
		for _, j := range v.running {
			if !yield(j) {
				return
			}
		}
		for _, j := range v.unnamed {
			if !yield(j) {
				return
			}
		}
	}
}
