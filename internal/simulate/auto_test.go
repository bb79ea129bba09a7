package simulate

import (
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// A pool that begins without history meets its target over a week at less than
// one and a half times what a clairvoyant takes. docs/policy.md has the figures.
func TestAutoMeetsItsTargetAtLittleCost(t *testing.T) {
	auto := fleet([]plan.Pool{pool("linux", func(p *plan.Pool) {
		p.Max, p.IdleTimeout = 200, 5*time.Minute
		p.Auto = &plan.Auto{Percentile: 95, Wait: 2 * time.Second, Most: 200}
	})})
	trace, err := Synthetic("week", auto.Spec.Pools, monday, 1)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(trace, auto, twenty)
	if err != nil {
		t.Fatal(err)
	}
	least := foresight(trace, auto, twenty).Runners
	t.Logf("p95 %s, %.0f runner hours, %.2f of clairvoyant", r.Wait.P95, r.Runners.Hours(), float64(r.Runners)/float64(least))
	if r.Wait.P95 > 2*time.Second {
		t.Errorf("p95 %s, want 2s at most", r.Wait.P95)
	}
	if 2*r.Runners > 3*least {
		t.Errorf("%s of runners, want at most half as much again as %s", r.Runners, least)
	}
}
