package server

import (
	"net/http"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// untold stands where the text says what is wrong with the configuration file:
// it repeats what is in the file, which may be a secret that went astray.
const untold = "the configuration file is not good, so the last good one holds: log in to see why"

// shown is the state as who asks may see it.
func (web *Web) shown(r *http.Request) plan.Status {
	s := web.status.Status()
	if userOf(r).name != "" {
		return s
	}
	s = s.WithoutLog()
	if s.Config.Error == "" {
		return s
	}
	s.Config.Error = untold
	for i, p := range s.Problems {
		if p.Subject == plan.SubjectConfig {
			s.Problems[i].Message = untold
		}
	}
	return s
}

// events returns all events that are kept, as who asks may see them, and how
// many are not kept any more.
func (web *Web) events(r *http.Request) (all []plan.Event, missed uint64) {
	if web.cfg.Journal == nil {
		return nil, 0
	}
	all, missed = web.cfg.Journal.Since(0, maxEvents) // a copy
	if userOf(r).name != "" {
		return all, missed
	}
	for i, e := range all {
		all[i].Text = plan.WithoutLog(e.Text)
		if e.Kind == plan.EventConfigRejected || e.Kind == plan.EventProblem && strings.HasPrefix(e.Text, plan.SubjectConfig) {
			all[i].Text = untold
		}
	}
	return all, missed
}
