package simulate

import (
	"cmp"
	"slices"
	"time"
)

// Clairvoyant is what it takes at least to serve the jobs without any wait, if
// everything is known ahead. Each job finds a runner that comes online just as
// it arrives.
//
// A job that ephemeral runners alone may take costs a start and its own time:
// no policy gets by with less. For the others it is known at the end of each
// job when the next one comes, whatever its labels, and the runner stays if
// that costs less than another start. The limits of the pools do not count.
// So no policy under which nobody waits takes less runner time.
type Clairvoyant struct {
	Runners      time.Duration // from the start of each to its end, together
	Busy         time.Duration // the part of it with a job
	Starts, Peak int
}

// foresight works it out for the jobs that some pool may serve.
func foresight(t Trace, f Fleet, o Options) Clairvoyant {
	s := newServer(&world{fleet: f, trace: t})
	cold := o.meanColdStart()
	var c Clairvoyant
	var lives, lasting []stretch
	for j := range t.Jobs {
		job := &t.Jobs[j]
		if job.Arrival < o.WarmUp || !s.serves(int32(j)) {
			continue
		}
		c.Busy += job.Duration
		if life := (stretch{job.Arrival, job.Arrival + job.Duration}); s.oneJobEach(int32(j)) {
			lives = append(lives, stretch{life.from - cold, life.to})
		} else {
			lasting = append(lasting, life)
		}
	}
	lives = append(lives, chain(lasting, cold)...)
	for _, l := range lives {
		c.Runners += l.to - l.from
	}
	c.Starts, c.Peak = len(lives), mostAtOnce(lives)
	return c
}

// stretch is some time from a moment to another.
type stretch struct{ from, to time.Duration }

// oneJobEach reports whether only ephemeral runners may take the job.
func (s *server) oneJobEach(j int32) bool {
	return !slices.ContainsFunc(s.kinds[s.kindOf[j]].pools, func(i int) bool {
		return !s.world.fleet.Ephemeral[s.world.fleet.Spec.Pools[i].Name]
	})
}

// chain gives jobs, which are in the order of their begin, to the lives of
// runners that take one after the other, at the least cost. The runner that has
// become free last takes the next job: two short and long pauses cost no more
// than two even ones, since a long one is worth a start.
func chain(jobs []stretch, cold time.Duration) []stretch {
	byEnd := make([]int, len(jobs))
	for i := range byEnd {
		byEnd[i] = i
	}
	slices.SortStableFunc(byEnd, func(a, b int) int { return cmp.Compare(jobs[a].to, jobs[b].to) })
	lives := make([]stretch, 0, len(jobs))
	life := make([]int, len(jobs)) // of each job the runner
	var free []int                 // jobs that have ended, the last one on top
	for i, ended := 0, 0; i < len(jobs); i++ {
		for ; jobs[byEnd[ended]].to <= jobs[i].from && byEnd[ended] < i; ended++ {
			free = append(free, byEnd[ended])
		}
		if top := len(free) - 1; top >= 0 && jobs[i].from-jobs[free[top]].to < cold {
			life[i] = life[free[top]]
			free = free[:top]
			lives[life[i]].to = jobs[i].to
			continue
		}
		life[i] = len(lives)
		lives = append(lives, stretch{jobs[i].from - cold, jobs[i].to})
	}
	return lives
}

// mostAtOnce is how many stretches there are at most at one time.
func mostAtOnce(all []stretch) int {
	type edge struct {
		at   time.Duration
		step int
	}
	edges := make([]edge, 0, 2*len(all))
	for _, s := range all {
		if s.from < s.to {
			edges = append(edges, edge{s.from, 1}, edge{s.to, -1})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.step, b.step)) })
	now, most := 0, 0
	for _, e := range edges {
		now += e.step
		most = max(most, now)
	}
	return most
}
