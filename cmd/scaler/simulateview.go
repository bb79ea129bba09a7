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
	Wait              simulatedWait    `json:"wait_s"`
	RunnerHours       float64          `json:"runner_hours"`
	ClairvoyantHours  float64          `json:"clairvoyant_runner_hours"`
	BusyHours         float64          `json:"busy_hours"`
	Starts            int              `json:"starts"`
	Peak              int              `json:"peak"`
	Jobs              int              `json:"jobs"`
	Unserved          int              `json:"unserved"`
	ClairvoyantStarts int              `json:"clairvoyant_starts"`
	ClairvoyantPeak   int              `json:"clairvoyant_peak"`
	Pools             []simulationPool `json:"pools"`
}

type simulatedWait struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

type simulationPool struct {
	Name        string        `json:"name"`
	Jobs        int           `json:"jobs"`
	Wait        simulatedWait `json:"wait_s"`
	RunnerHours float64       `json:"runner_hours"`
	BusyHours   float64       `json:"busy_hours"`
	Starts      int           `json:"starts"`
	Peak        int           `json:"peak"`
}

func newSimulation(r *simulate.Report) simulation {
	p, c := r.Policy, r.Clairvoyant
	s := simulation{
		Wait: newSimulatedWait(p.Wait), RunnerHours: hours(p.Runners), BusyHours: hours(p.Busy), Starts: p.Starts, Peak: p.Peak,
		Jobs: p.Jobs, Unserved: p.Unserved,
		ClairvoyantHours: hours(c.Runners), ClairvoyantStarts: c.Starts, ClairvoyantPeak: c.Peak,
	}
	for _, q := range p.Pools {
		s.Pools = append(s.Pools, simulationPool{
			Name: q.Name, Jobs: q.Jobs, Wait: newSimulatedWait(q.Wait), RunnerHours: hours(q.Runners), BusyHours: hours(q.Busy), Starts: q.Starts, Peak: q.Peak,
		})
	}
	return s
}

func newSimulatedWait(w simulate.Waits) simulatedWait {
	return simulatedWait{P50: milliseconds(w.P50), P95: milliseconds(w.P95), P99: milliseconds(w.P99), Max: milliseconds(w.Max)}
}

// milliseconds are seconds with three digits.
func milliseconds(d time.Duration) float64 { return math.Round(d.Seconds()*1e3) / 1e3 }

// hours have four digits, the last of which is about a third of a second.
func hours(d time.Duration) float64 { return math.Round(d.Hours()*1e4) / 1e4 }

// writeSimulation writes a report for people.
func writeSimulation(b *bytes.Buffer, r *simulate.Report) {
	p := r.Policy
	fmt.Fprintf(b, "%s from %s\n", count(p.Jobs, "job"), clock(r.Trace.Start.Add(r.Options.WarmUp)))
	if p.Unserved > 0 {
		fmt.Fprintf(b, "%s found no runner: no pool may serve them, or its max is 0.\n", count(p.Unserved, "job"))
	}
	section(b, "POOLS (%d)", len(p.Pools))
	rows := [][]string{{"POOL", "JOBS", "WAIT P50", "P95", "P99", "MAX", "RUNNER HOURS", "BUSY", "STARTS", "PEAK"}}
	for _, q := range p.Pools {
		rows = append(rows, simulationRow(q.Name, q.Jobs, q.Wait, q.Runners, q.Busy, q.Starts, q.Peak))
	}
	rows = append(rows, simulationRow("all", p.Jobs, p.Wait, p.Runners, p.Busy, p.Starts, p.Peak),
		simulationRow("clairvoyant", p.Jobs, simulate.Waits{}, r.Clairvoyant.Runners, 0, r.Clairvoyant.Starts, r.Clairvoyant.Peak))
	table(b, rows)
}

func simulationRow(name string, jobs int, w simulate.Waits, runners, busy time.Duration, starts, peak int) []string {
	share := "-"
	if runners > 0 && busy > 0 {
		share = fmt.Sprintf("%.0f%%", 100*float64(busy)/float64(runners))
	}
	return []string{name, fmt.Sprint(jobs), wait(w.P50), wait(w.P95), wait(w.P99), wait(w.Max), fmt.Sprintf("%.1f", runners.Hours()), share, fmt.Sprint(starts), fmt.Sprint(peak)}
}

// wait prints how long a job has waited.
func wait(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return age(d)
}
