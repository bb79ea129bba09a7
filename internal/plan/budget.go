package plan

import (
	"container/heap"
	"math"
	"strconv"
)

// Resources is an amount of what a machine has.
type Resources struct {
	MilliCPU int64 `json:"milli_cpu,omitempty"` // thousandths of a CPU
	Memory   int64 `json:"memory,omitempty"`    // bytes
}

// resource is what is counted of runners.
type resource int

// The resources of a budget. The first is counted, the others are added up.
const (
	ofRunners resource = iota
	ofCPU
	ofMemory
	resources
)

// amounts has an amount of each resource.
type amounts [resources]int64

// amounts is what a runner takes that has these resources.
func (r Resources) amounts() amounts { return amounts{1, r.MilliCPU, r.Memory} }

// budget is what the runners of all pools may take together. Each runner that
// exists counts, and each that the plan starts.
type budget struct {
	limited [resources]bool
	most    amounts
	taken   amounts
	spec    *Spec
	engine  Resources
	// byReserve says that it is limits.reserve that bounds the resource.
	byReserve [resources]bool
	// own has what is limited but by the limits that are shared, all those that
	// are shared (nil for none), and others what others take of them; byAll says
	// that it is those that bound the resource.
	own    *budget
	all    *budget
	others amounts
	byAll  [resources]bool
}

func newBudget(spec *Spec, engine Resources) budget {
	b := budget{spec: spec, engine: engine}
	b.limit(ofRunners, int64(spec.MaxRunners), 0, 0)
	b.limit(ofCPU, spec.Most.MilliCPU, spec.Reserve.MilliCPU, engine.MilliCPU)
	b.limit(ofMemory, spec.Most.Memory, spec.Reserve.Memory, engine.Memory)
	if spec.Shared != nil {
		own := b
		b.own = &own
		b.shares(spec.Shared)
	}
	return b
}

// limit sets what there is of a resource: the lesser of what is set, 0 for
// nothing, and of what the reserve leaves.
func (b *budget) limit(what resource, set, reserve, engine int64) {
	b.limited[what], b.most[what] = set > 0, set
	if left := max(engine-reserve, 0); reserve > 0 && (set == 0 || left < set) {
		b.limited[what], b.most[what], b.byReserve[what] = true, left, true
	}
}

// take counts a runner. What does not fit is counted, too.
func (b *budget) take(cost amounts) {
	for what, n := range cost {
		b.taken[what] = sum(b.taken[what], n)
	}
}

// cost is what a runner takes, whose pool may be nil.
func (r *Runner) cost(p *pool) amounts {
	switch {
	case r.Cost != nil:
		return r.Cost.amounts()
	case p != nil:
		return p.cost
	}
	return Resources{}.amounts()
}

// lacks is the first resource of which there is not enough left for one more
// runner, or none.
func (b *budget) lacks(cost amounts) resource {
	for what, n := range cost {
		if n > 0 && b.limited[what] && n > b.most[what]-b.taken[what] {
			return resource(what)
		}
	}
	return none
}

// takeAll counts so many runners of each pool if all of them fit.
func (b *budget) takeAll(pools []*pool, want []int) bool {
	after := b.taken
	for i, n := range want {
		for what, cost := range pools[i].cost {
			if n == 0 || cost == 0 {
				continue
			}
			if b.limited[what] && int64(n) > (b.most[what]-after[what])/cost {
				return false
			}
			if most := (math.MaxInt64 - after[what]) / cost; int64(n) > most {
				after[what] = math.MaxInt64
			} else {
				after[what] += int64(n) * cost
			}
		}
	}
	b.taken = after
	return true
}

// obstacle says which limit keeps a pool from another runner.
func (b *budget) obstacle(p *pool) Obstacle {
	what := b.lacks(p.cost)
	if b.byAll[what] {
		all := *b.all
		all.taken = b.taken
		for i, n := range b.others {
			all.taken[i] = sum(all.taken[i], n)
		}
		o := all.reached(p, what)
		o.Reason += ", with those of all servers"
		return o
	}
	o := b.reached(p, what)
	if b.all != nil {
		o.Reason = "the server's " + o.Reason
	}
	return o
}

// reached is the obstacle that there is not enough left of a resource.
func (b *budget) reached(p *pool, what resource) Obstacle {
	o := Obstacle{Kind: ObstacleBudget, Reason: "limits." + what.String() + " of " + what.text(b.most[what]) + " is reached"}
	if what == ofRunners {
		o.Next = "when " + oneOf(int(b.taken[what])) + " of all pools is gone"
		return o
	}
	if b.byReserve[what] {
		host, reserve := b.reserve(what)
		o.Reason = "limits.reserve." + what.String() + " of " + what.text(reserve) + " leaves " + what.text(b.most[what]) + " of the Docker host's " + what.text(host)
	}
	o.Reason += ": " + what.text(b.taken[what]) + " are taken, and a runner of pool " + p.Name + " needs " + what.text(p.cost[what])
	if p.cost[what] <= b.most[what] {
		o.Next = "when runners are gone that take " + what.text(p.cost[what]-(b.most[what]-b.taken[what])) + " of it"
	}
	return o
}

// reserve is what the Docker host has of a resource, and what is kept from the
// runners.
func (b *budget) reserve(what resource) (host, reserve int64) {
	host, reserve = b.engine.MilliCPU, b.spec.Reserve.MilliCPU
	if what == ofMemory {
		host, reserve = b.engine.Memory, b.spec.Reserve.Memory
	}
	return host, reserve
}

// String is the resource by its key in the configuration.
func (r resource) String() string { return [resources]string{"runners", "cpus", "memory"}[r] }

// text writes an amount of the resource.
func (r resource) text(n int64) string {
	switch r {
	case ofCPU:
		return strconv.FormatFloat(r.float(n), 'f', -1, 64)
	case ofMemory:
		return bytesText(n)
	}
	return strconv.FormatInt(n, 10)
}

// bytesText writes a size as in 1.5 GiB.
func bytesText(n int64) string {
	unit, v := 0, float64(n)
	for ; v >= 1024 && unit < 4; unit++ {
		v /= 1024
	}
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) + " " + [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[unit]
}

// sizeHold says why nothing may start as long as the size of the Docker host is
// not known.
func sizeHold(spec *Spec, snap *Snapshot) string {
	reserve := spec.Reserve
	if s := spec.Shared; s != nil {
		reserve = Resources{max(reserve.MilliCPU, s.Reserve.MilliCPU), max(reserve.Memory, s.Reserve.Memory)}
	}
	cpu := reserve.MilliCPU > 0 && snap.Engine.MilliCPU == 0
	memory := reserve.Memory > 0 && snap.Engine.Memory == 0
	if !cpu && !memory {
		return ""
	}
	return "limits.reserve is kept from what the Docker host has, and that is not known: " + orElse(snap.EngineUnknown, "it was not asked yet")
}

// share grants starts to the pools, out of what is left of the budget: want has
// how many each could use, and what it gets afterwards. Pools of a higher
// priority come first. Among those of the same, the next runner goes to the
// pool that has the fewest for its weight, so that each gets one before any
// gets many. What a pool could use and does not get would not
// fit into what is left.
//
// It reports whether all of them got what they want.
func (c *computation) share(want []int) bool {
	if c.budget.takeAll(c.pools, want) {
		return true
	}
	for from, to := 0, 0; from < len(c.pools); from = to {
		var q claims
		for ; to < len(c.pools) && c.pools[to].Priority == c.pools[from].Priority; to++ {
			if want[to] > 0 {
				q.list = append(q.list, claim{pool: to, has: int64(c.pools[to].all), weight: int64(max(c.pools[to].Weight, 1)), wants: want[to]})
				want[to] = 0
			}
		}
		heap.Init(&q)
		for len(q.list) > 0 {
			x := &q.list[0]
			cost := c.pools[x.pool].cost
			if x.wants == 0 || c.budget.lacks(cost) != none {
				heap.Pop(&q)
				continue
			}
			c.budget.take(cost)
			want[x.pool]++
			x.wants--
			x.has++
			heap.Fix(&q, 0)
		}
	}
	return false
}

// claim is what a pool has and wants.
type claim struct {
	pool        int
	has, weight int64 // runners, those granted among them
	wants       int
}

// claims is a heap of claims, that of the pool first that has the fewest
// runners for its weight.
type claims struct{ list []claim }

func (q *claims) Len() int { return len(q.list) }

func (q *claims) Less(i, j int) bool {
	a, b := &q.list[i], &q.list[j]
	if x, y := a.has*b.weight, b.has*a.weight; x != y {
		return x < y
	}
	return a.pool < b.pool
}

func (q *claims) Swap(i, j int) { q.list[i], q.list[j] = q.list[j], q.list[i] }

func (q *claims) Push(x any) { q.list = append(q.list, x.(claim)) }

func (q *claims) Pop() any {
	x := q.list[len(q.list)-1]
	q.list = q.list[:len(q.list)-1]
	return x
}

// list has what is limited. What is shared is not this plan's to tell.
func (b *budget) list() []Budget {
	if b.own != nil {
		own := *b.own
		own.taken = b.taken
		return own.list()
	}
	var list []Budget
	for what := range resources {
		if !b.limited[what] {
			continue
		}
		x := Budget{Resource: what.String(), Taken: what.float(b.taken[what]), Limit: what.float(b.most[what])}
		if b.byReserve[what] {
			host, reserve := b.reserve(what)
			x.Host, x.Reserve = what.float(host), what.float(reserve)
		}
		list = append(list, x)
	}
	return list
}

// float is an amount in the unit that people use.
func (r resource) float(n int64) float64 {
	if r == ofCPU {
		return float64(n) / 1000
	}
	return float64(n)
}
