package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Sizes of the loads that can be made up: how long, how many jobs, how many of
// them a matrix has, and how many seconds half of them take at most. The week of
// bursts is for seeing what large matrices cost.
var sizes = map[string]struct {
	days, jobs  int
	least, most int
	typical     float64
}{
	"week":   {7, 20_000, 3, 8, 300},
	"month":  {30, 100_000, 3, 8, 300},
	"bursts": {7, 20_000, 4, 24, 150},
}

// The share of a weekday's pushes that come in each hour, relative to the
// busiest: people come at eight, have lunch, and some stay late.
var rhythm = [24]float64{
	0.10, 0.07, 0.06, 0.06, 0.06, 0.08, 0.15, 0.35, 0.70, 0.95, 1.00, 0.95,
	0.70, 0.80, 0.95, 1.00, 0.90, 0.70, 0.45, 0.30, 0.25, 0.20, 0.16, 0.12,
}

// What the days of the week are worth, from Sunday on.
var weekdays = [7]float64{0.12, 0.90, 1.00, 1.00, 1.00, 0.80, 0.15}

// nightly is how many jobs a scheduled build makes each night at two.
const nightly = 40

// Synthetic makes up a "week" of 20,000 jobs, a "month" of 100,000, or a week of
// "bursts", whose matrices are three times as large, from a Monday on, with a rhythm of the day and of the week. Jobs come as those of a
// push: mostly one or two, sometimes a chain whose jobs follow each other,
// sometimes a matrix of some at once. They take minutes, a few of them an
// hour. Labels and repositories are such that the pools serve them, the first
// pool more of them than the next. The same seed gives the same jobs.
func Synthetic(size string, pools []plan.Pool, start time.Time, seed uint64) (Trace, error) {
	s, known := sizes[size]
	if !known {
		return Trace{}, fmt.Errorf("%w: a load of a %q is not known: it has to be week, month or bursts", ErrInput, size)
	}
	if len(pools) == 0 {
		return Trace{}, fmt.Errorf("%w: the configuration has no pools", ErrInput)
	}
	p := &pusher{pools: pools, chance: rand.New(rand.NewPCG(seed, 2)), least: s.least, most: s.most, typical: s.typical, end: time.Duration(s.days) * 24 * time.Hour}
	for d := range s.days {
		p.push(time.Duration(d)*24*time.Hour+2*time.Hour, nightly)
	}
	hours := cumulative(start, s.days)
	for len(p.jobs) < s.jobs {
		p.someone(p.moment(hours))
	}
	t := Trace{Start: start, Jobs: p.jobs[:s.jobs]}
	t.sort()
	return t, nil
}

// cumulative is how much of the load comes up to the end of each hour.
func cumulative(start time.Time, days int) []float64 {
	hours, sum := make([]float64, 24*days), 0.0
	for h := range hours {
		at := start.Add(time.Duration(h) * time.Hour)
		sum += rhythm[at.Hour()] * weekdays[at.Weekday()]
		hours[h] = sum
	}
	return hours
}

// pusher makes up what people push.
type pusher struct {
	pools   []plan.Pool
	chance  *rand.Rand
	least   int // jobs of a matrix
	most    int
	typical float64 // seconds
	end     time.Duration
	jobs    []Job
}

// moment is one by the rhythm.
func (p *pusher) moment(hours []float64) time.Duration {
	x := p.chance.Float64() * hours[len(hours)-1]
	h, _ := slices.BinarySearch(hours, x)
	return time.Duration(h)*time.Hour + time.Duration(p.chance.Int64N(int64(time.Hour)))
}

// someone pushes something.
func (p *pusher) someone(at time.Duration) {
	switch x := p.chance.Float64(); {
	case x < 0.70:
		p.push(at, 1+p.chance.IntN(2))
	case x < 0.90:
		for range 2 + p.chance.IntN(3) { // a chain
			at += p.push(at, 1) + time.Second
		}
	default:
		p.push(at, p.least+p.chance.IntN(p.most-p.least+1)) // a matrix
	}
}

// push adds jobs of one repository and pool that come at once, and returns how
// long the longest takes.
func (p *pusher) push(at time.Duration, n int) time.Duration {
	pool := p.pools[min(int(p.chance.ExpFloat64()), len(p.pools)-1)]
	repo := repoOf(pool.Scope, p.chance.IntN(20))
	// The jobs of a matrix are alike.
	typical := p.typical * math.Exp(0.7*p.chance.NormFloat64())
	longest := time.Duration(0)
	for range n {
		took := min(max(typical*math.Exp(0.35*p.chance.NormFloat64()), 10), 3600)
		d := time.Duration(took*1000) * time.Millisecond
		longest = max(longest, d)
		if at < p.end {
			p.jobs = append(p.jobs, Job{Arrival: at.Truncate(time.Millisecond), Duration: d, Labels: pool.Labels[:min(1, len(pool.Labels))], Repo: repo})
		}
	}
	return longest
}

// repoOf is one of the repositories that a scope covers.
func repoOf(s plan.Scope, n int) string {
	switch s.Kind {
	case plan.ScopeRepo:
		return s.Owner + "/" + s.Repo
	case plan.ScopeOrg, plan.ScopeUser:
		return fmt.Sprintf("%s/app%d", s.Owner, n)
	}
	return fmt.Sprintf("team%d/app%d", n%5, n)
}
