package plan

import (
	"cmp"
	"math"
	"slices"
)

// turn is a job by its index, and the second of the Unix clock in which it was
// queued.
type turn struct {
	second int64
	job    int32
}

// byAge begins a decision for each job, in the order of their age and without
// repetitions.
func byAge(jobs []Job) []Decision {
	turns := bySecond(jobs)
	for from, to := 0, 0; from < len(turns); from = to {
		for to = from + 1; to < len(turns) && turns[to].second == turns[from].second; {
			to++
		}
		slices.SortFunc(turns[from:to], func(a, b turn) int {
			x, y := &jobs[a.job], &jobs[b.job]
			if p, q := x.QueuedAt.Nanosecond(), y.QueuedAt.Nanosecond(); p != q {
				return cmp.Compare(p, q)
			}
			return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(a.job, b.job))
		})
	}
	turns = slices.CompactFunc(turns, func(a, b turn) bool { return jobs[a.job].ID == jobs[b.job].ID })
	if len(turns) == 0 {
		return nil
	}
	decisions := make([]Decision, len(turns))
	for i, t := range turns {
		decisions[i].Job = &jobs[t.job]
	}
	return decisions
}

// bySecond sorts by the second only, digit by digit, which takes a time that
// grows with the number of jobs and no faster.
func bySecond(jobs []Job) []turn {
	const digit = 11 // bits: a table of 8 KiB
	oldest, youngest := int64(math.MaxInt64), int64(math.MinInt64)
	turns, sorted := make([]turn, len(jobs)), make([]turn, len(jobs))
	for i := range jobs {
		second := jobs[i].QueuedAt.Unix()
		oldest, youngest = min(oldest, second), max(youngest, second)
		turns[i] = turn{second, int32(i)}
	}
	for shift := 0; len(jobs) > 0 && uint64(youngest-oldest)>>shift != 0; shift += digit {
		var place [1<<digit + 1]int32
		for _, t := range turns {
			place[uint64(t.second-oldest)>>shift&(1<<digit-1)+1]++
		}
		for d := range 1 << digit {
			place[d+1] += place[d]
		}
		for _, t := range turns {
			d := uint64(t.second-oldest) >> shift & (1<<digit - 1)
			sorted[place[d]] = t
			place[d]++
		}
		turns, sorted = sorted, turns
	}
	return turns
}
