package plan

import (
	"math"
	"time"
)

// aim is what a week of arrivals comes to for a target: the bound on the gain of
// a ready runner up to which runners are kept ready, in whatever hour. A runner
// that serves ten jobs an hour by day is kept before one that serves one job at
// night, so the target is met over the week at the least cost.
type aim struct {
	auto   Auto
	most   int
	due    int64 // when it is to be reckoned anew
	low    float64
	high   float64 // runners that gain more are kept, of those between both
	share  float64 // this share
	reach  float64 // the share of the jobs that most ready runners serve in time
	rare   bool    // meeting the target would take runners that are hardly ever of use
	burst  float64 // mean rank
	rates  [weekHours]float64
	known  [weekHours]bool
	shapes [weekHours]spread
	levels [levels]spread // by how many jobs an hour come
}

const (
	// otherDays is what the ranks of the same hour of another day count, beside
	// those of the hour itself.
	otherDays = 0.5
	// priorHours is for how many hours' worth of jobs the ranks at other hours
	// with about as many jobs count.
	priorHours = 4
	// usualHours is for how many hours of watching what is usual at the hour of
	// the day counts, beside what was seen in the hour of the week itself.
	usualHours = 1
	// dayJobs is how many jobs the guess is worth that all days are alike.
	dayJobs = 20.0
	// margin is the part of the jobs that may wait longer that is used: what is
	// learned is never quite what comes.
	margin = 0.95
)

// levels is how many levels of jobs an hour there are, two to a doubling.
const levels = 28

func level(rate float64) int {
	return min(max(int(math.Round(2*math.Log2(max(rate, 1.0/16))))+8, 0), levels-1)
}

// usual is how many jobs an hour usually come at a moment.
func (m *aim) usual(t time.Time) (rate float64, known bool) {
	h := weekHour(int(t.Unix() / 3600))
	return m.rates[h], m.known[h]
}

// runners is how many ready runners gain enough at a moment at which so many
// jobs an hour are expected.
func (m *aim) runners(t time.Time, rate float64, most int) int {
	shape := m.shapes[weekHour(int(t.Unix()/3600))]
	m.blend(&shape, rate)
	g := gainsOf(&shape, rate, most)
	sure, _ := g.above(m.high)
	more, _ := g.above(m.low)
	return sure + int(math.Ceil(m.share*float64(more-sure)))
}

// reckon brings the aim up to date.
func (a *Arrivals) reckon(now time.Time, auto Auto, most int) {
	m := &a.aim
	if at := now.UnixMilli(); m.auto != auto || m.most != most || at >= m.due || at < m.due-reckonAgain {
		*m = aim{auto: auto, most: most, due: at + reckonAgain}
		a.learn(now)
		a.bound()
	}
}

// learn finds out the usual rates and how ranks are spread.
func (a *Arrivals) learn(now time.Time) {
	m := &a.aim
	hours := a.hours
	if k := weekHour(int(now.Unix() / 3600)); a.present.watched > 0 {
		// The hour that it is counts as far as it has gone.
		hours[k].watched += a.present.watched
		for i, n := range a.present.ranks {
			hours[k].ranks[i] += n
		}
	}
	var jobs, watched [weekHours]float64
	for k := range hours {
		// A few minutes say how ranks are spread, and nothing of the rate.
		if hours[k].watched >= 0.25 {
			jobs[k], watched[k] = hours[k].ranks.sum(), hours[k].watched
		}
	}
	m.rates, m.known = expect(&jobs, &watched)
	var all spread
	for k := range hours {
		l := level(m.rates[k])
		for i, n := range hours[k].ranks {
			all[i] += n
			m.levels[l][i] += n
			for day := range 7 {
				other := day*24 + k%24
				w := otherDays
				if other == k {
					w = 1
				}
				m.shapes[other][i] += w * n
			}
		}
	}
	m.burst = all.mean()
	var empty spread
	for l := range m.levels { // a level that was not seen is like all of them together
		if m.levels[l] == empty {
			m.levels[l] = all
		}
	}
}

// expect returns how many jobs an hour are to be expected in each hour of the
// week, from what came while they were watched. One week tells little of an hour,
// so what is known of it is mixed with what is usual at that hour of the day, on
// a day with as many jobs as that one.
func expect(jobs, watched *[weekHours]float64) (rates [weekHours]float64, known [weekHours]bool) {
	var byHour [24]float64 // of a usual day
	day := [7]float64{1, 1, 1, 1, 1, 1, 1}
	for range 6 {
		for h := range byHour {
			came, over := 0.0, 0.0
			for d := range day {
				came += jobs[d*24+h]
				over += watched[d*24+h] * day[d]
			}
			byHour[h] = -1 // not known
			if over > 0 {
				byHour[h] = came / over
			}
		}
		for d := range day {
			came, over := dayJobs, dayJobs
			for h, usual := range byHour {
				if usual >= 0 {
					came += jobs[d*24+h]
					over += watched[d*24+h] * usual
				}
			}
			day[d] = came / over
		}
	}
	for k := range rates {
		if usual := byHour[k%24]; usual >= 0 {
			rates[k] = (jobs[k] + usualHours*usual*day[k/24]) / (watched[k] + usualHours)
			known[k] = true
		}
	}
	return rates, known
}

// blend adds to the spread of ranks at an hour that of other hours with about
// as many jobs.
func (m *aim) blend(shape *spread, rate float64) {
	var prior spread
	l := level(rate)
	for d := -1; d <= 1; d++ {
		if l+d < 0 || l+d >= levels {
			continue
		}
		for i, n := range m.levels[l+d] {
			prior[i] += n / float64(1+d*d)
		}
	}
	if total := prior.sum(); total > 0 {
		weight := priorHours * max(rate, 1) / total
		for i, n := range prior {
			shape[i] += n * weight
		}
	}
}

// bound finds the bound on the gain with which the week meets the target.
func (a *Arrivals) bound() {
	m := &a.aim
	var week [weekHours]gains
	jobs, most := 0.0, 0.0
	for k := range week {
		if !m.known[k] {
			continue
		}
		shape := m.shapes[k]
		m.blend(&shape, m.rates[k])
		week[k] = gainsOf(&shape, m.rates[k], m.most)
		jobs += m.rates[k]
		if week[k].size > 0 {
			most = max(most, week[k].gain[0])
		}
	}
	served := func(bound float64) (sum float64) {
		for k := range week {
			_, n := week[k].above(bound)
			sum += n
		}
		return sum
	}
	low, high := leastGain, max(most, leastGain)
	if jobs == 0 {
		m.low, m.high, m.reach = low, low, 1
		return
	}
	want := (1 - a.allowance(jobs)) * jobs
	m.reach = served(0) / jobs
	if served(low) < want {
		m.low, m.high, m.rare = low, low, m.reach*jobs >= want
		return
	}
	for range 40 {
		if middle := (low + high) / 2; served(middle) >= want {
			low = middle
		} else {
			high = middle
		}
	}
	m.low, m.high = low, high
	if atLow, atHigh := served(low), served(high); atLow > atHigh {
		m.share = min(max((want-atHigh)/(atLow-atHigh), 0), 1)
	}
}

// allowance is the share of the coming jobs that may wait longer. If more of the
// past ones did than the target allows, fewer of the coming ones may, and the
// other way round, within bounds.
func (a *Arrivals) allowance(week float64) float64 {
	share := (1 - float64(a.aim.auto.Percentile)/100) * margin
	return min(max(share+(share*a.jobs-a.missed)/week, share/3), share*1.5)
}
