package plan

import "slices"

// kinds numbers the sets of pools that jobs may be served by, as jobs come
// that need them. Where a pool of the set has a ceiling, each repository makes a
// kind of its own.
type kinds struct {
	matcher  *Matcher
	ceilings *ceilings
	width    int
	covers   map[string]poolSet // the pools that cover a repository
	scratch  poolSet
	sets     []uint64 // one set after the other, by number
	repo     []int32  // by number the id of the repository, or none if no ceiling asks for it
	table    []int32  // numbers by the hash of their sets, or none
}

func newKinds(m *Matcher, c *ceilings) *kinds {
	k := &kinds{matcher: m, ceilings: c, width: m.width, covers: make(map[string]poolSet), scratch: make(poolSet, m.width)}
	k.rehash(1 << 4)
	return k
}

// of is the kind of a job, or none if no pool may serve it.
func (k *kinds) of(job *Job) int32 {
	if job.Barred != "" {
		return none
	}
	// The set is built where it is going to stay if it is new.
	n := len(k.sets)
	k.sets = append(k.sets, k.covering(job.Repo)...)
	set := poolSet(k.sets[n:])
	k.matcher.keepWith(set, job.Labels)
	if set.empty() {
		k.sets = k.sets[:n]
		return none
	}
	repo := k.ceilings.of(set, job)
	at := k.find(set, repo)
	if kind := k.table[at]; kind != none {
		k.sets = k.sets[:n]
		return kind
	}
	kind := int32(n / k.width)
	k.table[at] = kind
	k.repo = append(k.repo, repo)
	if 2*k.count() > len(k.table) {
		k.rehash(2 * len(k.table))
	}
	return kind
}

// covering has the pools whose scope covers the repository, until the next
// call. It looks at most repositories once only; where nearly every job has its
// own, remembering them all would be of no use.
func (k *kinds) covering(repo string) poolSet {
	const most = 1000
	if set, known := k.covers[repo]; known {
		return set
	}
	k.matcher.cover(k.scratch, repo)
	if len(k.covers) < most {
		k.covers[repo] = slices.Clone(k.scratch)
	}
	return k.scratch
}

// find is where a set and a repository stand in the table, or where they belong.
func (k *kinds) find(set poolSet, repo int32) uint64 {
	mask := uint64(len(k.table) - 1)
	at := (set.hash() ^ uint64(repo+1)*0x9e3779b97f4a7c15>>32) & mask
	for k.table[at] != none && (k.repo[k.table[at]] != repo || !slices.Equal(k.set(k.table[at]), set)) {
		at = (at + 1) & mask
	}
	return at
}

// rehash makes a table of the size, a power of two.
func (k *kinds) rehash(size int) {
	k.table = slices.Repeat([]int32{none}, size)
	for kind := range int32(k.count()) {
		k.table[k.find(k.set(kind), k.repo[kind])] = kind
	}
}

// set has the pools that may serve a kind.
func (k *kinds) set(kind int32) poolSet {
	return poolSet(k.sets[int(kind)*k.width:][:k.width])
}

// count is how many kinds there are.
func (k *kinds) count() int { return len(k.sets) / max(k.width, 1) }
