package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// writeExplanation writes what becomes of a job for people. Text is wrapped at
// the width, the table is not.
func writeExplanation(b *bytes.Buffer, e plan.Explanation, now time.Time, width int) {
	wrap(b, "", jobTitle(e, now), width)
	if e.Job.URL != "" {
		fmt.Fprintf(b, "%s\n", clean(e.Job.URL))
	}
	b.WriteByte('\n')
	for _, line := range e.Summary {
		wrap(b, "  ", clean(line), width)
	}
	if len(e.Pools) == 0 {
		return
	}
	section(b, "POOLS (%d)", len(e.Pools))
	rows := [][]string{{"NAME", "FITS", "SERVES IT", "WAITING", "STARTING", "IDLE", "BUSY", "LEAVING", "MAX", "WHY NOT"}}
	for _, p := range e.Pools {
		row := []string{p.Pool, yesNo(p.Fits), yesNo(p.Serves), strconv.Itoa(p.Waiting), strconv.Itoa(p.Starting), strconv.Itoa(p.Idle),
			strconv.Itoa(p.Busy), strconv.Itoa(p.Leaving), strconv.Itoa(p.Max)}
		rows = append(rows, append(row, whyNot(p, e.Job.Pool)))
		for _, o := range p.Obstacles[min(1, len(p.Obstacles)):] {
			rows = append(rows, append(make([]string, len(row)), clean(o.Reason)))
		}
	}
	table(b, rows)
}

// whyNot is the first of what keeps a pool from serving a job that another one
// may serve.
func whyNot(p plan.PoolAnswer, served string) string {
	switch {
	case len(p.Obstacles) > 0:
		return clean(p.Obstacles[0].Reason)
	case p.Serves:
		return "-"
	}
	return "it could, and pool " + served + " is to"
}

// jobTitle says which job is meant.
func jobTitle(e plan.Explanation, now time.Time) string {
	j := e.Job
	if e.State == plan.StateHypothetical {
		title := "A job with runs-on [" + clean(strings.Join(j.Labels, ", ")) + "]"
		if j.Repo != "" {
			title += " of " + clean(j.Repo)
		}
		return title + ", if it were queued now"
	}
	title := "Job " + jobID(j.ID)
	if j.Repo != "" {
		title += " of " + clean(j.Repo)
	}
	if j.Name != "" {
		title += ", " + clean(j.Name)
	}
	if e.State == plan.StateQueued {
		title += fmt.Sprintf(", runs-on [%s], queued for %s", clean(strings.Join(j.Labels, ", ")), age(now.Sub(j.QueuedAt)))
	}
	return title
}

func yesNo(b bool) string { return map[bool]string{true: "yes", false: "no"}[b] }
