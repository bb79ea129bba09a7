package plan

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// matching is how jobs are assigned without any haste: job by job, with a walk
// over jobs and not over kinds of them. Compute has to come to the same.
type matching struct {
	choices  [][]int // for each job the pools that may serve it, in order
	pool     []int   // for each job its pool, or -1
	inPool   [][]int // for each pool its jobs
	capacity []int
	full     []bool // pools from which no free place can be reached
	seen     []bool // pools visited on the way to a place for one job
	grow     func(pool int) bool
}

func newMatching(jobs []Decision, pools []*pool) *matching {
	m := &matching{
		choices:  make([][]int, len(jobs)),
		pool:     slices.Repeat([]int{-1}, len(jobs)),
		inPool:   make([][]int, len(pools)),
		capacity: make([]int, len(pools)),
		full:     make([]bool, len(pools)),
		seen:     make([]bool, len(pools)),
	}
	for j, d := range jobs {
		for i, p := range pools {
			if p.Serves(*d.Job) {
				m.choices[j] = append(m.choices[j], i)
			}
		}
	}
	return m
}

// placeAll tries to place every job that has no place yet.
func (m *matching) placeAll(grow func(pool int) bool) {
	m.grow = grow
	clear(m.full)
	for j := range m.pool {
		if m.pool[j] >= 0 || len(m.choices[j]) == 0 {
			continue
		}
		clear(m.seen)
		if !m.place(j) {
			for i, seen := range m.seen {
				m.full[i] = m.full[i] || seen
			}
		}
	}
}

// place finds a place for the job, moving others if need be.
func (m *matching) place(j int) bool {
	for _, i := range m.choices[j] {
		if m.full[i] || m.seen[i] {
			continue
		}
		if len(m.inPool[i]) < m.capacity[i] || m.grow != nil && m.grow(i) {
			m.put(j, i)
			return true
		}
	}
	for _, i := range m.choices[j] {
		if m.full[i] || m.seen[i] {
			continue
		}
		m.seen[i] = true
		for k := range m.inPool[i] {
			other := m.inPool[i][k]
			if len(m.choices[other]) > 1 && m.place(other) {
				m.inPool[i] = slices.Delete(m.inPool[i], k, k+1)
				m.put(j, i)
				return true
			}
		}
	}
	return false
}

func (m *matching) put(j, pool int) {
	m.pool[j] = pool
	m.inPool[pool] = append(m.inPool[pool], j)
}

// serve is what computation.serve does, by such a matching. It returns for
// each pool how many runners are started.
func (m *matching) serve(c *computation) []int {
	for i, p := range c.pools {
		m.capacity[i] = max(p.supply-p.Idle, 0)
	}
	m.placeAll(nil)
	for i, p := range c.pools {
		m.capacity[i] = max(p.supply, m.capacity[i])
	}
	m.placeAll(nil)
	starts := make([]int, len(c.pools))
	grow := func(i int) bool {
		if starts[i] == c.pools[i].room() {
			return false
		}
		m.capacity[i]++
		starts[i]++
		return true
	}
	m.placeAll(grow)
	granted := slices.Clone(starts)
	if slowShare(c, granted) {
		return starts
	}
	for i, n := range granted {
		m.capacity[i] -= starts[i] - n
		for len(m.inPool[i]) > m.capacity[i] && starts[i] > n {
			m.pool[slices.Max(m.inPool[i])] = -1
			m.inPool[i] = slices.DeleteFunc(m.inPool[i], func(j int) bool { return m.pool[j] < 0 })
			starts[i]--
		}
		slices.Sort(m.inPool[i])
	}
	m.placeAll(func(i int) bool {
		if c.budget.lacks(c.pools[i].cost) != none || !grow(i) {
			return false
		}
		c.budget.take(c.pools[i].cost)
		return true
	})
	return starts
}

// slowShare is what computation.share does, one start after the other.
func slowShare(c *computation, want []int) bool {
	granted, all := make([]int, len(want)), true
	for {
		next := -1
		for i, p := range c.pools {
			if granted[i] == want[i] || c.budget.lacks(p.cost) != none {
				continue
			}
			if next < 0 {
				next = i
				continue
			}
			q := c.pools[next]
			mine, its := (p.all+granted[i])*max(q.Weight, 1), (q.all+granted[next])*max(p.Weight, 1)
			if p.Priority > q.Priority || p.Priority == q.Priority && mine < its {
				next = i
			}
		}
		if next < 0 {
			break
		}
		granted[next]++
		c.budget.take(c.pools[next].cost)
	}
	for i := range want {
		all = all && granted[i] == want[i]
		want[i] = granted[i]
	}
	return all
}

func TestComputeAssignsLikeTheReference(t *testing.T) {
	for seed := range uint64(6_000) {
		r := rand.New(rand.NewPCG(seed, 5))
		spec, snap := crowd(r)
		if seed%2 == 0 {
			ration(r, &spec, &snap, seed%4 == 0)
		}
		p := Compute(spec, snap)
		c := newComputation(spec, snap)
		if snap.Hold == "" {
			c.leave()
		}
		m := newMatching(c.jobs, c.pools)
		starts := m.serve(c)
		for j, d := range p.Decisions {
			want := ""
			if i := m.pool[j]; i >= 0 {
				want = c.pools[i].Name
			}
			if d.Job.ID != c.jobs[j].Job.ID || d.Pool != want {
				t.Fatalf("seed %d: job %d of %d goes to pool %q, want %q", seed, j, len(p.Decisions), d.Pool, want)
			}
		}
		for _, a := range p.Actions {
			if a.Kind == ActionStart && a.Job != 0 {
				starts[slices.IndexFunc(c.pools, func(p *pool) bool { return p.Name == a.Pool })]--
			}
		}
		if slices.ContainsFunc(starts, func(n int) bool { return n != 0 }) {
			t.Fatalf("seed %d: starts that are missing in each pool: %v", seed, starts)
		}
	}
}
