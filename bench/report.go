package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// What is wanted of the daemon.
const (
	wantCold   = 1.2 // at most, times the floor
	wantRate   = 0.9 // at least, times the floor
	wantRSSMB  = 40  // at most, with all runners
	wantCPU    = 1.0 // percent of a core, below
	wantPlanMS = 10  // at most
	// wantGrowth is the most by which a doubling may multiply the time. Linear
	// is 2; the rest is for what varies from run to run.
	wantGrowth = 2.5
)

// report is all that was measured, as the JSON file has it. Parts that did not
// run are left out.
type report struct {
	ColdStart *coldFigures  `json:"cold_start,omitempty"`
	Burst     *rates        `json:"burst,omitempty"`
	Teardown  *rates        `json:"teardown,omitempty"`
	Churn     *churnFigures `json:"churn,omitempty"`
	RSSMB     *float64      `json:"rss_mb,omitempty"`
	IdleCPU   *float64      `json:"idle_cpu_percent,omitempty"`
	Idle      *idleFigures  `json:"idle,omitempty"`
	Plan      *planFigures  `json:"plan,omitempty"`
	State     *rates        `json:"state,omitempty"`
	Soak      *soakFigures  `json:"soak,omitempty"`
	Machine   machine       `json:"machine"`
	rows      []row
}

// row is a line of the table.
type row struct{ name, ours, floor, ratio, wanted, met string }

// add adds a line with a verdict.
func (r *report) add(line row, met bool) {
	line.met = "yes"
	if !met {
		line.met = "NO"
	}
	r.rows = append(r.rows, line)
}

// note adds a line of which nothing is wanted.
func (r *report) note(name, ours, floor, ratio string) {
	r.rows = append(r.rows, row{name: name, ours: ours, floor: floor, ratio: ratio})
}

func (r *report) cold(f coldFigures) {
	r.ColdStart = &f
	half := ms(pollInterval / 2)
	r.add(row{"cold_start, webhook", millis(f.OursMS), millis(f.FloorMS), times(f.RatioP50), "<= 1.2", ""}, f.RatioP50 <= wantCold)
	r.note("cold_start, webhook, standby: 1", millis(f.StandbyMS), millis(f.FloorMS), times(f.RatioStandby))
	r.add(row{"cold_start, 1 s poll", millis(f.OursPollMS), millis(f.FloorMS), times(f.RatioP50Poll), "<= 1.2 x floor + 500 ms", ""},
		f.OursPollMS <= wantCold*f.FloorMS+half)
	r.add(row{"cold_start, idle runner polls", millis(f.OursMS), millis(f.PollingMS), times(f.OursMS / f.PollingMS), "< 1", ""},
		f.OursMS < f.PollingMS)
}

func (r *report) rates(burst, teardown rates) {
	r.Burst, r.Teardown = &burst, &teardown
	for _, l := range []struct {
		name string
		rates
	}{{"burst", burst}, {"teardown", teardown}} {
		r.add(row{fmt.Sprintf("%s of %d", l.name, l.Count), rate(l.OursPerS), fmt.Sprintf("%s, %d abreast", rate(l.FloorPerS), l.FloorParallel),
			times(l.Ratio), ">= 0.9", ""}, l.Ratio >= wantRate)
	}
}

func (r *report) churn(f churnFigures) {
	r.Churn = &f
	name := fmt.Sprintf("churn of %d jobs", f.Jobs)
	r.note(name+", decisions", rate(f.DecisionsPerS), "", "")
	r.note(name+", CPU", fmt.Sprintf("%.2f s", f.CPUSeconds), "", "")
	r.note(name+", peak memory", fmt.Sprintf("%.1f MB", f.PeakRSSMB), "", "")
	r.note(name+", requests a job", fmt.Sprintf("%.2f", f.RequestsPerJob), "", "")
}

func (r *report) resident(rss, cpu float64, f idleFigures) {
	r.RSSMB, r.IdleCPU, r.Idle = &rss, &cpu, &f
	r.add(row{fmt.Sprintf("memory with %d runners", f.Runners), fmt.Sprintf("%.1f MB", rss), "", "", "<= 40 MB", ""}, rss <= wantRSSMB)
	r.note("  at most since its start", fmt.Sprintf("%.1f MB", f.PeakMB), "", "")
	r.note("  CPU meanwhile", fmt.Sprintf("%.2f %%", f.RunnersCPUPercent), "", "")
	r.add(row{fmt.Sprintf("CPU when idle, %d pools", f.Pools), fmt.Sprintf("%.2f %%", cpu), "", "", "< 1 %", ""}, cpu < wantCPU)
}

func (r *report) plan(f planFigures) {
	r.Plan = &f
	r.add(row{fmt.Sprintf("plan, %d jobs, %d runners, %d pools", f.Jobs, f.Runners, f.Pools), fmt.Sprintf("%.2f ms", f.MS), "", "", "<= 10 ms", ""}, f.MS <= wantPlanMS)
	for _, g := range []struct {
		name   string
		growth [2]float64
	}{{"jobs", f.JobsGrowth}, {"runners", f.RunnersGrowth}, {"pools", f.PoolsGrowth}} {
		r.add(row{"  twice the " + g.name + ", and again", fmt.Sprintf("x %.2f, x %.2f", g.growth[0], g.growth[1]), "", "", "at most linear", ""},
			max(g.growth[0], g.growth[1]) <= wantGrowth)
	}
}

func (r *report) state(f rates) {
	r.State = &f
	r.note("state, durable records", rate(f.OursPerS), rate(f.FloorPerS), times(f.Ratio))
}

func (r *report) soak(f soakFigures) {
	r.Soak = &f
	name := fmt.Sprintf("soak of %s, %d jobs", time.Duration(f.Seconds*float64(time.Second)), f.Jobs)
	r.note(name+", memory", fmt.Sprintf("%.1f MB", f.EndRSSMB), fmt.Sprintf("%.1f MB at the start", f.StartRSSMB), times(f.EndRSSMB/f.StartRSSMB))
	r.note(name+", state file", fmt.Sprintf("%.0f KB", f.EndStateKB), fmt.Sprintf("%.0f KB at the start", f.StartStateKB), times(f.EndStateKB/f.StartStateKB))
}

// print writes the table and the machine for people.
func (r *report) print(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tours\tfloor\tratio\twanted\tmet")
	for _, l := range r.rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", l.name, l.ours, l.floor, l.ratio, l.wanted, l.met)
	}
	_ = table.Flush() // as with all that is printed
	fmt.Fprintf(w, "\n%s\n", r.Machine)
}

// write writes the JSON file.
func (r *report) write(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode figures: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

// median of times, 0 of none.
func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return (d[(len(d)-1)/2] + d[len(d)/2]) / 2
}

// ms is a time in milliseconds, to a hundredth.
func ms(d time.Duration) float64 { return math.Round(d.Seconds()*1e5) / 1e2 }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func perSecond(count int, d time.Duration) float64 { return float64(count) / d.Seconds() }

func millis(v float64) string { return fmt.Sprintf("%.0f ms", v) }
func times(v float64) string  { return fmt.Sprintf("%.2f", v) }
func rate(v float64) string   { return fmt.Sprintf("%.1f/s", v) }
