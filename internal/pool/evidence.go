package pool

import "scaler.io/scaler/internal/plan"

// listEnded is how many runners of a scope must have ended together for one
// list of the scope's runners to be cheaper than a question for each.
const listEnded = 4

// evidence is what a cycle saw of a runner that has ended, which saves its
// removal from asking again. What is not set is not known.
type evidence struct {
	container   plan.Container // as listed, with its exit code; zero if that is not known
	unlisted    bool           // the server has no such runner any more
	leftNothing bool           // no container of its jobs is there
}

// evidence collects what is known of a runner that has ended.
func (m *Manager) evidence(seen *observation, r *runner) (e evidence) {
	if c := seen.containers[r.rec.Name]; c.Ended && c.ID == r.rec.ContainerID {
		e.container = c
	}
	if v, id := seen.scopes[r.rec.Scope], r.rec.Identity; v != nil && v.listed && id != nil {
		_, found := v.runners[id.ID]
		e.unlisted = !found
	}
	if made := seen.madeForJobs; made != nil {
		e.leftNothing = made.err == nil && len(made.names[r.rec.Name]) == 0
	}
	return e
}

// jobContainersDue reports whether the containers that runners have made for
// their jobs are to be looked at: one of them has ended, or it is time to.
func (m *Manager) jobContainersDue(seen *observation) bool {
	if m.leftoversDue(seen.at) {
		return true
	}
	for name, r := range m.runners {
		if r.op == "" && seen.containers[name].Ended {
			return true
		}
	}
	return false
}

// madeForJobs is the answer to the question for containers of jobs.
type madeForJobs struct {
	names map[string][]string // by runner
	err   error
}

// endedTogether returns the scopes in which so many runners have ended that
// their list is to be read.
func (m *Manager) endedTogether(containers map[string]plan.Container) map[plan.Scope]bool {
	counts, many := make(map[plan.Scope]int), make(map[plan.Scope]bool)
	for name, r := range m.runners {
		if r.op != "" || r.rec.Identity == nil || r.rec.Deregistered || !containers[name].Ended {
			continue
		}
		if counts[r.rec.Scope]++; counts[r.rec.Scope] >= listEnded {
			many[r.rec.Scope] = true
		}
	}
	return many
}
