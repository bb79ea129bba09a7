package trend

import (
	"fmt"
	"time"
)

// points is how many points a line has at most.
const points = 240

// spans are the stretches of time that are drawn, in slots for each point: an
// hour, three, and twelve. The shortest is taken that has all there is.
var spans = []int64{1, 3, slots / points}

// point is what was seen in the slots that one point of a line stands for.
type point struct {
	at       time.Time
	looked   bool
	waiting  float64 // at most
	unserved float64 // at most
	starting float64 // the runners on average
	idle     float64
	busy     float64
	leaving  float64
	oldest   time.Duration // at most
	waits    histogram
}

// series are the points of a line, the oldest first.
func (r *Recorder) series() (list []point, each time.Duration) {
	per := spans[len(spans)-1]
	for _, s := range spans {
		if r.last-r.first < s*points {
			per = s
			break
		}
	}
	// Points begin at the same moments in each drawing, so that a line moves to
	// the left and keeps its shape.
	end := (r.last/per + 1) * per
	for start := end - per*points; start < end; start += per {
		list = append(list, r.gather(start, start+per))
	}
	return list, time.Duration(per) * every
}

// gather makes one point of the slots from one number up to another.
func (r *Recorder) gather(from, until int64) point {
	p := point{at: time.Unix(0, from*int64(every)).UTC()}
	looks := 0.0
	for n := from; n < until; n++ {
		s := &r.ring[n%slots]
		if s.number != n {
			continue
		}
		if s.waits != nil {
			p.waits.merge(s.waits)
		}
		if !s.looked {
			continue
		}
		looks++
		p.waiting, p.unserved = max(p.waiting, float64(s.waiting)), max(p.unserved, float64(s.unserved))
		p.starting += float64(s.starting)
		p.idle += float64(s.idle)
		p.busy += float64(s.busy)
		p.leaving += float64(s.leaving)
		p.oldest = max(p.oldest, s.oldest)
	}
	if p.looked = looks > 0; p.looked {
		p.starting, p.idle, p.busy, p.leaving = p.starting/looks, p.idle/looks, p.busy/looks, p.leaving/looks
	}
	return p
}

// Describe says in a sentence what a chart shows, for those who do not see it.
// It is empty for a chart that there is not.
func (r *Recorder) Describe(chart string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list, each := r.series()
	var now point
	var waiting, unserved, runners float64
	var all histogram
	for i := range list {
		p := &list[i]
		if p.looked {
			now = *p
		}
		waiting, unserved = max(waiting, p.waiting), max(unserved, p.unserved)
		runners = max(runners, p.starting+p.idle+p.busy+p.leaving)
		all.merge(&p.waits)
	}
	span := "the last " + hoursText(each*points)
	switch chart {
	case Queue:
		return fmt.Sprintf("Over %s at most %.0f jobs waited, and at most %.0f had no pool to serve them. Lately it was %.0f and %.0f.", span, waiting, unserved, now.waiting, now.unserved)
	case Runners:
		return fmt.Sprintf("Over %s there were at most %.0f runners. Lately %.0f were busy, %.0f idle, %.0f starting and %.0f leaving.",
			span, runners, now.busy, now.idle, now.starting, now.leaving)
	case Waits:
		if all.total == 0 {
			return "Over " + span + " no job began."
		}
		return fmt.Sprintf("Over %s %d jobs began. Half of them waited up to %s, 95 percent up to %s.", span, all.total, shortText(all.quantile(0.5)), shortText(all.quantile(0.95)))
	}
	return ""
}

func hoursText(d time.Duration) string {
	if d <= time.Hour {
		return "hour"
	}
	return fmt.Sprintf("%.0f hours", d.Hours())
}

func shortText(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
