package config

import (
	"fmt"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Window is a recurring stretch of time in which some numbers of a pool are
// others. What is not set is nil, and stays the pool's own.
type Window struct {
	Cron        Cron           `yaml:"cron" required:"true" example:"\"0 8 * * 1-5\"" doc:"When it begins, by the clock of timezone: minute, hour, day of the month, month and day of the week, or one of @hourly, @daily, @weekly, @monthly and @yearly."`
	Duration    time.Duration  `yaml:"duration" required:"true" min:"1m" max:"168h" example:"10h" doc:"How long it lasts, in elapsed time."`
	Timezone    Timezone       `yaml:"timezone" default:"UTC" example:"Europe/Berlin" doc:"Time zone of cron, by its name in the IANA database."`
	Min         *int           `yaml:"min" min:"0" doc:"The pool's min in the window."`
	Idle        *Idle          `yaml:"idle" min:"0" doc:"The pool's idle in the window, a number or auto."`
	Max         *int           `yaml:"max" min:"0" doc:"The pool's max in the window. With 0 nothing is started, idle runners go at once, and busy ones finish."`
	IdleTimeout *time.Duration `yaml:"idle_timeout" min:"0s" doc:"The pool's idle_timeout in the window."`
}

// Windows puts the pool's schedule into the planner's terms.
func (p Pool) Windows() *plan.Windows {
	windows := make([]plan.Window, 0, len(p.Schedule))
	for _, w := range p.Schedule {
		window := plan.Window{Name: w.name(), Next: w.next, Duration: w.Duration, Min: w.Min, Max: w.Max, IdleTimeout: w.IdleTimeout}
		switch {
		case w.Idle != nil && w.Idle.Auto:
			window.Auto = p.Auto()
		case w.Idle != nil:
			window.Idle = &w.Idle.Count
		}
		windows = append(windows, window)
	}
	return plan.NewWindows(windows...)
}

// MostRunners is the largest max that the pool ever has.
func (p Pool) MostRunners() int {
	most := p.Max
	for _, w := range p.Schedule {
		if w.Max != nil {
			most = max(most, *w.Max)
		}
	}
	return most
}

// name is the window in the words of the file.
func (w Window) name() string {
	zone := " "
	if w.Timezone.name != "UTC" {
		zone = " " + w.Timezone.name + " "
	}
	return "`" + w.Cron.text + "`" + zone + "for " + shortDuration(w.Duration)
}

// shortDuration writes 1h30m0s as 1h30m, and 4h0m0s as 4h.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// validateSchedule checks each window together with the pool's own numbers,
// which stand in for what the window does not set.
func validateSchedule(d *decoder, p Pool, path string) {
	for i, w := range p.Schedule {
		at := fmt.Sprintf("%s.schedule[%d]", path, i)
		// A number that could not be read is set, even if it is not here.
		if !d.ok(at, at+".min", at+".idle", at+".max", at+".idle_timeout") {
			continue
		}
		if w.Min == nil && w.Idle == nil && w.Max == nil && w.IdleTimeout == nil {
			if d.okBelow(at) { // else a misspelt key may be what is missing
				d.report(at, "the window changes nothing: add min, idle, max or idle_timeout")
			}
			continue
		}
		most, whose := p.Max, "the pool's max"
		if w.Max != nil {
			most, whose = *w.Max, "max"
		} else if !d.ok(path + ".max") {
			continue
		}
		d.fitsMax(at, "min", w.Min, p.Min, most, whose, d.ok(path+".min"))
		var idle *int
		if w.Idle != nil {
			idle = &w.Idle.Count
		}
		d.fitsMax(at, "idle", idle, p.Idle.Count, most, whose, d.ok(path+".idle"))
	}
}

// okBelow reports whether no key of a mapping has a problem.
func (d *decoder) okBelow(path string) bool {
	for p := range d.failed {
		if strings.HasPrefix(p, path+".") {
			return false
		}
	}
	return true
}

// fitsMax reports a number in a window, or the pool's own if it has none, that
// is more than the max that holds then.
func (d *decoder) fitsMax(window, name string, set *int, own, most int, whose string, ownKnown bool) {
	switch {
	case set != nil && *set > most:
		d.report(window+"."+name, "%s %d is more than %s %d: lower %s or raise max", name, *set, whose, most, name)
	case set == nil && ownKnown && own > most && whose == "max":
		d.report(window+".max", "the pool's %s %d is more than max %d: set %s in the window too, or raise max", name, own, most, name)
	}
}
