package simulate

import "slices"

// alwaysOn replays the trace against runners that are there all the time, so
// many in each pool. They take one job after the other.
func alwaysOn(t Trace, f Fleet, o Options, sizes []int) *Result {
	w := newWorld(t, f, o)
	for pool, n := range sizes {
		for range n {
			r := w.newRunner(pool)
			r.ephemeral = false
			w.server.free(r)
		}
	}
	w.run()
	return w.meter.result()
}

// sizes are those of the pools when each of them had the most runners.
func (r *Result) sizes() []int {
	sizes := make([]int, len(r.Pools))
	for i := range r.Pools {
		sizes[i] = r.Pools[i].Peak
	}
	return sizes
}

// asGood reports whether the p95 of the waits is as short as that of the other
// one, over all jobs and in each pool, and as many jobs were served.
func (r *Result) asGood(other *Result) bool {
	for i := range r.Pools {
		if other.Pools[i].Jobs > 0 && r.Pools[i].Wait.P95 > other.Pools[i].Wait.P95 {
			return false
		}
	}
	return r.Unserved <= other.Unserved && r.Wait.P95 <= other.Wait.P95
}

// leastAlwaysOn looks for the smallest fleet of runners that are there all the
// time and serve the jobs as well as the policy has done: first for the
// smallest that is in the proportions of its peaks, then for the smallest
// number in each pool, one pool after the other.
func leastAlwaysOn(t Trace, f Fleet, o Options, policy *Result) *Result {
	peaks := policy.sizes()
	try := func(sizes []int) *Result { return alwaysOn(t, f, o, sizes) }
	scaled := func(part, whole int) []int {
		sizes := make([]int, len(peaks))
		for i, n := range peaks {
			sizes[i] = (n*part + whole - 1) / whole
		}
		return sizes
	}
	whole := max(slices.Max(peaks), 1)
	most := whole
	best := try(scaled(most, whole))
	for ; !best.asGood(policy) && most < whole*len(t.Jobs); best = try(scaled(most, whole)) {
		most *= 2
	}
	sizes := scaled(most, whole)
	least(most, func(part int) bool {
		r := try(scaled(part, whole))
		if r.asGood(policy) {
			best, sizes = r, scaled(part, whole)
		}
		return r.asGood(policy)
	})
	if len(sizes) == 1 {
		return best
	}
	for i := range sizes {
		least(sizes[i], func(n int) bool {
			fewer := slices.Clone(sizes)
			fewer[i] = n
			r := try(fewer)
			if r.asGood(policy) {
				best, sizes = r, fewer
			}
			return r.asGood(policy)
		})
	}
	return best
}

// least finds the least number below one that is enough, by halving, if more is
// never worse.
func least(enough int, is func(int) bool) {
	for low := 0; low < enough; {
		if middle := (low + enough) / 2; is(middle) {
			enough = middle
		} else {
			low = middle + 1
		}
	}
}
