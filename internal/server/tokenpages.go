package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
)

// maxGoneShown bounds how many of a token's runners are listed that are gone.
const maxGoneShown = 100

// tokenRow is a token in the table of all.
type tokenRow struct {
	plan.Token
	State plan.TokenState
	Alive int // runners that are not gone
}

// runnerRow is a runner in the table of a token.
type runnerRow struct {
	plan.Enrolment
	State string
}

// tokenView is what the page of a token shows.
type tokenView struct {
	plan.Token
	State  plan.TokenState
	Alive  int
	Rows   []runnerRow
	Hidden int    // runners that are gone and not in Rows
	Done   string // what was done just before
}

func (web *Web) getTokens(w http.ResponseWriter, r *http.Request) {
	rows, now := []tokenRow{}, time.Now()
	for _, t := range web.tokens.Tokens() {
		_, runners, err := web.tokens.Token(t.Name)
		if errors.Is(err, plan.ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			web.renderError(w, r, err)
			return
		}
		rows = append(rows, tokenRow{Token: t, State: t.State(now), Alive: present(runners)})
	}
	web.render(w, r, http.StatusOK, "tokens", "Registration tokens", struct {
		Rows []tokenRow
		Done string
	}{rows, doneText(r)})
}

func (web *Web) getToken(w http.ResponseWriter, r *http.Request) {
	t, runners, err := web.tokens.Token(r.PathValue("name"))
	if err != nil {
		web.renderError(w, r, err)
		return
	}
	v := tokenView{Token: t, State: t.State(time.Now()), Alive: present(runners), Done: doneText(r)}
	v.Rows, v.Hidden = rowsOf(runners)
	web.render(w, r, http.StatusOK, "token", "Token "+t.Name, v)
}

// rowsOf lists the runners, those that are there first and the newest first,
// and counts the gone ones that it leaves out.
func rowsOf(runners []plan.Enrolment) (rows []runnerRow, hidden int) {
	sorted := slices.SortedStableFunc(slices.Values(runners), func(a, b plan.Enrolment) int {
		switch aHere, bHere := a.GoneAt.IsZero(), b.GoneAt.IsZero(); {
		case aHere && !bHere:
			return -1
		case bHere && !aHere:
			return 1
		}
		return b.RegisteredAt.Compare(a.RegisteredAt)
	})
	gone := 0
	for _, e := range sorted {
		if !e.GoneAt.IsZero() {
			if gone++; gone > maxGoneShown {
				hidden++
				continue
			}
		}
		rows = append(rows, runnerRow{Enrolment: e, State: runnerState(e)})
	}
	return rows, hidden
}

// runnerState says what was last known of a runner.
func runnerState(e plan.Enrolment) string {
	switch {
	case !e.GoneAt.IsZero():
		return "gone since " + timeText(e.GoneAt) + ": " + cmp.Or(e.Gone, "no reason known")
	case e.Leaving != "":
		return "to leave after its job: " + e.Leaving
	case !e.OfflineSince.IsZero():
		return "offline since " + timeText(e.OfflineSince)
	}
	return "registered"
}

// outcomes say what a change has done, by the word that the page after it is
// asked for with.
var outcomes = map[string]string{
	"pin":     "The token is reusable now.",
	"unpin":   "The token is for single use now.",
	"enable":  "The token is enabled.",
	"disable": "The token is disabled. Its runners stay.",
	"revoke":  "The token is revoked. Its runners get no further job and are deregistered when they have none.",
	"delete":  "The token is deleted. Its runners stay.",
}

// doneText returns what the change before has done, empty if there was none.
func doneText(r *http.Request) string { return outcomes[r.URL.Query().Get("done")] }

// confirmation is the page that is between a button and what cannot be undone.
type confirmation struct {
	Token  plan.Token
	Change string
	Alive  int
	Number string // of the form
}

// reset is the change that answers a secret, which is why it is none of plan's.
const reset = "reset"

// destructive lists the changes that are asked about once more.
func destructive(change string) bool {
	return slices.Contains([]string{reset, string(plan.TokenRevoke), string(plan.TokenDelete)}, change)
}

// getConfirmation asks whether a change is meant.
func (web *Web) getConfirmation(w http.ResponseWriter, r *http.Request) {
	change := r.PathValue("change")
	if !destructive(change) {
		web.getNowhere(w, r)
		return
	}
	t, runners, err := web.tokens.Token(r.PathValue("name"))
	if err != nil {
		web.renderError(w, r, err)
		return
	}
	web.render(w, r, http.StatusOK, "confirm", confirmTitle(change)+" "+t.Name+"?", confirmation{
		Token: t, Change: change, Alive: present(runners), Number: randomText(),
	})
}

func confirmTitle(change string) string {
	switch change {
	case reset:
		return "Reset"
	case string(plan.TokenRevoke):
		return "Revoke"
	}
	return "Delete"
}

// postChange makes a change and leads back to the token, or answers the new
// secret of a reset.
func (web *Web) postChange(w http.ResponseWriter, r *http.Request) {
	name, change := r.PathValue("name"), r.PathValue("change")
	if _, known := outcomes[change]; !known && change != reset {
		web.getNowhere(w, r)
		return
	}
	form, ok := web.readForm(w, r)
	if !ok {
		return
	}
	if destructive(change) && !web.sent.first(form.Get("number")) {
		web.alreadySent(w, r)
		return
	}
	// What was begun is finished, also if the browser has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), webChangeTimeout)
	defer cancel()
	if change == reset {
		made, err := web.tokens.Reset(ctx, webActor(r), name)
		web.renderSecret(w, r, made, err)
		return
	}
	if _, err := web.tokens.Change(ctx, webActor(r), name, plan.TokenChange(change)); err != nil {
		web.renderError(w, r, err)
		return
	}
	target := "/tokens"
	if plan.TokenChange(change) != plan.TokenDelete {
		target += "/" + url.PathEscape(name)
	}
	http.Redirect(w, r, target+"?done="+change, http.StatusSeeOther)
}

// renderSecret answers the one page that shows a secret. It answers the POST
// itself: reloading it sends the form again, which sentForms refuses, so the
// secret is in this answer and no other.
func (web *Web) renderSecret(w http.ResponseWriter, r *http.Request, made plan.NewToken, err error) {
	if err != nil {
		web.renderError(w, r, err)
		return
	}
	web.render(w, r, http.StatusOK, "secret", "Token "+made.Token.Name, struct {
		Token    plan.Token
		Secret   string
		Commands []command
	}{made.Token, made.Secret.Reveal(), commands(web.cfg.GatewayURL, web.cfg.RunnerImage, made)})
}

// alreadySent answers a form that has been sent before.
func (web *Web) alreadySent(w http.ResponseWriter, r *http.Request) {
	web.renderMessage(w, r, http.StatusConflict, message{
		Title: "This form was sent already",
		Text:  "Nothing more was done. A secret is shown once only; if you have not kept it, reset the token for a new one.",
		Link:  "/tokens", Label: "All tokens",
	})
}

// renderError answers an error of the gateway.
func (web *Web) renderError(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	m := message{Title: "That did not work", Text: err.Error(), Link: "/tokens", Label: "All tokens"}
	if status == http.StatusNotFound {
		m.Title, m.Text = "No such token", "There is no token of that name. It may have been deleted."
	}
	if status >= http.StatusInternalServerError {
		web.log.Error("token not changed", "token", r.PathValue("name"), "err", err)
		m.Text = "The daemon could not do it; its log says why. Look at the token before you try again."
	}
	web.renderMessage(w, r, status, m)
}
