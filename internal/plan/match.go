package plan

import (
	"fmt"
	"slices"
	"strings"
)

// matching assigns queued jobs to pools. A pool's capacity is its free
// runners plus those that this plan starts. Jobs come in order of age, and
// each is placed if there is any way to do so, moving jobs that were placed
// before to another pool of theirs where that helps (augmenting paths). So no
// assignment serves more jobs, and no older job yields to a younger one.
type matching struct {
	choices  [][]int // for each job the pools that may serve it, in order
	pool     []int   // for each job its pool, or -1
	inPool   [][]int // for each pool its jobs
	capacity []int
	full     []bool // pools from which no free place can be reached
	seen     []bool // pools visited on the way to a place for one job
	// grow adds a place to a full pool, by starting a runner, or refuses.
	grow func(pool int) bool
}

// newMatching finds the pools of each job. Jobs that look alike to the
// planner share one list.
func newMatching(jobs []Job, pools []*pool) *matching {
	m := &matching{
		choices:  make([][]int, len(jobs)),
		pool:     make([]int, len(jobs)),
		inPool:   make([][]int, len(pools)),
		capacity: make([]int, len(pools)),
		full:     make([]bool, len(pools)),
		seen:     make([]bool, len(pools)),
	}
	alike := make(map[string][]int)
	for j, job := range jobs {
		m.pool[j] = -1
		key := job.Repo + "\x00" + strings.Join(job.Labels, "\x00")
		choices, known := alike[key]
		if !known {
			for i, p := range pools {
				if p.Serves(job) {
					choices = append(choices, i)
				}
			}
			alike[key] = choices
		}
		m.choices[j] = choices
	}
	return m
}

// Serves reports whether a runner of the pool may take the job, by the server's
// own rule: every entry of runs-on is a label of the runner, exact and
// case-sensitive, and the runner's scope covers the repository.
func (p Pool) Serves(job Job) bool {
	return p.Scope.Covers(job.Repo) && len(p.missing(job)) == 0
}

// missing lists the entries of runs-on that the pool does not have.
func (p Pool) missing(job Job) []string {
	var missing []string
	for _, l := range job.Labels {
		if !slices.Contains(p.Labels, l) && !slices.Contains(missing, l) {
			missing = append(missing, l)
		}
	}
	return missing
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
			// No place can be reached from any pool that was visited: spare
			// later jobs the same walk.
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

// serve assigns the queued jobs: first to free runners beyond those that a
// pool keeps idle, then to these too, then to runners that are to be started.
func (c *computation) serve() {
	m := newMatching(c.jobs, c.pools)
	c.match = m
	for i, p := range c.pools {
		m.capacity[i] = max(p.supply-p.Idle, 0)
	}
	m.placeAll(nil)
	for i, p := range c.pools {
		m.capacity[i] = max(p.supply, m.capacity[i])
	}
	m.placeAll(nil)
	var started []int // the pools of the starts, in order
	m.placeAll(func(i int) bool {
		p := c.pools[i]
		if p.room() == 0 || c.globalRoom() == 0 {
			return false
		}
		c.grow(p)
		m.capacity[i]++
		started = append(started, i)
		return true
	})
	c.explain(started)
}

// explain writes the start actions, each for a job that waits for it, and
// what becomes of every job.
func (c *computation) explain(started []int) {
	starts := make([]int, len(c.pools))
	for _, i := range started {
		starts[i]++
	}
	// The youngest jobs of a pool are the ones that need the new runners: the
	// free ones go to the oldest.
	forJob := make(map[int]bool)
	for i, jobs := range c.match.inPool {
		slices.Sort(jobs)
		for _, j := range jobs[len(jobs)-starts[i]:] {
			forJob[j] = true
		}
	}
	for j, job := range c.jobs {
		d := Decision{Job: job}
		i := c.match.pool[j]
		switch {
		case i < 0:
			d.Reason = c.whyUnserved(j)
		case forJob[j]:
			p := c.pools[i]
			d.Pool, d.Reason = p.Name, "a runner is being started for it"
			c.plan.Actions = append(c.plan.Actions, Action{Kind: ActionStart, Pool: p.Name, Job: job.ID,
				Reason: fmt.Sprintf("job %d of %s waits and no runner of the pool is free", job.ID, job.Repo)})
		default:
			d.Pool, d.Reason = c.pools[i].Name, "a runner is free or starting"
		}
		c.plan.Decisions = append(c.plan.Decisions, d)
	}
}

// whyUnserved says what stands between a job and each pool.
func (c *computation) whyUnserved(j int) string {
	if len(c.pools) == 0 {
		return "no pool is configured"
	}
	if len(c.match.choices[j]) == 0 {
		return c.whyNoPool(c.jobs[j])
	}
	var reasons []string
	for _, i := range c.match.choices[j] {
		p := c.pools[i]
		switch {
		case p.hold != "":
			reasons = append(reasons, fmt.Sprintf("pool %s is on hold: %s", p.Name, p.hold))
		case p.all >= p.Max:
			reasons = append(reasons, fmt.Sprintf("pool %s is at its max of %d", p.Name, p.Max))
		case c.globalRoom() == 0:
			reasons = append(reasons, fmt.Sprintf("limits.runners of %d is reached", c.spec.MaxRunners))
		default:
			reasons = append(reasons, fmt.Sprintf("pool %s starts one runner at a time after failures", p.Name))
		}
	}
	return strings.Join(slices.Compact(reasons), "; ")
}

// whyNoPool says for a job that matches no pool what each pool lacks. With
// many pools it names the nearest ones only.
func (c *computation) whyNoPool(job Job) string {
	const most = 3
	fewest := len(job.Labels) + 1
	var near, outside []string
	covered := false
	for _, p := range c.pools {
		missing := p.missing(job)
		switch {
		case !p.Scope.Covers(job.Repo):
			if len(missing) == 0 {
				outside = append(outside, fmt.Sprintf("pool %s has it, but its scope %s does not cover %s", p.Name, p.Scope, job.Repo))
			}
			continue
		case len(missing) < fewest:
			fewest, near = len(missing), nil
		}
		covered = true
		if len(missing) == fewest {
			near = append(near, fmt.Sprintf("pool %s lacks %s", p.Name, strings.Join(missing, ", ")))
		}
	}
	if !covered {
		return fmt.Sprintf("no pool's scope covers %s", job.Repo)
	}
	reasons := append(outside, near...)
	if len(reasons) > most {
		reasons = append(reasons[:most], fmt.Sprintf("and %d more", len(reasons)-most))
	}
	return fmt.Sprintf("no pool has all of runs-on [%s]: %s", strings.Join(job.Labels, ", "), strings.Join(reasons, "; "))
}
