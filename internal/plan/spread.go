package plan

// rankClasses is how many classes ranks are counted in.
const rankClasses = 20

// rankLimits has the largest rank of each class. What is beyond counts in the
// last class, which no number of ready runners is good for.
var rankLimits = [rankClasses - 1]int{1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 256}

// spread has for each class of ranks how many jobs had one of it.
type spread [rankClasses]float64

// add counts jobs that came together, after so many others.
func (r *spread) add(before, jobs int) {
	from, last := before, before+jobs // ranks from+1 to last
	for i, limit := range rankLimits {
		if n := min(last, limit) - from; n > 0 {
			r[i] += float64(n)
			from += n
		}
	}
	r[rankClasses-1] += float64(last - from)
}

// sum is how many jobs there were.
func (r *spread) sum() (n float64) {
	for _, jobs := range r {
		n += jobs
	}
	return n
}

// mean is about the mean rank, 0 without jobs.
func (r *spread) mean() float64 {
	jobs, sum := 0.0, 0.0
	for i, n := range r {
		limit := rankLimits[min(i, rankClasses-2)]
		jobs, sum = jobs+n, sum+n*float64(limit)
	}
	if jobs == 0 {
		return 0
	}
	return sum / jobs
}

// gains has for each class how many more jobs an hour one more ready runner
// would serve in time. It never rises from one class to the next: where more
// runners gain more each, as for jobs that always come by the dozen, the gain is
// spread over all of them.
type gains struct {
	gain  [rankClasses - 1]float64
	width [rankClasses - 1]int // ready runners that the class stands for
	size  int                  // classes that may be used
}

// gainsOf turns ranks into gains: so many jobs an hour arrive, spread like the
// ranks, and up to most runners may be kept ready.
func gainsOf(r *spread, rate float64, most int) (g gains) {
	total := r.sum()
	if total <= 0 || rate <= 0 {
		return g
	}
	// Classes are merged from the front whenever the later one gains more.
	var masses [rankClasses - 1]float64
	var merged [rankClasses - 1]int // how many classes each block has
	blocks, before := 0, 0
	widthOf := func(i int) int { return min(rankLimits[i], most) - before }
	var widths [rankClasses - 1]int
	for i := range rankLimits {
		w := widthOf(i)
		if w <= 0 {
			break
		}
		share := float64(w) / float64(rankLimits[i]-before)
		before += w
		g.width[i], g.size = w, i+1
		masses[blocks], widths[blocks], merged[blocks] = r[i]*rate/total*share, w, 1
		blocks++
		for blocks > 1 && masses[blocks-1]*float64(widths[blocks-2]) > masses[blocks-2]*float64(widths[blocks-1]) {
			blocks--
			masses[blocks-1] += masses[blocks]
			widths[blocks-1] += widths[blocks]
			merged[blocks-1] += merged[blocks]
		}
	}
	i := 0
	for b := range blocks {
		for range merged[b] {
			g.gain[i] = masses[b] / float64(widths[b])
			i++
		}
	}
	return g
}

// above returns how many ready runners gain more than a bound each, and how many
// jobs an hour they serve together.
func (g *gains) above(bound float64) (runners int, jobs float64) {
	for i := range g.size {
		if g.gain[i] <= bound {
			break
		}
		runners += g.width[i]
		jobs += g.gain[i] * float64(g.width[i])
	}
	return runners, jobs
}
