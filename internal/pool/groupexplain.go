package pool

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// explain asks the server that the query names, or all of them for the one that
// knows the job.
func (g *Group) explain(q plan.Query, ask func(*Manager, plan.Query) (plan.Explanation, error)) (plan.Explanation, error) {
	if len(g.members) == 1 && q.Server == "" {
		return ask(g.members[0], q)
	}
	if q.Server != "" {
		m, err := g.member(q.Server)
		if err != nil {
			return plan.Explanation{}, fmt.Errorf("explain job: %w", err)
		}
		e, err := ask(m, q)
		e.Job.Server = m.server
		return e, err
	}
	if q.Job == 0 && q.URL == "" {
		return plan.Explanation{}, fmt.Errorf("explain job: %w: there are several servers: say with --server which of %s it might come to", plan.ErrInvalid, strings.Join(g.Servers(), ", "))
	}
	var known []string
	var found, unknown *plan.Explanation
	var failed error
	for _, m := range g.members {
		e, err := ask(m, q)
		e.Job.Server = m.server
		switch {
		case errors.Is(err, plan.ErrInvalid):
			return plan.Explanation{}, err
		case err != nil:
			failed = cmp.Or(failed, err)
		case e.State == plan.StateUnknown:
			e.Job.Server = ""
			unknown = cmp.Or(unknown, &e)
		default:
			known, found = append(known, m.server), &e
		}
	}
	switch {
	case len(known) > 1:
		return plan.Explanation{}, fmt.Errorf("explain job %s: %w: servers %s have such a job: say with --server which is meant", jobOf(q), plan.ErrInvalid, strings.Join(known, " and "))
	case found != nil:
		return *found, nil
	case unknown != nil:
		return *unknown, nil
	}
	return plan.Explanation{}, failed
}

// jobOf is how the query names the job.
func jobOf(q plan.Query) string {
	if q.URL != "" {
		return q.URL
	}
	return fmt.Sprint(q.Job)
}
