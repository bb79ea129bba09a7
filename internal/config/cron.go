package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Cron says when something begins, by some clock on the wall.
type Cron struct {
	text     string
	schedule cron.Schedule
}

// String returns the expression with single spaces.
func (c Cron) String() string { return c.text }

// Timezone is a time zone of the IANA database.
type Timezone struct {
	name     string
	location *time.Location
}

// String returns the zone's name.
func (z Timezone) String() string { return z.name }

// cronDescriptors stand for whole expressions.
var cronDescriptors = []string{"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}

// cronFields are the fields of an expression in their order.
var cronFields = []struct {
	name, allowed string
	parser        cron.Parser
}{
	{"minute", "0 to 59", cron.NewParser(cron.Minute)},
	{"hour", "0 to 23", cron.NewParser(cron.Hour)},
	{"day of the month", "1 to 31", cron.NewParser(cron.Dom)},
	{"month", "1 to 12 or jan to dec", cron.NewParser(cron.Month)},
	{"day of the week", "0 to 6 or sun to sat, where 0 is Sunday", cron.NewParser(cron.Dow)},
}

// cronField is the form of a field. The library would take some more for right,
// such as a list of nothing, and fails on others.
var cronField = regexp.MustCompile(strings.ReplaceAll(`^ITEM(,ITEM)*$`, "ITEM", `([*?]|\w+(-\w+)?)(/\d+)?`))

// parseCron reads five fields or a descriptor.
func parseCron(s string) (Cron, error) {
	fields := strings.Fields(s)
	s = strings.Join(fields, " ")
	switch {
	case strings.Contains(s, "TZ="):
		return Cron{}, errors.New("a time zone in the expression: set the window's timezone instead")
	case strings.HasPrefix(s, "@every"):
		return Cron{}, errors.New("@every has no fixed times: write five fields, like */30 * * * *")
	case strings.HasPrefix(s, "@"):
		if !slices.Contains(cronDescriptors, s) {
			return Cron{}, fmt.Errorf("%q is not known: expected one of %s, or five fields, like 0 8 * * 1-5", s, strings.Join(cronDescriptors, ", "))
		}
	case len(fields) != len(cronFields):
		return Cron{}, fmt.Errorf("it has %d of the fields minute, hour, day of the month, month and day of the week: write five, like 0 8 * * 1-5", len(fields))
	default:
		if err := checkCronFields(fields); err != nil {
			return Cron{}, err
		}
	}
	schedule, err := cron.ParseStandard(s)
	if err != nil {
		return Cron{}, fmt.Errorf("read %q: %w", s, err)
	}
	// Any five years have all days that there are, 29 February too.
	if schedule.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Cron{}, fmt.Errorf("%q never comes: there is no such day", s)
	}
	return Cron{text: s, schedule: schedule}, nil
}

// checkCronFields checks each field by itself, so that a fault has its place.
func checkCronFields(fields []string) error {
	for i, f := range cronFields {
		_, err := f.parser.Parse(fields[i])
		if err != nil || !cronField.MatchString(fields[i]) {
			return fmt.Errorf("the %s %q is wrong: write %s, as in 1, 1-5, 1,3, * or */2", f.name, fields[i], f.allowed)
		}
	}
	return nil
}

// parseTimezone finds a zone by its name. Local is none: the file must mean
// the same on every machine.
func parseTimezone(s string) (Timezone, error) {
	location, err := time.LoadLocation(s)
	if err != nil || s == "" || s == "Local" {
		return Timezone{}, fmt.Errorf("there is no time zone %q: write its name in the IANA database, like UTC or Europe/Berlin", s)
	}
	return Timezone{name: s, location: location}, nil
}

// next is the first start of the window after a moment, zero if there is none.
//
// The expression is put to the clock on the wall, whose times are written as
// UTC, which knows no summer time: the library itself passes over starts in
// the hour that is left out, and doubles those in the hour that comes twice.
func (w Window) next(after time.Time) time.Time {
	location := w.Timezone.location
	_, offset := after.In(location).Zone()
	wall := after.UTC().Add(time.Duration(offset) * time.Second)
	for {
		if wall = w.Cron.schedule.Next(wall); wall.IsZero() {
			return time.Time{}
		}
		// The clock may have shown it before, and now shows it for the second time.
		if start := showing(wall, location); start.After(after) {
			return start
		}
	}
}

// showing is when the clock of a zone first shows a time, which is written as
// UTC. If it is put forward past that time, it is the moment at which it is.
// (Time.ZoneBounds would tell, but is a day off at the end of leap years.)
func showing(wall time.Time, location *time.Location) time.Time {
	const day = 24 * time.Hour // more than any zone is away from UTC
	offset := func(at time.Time) time.Duration {
		_, seconds := at.In(location).Zone()
		return time.Duration(seconds) * time.Second
	}
	from := wall.Add(-day)
	before := offset(from)
	if t := wall.Add(-before); offset(t) == before {
		return t.In(location)
	}
	after := offset(wall.Add(day))
	if t := wall.Add(-after); offset(t) == after {
		return t.In(location)
	}
	seconds := sort.Search(int(2*day/time.Second), func(s int) bool {
		return offset(from.Add(time.Duration(s)*time.Second)) != before
	})
	return from.Add(time.Duration(seconds) * time.Second).In(location)
}
