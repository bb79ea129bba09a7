package plan

import (
	"math/bits"
	"slices"
)

// none stands for no job, pool, kind or group.
const none = -1

// assignment assigns queued jobs to pools. A pool's capacity is its free
// runners plus those that this plan starts. Jobs come in order of age, and
// each is placed if there is any way to do so, moving jobs that were placed
// before to another pool of theirs where that helps (augmenting paths). So no
// assignment serves more jobs, and no older job yields to a younger one.
//
// Jobs that the same pools may serve are of one kind. The search for a place
// goes by kinds, since if one job of a kind cannot be moved on, no other can:
// it takes a step for each kind in each pool that it visits.
type assignment struct {
	kinds    *kinds
	ceilings *ceilings
	kind     []int32 // for each job its kind, or none if no pool may serve it, or a runner is bound to it
	pool     []int32 // for each job its pool, or none
	waiting  []int32 // the jobs that have no place and some pool, in order
	aside    []aside // for each job, if any is not to be placed now: see setAside
	fixed    []bool  // for each kind whether it has just one pool
	beaten   []bool  // for each kind whether a job of it found no place in this round
	count    []int   // for each pool how many jobs it has
	capacity []int
	lanes    lanes
	open     poolSet // pools that may have a free place
	shut     poolSet // pools from which no free place can be reached
	seen     poolSet // pools visited on the way to a place for one job, and shut ones
	vain     int     // visits that led nowhere since the last prune
	patience int     // how many of them there may be
	// grow adds a place to a full pool, by starting a runner, or refuses. What
	// it has refused once in a round it refuses again.
	grow func(pool int) bool
}

// newAssignment finds the pools of each job.
func newAssignment(jobs []Decision, pools int, m *Matcher, c *ceilings) *assignment {
	byJob := make([]int32, 3*len(jobs))
	a := &assignment{
		kinds:    newKinds(m, c),
		ceilings: c,
		kind:     byJob[:len(jobs)],
		pool:     byJob[len(jobs) : 2*len(jobs)],
		waiting:  byJob[2*len(jobs) : 2*len(jobs)],
		count:    make([]int, pools),
		capacity: make([]int, pools),
		open:     make(poolSet, m.width),
		shut:     make(poolSet, m.width),
		seen:     make(poolSet, m.width),
	}
	for j := range jobs {
		a.kind[j], a.pool[j] = none, none
		if jobs[j].bound == nil {
			a.kind[j] = a.kinds.of(jobs[j].Job)
		}
		if a.kind[j] != none {
			a.waiting = append(a.waiting, int32(j))
		}
	}
	a.fixed, a.beaten = make([]bool, a.kinds.count()), make([]bool, a.kinds.count())
	for k := range a.fixed {
		a.fixed[k] = a.kinds.set(int32(k)).size() == 1
	}
	a.lanes = newLanes(len(jobs), pools, a.kinds.count())
	return a
}

// placeAll tries to place every job that has no place yet.
func (a *assignment) placeAll(grow func(pool int) bool) {
	a.grow = grow
	clear(a.shut)
	a.vain, a.patience = 0, len(a.count)
	for i := range a.count {
		a.open.add(i)
	}
	clear(a.beaten)
	waiting := a.waiting[:0]
	for _, j := range a.waiting {
		if !a.placeOne(j) {
			waiting = append(waiting, j)
		}
	}
	a.waiting = waiting
}

// placeOne tries to place a job.
func (a *assignment) placeOne(j int32) bool {
	kind := a.kind[j]
	if a.beaten[kind] {
		return false
	}
	i := a.free(kind)
	if i == none {
		a.ceilings.begin(len(a.beaten))
		copy(a.seen, a.shut)
		i = a.find(kind)
	}
	if i != none {
		a.put(j, i)
		if a.vain > a.patience {
			a.prune()
		}
		return true
	}
	// No place can be reached from any pool that was visited: spare later jobs
	// the same walk.
	copy(a.shut, a.seen)
	a.beaten[kind] = true
	return false
}

// find is a pool that has a place for a job of the kind, or none. It moves
// other jobs if need be.
func (a *assignment) find(kind int32) int {
	if i := a.free(kind); i != none {
		return i
	}
	if a.ceilings != nil {
		return a.findUnder(kind)
	}
	set := a.kinds.set(kind)
	for i := a.unseen(set); i != none; i = a.unseen(set) {
		a.seen.add(i)
		a.vain++
		before := int32(none)
		for g := a.lanes.head[i]; g != none; before, g = g, a.lanes.groups[g].next {
			other := a.lanes.groups[g].kind
			if a.unseen(a.kinds.set(other)) == none {
				continue
			}
			if to := a.find(other); to != none {
				a.vain--
				a.count[i]--
				a.put(a.lanes.take(i, before, g), to)
				return i
			}
		}
	}
	return none
}

// prune shuts the pools from which no free place can be reached, so that no
// search visits them again. If there are none it has more patience next time.
func (a *assignment) prune() {
	live := slices.Clone(a.open)
	for grown := true; grown; {
		grown = false
		for i := range a.count {
			if !live.has(i) && !a.shut.has(i) && a.leads(i, live) {
				live.add(i)
				grown = true
			}
		}
	}
	a.vain, a.patience = 0, 2*a.patience
	for i := range a.count {
		if !live.has(i) && !a.shut.has(i) {
			a.shut.add(i)
			a.patience = len(a.count)
		}
	}
}

// leads reports whether a job of the pool could move to one of the others.
func (a *assignment) leads(pool int, others poolSet) bool {
	for g := a.lanes.head[pool]; g != none; g = a.lanes.groups[g].next {
		if a.kinds.set(a.lanes.groups[g].kind).meets(others) {
			return true
		}
	}
	return false
}

// free is the first pool of the kind that has a place, or none.
func (a *assignment) free(kind int32) int {
	set, repo := a.kinds.set(kind), a.kinds.repo[kind]
	for w := range set {
		for open := set[w] & a.open[w]; open != 0; open &= open - 1 {
			i := w*64 + bits.TrailingZeros64(open)
			if repo != none && a.ceilings.reached(repo, i) != none {
				continue
			}
			if a.count[i] < a.capacity[i] || a.grow != nil && a.grow(i) {
				return i
			}
			// A pool that is full stays full: what leaves it makes room for
			// another job.
			a.open[w] &^= open & -open
		}
	}
	return none
}

// unseen is the first pool of the set that was not visited, or none.
func (a *assignment) unseen(set poolSet) int {
	for w := range set {
		if left := set[w] &^ a.seen[w]; left != 0 {
			return w*64 + bits.TrailingZeros64(left)
		}
	}
	return none
}

func (a *assignment) put(j int32, pool int) {
	a.pool[j] = int32(pool)
	a.count[pool]++
	k := a.kind[j]
	a.ceilings.count(a.kinds.repo[k], pool, 1)
	if !a.fixed[k] {
		a.lanes.join(j, k, pool)
	}
}

// withdraw takes away places from the pools, and with them the youngest of
// their jobs. Of the places that were had, those that are kept are left.
func (a *assignment) withdraw(had, kept []int) {
	lose, all := make([]int, len(had)), 0
	for i := range had {
		lose[i] = had[i] - kept[i]
		a.capacity[i] -= lose[i]
		a.count[i] -= lose[i]
		all += lose[i]
	}
	for j := len(a.pool) - 1; all > 0; j-- {
		if i := a.pool[j]; i != none && lose[i] > 0 {
			a.pool[j] = none
			a.ceilings.count(a.kinds.repo[a.kind[j]], int(i), -1)
			lose[i]--
			all--
		}
	}
	a.waiting = a.waiting[:0]
	a.lanes = newLanes(len(a.pool), len(a.count), a.kinds.count())
	for j, i := range a.pool {
		switch k := a.kind[j]; {
		case k == none:
		case i == none && a.isAside(j):
		case i == none:
			a.waiting = append(a.waiting, int32(j))
		case !a.fixed[k]:
			a.lanes.join(int32(j), k, int(i))
		}
	}
}
