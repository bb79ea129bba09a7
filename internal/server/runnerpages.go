package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// logLines is how much of a runner's log is shown.
	logLines = 300
	// logTimeout bounds how long the engine may take for it.
	logTimeout = 10 * time.Second
)

// runnersPage is a part of all runners, or of those of a pool or a phase.
type runnersPage struct {
	Rows        []plan.RunnerStatus
	Pages       pager
	Pool, Phase string // what was asked for, empty for all
	Pools       []string
	Phases      []plan.Phase
	CycleAt     time.Time
	Cycle       uint64
	// Corpses are some of those that the server cannot delete, and CorpsesMore how
	// many more there are.
	Corpses     []plan.CorpseStatus
	CorpsesMore int
}

// shownCorpses is how many corpses a page has at most.
const shownCorpses = 100

// phases has those of a runner, to choose from.
var phases = []plan.Phase{
	plan.PhaseStandby, plan.PhaseStarting, plan.PhaseIdle, plan.PhaseBusy, plan.PhaseFinishing, plan.PhaseDraining, plan.PhaseStopping, plan.PhaseExited, plan.PhaseRemoving,
}

// getRunners takes the parameters pool, phase and page.
func (web *Web) getRunners(w http.ResponseWriter, r *http.Request) {
	s, q := web.shown(r), r.URL.Query()
	p := runnersPage{Pool: q.Get("pool"), Phase: q.Get("phase"), Pools: namesOf(s.Pools), Phases: phases, CycleAt: s.CycleAt, Cycle: s.Cycle}
	rows := s.Runners
	if p.Pool != "" || p.Phase != "" {
		rows = filter(rows, func(x plan.RunnerStatus) bool {
			return (p.Pool == "" || x.Pool == p.Pool) && (p.Phase == "" || string(x.Phase) == p.Phase)
		})
	}
	if p.Pool == "" && p.Phase == "" {
		p.Corpses = s.Corpses[:min(len(s.Corpses), shownCorpses)]
		p.CorpsesMore = len(s.Corpses) - len(p.Corpses)
	}
	p.Rows, p.Pages = paged(r, rows)
	web.render(w, r, http.StatusOK, "runners", "Runners", p)
}

func namesOf(pools []plan.PoolStatus) []string {
	names := make([]string, len(pools))
	for i, p := range pools {
		names[i] = p.Name
	}
	return names
}

// runnerPage is one runner with the story of its life.
type runnerPage struct {
	plan.RunnerStatus
	// Now is its last job as far as it is known.
	Now    plan.JobDecision
	HasLog bool
	CanAct bool
	Done   string
}

// runnerOf finds the runner that a request names. If there is none it has
// answered so.
func (web *Web) runnerOf(w http.ResponseWriter, r *http.Request) (plan.RunnerStatus, bool) {
	list, name := web.shown(r).Runners, r.PathValue("runner")
	i := slices.IndexFunc(list, func(q plan.RunnerStatus) bool { return q.Name == name })
	if i < 0 {
		web.renderMessage(w, r, http.StatusNotFound, message{
			Title: "No such runner", Text: "There is no runner of that name. If there was one, it has gone; the events tell why.", Link: "/events", Label: "To the events",
		})
		return plan.RunnerStatus{}, false
	}
	return list[i], true
}

// getRunner shows one runner.
func (web *Web) getRunner(w http.ResponseWriter, r *http.Request) {
	runner, found := web.runnerOf(w, r)
	if !found {
		return
	}
	p := runnerPage{RunnerStatus: runner, HasLog: web.cfg.Log != nil && runner.Container != "", CanAct: web.canAct(r), Done: doneOf(r, runnerDeeds)}
	p.History = slices.Clone(p.History)
	slices.Reverse(p.History) // the newest first
	if runner.Job != 0 && web.cfg.Explain != nil {
		if e, err := web.cfg.Explain(plan.Query{Job: runner.Job}); err == nil {
			p.Now = e.Job
		}
	}
	web.render(w, r, http.StatusOK, "runner", "Runner "+runner.Name, p)
}

// logPage is the end of a runner's log.
type logPage struct {
	Name string
	Text string
	Most int // lines
}

// getLog shows the end of the log of a runner's container. It is for users
// only: a runner can be set to write what its job prints.
func (web *Web) getLog(w http.ResponseWriter, r *http.Request) {
	runner, found := web.runnerOf(w, r)
	if !found {
		return
	}
	if web.cfg.Log == nil {
		web.getNowhere(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), logTimeout)
	defer cancel()
	lines, err := web.cfg.Log(ctx, runner.Name, logLines)
	if err != nil {
		back := "/runners/" + runner.Name
		web.renderFailure(w, r, err, "log not read", message{Title: "No log", Text: err.Error(), Link: back, Label: "To the runner"})
		return
	}
	web.render(w, r, http.StatusOK, "log", "Log of "+runner.Name, logPage{runner.Name, strings.Join(lines, "\n"), logLines})
}
