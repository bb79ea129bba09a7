package plan

import (
	"strconv"
	"strings"
)

// ceilings bound in each pool how many runners may be busy with jobs, or wait
// for jobs, of one repository and of one owner. There are none where no pool has
// any: all of its methods take nil for that.
type ceilings struct {
	capped   poolSet // the pools that have one
	perRepo  []int32 // for each pool its ceiling, 0 for none
	perOwner []int32
	ids      map[string]int32 // by repository, as the server writes it
	folded   map[string]int32 // by the folded name of a repository or an owner
	names    []string         // by id, as they were written first
	owners   []int32          // for each id of a repository its owner's
	taken    map[ceiling]int32
	search   int32             // number of the search for a place
	visited  map[ceiling]int32 // in which search it was visited last
	asked    []int32           // for each kind likewise
}

// ceiling is that of one repository or owner in one pool.
type ceiling struct{ pool, name int32 }

// newCeilings counts the runners that are busy, and those that are bound to a job.
func newCeilings(pools []*pool, runners []Runner) *ceilings {
	c := &ceilings{capped: make(poolSet, (len(pools)+63)/64)}
	for i, p := range pools {
		if p.MaxPerRepo > 0 || p.MaxPerOwner > 0 {
			c.capped.add(i)
		}
	}
	if c.capped.empty() {
		return nil
	}
	c.perRepo, c.perOwner = make([]int32, len(pools)), make([]int32, len(pools))
	c.ids, c.folded = make(map[string]int32), make(map[string]int32)
	c.taken, c.visited = make(map[ceiling]int32), make(map[ceiling]int32)
	at := make(map[string]int, len(pools))
	for i, p := range pools {
		c.perRepo[i], c.perOwner[i] = int32(p.MaxPerRepo), int32(p.MaxPerOwner)
		at[p.Name] = i
	}
	for i := range runners {
		r := &runners[i]
		if pool, known := at[r.Pool]; known && c.capped.has(pool) && r.takes() != "" {
			c.count(c.repo(r.takes()), pool, 1)
		}
	}
	return c
}

// repo is the id of a repository "owner/name".
func (c *ceilings) repo(name string) int32 {
	if id, known := c.ids[name]; known {
		return id
	}
	owner, _, _ := strings.Cut(name, "/")
	o := c.id(owner+"/", owner) // no repository is called so
	id := c.id(name, name)
	c.owners[id] = o
	c.ids[name] = id
	return id
}

func (c *ceilings) id(name, written string) int32 {
	key := fold(name)
	id, known := c.folded[key]
	if !known {
		id = int32(len(c.names))
		c.folded[key] = id
		c.names, c.owners = append(c.names, written), append(c.owners, none)
	}
	return id
}

// of is the id of a job's repository, if any of its pools has a ceiling.
func (c *ceilings) of(pools poolSet, job *Job) int32 {
	if c == nil || !pools.meets(c.capped) {
		return none
	}
	return c.repo(job.Repo)
}

// count notes that so many more jobs of a repository are in a pool.
func (c *ceilings) count(repo int32, pool, n int) {
	if c == nil || repo == none || !c.capped.has(pool) {
		return
	}
	c.taken[ceiling{int32(pool), repo}] += int32(n)
	c.taken[ceiling{int32(pool), c.owners[repo]}] += int32(n)
}

// reached is the repository, or else its owner, whose ceiling in a pool keeps
// one more job of the repository out, or none.
func (c *ceilings) reached(repo int32, pool int) int32 {
	if c == nil || repo == none || !c.capped.has(pool) {
		return none
	}
	if most := c.perRepo[pool]; most > 0 && c.taken[ceiling{int32(pool), repo}] >= most {
		return repo
	}
	if most := c.perOwner[pool]; most > 0 && c.taken[ceiling{int32(pool), c.owners[repo]}] >= most {
		return c.owners[repo]
	}
	return none
}

// begin begins a search for a place.
func (c *ceilings) begin(kinds int) {
	if c == nil {
		return
	}
	if c.asked == nil {
		c.asked = make([]int32, kinds)
	}
	c.search++
}

// ask reports whether a kind is looked at for the first time in a search.
func (c *ceilings) ask(kind int32) bool {
	first := c.asked[kind] != c.search
	c.asked[kind] = c.search
	return first
}

// visit is the same for a ceiling that is reached.
func (c *ceilings) visit(pool int, name int32) bool {
	at := ceiling{int32(pool), name}
	first := c.visited[at] != c.search
	c.visited[at] = c.search
	return first
}

// within reports whether a repository is the named one, or of the named owner.
func (c *ceilings) within(repo, name int32) bool {
	return name == none || repo != none && (repo == name || c.owners[repo] == name)
}

// obstacle says which ceiling keeps a repository out of a pool.
func (c *ceilings) obstacle(repo int32, i int, p *pool) (Obstacle, bool) {
	name := c.reached(repo, i)
	if name == none {
		return Obstacle{}, false
	}
	most, key := c.perRepo[i], "max_per_repo"
	if name != repo {
		most, key = c.perOwner[i], "max_per_owner"
	}
	has := c.taken[ceiling{int32(i), name}]
	return Obstacle{
		Kind:   ObstacleCeiling,
		Reason: c.names[name] + " has " + strconv.Itoa(int(has)) + " of its " + strconv.Itoa(int(most)) + " runners in pool " + p.Name + " (" + key + ")",
		Next:   "when a job of " + c.names[name] + " in pool " + p.Name + " is over",
	}, true
}

// findUnder is find where pools have ceilings. Where the ceiling of a repository
// or owner is reached, one of its own jobs has to move on; else, in a full pool,
// any. A search looks at each kind, pool and ceiling once.
func (a *assignment) findUnder(kind int32) int {
	if !a.ceilings.ask(kind) {
		return none
	}
	for i := range a.kinds.set(kind).all {
		if a.seen.has(i) {
			continue
		}
		name := a.ceilings.reached(a.kinds.repo[kind], i)
		if name == none {
			a.seen.add(i)
		} else if !a.ceilings.visit(i, name) {
			continue
		}
		if a.moveOn(i, name) {
			return i
		}
	}
	return none
}

// moveOn moves a job out of a pool, of the repository or owner that is named, or
// any. It reports whether there was a place for one.
func (a *assignment) moveOn(pool int, name int32) bool {
	a.vain++
	for g := a.lanes.head[pool]; g != none; g = a.lanes.groups[g].next {
		kind := a.lanes.groups[g].kind
		if !a.ceilings.within(a.kinds.repo[kind], name) || a.unseen(a.kinds.set(kind)) == none {
			continue
		}
		if to := a.find(kind); to != none {
			a.vain--
			a.count[pool]--
			a.ceilings.count(a.kinds.repo[kind], pool, -1)
			// Others may have come and gone meanwhile, but none of this kind.
			before := int32(none)
			for h := a.lanes.head[pool]; h != g; h = a.lanes.groups[h].next {
				before = h
			}
			a.put(a.lanes.take(pool, before, g), to)
			return true
		}
	}
	return false
}

// Demand returns a function that tells of jobs, in the order in which they are
// asked about, whether some pool may have to serve them: it may take them, and
// has not yet been asked about as many of their repository and owner as it
// serves. Who reads a queue until so many are found has all that can be served.
func Demand(pools []Pool) func(Job) bool {
	m := NewMatcher(pools)
	asked := make(map[demand]int)
	var free []Pool
	for _, p := range pools {
		if p.MaxPerRepo == 0 && p.MaxPerOwner == 0 {
			free = append(free, p)
		}
	}
	if len(free) == len(pools) {
		return m.Serves
	}
	without := NewMatcher(free)
	return func(job Job) bool {
		if without.Serves(job) || !m.Serves(job) {
			return without.Serves(job)
		}
		repo := fold(job.Repo)
		owner, _, _ := strings.Cut(repo, "/")
		some := false
		for i := range pools {
			p := &pools[i]
			if !p.Serves(job) {
				continue
			}
			ofRepo, ofOwner := demand{p.Name, repo}, demand{p.Name, owner + "/"}
			some = some || (p.MaxPerRepo == 0 || asked[ofRepo] < p.MaxPerRepo) && (p.MaxPerOwner == 0 || asked[ofOwner] < p.MaxPerOwner)
			asked[ofRepo]++
			asked[ofOwner]++
		}
		return some
	}
}

// demand is that of a repository, or of an owner, in a pool.
type demand struct{ pool, name string }
