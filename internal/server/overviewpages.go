package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// recentEvents is how many events stand beside other things.
const recentEvents = 8

// chart is a picture of the last hours with what it shows in words.
type chart struct {
	Name, Title, Text string
	Version           uint64
}

// overviewPage is what the daemon does, what is wrong first.
type overviewPage struct {
	plan.Status
	Stale    bool // there was no cycle for long
	Unserved int  // of the queued jobs that were read
	Sum      plan.PoolStatus
	Paused   int // pools
	Charts   []chart
	Events   []plan.Event
	CanAct   bool
	Done     string
}

func (web *Web) getOverview(w http.ResponseWriter, r *http.Request) {
	p := overviewPage{Status: web.shown(r), CanAct: web.canAct(r), Done: doneOf(r, fleetDeeds)}
	p.Stale = p.Status.Stale(time.Now())
	for _, j := range p.Queue {
		if j.Pool == "" {
			p.Unserved++
		}
	}
	for _, q := range p.Pools {
		p.Sum.Standby += q.Standby
		p.Sum.Starting += q.Starting
		p.Sum.Idle += q.Idle
		p.Sum.Busy += q.Busy
		p.Sum.Leaving += q.Leaving
		p.Sum.Max += q.Max
		if q.Paused != nil {
			p.Paused++
		}
	}
	p.Charts = web.charts()
	p.Events = web.lastEvents(r, recentEvents, func(plan.Event) bool { return true })
	title := "Overview"
	if n := len(p.Problems); n > 0 { // seen also where it is one of many tabs
		title = fmt.Sprintf("(%d) Overview", n)
	}
	web.render(w, r, http.StatusOK, "overview", title, p)
}

// chartTitles are the charts of the overview, in their order.
var chartTitles = []chart{
	{Name: "queue", Title: "Queued jobs"}, {Name: "runners", Title: "Runners"}, {Name: "waits", Title: "Waits of jobs until they began"},
}

func (web *Web) charts() []chart {
	if web.cfg.Trends == nil {
		return nil
	}
	list := slices.Clone(chartTitles)
	for i := range list {
		list[i].Text, list[i].Version = web.cfg.Trends.Describe(list[i].Name), web.cfg.Trends.Version()
	}
	return list
}

// chartPolicy lets a picture have its own styles, and nothing else.
const chartPolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"

// getChart answers a picture: NAME.svg, or NAME-dark.svg for a dark screen.
func (web *Web) getChart(w http.ResponseWriter, r *http.Request) {
	name, isSVG := strings.CutSuffix(r.PathValue("chart"), ".svg")
	name, dark := strings.CutSuffix(name, "-dark")
	if web.cfg.Trends == nil || !isSVG {
		web.getNowhere(w, r)
		return
	}
	svg, err := web.cfg.Trends.Draw(name, dark)
	switch {
	case errors.Is(err, plan.ErrNotFound):
		web.getNowhere(w, r)
		return
	case err != nil:
		web.log.Error("chart not drawn", "chart", name, "err", err)
		http.Error(w, "This picture could not be drawn; the log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", chartPolicy)
	w.Header().Set("Content-Type", "image/svg+xml")
	_, _ = w.Write(svg) // fails only if the client has gone
}
