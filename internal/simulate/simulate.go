// Package simulate replays the jobs of a trace in virtual time, to show how a
// configuration would have fared.
//
// Who starts and who goes is decided by plan.Compute, which is given what the
// daemon would see, when the daemon would see it. Around it the package plays
// the server, which gives jobs to runners, and the engine. The invariant that
// it protects: nothing but the inputs decides, so that the same trace, fleet
// and seed give the same result to the last digit.
//
// What it leaves out: runners do not fail, stopping and removing one takes no
// time, a runner that is free takes a job at once, and the host has room for
// as many as the configuration allows.
package simulate

import (
	"errors"
	"fmt"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Fleet is what a configuration says of the runners.
type Fleet struct {
	Spec plan.Spec
	// Ephemeral has the pools, by name, whose runners take one job each.
	Ephemeral map[string]bool
	// Polls says how often the daemon asks for jobs.
	plan.Polls
}

// Options are the circumstances.
type Options struct {
	// ColdStarts are the times that a runner may take from the decision to
	// start it until it is online. Each start takes one of them by chance.
	ColdStarts []time.Duration
	// WarmUp is how long at the beginning of the trace nothing is counted.
	WarmUp time.Duration
	// Seed is what chance is taken from.
	Seed uint64
}

// meanColdStart is how long a start takes on average.
func (o Options) meanColdStart() time.Duration {
	sum := time.Duration(0)
	for _, d := range o.ColdStarts {
		sum += d
	}
	return sum / time.Duration(len(o.ColdStarts))
}

// ErrInput is wrapped by the errors about what is to be simulated.
var ErrInput = errors.New("cannot simulate")

func check(t Trace, f Fleet, o Options) error {
	switch {
	case len(f.Spec.Pools) == 0:
		return fmt.Errorf("%w: the configuration has no pools", ErrInput)
	case len(t.Jobs) == 0:
		return fmt.Errorf("%w: the trace has no jobs", ErrInput)
	case len(o.ColdStarts) == 0:
		return fmt.Errorf("%w: how long a start takes is not given", ErrInput)
	case f.Usual <= 0 || f.Active <= 0:
		return fmt.Errorf("%w: how often the daemon asks for jobs is not given", ErrInput)
	case o.WarmUp > t.last():
		return fmt.Errorf("%w: no job comes after the warm-up of %s", ErrInput, o.WarmUp)
	}
	return nil
}

// Run replays the trace under the policy of the fleet.
func Run(t Trace, f Fleet, o Options) (*Result, error) {
	if err := check(t, f, o); err != nil {
		return nil, err
	}
	w := newWorld(t, f, o)
	w.daemon = newDaemon(w)
	w.run()
	return w.meter.result(), nil
}
