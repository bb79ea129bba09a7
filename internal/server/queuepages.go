package server

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
)

// queuePage is a part of the queued jobs, those that no pool serves first.
type queuePage struct {
	Rows      []plan.JobDecision
	Pages     pager
	Pool      string // of whose jobs it is, empty for all
	Pools     []string
	Unserved  int
	Read      int // jobs that were read, of Size
	Size      int
	CycleAt   time.Time
	Cycle     uint64
	Explained bool // each job has a page of its own
}

// noPool is the pool to ask for to see the jobs that have none. No pool can have
// that name.
const noPool = "-"

// getQueue shows the queued jobs, each with what becomes of it. It takes the
// parameters pool and page.
func (web *Web) getQueue(w http.ResponseWriter, r *http.Request) {
	s := web.shown(r)
	p := queuePage{
		Pool: r.URL.Query().Get("pool"), Pools: namesOf(s.Pools), Read: len(s.Queue), Size: max(s.QueueSize, len(s.Queue)),
		CycleAt: s.CycleAt, Cycle: s.Cycle, Explained: web.cfg.Explain != nil,
	}
	served := func(j plan.JobDecision) int { return min(len(j.Pool), 1) }
	rows := filter(s.Queue, func(j plan.JobDecision) bool {
		p.Unserved += 1 - served(j)
		return p.Pool == "" || j.Pool == p.Pool || p.Pool == noPool && j.Pool == ""
	})
	slices.SortStableFunc(rows, func(a, b plan.JobDecision) int { return cmp.Compare(served(a), served(b)) })
	p.Rows, p.Pages = paged(r, rows)
	web.render(w, r, http.StatusOK, "queue", "Queue", p)
}

// getJob explains one job in full.
func (web *Web) getJob(w http.ResponseWriter, r *http.Request) {
	if web.cfg.Explain == nil {
		web.getNowhere(w, r)
		return
	}
	q, err := ParseJob(r.PathValue("job"))
	q.Server = r.URL.Query().Get("server") // where there are several
	var e plan.Explanation
	if err == nil {
		e, err = web.cfg.Explain(q)
	}
	if err != nil {
		title := "No such job"
		if !errors.Is(err, plan.ErrInvalid) && !errors.Is(err, plan.ErrNotFound) {
			title = "Not explained"
		}
		web.renderFailure(w, r, err, "job not explained", message{Title: title, Text: err.Error(), Link: "/queue", Label: "To the queue"})
		return
	}
	if userOf(r).name == "" {
		e = e.WithoutLog()
	}
	web.render(w, r, http.StatusOK, "job", "Job "+r.PathValue("job"), e)
}
