package trend

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/go-analyze/charts"

	"scaler.io/scaler/internal/plan"
)

// Width and Height are the size of a picture, which fits a phone.
const (
	Width  = 400
	Height = 250
)

// The charts, by their names.
const (
	Queue   = "queue"   // jobs that wait, and those that nobody serves
	Runners = "runners" // by what they do
	Waits   = "waits"   // of jobs until they began
)

// picture is one way to draw a chart.
type picture struct {
	chart string
	dark  bool
}

// line is one line of a chart.
type line struct {
	name  string
	color string // can be told from the others on white and on black
	value func(*point) float64
}

// lines has those of each chart.
var lines = map[string][]line{
	Queue: {
		{"waiting", "#2f81f7", looked(func(p *point) float64 { return p.waiting })},
		{"unserved", "#e5534b", looked(func(p *point) float64 { return p.unserved })},
	},
	Runners: {
		// One upon the other, which has no gaps.
		{"busy", "#2f81f7", func(p *point) float64 { return p.busy }},
		{"idle", "#3fa45b", func(p *point) float64 { return p.idle }},
		{"starting", "#e3963e", func(p *point) float64 { return p.starting }},
		{"leaving", "#a371f7", func(p *point) float64 { return p.leaving }},
	},
	Waits: {
		{"p50", "#3fa45b", quantile(0.5)},
		{"p95", "#e3963e", quantile(0.95)},
		{"oldest waiting", "#a371f7", looked(func(p *point) float64 { return p.oldest.Seconds() })},
	},
}

// looked leaves a gap where there was no look.
func looked(value func(*point) float64) func(*point) float64 {
	return func(p *point) float64 {
		if !p.looked {
			return charts.GetNullValue()
		}
		return value(p)
	}
}

// quantile is that of the waits in seconds, with a gap where no job began.
func quantile(q float64) func(*point) float64 {
	return func(p *point) float64 {
		if p.waits.total == 0 {
			return charts.GetNullValue()
		}
		return p.waits.quantile(q).Seconds()
	}
}

// Draw returns a chart as SVG, in colours for a light or a dark screen. It draws
// once for each sample. The error wraps plan.ErrNotFound for a chart that there
// is not.
func (r *Recorder) Draw(chart string, dark bool) ([]byte, error) {
	if lines[chart] == nil {
		return nil, fmt.Errorf("draw chart %q: %w", chart, plan.ErrNotFound)
	}
	r.drawing.Lock()
	defer r.drawing.Unlock()
	p := picture{chart, dark}
	r.mu.Lock()
	last := r.last
	if d := r.drawn[p]; d.svg != nil && d.last == last {
		r.mu.Unlock()
		return d.svg, nil
	}
	list, _ := r.series()
	r.mu.Unlock()
	svg, err := p.draw(list)
	if err != nil {
		return nil, fmt.Errorf("draw chart %s: %w", chart, err)
	}
	r.drawn[p] = drawn{last, svg}
	return svg, nil
}

// font is what the library names and a browser may not have.
var font = regexp.MustCompile(`font-family:[^;"]*`)

func (p picture) draw(list []point) ([]byte, error) {
	names, values := []string{}, [][]float64{}
	stacked := make([]float64, len(list))
	highest := 0.0
	for _, l := range lines[p.chart] {
		row := make([]float64, len(list))
		for i := range list {
			row[i] = l.value(&list[i])
			if row[i] != charts.GetNullValue() {
				stacked[i] += row[i]
				highest = max(highest, row[i])
			}
		}
		names, values = append(names, l.name), append(values, row)
	}
	if p.chart == Runners {
		highest = slices.Max(stacked)
	}
	labels := make([]string, len(list))
	for i := range list {
		labels[i] = list[i].at.Format("15:04")
	}
	theme := p.theme()
	opt := charts.NewLineChartOptionWithData(values)
	opt.Theme, opt.LineStrokeWidth, opt.Symbol.Shape = theme, 1.6, charts.SymbolNone
	opt.StackSeries = charts.Ptr(p.chart == Runners)
	if p.chart == Runners {
		opt.FillOpacity = 200
	}
	opt.Legend.SeriesNames = names
	opt.XAxis.Labels, opt.XAxis.LabelCount, opt.XAxis.BoundaryGap = labels, 4, charts.Ptr(false)
	top := intervals * p.interval(highest)
	opt.YAxis = []charts.YAxisOption{{Min: charts.Ptr(0.0), Max: charts.Ptr(top), LabelCount: intervals + 1, PreferNiceIntervals: charts.Ptr(false)}}
	opt.ValueFormatter = number
	if p.chart == Waits {
		opt.ValueFormatter = secondsText
	}
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: Width, Height: Height, Theme: theme})
	if err := painter.LineChart(opt); err != nil {
		return nil, err
	}
	svg, err := painter.Bytes()
	return font.ReplaceAll(svg, []byte("font-family:system-ui,sans-serif")), err
}

// intervals is how many there are on the upright axis.
const intervals = 4

// interval is how large one of them is: a round number, so that the highest
// value fits.
func (p picture) interval(highest float64) float64 {
	least := highest / intervals
	if p.chart == Waits {
		for _, round := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800} {
			if least <= round {
				return round
			}
		}
		return 3600 * math.Ceil(least/3600)
	}
	for unit := 1.0; ; unit *= 10 {
		for _, round := range []float64{1, 2, 5} {
			if least <= round*unit {
				return round * unit
			}
		}
	}
}

// theme is what it is drawn in; the papers are those of the pages.
func (p picture) theme() charts.ColorPalette {
	ink, grid, paper := charts.ColorFromHex("#1c2024"), charts.ColorFromHex("#d5dae0"), charts.ColorFromHex("#ffffff")
	if p.dark {
		ink, grid, paper = charts.ColorFromHex("#e6e9ec"), charts.ColorFromHex("#373d44"), charts.ColorFromHex("#14171a")
	}
	var colors []charts.Color
	for _, l := range lines[p.chart] {
		colors = append(colors, charts.ColorFromHex(l.color))
	}
	return charts.MakeTheme(charts.ThemeOption{
		IsDarkMode: p.dark, AxisStrokeColor: ink, AxisSplitLineColor: grid, BackgroundColor: paper, TextColor: ink, TextColorTitle: ink,
		TextColorMark: ink, TextColorLabel: ink, TextColorLegend: ink, TextColorXAxis: ink, TextColorYAxis: ink, SeriesColors: colors,
	})
}

// number writes whole numbers without a fraction.
func number(v float64) string {
	if v == math.Trunc(v) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// secondsText writes a time on the axis, as short as can be.
func secondsText(v float64) string {
	d := time.Duration(v * float64(time.Second))
	switch {
	case d >= 2*time.Hour:
		return number(math.Round(d.Hours()*10)/10) + " h"
	case d >= 2*time.Minute:
		return number(math.Round(d.Minutes()*10)/10) + " min"
	}
	return number(v) + " s"
}
