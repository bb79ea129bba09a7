package config

import (
	"fmt"
	"math"
	"strconv"

	"github.com/docker/go-units"

	"scaler.io/scaler/internal/plan"
)

// Cost is what a runner of the pool takes of the limits over all pools.
func (p Pool) Cost() plan.Resources {
	return plan.Resources{MilliCPU: milli(p.Container.CPUs), Memory: p.Container.Memory}
}

// Most is what the runners of all pools may take together; 0 is no limit.
func (l Limits) Most() plan.Resources {
	return plan.Resources{MilliCPU: milli(l.CPUs), Memory: l.Memory}
}

// Amount is what the runners leave of the machine that Docker runs on.
func (r Reserve) Amount() plan.Resources {
	return plan.Resources{MilliCPU: milli(r.CPUs), Memory: r.Memory}
}

// milli is a number of CPUs in thousandths. Any more than none is one at least.
func milli(cpus float64) int64 { return int64(math.Ceil(math.Round(cpus*1e6) / 1e3)) }

// resource is one of what limits bound beside the number of runners.
type resource struct {
	key            string
	limit, reserve func(Limits) float64
	cost           func(Pool) float64
	text           func(float64) string
}

var budgeted = []resource{
	{
		key:     "cpus",
		limit:   func(l Limits) float64 { return l.CPUs },
		reserve: func(l Limits) float64 { return l.Reserve.CPUs },
		cost:    func(p Pool) float64 { return p.Container.CPUs },
		text:    func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) },
	},
	{
		key:     "memory",
		limit:   func(l Limits) float64 { return float64(l.Memory) },
		reserve: func(l Limits) float64 { return float64(l.Reserve.Memory) },
		cost:    func(p Pool) float64 { return float64(p.Container.Memory) },
		text:    units.BytesSize,
	},
}

// validateCosts reports pools of which not one runner fits into the limits at a
// path.
func (d *decoder) validateCosts(path string, l Limits, pools []Pool, bound func(Pool) bool) {
	for _, r := range budgeted {
		limit := r.limit(l)
		if limit == 0 || !d.ok(path, path+"."+r.key) {
			continue
		}
		for i, p := range pools {
			at := fmt.Sprintf("pools[%d].container.%s", i, r.key)
			if cost := r.cost(p); bound(p) && cost > limit && d.ok(at) {
				d.report(at, "one runner would take %s, more than %s.%s of %s: lower this or raise the limit", r.text(cost), path, r.key, r.text(limit))
			}
		}
	}
}

// budgetWarnings tells of limits that do not bound a pool, and of pools that
// cannot have what they keep.
func (c *Config) budgetWarnings() []string {
	var warnings []string
	for _, r := range budgeted {
		limit := r.limit(c.Limits)
		if limit == 0 && r.reserve(c.Limits) == 0 {
			continue
		}
		key := "limits." + r.key
		if limit == 0 {
			key = "limits.reserve." + r.key
		}
		kept := 0.0
		for _, p := range c.Pools {
			if r.cost(p) == 0 {
				warnings = append(warnings, fmt.Sprintf("pool %s has no container.%s, so %s does not bound it: set it", p.Name, r.key, key))
			}
			kept += float64(p.Min) * r.cost(p)
		}
		if limit > 0 && kept > limit {
			warnings = append(warnings, fmt.Sprintf("%s of %s is less than the %s that the pools' min take together: some of them cannot be kept",
				key, r.text(limit), r.text(kept)))
		}
	}
	return warnings
}
