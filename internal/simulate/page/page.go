// Package page draws the report of a replay as one HTML file.
//
// The invariant that it protects: the file needs nothing but itself. It has no
// script, and names no other address.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"scaler.io/scaler/internal/simulate"
)

//go:embed report.html
var text string

var report = template.Must(template.New("report").Funcs(template.FuncMap{"wait": wait, "hours": hours, "share": share, "day": day}).Parse(text))

// way is one way to serve the jobs.
type way struct {
	simulate.Way
	Meaning string
}

// meanings say what the ways are, by their keys.
var meanings = map[string]string{
	"policy":         "as it is",
	"from_zero":      "without min and idle",
	"fixed_peak":     "as many runners all the time as it had at most",
	"fixed_same_p95": "as few all the time as make nobody wait longer, by the p95",
	"clairvoyant":    "the least that serves the jobs without a wait, if everything is known ahead",
}

// plot is a picture under a heading, for light and dark screens.
type plot struct {
	Title, Note string
	Light, Dark template.HTML
}

// Write writes the report. The name says what was replayed. Errors are those of
// the writer.
func Write(w io.Writer, name string, r *simulate.Report) error {
	var ways []way
	for _, x := range r.Ways() {
		ways = append(ways, way{x, meanings[x.Key]})
	}
	plots, err := draw(r, ways)
	if err != nil {
		return fmt.Errorf("draw the plots: %w", err)
	}
	return report.Execute(w, map[string]any{
		"Name": name, "From": r.Trace.Start.Add(r.Options.WarmUp), "Days": fmt.Sprintf("%.1f", lasted(r)/24),
		"Policy": r.Policy, "Ways": ways, "Plots": plots,
	})
}

// lasted is how many hours were counted.
func lasted(r *simulate.Report) float64 {
	return (r.Trace.Jobs[len(r.Trace.Jobs)-1].Arrival - r.Options.WarmUp).Hours()
}

// wait prints how long a job has waited.
func wait(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func hours(d time.Duration) string { return fmt.Sprintf("%.1f", d.Hours()) }

// share is how much of one time another is, in percent.
func share(part, whole time.Duration) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(whole))
}

func day(t time.Time) string { return t.Format("Monday, 2 January 2006, 15:04 MST") }
