package simulate

import (
	"slices"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// server gives jobs to runners, by Gitea's rule: a free runner takes the oldest
// job that it matches, and a job goes to any free runner that matches it.
// Nothing is reserved.
type server struct {
	world   *world
	kinds   []kind
	kindOf  []int32     // for each job of the trace
	by      []int32     // for each job the pool that took it, or none
	kindsOf [][]int32   // for each pool the kinds that it serves
	idle    [][]*runner // for each pool the free ones, in no order
	waiting int         // jobs that wait
	running int         // jobs that run
}

// kind is the jobs that the same pools may serve.
type kind struct {
	pools []int
	queue []int32 // the jobs that wait, the oldest first
}

func newServer(w *world) *server {
	pools := w.fleet.Spec.Pools
	s := &server{world: w, kindOf: make([]int32, len(w.trace.Jobs)), by: slices.Repeat([]int32{none}, len(w.trace.Jobs)), kindsOf: make([][]int32, len(pools)), idle: make([][]*runner, len(pools))}
	bySet, byJob := make(map[string]int32), make(map[string]int32)
	for i := range w.trace.Jobs {
		j := &w.trace.Jobs[i]
		alike := strings.Join(append([]string{j.Repo}, j.Labels...), "\x00")
		k, known := byJob[alike]
		if !known {
			k = s.kindFor(j, pools, bySet)
			byJob[alike] = k
		}
		s.kindOf[i] = k
	}
	return s
}

// kindFor finds or makes the kind of a job.
func (s *server) kindFor(j *Job, pools []plan.Pool, bySet map[string]int32) int32 {
	set := make([]byte, len(pools))
	var serve []int
	for i := range pools {
		if pools[i].Serves(plan.Job{Repo: j.Repo, Labels: j.Labels}) {
			set[i] = 1
			serve = append(serve, i)
		}
	}
	k, known := bySet[string(set)]
	if !known {
		k = int32(len(s.kinds))
		bySet[string(set)] = k
		s.kinds = append(s.kinds, kind{pools: serve})
		for _, i := range serve {
			s.kindsOf[i] = append(s.kindsOf[i], k)
		}
	}
	return k
}

// serves reports whether a runner of some pool may take the job.
func (s *server) serves(j int32) bool { return len(s.kinds[s.kindOf[j]].pools) > 0 }

// arrive gives a new job to a free runner, by chance one of those that match
// it, or lets it wait.
func (s *server) arrive(j int32) {
	k := &s.kinds[s.kindOf[j]]
	free := 0
	for _, i := range k.pools {
		free += len(s.idle[i])
	}
	if free == 0 {
		k.queue = append(k.queue, j)
		s.waiting++
		return
	}
	if free > 1 {
		free = s.world.chance.IntN(free)
	} else {
		free = 0
	}
	for _, i := range k.pools {
		if free < len(s.idle[i]) {
			r := s.idle[i][free]
			s.forget(r)
			s.give(r, j)
			return
		}
		free -= len(s.idle[i])
	}
}

// free gives a runner that has become free the oldest job that it matches.
func (s *server) free(r *runner) {
	best := none
	for _, k := range s.kindsOf[r.pool] {
		if q := s.kinds[k].queue; len(q) > 0 && (best == none || q[0] < best) {
			best = q[0]
		}
	}
	if best == none {
		r.place = len(s.idle[r.pool])
		s.idle[r.pool] = append(s.idle[r.pool], r)
		s.world.set(r, idle)
		return
	}
	k := &s.kinds[s.kindOf[best]]
	k.queue = k.queue[1:]
	s.waiting--
	s.give(r, best)
}

// give lets a runner begin a job.
func (s *server) give(r *runner, j int32) {
	w := s.world
	r.job, s.by[j] = j, int32(r.pool)
	s.running++
	w.set(r, busy)
	w.change(r)
	w.meter.waited(j, r.pool)
	w.expect(w.trace.Jobs[j].Duration, jobEnds, r)
}

// forget takes a runner out of the free ones.
func (s *server) forget(r *runner) {
	list := s.idle[r.pool]
	last := len(list) - 1
	list[r.place] = list[last]
	list[r.place].place = r.place
	s.idle[r.pool] = list[:last]
}

// queue lists the jobs that wait, in no order.
func (s *server) queue(yield func(j int32) bool) {
	for k := range s.kinds {
		for _, j := range s.kinds[k].queue {
			if !yield(j) {
				return
			}
		}
	}
}
