package simulate

import (
	"slices"

	"scaler.io/scaler/internal/plan"
)

// Report is a replay beside what the same jobs would have cost otherwise.
type Report struct {
	Trace   Trace
	Options Options
	Policy  *Result
	// FromZero is the same policy without min and idle.
	FromZero *Result
	// FixedPeak has as many runners all the time, in each pool, as the policy
	// had there at most, FixedSame as few as wait no longer by the p95. Nobody
	// has to look for the jobs there.
	FixedPeak, FixedSame *Result
	Clairvoyant          Clairvoyant
}

// Compare replays the trace under the policy of the fleet and under others.
func Compare(t Trace, f Fleet, o Options) (*Report, error) {
	policy, err := Run(t, f, o)
	if err != nil {
		return nil, err
	}
	r := &Report{Trace: t, Options: o, Policy: policy, FromZero: policy, Clairvoyant: foresight(t, f, o)}
	if keepsRunners(f.Spec) {
		if r.FromZero, err = Run(t, f.fromZero(), o); err != nil {
			return nil, err
		}
	}
	r.FixedPeak = alwaysOn(t, f, o, policy.sizes())
	r.FixedSame = leastAlwaysOn(t, f, o, policy)
	return r, nil
}

// fromZero is the fleet with pools that keep no runners.
func (f Fleet) fromZero() Fleet {
	f.Spec.Pools = slices.Clone(f.Spec.Pools)
	for i, p := range f.Spec.Pools {
		f.Spec.Pools[i] = p.FromZero()
	}
	return f
}

// keepsRunners reports whether a pool keeps runners that no job asks for, or
// may do so in a window.
func keepsRunners(s plan.Spec) bool {
	return slices.ContainsFunc(s.Pools, func(p plan.Pool) bool { return p.Min > 0 || p.Idle > 0 || p.Auto != nil || p.Windows != nil })
}

// Way is one way to serve the jobs of a report.
type Way struct {
	Key, Name string // for programs and for people
	Cost
}

// Ways are the policy and what it is compared with.
func (r *Report) Ways() []Way {
	c := r.Clairvoyant
	return []Way{
		{"policy", "this configuration", r.Policy.Cost},
		{"from_zero", "from zero", r.FromZero.Cost},
		{"fixed_peak", "fixed, peak size", r.FixedPeak.Cost},
		{"fixed_same_p95", "fixed, same p95", r.FixedSame.Cost},
		{"clairvoyant", "clairvoyant", Cost{Runners: c.Runners, Busy: c.Busy, Starts: c.Starts, Peak: c.Peak}},
	}
}
