package plan

import (
	"slices"
	"time"
)

// Arrivals is what is known of how the jobs of one pool arrive and how long its
// runners take to start, from which Target chooses how many runners are kept
// ready. It is small, forgets by and by, and can be stored.
//
// What counts of a job is its rank: how many jobs have arrived within the time
// that a replacement takes to be of use, itself included. So many ready runners
// there had to be for it to wait no longer than the target. A job of a burst of
// 12 has a rank of 12 at most.
//
// The hours are those of the week in UTC, each of which comes once a week
// whatever clocks are put to. A daily rhythm that goes by a local clock comes an
// hour off when that is changed, which the last hour makes up for until it is
// learned.
//
// It is not safe for concurrent use.
type Arrivals struct {
	hours   [weekHours]hour
	present hour // the hour that it is, as far as it has gone
	minutes [60]minute
	at      int64 // when the queue was last looked at, in milliseconds of the Unix clock; 0 for never
	colds   []time.Duration
	cold    time.Duration // what ColdStart says of them
	// jobs and missed count arrivals, and those of them whose rank was beyond
	// what was kept ready then. They fade like the hours.
	jobs, missed float64
	kept         int // the number that Target chose last

	resumed bool      // nobody has looked since they were read from where they were stored
	recent  []arrival // within the time of a start, oldest first
	aim     aim
	last    choice
}

// hour is what was seen in one hour of the week, over some weeks.
type hour struct {
	watched float64 // hours during which the queue was looked at
	ranks   spread  // the jobs that arrived then, by rank
}

// minute is what was seen in one of the last 60 minutes.
type minute struct {
	watched float64 // seconds
	jobs    float64
}

// arrival is a number of jobs that were seen first at one moment.
type arrival struct {
	at   int64
	jobs int
}

// In milliseconds.
const (
	perMinute = 60 * 1000
	perHour   = 60 * perMinute
)

const (
	weekHours = 7 * 24
	// fade is what a week leaves of what was seen before: half of what an hour of
	// the week is known by comes from the last two and a half weeks.
	fade = 0.75
	// blind is the time between two looks beyond which what came in between
	// counts as not seen.
	blind = 2 * time.Minute
	// maxColds is how many of the last starts the cold start is taken from.
	maxColds = 32
	// maxCold is the longest start that is believed.
	maxCold = time.Hour
	// assumedCold stands for the cold start until one was measured.
	assumedCold = 20 * time.Second
	// reaction is what passes from the arrival of a job until a runner is started
	// in its place.
	reaction = 500 * time.Millisecond
	// maxRecent bounds what is remembered within the time of a start.
	maxRecent = 1 << 12
)

// LookedAt is when the queue was last looked at, zero for never.
func (a *Arrivals) LookedAt() time.Time {
	if a.at == 0 {
		return time.Time{}
	}
	return time.UnixMilli(a.at)
}

// Look notes that the queue has been looked at. It is to be called at each look,
// also when nothing has arrived, since without it an hour in which nobody
// looked would pass for a quiet one. It reports whether what has come since the
// last look came just now, so that it is to be added: after a pause, as after a
// restart, nobody knows when it did, or whether it was added before.
func (a *Arrivals) Look(now time.Time) bool {
	to := now.UnixMilli()
	switch {
	case a.at == 0 || a.at-to > perHour:
		a.at, a.resumed = to, false // the first look, or the clock was wrong before
		return false
	case to <= a.at: // the clock was set back a little: until it has caught up no time passes
		return !a.resumed
	}
	seen := to-a.at <= blind.Milliseconds() && !a.resumed
	a.resumed = false
	for a.at < to {
		next := to
		if seen {
			next = min(to, (a.at/perMinute+1)*perMinute)
			a.present.watched += float64(next-a.at) / perHour
			a.minutes[a.at/perMinute%60].watched += float64(next-a.at) / 1000
		}
		if next/perHour != a.at/perHour {
			a.fold(int(a.at / perHour))
		}
		for k := max(a.at/perMinute+1, next/perMinute-59); k <= next/perMinute; k++ {
			a.minutes[k%60] = minute{}
		}
		a.at = next
	}
	return seen
}

// fold puts the hour that is over to what is known of that hour of the week.
func (a *Arrivals) fold(hours int) {
	if a.present.watched > 0 {
		h := &a.hours[weekHour(hours)]
		h.watched = h.watched*fade + a.present.watched
		for i, n := range a.present.ranks {
			h.ranks[i] = h.ranks[i]*fade + n
		}
		keep := 1 - (1-fade)*a.present.watched/weekHours
		a.jobs, a.missed = a.jobs*keep, a.missed*keep
	}
	a.present = hour{}
}

// weekHour is the hour of the week of an hour of the Unix clock, which began on
// a Thursday; the first is that from midnight of Monday.
func weekHour(hours int) int { return (hours + 3*24) % weekHours }

// Add notes that so many jobs were seen for the first time, after Look. The wait
// is that of the target that they are counted for.
func (a *Arrivals) Add(now time.Time, jobs int, wait time.Duration) {
	if jobs <= 0 || a.at == 0 {
		return
	}
	at := now.UnixMilli()
	since := at - max(a.lead(wait), time.Second).Milliseconds()
	a.recent = slices.DeleteFunc(a.recent, func(r arrival) bool { return r.at <= since || r.at > at })
	before := 0
	for _, r := range a.recent {
		before += r.jobs
	}
	a.present.ranks.add(before, jobs)
	a.minutes[a.at/perMinute%60].jobs += float64(jobs)
	a.jobs += float64(jobs)
	a.missed += float64(max(before+jobs-max(a.kept, before), 0))
	if len(a.recent) == maxRecent {
		a.recent = slices.Delete(a.recent, 0, 1)
	}
	a.recent = append(a.recent, arrival{at, jobs})
}

// Started notes how long a runner took from the decision to start it until it
// was online.
func (a *Arrivals) Started(took time.Duration) {
	if took <= 0 || took > maxCold {
		return
	}
	if len(a.colds) == maxColds {
		a.colds = slices.Delete(a.colds, 0, 1)
	}
	a.colds = append(a.colds, took)
	a.sortColds()
}

func (a *Arrivals) sortColds() {
	if len(a.colds) > 0 {
		sorted := slices.Sorted(slices.Values(a.colds))
		a.cold = sorted[(len(sorted)*9+9)/10-1]
	}
}

// ColdStart is how long nine of ten of the last starts took at most, 0 if none
// was measured.
func (a *Arrivals) ColdStart() time.Duration { return a.cold }

// lead is how long before a job would have waited too long a runner has to be
// started for it; 0 or less if one that is started for the job itself is in
// time.
func (a *Arrivals) lead(wait time.Duration) time.Duration {
	cold := a.ColdStart()
	if cold == 0 {
		cold = assumedCold
	}
	return cold + reaction - wait
}

// Jobs is how many jobs have arrived. Those of earlier weeks count less and less.
func (a *Arrivals) Jobs() float64 { return a.jobs }
