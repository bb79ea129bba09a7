package pool

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// conditions logs what is wrong once when it begins or changes and once when
// it has passed, however often it is seen in between.
type conditions struct {
	log  *slog.Logger
	tell func(plan.Event)
	open map[string]condition
}

// condition is an open problem. Its cause is what has to change for it to be
// logged again; its message may change with each new try.
type condition struct {
	plan.Problem
	cause string
}

func newConditions(log *slog.Logger, tell func(plan.Event)) *conditions {
	return &conditions{log: log, tell: tell, open: make(map[string]condition)}
}

// set states the condition of a subject; an empty message means that it is
// well.
func (c *conditions) set(subject, message string, now time.Time) {
	c.setCause(subject, message, message, now)
}

// setCause is set for a message that changes while its cause stays.
func (c *conditions) setCause(subject, cause, message string, now time.Time) {
	was, open := c.open[subject]
	if message == "" {
		if open {
			delete(c.open, subject)
			lasted := now.Sub(was.Since).Round(time.Second).String()
			c.log.Info("problem is over", "subject", subject, "lasted", lasted)
			c.tell(about(plan.Event{At: now, Kind: plan.EventProblemOver, Text: "after " + lasted}, subject))
		}
		return
	}
	is := condition{Problem: plan.Problem{Subject: subject, Since: now, Message: message}, cause: cause}
	switch {
	case !open:
		c.log.Warn("problem", "subject", subject, "err", message)
		c.tell(about(plan.Event{At: now, Kind: plan.EventProblem, Text: message}, subject))
	case cause != was.cause:
		c.log.Warn("problem has changed", "subject", subject, "err", message)
		c.tell(about(plan.Event{At: now, Kind: plan.EventProblem, Text: message}, subject))
	}
	if open {
		is.Since = was.Since
	}
	c.open[subject] = is
}

// about says in an event what it is about.
func about(e plan.Event, subject string) plan.Event {
	kind, name, _ := strings.Cut(subject, " ")
	switch kind {
	case "pool":
		e.Pool = name
	case "runner":
		e.Runner = name
	}
	e.Text = subject + ": " + e.Text
	return e
}

// list returns the open problems in a fixed order.
func (c *conditions) list() []plan.Problem {
	out := make([]plan.Problem, 0, len(c.open))
	for _, p := range c.open {
		out = append(out, p.Problem)
	}
	slices.SortFunc(out, func(a, b plan.Problem) int { return cmp.Compare(a.Subject, b.Subject) })
	return out
}
