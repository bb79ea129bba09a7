package server

import (
	"errors"
	"net/http"

	"scaler.io/scaler/internal/plan"
)

// queuePage is the list of queued jobs.
type queuePage struct {
	plan.Status
	More bool // each job has a page of its own
}

// getQueue shows the queued jobs, each with what becomes of it.
func (web *Web) getQueue(w http.ResponseWriter, r *http.Request) {
	web.render(w, r, http.StatusOK, "queue", "Queue", queuePage{web.status.Status(), web.cfg.Explain != nil})
}

// getJob explains one job in full.
func (web *Web) getJob(w http.ResponseWriter, r *http.Request) {
	if web.cfg.Explain == nil {
		web.getNowhere(w, r)
		return
	}
	q, err := ParseJob(r.PathValue("job"))
	var e plan.Explanation
	if err == nil {
		e, err = web.cfg.Explain(q)
	}
	if err != nil {
		title := "No such job"
		if !errors.Is(err, plan.ErrInvalid) && !errors.Is(err, plan.ErrNotFound) {
			title = "Not explained"
			web.log.Error("job not explained", "job", r.PathValue("job"), "err", err)
		}
		web.renderMessage(w, r, statusOf(err), message{Title: title, Text: err.Error(), Link: "/queue", Label: "To the queue"})
		return
	}
	web.render(w, r, http.StatusOK, "job", "Job "+r.PathValue("job"), e)
}

// getPools shows the pools.
func (web *Web) getPools(w http.ResponseWriter, r *http.Request) {
	web.render(w, r, http.StatusOK, "overview", "Pools", web.status.Status())
}
