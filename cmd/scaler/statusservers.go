package main

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"scaler.io/scaler/internal/plan"
)

// withServers adds to a table, whose first row has the titles, a column that says
// which server each of the other rows is of. Where that is none, for there is only
// one, the table stays as it is.
func withServers(rows [][]string, column int, server func(row int) string) [][]string {
	named := false
	for i := range rows[1:] {
		named = named || server(i) != ""
	}
	if !named {
		return rows
	}
	wider := [][]string{slices.Insert(slices.Clone(rows[0]), column, "SERVER")}
	for i, r := range rows[1:] {
		wider = append(wider, slices.Insert(slices.Clone(r), column, orDash(clean(server(i)))))
	}
	return wider
}

// ofServer begins a line that is about one of several servers.
func ofServer(server string) string {
	if server == "" {
		return ""
	}
	return "server " + clean(server) + ": "
}

// writeServerLoops writes how each of several servers fares. It writes nothing
// where there is only one.
func writeServerLoops(b *bytes.Buffer, s plan.Status, now time.Time) {
	if len(s.Servers) < 2 {
		return
	}
	section(b, "SERVERS (%d)", len(s.Servers))
	rows := [][]string{{"NAME", "INSTANCE", "WORKS", "CYCLE", "AGO", "QUEUE"}}
	for _, q := range s.Servers {
		works, ago := "yes", "-"
		if !q.Working {
			works = "no"
		}
		if !q.CycleAt.IsZero() {
			ago = age(now.Sub(q.CycleAt))
		}
		rows = append(rows, []string{clean(q.Name), q.Instance, works, strconv.FormatUint(q.Cycle, 10), ago, strconv.Itoa(q.QueueSize)})
	}
	table(b, rows)
}
