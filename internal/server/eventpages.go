package server

import (
	"maps"
	"net/http"
	"slices"

	"scaler.io/scaler/internal/plan"
)

// maxEvents is how many events are asked for at most, which is more than are
// kept.
const maxEvents = 10_000

// eventsPage is a part of what has happened, the newest first.
type eventsPage struct {
	Rows       []plan.Event
	Pages      pager
	Pool, Kind string // what was asked for, empty for all
	Pools      []string
	Kinds      []plan.EventKind
	Missed     uint64 // events that are not kept any more
	Kept       bool   // there is a journal
}

// getEvents takes the parameters pool, kind and page.
func (web *Web) getEvents(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p := eventsPage{Pool: q.Get("pool"), Kind: q.Get("kind"), Pools: namesOf(web.status.Status().Pools), Kept: web.cfg.Journal != nil}
	var rows []plan.Event
	if p.Kept {
		var all []plan.Event
		all, p.Missed = web.events(r)
		kinds := make(map[plan.EventKind]bool)
		rows = filter(all, func(e plan.Event) bool {
			kinds[e.Kind] = true
			return (p.Pool == "" || e.Pool == p.Pool) && (p.Kind == "" || string(e.Kind) == p.Kind)
		})
		slices.Reverse(rows)
		p.Kinds = slices.Sorted(maps.Keys(kinds))
	}
	p.Rows, p.Pages = paged(r, rows)
	web.render(w, r, http.StatusOK, "events", "Events", p)
}

// lastEvents returns the newest events that are wanted, the newest first.
func (web *Web) lastEvents(r *http.Request, most int, wanted func(plan.Event) bool) []plan.Event {
	all, _ := web.events(r)
	var found []plan.Event
	for _, e := range slices.Backward(all) {
		if len(found) == most {
			break
		}
		if wanted(e) {
			found = append(found, e)
		}
	}
	return found
}
