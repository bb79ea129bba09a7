package page

import (
	"fmt"
	"html/template"
	"regexp"
	"slices"
	"time"

	"github.com/go-analyze/charts"

	"scaler.io/scaler/internal/simulate"
)

// Size of a plot. On a narrow screen it is scrolled.
const (
	width  = 920
	height = 300
)

// colors of the lines; they can be told apart on white and on black.
var colors = []charts.Color{
	charts.ColorFromHex("#2f81f7"), charts.ColorFromHex("#e3963e"), charts.ColorFromHex("#3fa45b"), charts.ColorFromHex("#a371f7"),
}

// palette is what a plot is drawn in.
func palette(dark bool) charts.ColorPalette {
	ink, grid, paper := charts.ColorFromHex("#24292f"), charts.ColorFromHex("#d8dee4"), charts.ColorFromHex("#ffffff")
	if dark {
		ink, grid, paper = charts.ColorFromHex("#d0d7de"), charts.ColorFromHex("#30363d"), charts.ColorFromHex("#0d1117")
	}
	return charts.MakeTheme(charts.ThemeOption{
		IsDarkMode: dark, AxisStrokeColor: ink, AxisSplitLineColor: grid, BackgroundColor: paper, TextColor: ink, TextColorTitle: ink,
		TextColorMark: ink, TextColorLabel: ink, TextColorLegend: ink, TextColorXAxis: ink, TextColorYAxis: ink, SeriesColors: colors,
	})
}

// draw makes all plots.
func draw(r *simulate.Report, ways []way) ([]plot, error) {
	points := r.Policy.Plot
	each := func(values ...func(simulate.Point) float64) [][]float64 {
		all := make([][]float64, len(values))
		for i, value := range values {
			for _, p := range points {
				all[i] = append(all[i], value(p))
			}
		}
		return all
	}
	seconds := func(d func(simulate.Waits) time.Duration) func(simulate.Point) float64 {
		return func(p simulate.Point) float64 {
			if p.Jobs == 0 {
				return charts.GetNullValue()
			}
			return d(p.Wait).Seconds()
		}
	}
	every := "Each point is " + r.Policy.Every.String() + "."
	lines := []struct {
		title, note string
		names       []string
		stack       bool
		values      [][]float64
	}{
		{"Jobs that wait", "At most. " + every, []string{"waiting"}, false, each(func(p simulate.Point) float64 { return float64(p.Waiting) })},
		{"Runners", "On average. " + every, []string{"busy", "starting", "idle", "leaving"}, true, each(
			func(p simulate.Point) float64 { return p.Busy }, func(p simulate.Point) float64 { return p.Starting },
			func(p simulate.Point) float64 { return p.Idle }, func(p simulate.Point) float64 { return p.Leaving })},
		{"Waits in seconds", "Of the jobs that came then. " + every, []string{"longest", "p95", "p50"}, false, each(
			seconds(func(w simulate.Waits) time.Duration { return w.Max }), seconds(func(w simulate.Waits) time.Duration { return w.P95 }),
			seconds(func(w simulate.Waits) time.Duration { return w.P50 }))},
	}
	var plots []plot
	for _, l := range lines {
		p, err := both(l.title, l.note, func(theme charts.ColorPalette) ([]byte, error) {
			return line(theme, l.names, l.stack, l.values, times(r))
		})
		if err != nil {
			return nil, err
		}
		plots = append(plots, p)
	}
	p, err := both("Runner hours", "Of each way to serve the same jobs.", func(theme charts.ColorPalette) ([]byte, error) { return bars(theme, ways) })
	return append(plots, p), err
}

// times are the labels of the points.
func times(r *simulate.Report) []string {
	labels := make([]string, len(r.Policy.Plot))
	for i := range labels {
		format := "2 Jan"
		if lasted(r) < 96 {
			format = "15:04"
		}
		labels[i] = r.Trace.Start.Add(time.Duration(i) * r.Policy.Every).Format(format)
	}
	return labels
}

func line(theme charts.ColorPalette, names []string, stack bool, values [][]float64, labels []string) ([]byte, error) {
	opt := charts.NewLineChartOptionWithData(values)
	opt.Theme, opt.LineStrokeWidth, opt.Symbol.Shape = theme, 1.2, charts.SymbolNone
	opt.StackSeries = charts.Ptr(stack)
	if stack {
		opt.FillOpacity = 200
	}
	opt.Legend.SeriesNames = names
	opt.XAxis.Labels, opt.XAxis.LabelCount, opt.XAxis.BoundaryGap = labels, 7, charts.Ptr(false)
	opt.YAxis = []charts.YAxisOption{{Min: charts.Ptr(0.0), LabelCount: 5, PreferNiceIntervals: charts.Ptr(true)}}
	opt.ValueFormatter = number
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: height, Theme: theme})
	if err := p.LineChart(opt); err != nil {
		return nil, err
	}
	return p.Bytes()
}

func bars(theme charts.ColorPalette, ways []way) ([]byte, error) {
	var names []string
	values := make([]float64, 0, len(ways))
	for _, w := range slices.Backward(ways) { // from below
		names, values = append(names, w.Name+"  "), append(values, w.Runners.Hours())
	}
	opt := charts.NewBarChartOptionWithData([][]float64{values})
	opt.Theme, opt.Horizontal = theme, true
	opt.CategoryAxis.Labels = names
	opt.ValueAxis = []charts.ValueAxisOption{{Min: charts.Ptr(0.0), LabelCount: 5, PreferNiceIntervals: charts.Ptr(true)}}
	opt.Legend.Show = charts.Ptr(false)
	opt.ValueFormatter = number
	opt.SeriesList[0].Label = charts.SeriesLabel{Show: charts.Ptr(true), ValueFormatter: func(v float64) string { return fmt.Sprintf("%.0f", v) }}
	opt.Padding = charts.Box{Top: 10, Left: 10, Bottom: 10, Right: 70, IsSet: true}
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: 260, Theme: theme})
	if err := p.BarChart(opt); err != nil {
		return nil, err
	}
	return p.Bytes()
}

// number leaves the zeros out that say nothing.
func number(v float64) string {
	if v == float64(int64(v)) {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// both draws a plot for light screens and for dark ones.
func both(title, note string, draw func(charts.ColorPalette) ([]byte, error)) (plot, error) {
	light, err := draw(palette(false))
	if err != nil {
		return plot{}, err
	}
	dark, err := draw(palette(true))
	return plot{title, note, inline(light, title), inline(dark, title)}, err
}

var font = regexp.MustCompile(`font-family:[^;"]*`)

// inline makes a picture part of a page: in the page's font, and read out by
// its title. All text in it comes from here, and the library escapes it.
func inline(svg []byte, title string) template.HTML {
	svg = font.ReplaceAll(svg, []byte("font-family:inherit"))
	return template.HTML(regexp.MustCompile(`<svg `).ReplaceAllLiteral(svg, []byte(`<svg role="img" aria-label="`+template.HTMLEscapeString(title)+`" `)))
}
