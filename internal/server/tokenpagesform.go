package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// tokenForm is the form for a new token: what was put in, and what is wrong
// with it.
type tokenForm struct {
	Name, Description, Scope, Kind, Expires, MaxUses, Labels, Sources, ReapAfter string
	// Number is that of the form, see sentForms.
	Number string
	Scopes []plan.Scope      // to choose from
	Errors map[string]string // by field
	Error  string            // what concerns no one field
}

// formField is a field of the form as its page shows it.
type formField struct {
	ID, Label, Hint, Value, Fault string
}

// Field returns a field by its ID, which is also its name.
func (f tokenForm) Field(id, label, hint string) formField {
	values := map[string]string{
		"name": f.Name, "description": f.Description, "scope": f.Scope, "kind": f.Kind, "expires": f.Expires,
		"max_uses": f.MaxUses, "labels": f.Labels, "sources": f.Sources, "reap_after": f.ReapAfter,
	}
	return formField{ID: id, Label: label, Hint: hint, Value: values[id], Fault: f.Errors[id]}
}

// The kinds of a token, as the form has them.
const (
	kindReusable = "reusable"
	kindSingle   = "single"
)

// defaultReapAfter is what the form proposes.
const defaultReapAfter = "24h"

func (web *Web) getTokenForm(w http.ResponseWriter, r *http.Request) {
	form := tokenForm{Kind: kindSingle, ReapAfter: defaultReapAfter}
	if scopes := web.cfg.Scopes(); len(scopes) > 0 {
		form.Scope = scopes[0].String()
	}
	web.renderTokenForm(w, r, http.StatusOK, form)
}

// renderTokenForm shows the form with a new number.
func (web *Web) renderTokenForm(w http.ResponseWriter, r *http.Request, status int, form tokenForm) {
	form.Number, form.Scopes = randomText(), web.cfg.Scopes()
	web.render(w, r, status, "new", "New registration token", form)
}

// postTokenForm makes a token and answers its secret, or the form with what is
// wrong with it.
func (web *Web) postTokenForm(w http.ResponseWriter, r *http.Request) {
	values, ok := web.readForm(w, r)
	if !ok {
		return
	}
	if !web.sent.first(values.Get("number")) {
		web.alreadySent(w, r)
		return
	}
	form := readTokenForm(values)
	spec, faults := form.spec(time.Now(), web.cfg.Scopes())
	if len(faults) > 0 {
		form.Errors = faults
		web.renderTokenForm(w, r, http.StatusUnprocessableEntity, form)
		return
	}
	// What was begun is finished, also if the browser has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), webChangeTimeout)
	defer cancel()
	made, err := web.tokens.Create(ctx, webActor(r), spec)
	switch {
	case errors.Is(err, plan.ErrConflict):
		form.Errors = map[string]string{"name": "There is a token of this name already."}
		web.renderTokenForm(w, r, http.StatusConflict, form)
	case errors.Is(err, plan.ErrInvalid):
		form.Error = err.Error()
		web.renderTokenForm(w, r, http.StatusUnprocessableEntity, form)
	default:
		web.renderSecret(w, r, made, err)
	}
}

// readTokenForm takes the fields over as they are.
func readTokenForm(values url.Values) tokenForm {
	get := func(field string) string { return strings.TrimSpace(values.Get(field)) }
	return tokenForm{
		Name: get("name"), Description: get("description"), Scope: get("scope"), Kind: get("kind"), Expires: get("expires"),
		MaxUses: get("max_uses"), Labels: get("labels"), Sources: get("sources"), ReapAfter: get("reap_after"),
	}
}

// spec returns what the form asks for, or by field what is wrong.
func (f tokenForm) spec(now time.Time, scopes []plan.Scope) (plan.TokenSpec, map[string]string) {
	faults := make(map[string]string)
	note := func(field, fault string) {
		if fault != "" {
			faults[field] = fault
		}
	}
	spec := plan.TokenSpec{Name: f.Name, Description: f.Description, Pinned: f.Kind == kindReusable}
	note("name", checkName(f.Name))
	note("description", checkDescription(f.Description))
	if i := slices.IndexFunc(scopes, func(s plan.Scope) bool { return s.String() == f.Scope }); i >= 0 {
		spec.Scope = scopes[i]
	} else {
		note("scope", "Choose one of the scopes.")
	}
	if f.Kind != kindReusable && f.Kind != kindSingle {
		note("kind", "Choose one of the kinds.")
	}
	var fault string
	spec.ExpiresAt, fault = parseExpiry(f.Expires, now)
	note("expires", fault)
	spec.MaxUses, fault = parseMaxUses(f.MaxUses, spec.Pinned)
	note("max_uses", fault)
	spec.Labels, fault = parseLabels(f.Labels)
	note("labels", fault)
	spec.Sources, fault = parseSources(f.Sources)
	note("sources", fault)
	spec.ReapAfter, fault = parseReapAfter(f.ReapAfter)
	note("reap_after", fault)
	return spec, faults
}
