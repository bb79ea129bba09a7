package main

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"scaler.io/scaler/internal/simulate"
)

// simulation is a report for programs.
type simulation struct {
	simulatedCost
	ClairvoyantHours float64             `json:"clairvoyant_runner_hours"`
	Jobs             int                 `json:"jobs"`
	Unserved         int                 `json:"unserved"`
	Pools            []simulatedPool     `json:"pools"`
	Alternatives     []simulatedScenario `json:"alternatives"`
	Share            *simulatedShare     `json:"share,omitempty"`
}

// simulatedShare says that the jobs are what falls to one of several daemons.
type simulatedShare struct {
	Daemon  string `json:"daemon"`
	Daemons int    `json:"daemons"`
	OfJobs  int    `json:"of_jobs"`
}

// simulatedCost is what some jobs have waited, and what that took.
type simulatedCost struct {
	Wait        simulatedWait `json:"wait_s"`
	RunnerHours float64       `json:"runner_hours"`
	BusyHours   float64       `json:"busy_hours"`
	Starts      int           `json:"starts"`
	Peak        int           `json:"peak"`
}

type simulatedPool struct {
	Name string `json:"name"`
	Jobs int    `json:"jobs"`
	simulatedCost
}

type simulatedScenario struct {
	Name string `json:"name"`
	simulatedCost
}

type simulatedWait struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func newSimulation(r *simulate.Report) simulation {
	s := simulation{
		simulatedCost: newSimulatedCost(r.Policy.Cost), ClairvoyantHours: hours(r.Clairvoyant.Runners),
		Jobs: r.Policy.Jobs, Unserved: r.Policy.Unserved, Pools: []simulatedPool{}, Alternatives: []simulatedScenario{},
	}
	for _, q := range r.Policy.Pools {
		s.Pools = append(s.Pools, simulatedPool{q.Name, q.Jobs, newSimulatedCost(q.Cost)})
	}
	for _, w := range r.Ways()[1:] {
		s.Alternatives = append(s.Alternatives, simulatedScenario{w.Key, newSimulatedCost(w.Cost)})
	}
	return s
}

func newSimulatedCost(c simulate.Cost) simulatedCost {
	return simulatedCost{newSimulatedWait(c.Wait), hours(c.Runners), hours(c.Busy), c.Starts, c.Peak}
}

func newSimulatedWait(w simulate.Waits) simulatedWait {
	return simulatedWait{P50: milliseconds(w.P50), P95: milliseconds(w.P95), P99: milliseconds(w.P99), Max: milliseconds(w.Max)}
}

// milliseconds are seconds with three digits.
func milliseconds(d time.Duration) float64 { return math.Round(d.Seconds()*1e3) / 1e3 }

// hours have four digits, the last of which is about a third of a second.
func hours(d time.Duration) float64 { return math.Round(d.Hours()*1e4) / 1e4 }

// writeSimulation writes a report for people.
func writeSimulation(b *bytes.Buffer, r *simulate.Report, share *simulatedShare) {
	p := r.Policy
	fmt.Fprintf(b, "%s from %s\n", count(p.Jobs, "job"), clock(r.Trace.Start.Add(r.Options.WarmUp)))
	if share != nil {
		fmt.Fprintf(b, "They are what falls to %s, one of %s, of %s.\n", clean(share.Daemon), count(share.Daemons, "daemon"), count(share.OfJobs, "job"))
	}
	if p.Unserved > 0 {
		fmt.Fprintf(b, "%s found no runner: no pool may serve them, or its max is 0.\n", count(p.Unserved, "job"))
	}
	section(b, "POOLS (%d)", len(p.Pools))
	rows := [][]string{{"POOL", "JOBS", "WAIT P50", "P95", "P99", "MAX", "RUNNER HOURS", "BUSY", "STARTS", "PEAK"}}
	for _, q := range p.Pools {
		rows = append(rows, append([]string{q.Name, fmt.Sprint(q.Jobs)}, costCells(q.Cost)...))
	}
	table(b, rows)
	section(b, "ALL POOLS, AND OTHER WAYS TO SERVE THE SAME JOBS")
	rows = [][]string{{"WAY", "WAIT P50", "P95", "P99", "MAX", "RUNNER HOURS", "BUSY", "STARTS", "PEAK"}}
	for _, w := range r.Ways() {
		rows = append(rows, append([]string{w.Name}, costCells(w.Cost)...))
	}
	table(b, rows)
}

func costCells(c simulate.Cost) []string {
	share := "-"
	if c.Runners > 0 {
		share = fmt.Sprintf("%.0f%%", 100*float64(c.Busy)/float64(c.Runners))
	}
	return []string{
		wait(c.Wait.P50), wait(c.Wait.P95), wait(c.Wait.P99), wait(c.Wait.Max),
		fmt.Sprintf("%.1f", c.Runners.Hours()), share, fmt.Sprint(c.Starts), fmt.Sprint(c.Peak),
	}
}

// wait prints how long a job has waited.
func wait(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return age(d)
}
