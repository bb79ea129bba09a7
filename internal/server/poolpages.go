package server

import (
	"net/http"
	"slices"

	"scaler.io/scaler/internal/plan"
)

// getPools shows the pools.
func (web *Web) getPools(w http.ResponseWriter, r *http.Request) {
	web.render(w, r, http.StatusOK, "pools", "Pools", web.shown(r))
}

// poolPage is one pool with what belongs to it.
type poolPage struct {
	plan.PoolStatus
	Problems    []plan.Problem
	Budgets     []plan.Budget // over all pools
	Runners     []plan.RunnerStatus
	MoreRunners int
	Jobs        []plan.JobDecision
	MoreJobs    int
	Explained   bool // each job has a page of its own
	Events      []plan.Event
	CanAct      bool
	Done        string
}

// budgetsOf are the limits that bind the pools of a server: those over all pools,
// and its own where there are several.
func budgetsOf(s plan.Status, server string) []plan.Budget {
	return filter(s.Budgets, func(b plan.Budget) bool { return b.Server == "" || b.Server == server })
}

// getPool shows one pool.
func (web *Web) getPool(w http.ResponseWriter, r *http.Request) {
	s, name := web.shown(r), r.PathValue("pool")
	i := slices.IndexFunc(s.Pools, func(q plan.PoolStatus) bool { return q.Name == name })
	if i < 0 {
		web.renderMessage(w, r, http.StatusNotFound, message{Title: "No such pool", Text: "No pool of that name is configured.", Link: "/pools", Label: "All pools"})
		return
	}
	p := poolPage{PoolStatus: s.Pools[i], Budgets: budgetsOf(s, s.Pools[i].Server), Explained: web.cfg.Explain != nil, CanAct: web.canAct(r), Done: doneOf(r, poolDeeds)}
	for _, q := range s.Problems {
		if q.Subject == "pool "+name {
			p.Problems = append(p.Problems, q)
		}
	}
	p.Runners, p.MoreRunners = beside(filter(s.Runners, func(q plan.RunnerStatus) bool { return q.Pool == name }))
	p.Jobs, p.MoreJobs = beside(filter(s.Queue, func(j plan.JobDecision) bool { return j.Pool == name }))
	p.Events = web.lastEvents(r, recentEvents, func(e plan.Event) bool { return e.Pool == name })
	web.render(w, r, http.StatusOK, "pool", "Pool "+name, p)
}

// filter returns what is wanted of a list that belongs to others.
func filter[T any](list []T, wanted func(T) bool) []T {
	var found []T
	for _, x := range list {
		if wanted(x) {
			found = append(found, x)
		}
	}
	return found
}
