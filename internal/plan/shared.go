package plan

import "math"

// Limits bound what runners take together. 0 is no bound.
type Limits struct {
	Runners int
	Most    Resources
	// Reserve is what the runners leave of the Docker host, see Snapshot.Engine.
	Reserve Resources
}

// Shared are limits that also bind the runners of other servers, which the plan is
// not about.
type Shared struct {
	Limits
	OtherRunners int       // how many there are of those
	Others       Resources // what they take
}

// Load is what a number of runners take.
type Load struct {
	Runners int
	Resources
}

// Add returns the sum of both, as far as it can be counted.
func (l Load) Add(other Load) Load {
	l.Runners += other.Runners
	l.MilliCPU = sum(l.MilliCPU, other.MilliCPU)
	l.Memory = sum(l.Memory, other.Memory)
	return l
}

// sum adds two amounts, none of which is negative.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Allow reports whether the limits allow one more runner beside a load, if the
// Docker host has what engine says.
func (l Limits) Allow(load Load, cost, engine Resources) bool {
	b := newBudget(&Spec{MaxRunners: l.Runners, Most: l.Most, Reserve: l.Reserve}, engine)
	b.taken = load.amounts()
	return b.lacks(cost.amounts()) == none
}

func (l Load) amounts() amounts { return amounts{int64(l.Runners), l.MilliCPU, l.Memory} }

// Budgets lists what is limited, and what a load takes of it.
func (l Limits) Budgets(load Load, engine Resources) []Budget {
	b := newBudget(&Spec{MaxRunners: l.Runners, Most: l.Most, Reserve: l.Reserve}, engine)
	b.taken = load.amounts()
	return b.list()
}

// shares has the limits bind that are shared, where they leave less than those of
// the server alone.
func (b *budget) shares(s *Shared) {
	all := newBudget(&Spec{MaxRunners: s.Runners, Most: s.Most, Reserve: s.Reserve}, b.engine)
	b.all, b.others = &all, Load{s.OtherRunners, s.Others}.amounts()
	for what := range resources {
		left := max(all.most[what]-b.others[what], 0)
		if all.limited[what] && (!b.limited[what] || left < b.most[what]) {
			b.limited[what], b.most[what], b.byAll[what] = true, left, true
		}
	}
}
