package server

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"scaler.io/scaler/internal/plan"
)

// jobList is a table of jobs.
type jobList struct {
	Rows      []plan.JobDecision
	Explained bool // each has a page of its own
}

// clockText writes a moment to the second, with its date unless that is today's.
func clockText(t time.Time) string {
	t = t.UTC()
	if t.Format(time.DateOnly) == time.Now().UTC().Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// momentText writes a moment to the minute, with its date if it is half a day or
// more away.
func momentText(t time.Time) string {
	if d := time.Until(t).Abs(); d < day/2 {
		return t.UTC().Format("15:04 MST")
	}
	return timeText(t)
}

// ageText writes how long ago something was, in its two largest units.
func ageText(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < day:
		return joinUnits(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	}
	return joinUnits(int(d/day), "d", int(d.Hours())%24, "h")
}

func joinUnits(n int, unit string, rest int, smaller string) string {
	text := strconv.Itoa(n) + " " + unit
	if rest > 0 {
		text += " " + strconv.Itoa(rest) + " " + smaller
	}
	return text
}

// untilText writes how long something is off.
func untilText(d time.Duration) string {
	if d < time.Second {
		return "now"
	}
	return "in " + ageText(d)
}

// isUnder reports whether a page is one of a section, such as /pools/linux of
// /pools.
func isUnder(page, section string) bool {
	return page == section || strings.HasPrefix(page, section+"/")
}

// eventText is the kind of an event for people.
func eventText(k plan.EventKind) string { return strings.ReplaceAll(string(k), "_", " ") }

// amountText writes an amount of a budget's resource.
func amountText(resource string, amount float64) string {
	if resource == "memory" {
		return units.BytesSize(amount)
	}
	return strconv.FormatFloat(amount, 'f', -1, 64)
}
