package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// webActions does what people ask for on pages.
type webActions interface {
	operator
	// Reap returns what has nobody, or nothing, behind it, and unless it is a
	// dry run clears away what is due.
	Reap(ctx context.Context, dryRun bool) ([]plan.Finding, error)
}

// actionTimeout bounds what people ask for: a look at everything, at most.
const actionTimeout = 30 * time.Second

// deed is something that people can have done. In its texts %s is what it is
// done to.
type deed struct {
	Title, Text, Button string
	Done                string // what is said after it
	Danger              bool
	Reason              bool // it can be said what for
	// do returns where to go on, or what to tell on a page of its own.
	do func(ctx context.Context, web *Web, o order) (upshot, error)
}

// order is a deed that somebody asked for.
type order struct {
	actor, subject, reason string
}

// upshot is what a deed has led to.
type upshot struct {
	next     string // address of a page; empty for the one that it was asked for on
	told     bool   // the rest is told on a page of its own
	lines    []string
	findings []plan.Finding
}

// canAct reports whether who asks may have something done.
func (web *Web) canAct(r *http.Request) bool { return web.cfg.Actions != nil && userOf(r).name != "" }

// actionRoutes lists the pages that ask whether something is meant, and what
// does it.
func (web *Web) actionRoutes() []webRoute {
	if web.cfg.Actions == nil {
		return nil
	}
	var list []webRoute
	for _, k := range []struct {
		path  string
		deeds map[string]deed
	}{{"/pools/{subject}/{action}", poolDeeds}, {"/runners/{subject}/{action}", runnerDeeds}, {"/actions/{action}", fleetDeeds}} {
		list = append(list,
			webRoute{"GET " + k.path, forUsers, func(w http.ResponseWriter, r *http.Request) { web.getDeed(w, r, k.deeds) }},
			webRoute{"POST " + k.path, forUsers, func(w http.ResponseWriter, r *http.Request) { web.postDeed(w, r, k.deeds) }})
	}
	return list
}

// deedPage asks whether a deed is meant.
type deedPage struct {
	deed
	Subject string
	Back    string // where it was asked for
	Path    string
	Number  string // of the form
	// Findings are what Reap would look at.
	Findings []plan.Finding
	Looked   bool
}

// deedOf returns what a request asks for, with its texts filled in; found is
// false if it has answered that there is no such thing.
func (web *Web) deedOf(w http.ResponseWriter, r *http.Request, deeds map[string]deed) (d deed, found bool) {
	d, found = deeds[r.PathValue("action")]
	if found && r.PathValue("subject") != "" {
		found = web.exists(r)
	}
	if !found {
		web.getNowhere(w, r)
		return deed{}, false
	}
	for _, text := range []*string{&d.Title, &d.Text, &d.Done} {
		*text = strings.ReplaceAll(*text, "%s", r.PathValue("subject"))
	}
	return d, true
}

// exists reports whether there is the pool or runner that a request names.
func (web *Web) exists(r *http.Request) bool {
	s, name := web.status.Status(), r.PathValue("subject")
	if isUnder(r.URL.Path, "/pools") {
		return len(filter(s.Pools, func(p plan.PoolStatus) bool { return p.Name == name })) > 0
	}
	return len(filter(s.Runners, func(q plan.RunnerStatus) bool { return q.Name == name })) > 0
}

// backOf is the page that a deed was asked for on.
func backOf(r *http.Request) string {
	switch subject := r.PathValue("subject"); {
	case subject != "" && isUnder(r.URL.Path, "/pools"):
		return "/pools/" + subject
	case subject != "":
		return "/runners/" + subject
	case r.PathValue("action") == reloadDeed:
		return "/config"
	}
	return "/"
}

// getDeed asks whether a deed is meant.
func (web *Web) getDeed(w http.ResponseWriter, r *http.Request, deeds map[string]deed) {
	d, found := web.deedOf(w, r, deeds)
	if !found {
		return
	}
	p := deedPage{deed: d, Subject: r.PathValue("subject"), Back: backOf(r), Path: r.URL.Path, Number: randomText()}
	if r.PathValue("action") == reapDeed {
		ctx, cancel := context.WithTimeout(r.Context(), actionTimeout)
		defer cancel()
		findings, err := web.cfg.Actions.Reap(ctx, true)
		if err != nil {
			web.refuseDeed(w, r, err)
			return
		}
		p.Findings, p.Looked = findings, true
	}
	web.render(w, r, http.StatusOK, "deed", d.Title, p)
}

// postDeed does it.
func (web *Web) postDeed(w http.ResponseWriter, r *http.Request, deeds map[string]deed) {
	form, ok := web.readForm(w, r)
	if !ok {
		return
	}
	d, found := web.deedOf(w, r, deeds)
	if !found {
		return
	}
	if !web.sent.first(form.Get("number")) {
		web.renderMessage(w, r, http.StatusConflict, message{
			Title: "This form was sent already", Text: "Nothing more was done. Look at what has become of it before you do it again.", Link: backOf(r), Label: "Go on",
		})
		return
	}
	// What was begun is finished, also if the browser has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), actionTimeout)
	defer cancel()
	o := order{actor: webActor(r), subject: r.PathValue("subject")}
	if d.Reason {
		o.reason = strings.TrimSpace(form.Get("reason"))
	}
	out, err := d.do(ctx, web, o)
	switch {
	case err != nil:
		web.refuseDeed(w, r, err)
	case out.told:
		web.render(w, r, http.StatusOK, "done", d.Done, donePage{d.Done, backOf(r), out.lines, out.findings})
	default:
		web.awaitCycle(r.Context())
		next := out.next
		if next == "" {
			next = backOf(r)
		}
		http.Redirect(w, r, next+"?done="+r.PathValue("action"), http.StatusSeeOther)
	}
}

const (
	// cycleWait is how long an answer waits for a cycle that goes by what was
	// done, so that the page after it shows that. A cycle that takes longer shows
	// it later.
	cycleWait = 2 * time.Second
	cycleLook = 20 * time.Millisecond
)

// awaitCycle waits until there has been one more cycle, within bounds.
func (web *Web) awaitCycle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cycleWait)
	defer cancel()
	tick := time.NewTicker(cycleLook)
	defer tick.Stop()
	for before := web.status.Status().Cycle; web.status.Status().Cycle == before; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// donePage tells what a deed has led to.
type donePage struct {
	Title    string
	Back     string
	Lines    []string
	Findings []plan.Finding
}

// refuseDeed answers why something was not done.
func (web *Web) refuseDeed(w http.ResponseWriter, r *http.Request, err error) {
	web.renderFailure(w, r, err, "not done", message{Title: "That was not done", Text: err.Error(), Link: backOf(r), Label: "Back"})
}

// renderFailure answers an error. One that is not the request's fault is logged.
func (web *Web) renderFailure(w http.ResponseWriter, r *http.Request, err error, what string, m message) {
	status := statusOf(err)
	if status >= http.StatusInternalServerError {
		web.log.Error(what, "path", r.URL.Path, "by", userOf(r).name, "err", err)
	}
	web.renderMessage(w, r, status, m)
}

// doneOf returns what was done just before, empty if nothing was.
func doneOf(r *http.Request, deeds map[string]deed) string {
	d := deeds[r.URL.Query().Get("done")]
	subject := r.PathValue("pool") + r.PathValue("runner")
	return strings.ReplaceAll(d.Done, "%s", subject)
}
