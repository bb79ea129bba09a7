package plan

import (
	"fmt"
	"math"
	"time"
)

// Auto has a pool choose by itself how many runners it keeps ready.
type Auto struct {
	// Percentile is the share of the jobs, in percent, that is to wait no longer
	// than Wait.
	Percentile int
	Wait       time.Duration
	Most       int // ready runners at most
}

// String is the target in the words of the file, as in "p95 2s".
func (a Auto) String() string { return fmt.Sprintf("p%d %s", a.Percentile, short(a.Wait)) }

// SetReady chooses the pool's Idle where it is Auto at the moment, and reports
// whether it is. Compute goes by what was set.
func (p *Pool) SetReady(a *Arrivals, now time.Time) bool {
	q, _ := p.At(now)
	if q.Auto == nil {
		return false
	}
	r := a.Target(now, *q.Auto, q.Max)
	p.Idle, p.IdleWhy = r.Idle, r.Why
	return true
}

// EverAuto is what the pool chooses its Idle by outside of its windows or in one
// of them, nil if it never does.
func (p *Pool) EverAuto() *Auto {
	if p.Auto != nil || p.Windows == nil {
		return p.Auto
	}
	for i := range p.Windows.list {
		if a := p.Windows.list[i].Auto; a != nil {
			return a
		}
	}
	return nil
}

const (
	// leastGain is how many jobs an hour a ready runner has to spare their wait:
	// one that is of use once in two days is not kept, whatever the target.
	leastGain = 0.02
	// ahead is how long before a busier hour, beyond a cold start, its runners
	// are started.
	ahead = time.Minute
	// steady is how much more jobs than in the last hour are reckoned with, so that
	// a small change does not let go what has gained just enough.
	steady = 1.25
	// settled is after how many hours of watching a pool without any job keeps
	// nothing ready.
	settled = 1
	// reckonAgain is how often the bound of the week is reckoned anew.
	reckonAgain = 10 * perMinute
)

// Ready is the number of runners that a pool is to keep ready, and why.
type Ready struct {
	Idle int
	Why  string // as in "auto, target p95 2s: 38 jobs an hour around now"
}

// choice is an answer of Target and what it was the answer to.
type choice struct {
	auto   Auto
	most   int
	minute int64
	jobs   float64
	ready  Ready
}

// Target chooses how many runners are to be ready now, so that over the week the
// percentile of the jobs waits no longer than the target and as few hours as
// possible are idled away. It never returns more than auto.Most or most, which
// is the pool's max. Its answer depends on nothing but what the arguments and
// the Arrivals hold.
func (a *Arrivals) Target(now time.Time, auto Auto, most int) Ready {
	most = max(min(auto.Most, most), 0)
	minute := now.UnixMilli() / perMinute
	if c := a.last; c.auto == auto && c.most == most && c.minute == minute && c.jobs == a.jobs && c.ready.Why != "" {
		return c.ready
	}
	r := a.choose(now, auto, most)
	a.kept = r.Idle
	a.last = choice{auto, most, minute, a.jobs, r}
	return r
}

func (a *Arrivals) choose(now time.Time, auto Auto, most int) Ready {
	lead := a.lead(auto.Wait)
	if lead <= 0 {
		return Ready{0, fmt.Sprintf("auto, target %s: a cold start takes %s, so none has to be ready", auto, short(a.ColdStart()))}
	}
	if a.jobs == 0 {
		if a.watched() < settled {
			return Ready{min(1, most), fmt.Sprintf("auto, target %s: no job has come yet", auto)}
		}
		return Ready{0, fmt.Sprintf("auto, target %s: no job has come", auto)}
	}
	a.reckon(now, auto, most)
	today := a.today(now)
	n, rate, known := 0, 0.0, false
	for _, t := range []time.Time{now, now.Add(lead + auto.Wait + ahead)} {
		expected, k := a.aim.usual(t)
		expected *= today
		reckoned := expected
		if !k {
			expected = a.lastHour()
			reckoned = expected * steady
		}
		if m := a.aim.runners(t, reckoned, most); m > n || t == now {
			n, rate, known = m, expected, k
		}
	}
	why := fmt.Sprintf("auto, target %s: %s around now", auto, jobsAnHour(rate))
	if !known {
		why += ", by the last hour alone"
	}
	switch reach := a.aim.reach; {
	case a.aim.rare:
		why += "; more would be of use less than once in two days each, which misses the target"
	case reach < float64(auto.Percentile)/100:
		why += fmt.Sprintf("; its most, %d, are enough for p%d only", most, int(math.Floor(100*reach)))
	}
	return Ready{n, why}
}

func jobsAnHour(rate float64) string {
	if rate < 9.5 {
		return fmt.Sprintf("%.1f jobs an hour", rate)
	}
	return fmt.Sprintf("%.0f jobs an hour", rate)
}

// watched is for how many hours the queue has been looked at, as far as it is
// remembered.
func (a *Arrivals) watched() float64 {
	sum := a.present.watched
	for i := range a.hours {
		sum += a.hours[i].watched
	}
	return sum
}

// lastHour is how many jobs an hour came in the last hour.
func (a *Arrivals) lastHour() float64 {
	seconds, jobs := 0.0, 0.0
	for _, m := range a.minutes {
		seconds, jobs = seconds+m.watched, jobs+m.jobs
	}
	// The first minutes tell little: what they lack is taken as empty.
	return jobs / max(seconds, 15*60) * 3600
}

// today is how many times as many jobs as usual are to be expected, by the last
// hour. More is followed at once. Somewhat fewer is not followed, since where all
// hours are about alike, most of the runners that are kept gain just enough to be;
// a lot fewer is half-way.
func (a *Arrivals) today(now time.Time) float64 {
	jobs, expected := 0.0, 0.0
	this := now.UnixMilli() / perMinute
	for k := range int64(60) {
		m := a.minutes[(this-k)%60]
		if rate, known := a.aim.usual(time.UnixMilli((this - k) * perMinute)); known {
			jobs, expected = jobs+m.jobs, expected+rate*m.watched/3600
		}
	}
	// Jobs come by the burst, and one burst more or less is no news.
	slack := 5 + 2*a.aim.burst
	f := (jobs + slack) / (expected + slack)
	return max(f, min(steady*math.Sqrt(f), 1))
}
