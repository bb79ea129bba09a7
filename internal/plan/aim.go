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
	var all spread
	see := func(h *hour, k int) {
		rate := h.ranks.sum() / h.watched
		m.rates[k], m.known[k] = rate, true
		for i, n := range h.ranks {
			m.shapes[k][i] += n
			all[i] += n
			m.levels[level(rate)][i] += n
		}
	}
	for k := range a.hours {
		if h := &a.hours[k]; h.watched > 0 {
			see(h, k)
		}
	}
	// The hour that it is counts already where nothing is known of it yet.
	k := weekHour(int(now.Unix() / 3600))
	if a.present.watched > 0 {
		h := a.present
		h.watched = max(h.watched, 0.25)
		if known := m.known[k]; known {
			rate := m.rates[k]
			see(&h, k)
			m.rates[k] = rate
		} else {
			see(&h, k)
			m.known[k] = false
		}
	}
	m.burst = all.mean()
	var empty spread
	for l := range m.levels { // a level that was not seen is like all of them together
		if m.levels[l] == empty {
			m.levels[l] = all
		}
	}
	a.fillIn()
}

// fillIn has hours of the week that were never seen be like the same hour of the
// other days, with an eighth of the weight.
func (a *Arrivals) fillIn() {
	m := &a.aim
	seen := m.known
	for k := range m.rates {
		if seen[k] {
			continue
		}
		sum, days := 0.0, 0.0
		for other := k % 24; other < weekHours; other += 24 {
			if seen[other] {
				sum += m.rates[other]
				days++
				for i, n := range m.shapes[other] {
					m.shapes[k][i] += n / 8
				}
			}
		}
		if days > 0 {
			m.rates[k], m.known[k] = sum/days, true
		}
	}
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
	share := 1 - float64(a.aim.auto.Percentile)/100
	return min(max(share+(share*a.jobs-a.missed)/week, share/3), share*1.5)
}
