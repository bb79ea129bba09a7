package simulate

import (
	"reflect"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Four jobs of a minute at once, and a fleet that keeps two ready.
func TestCompare(t *testing.T) {
	f := fleet([]plan.Pool{pool("linux", func(p *plan.Pool) { p.Idle = 2 })})
	r, err := Compare(Trace{Start: monday, Jobs: jobs("linux", 100, 60, 100, 60, 100, 60, 100, 60)}, f, twenty)
	if err != nil {
		t.Fatal(err)
	}
	// Two wait for a start that is begun with the poll half a second later, and
	// two more are kept ready beside them.
	const late = 20*time.Second + 500*time.Millisecond
	if p := r.Policy; p.Wait != (Waits{0, late, late, late}) || p.Starts != 6 || p.Peak != 6 {
		t.Errorf("policy: %+v", p)
	}
	if z := r.FromZero; z.Wait.P50 != 20*time.Second || z.Starts != 4 || z.Peak != 4 || z.Runners != 4*80*time.Second {
		t.Errorf("from zero: %+v", z)
	}
	if x := r.FixedPeak; x.Wait.Max != 0 || x.Peak != 6 || x.Runners != 6*160*time.Second || x.Busy != 4*time.Minute || x.Starts != 0 {
		t.Errorf("fixed, peak size: %+v", x)
	}
	// Three would leave one waiting for a minute.
	if x := r.FixedSame; x.Wait.Max != 0 || x.Peak != 4 || x.Runners != 4*160*time.Second {
		t.Errorf("fixed, same p95: %+v", x)
	}
	if c := r.Clairvoyant; c != (Clairvoyant{4 * 80 * time.Second, 4 * time.Minute, 4, 4}) {
		t.Errorf("clairvoyant: %+v", c)
	}
}

func TestCompareOnRandomLoads(t *testing.T) {
	for seed := range uint64(60) {
		trace, f := randomLoad(seed)
		r, err := Compare(trace, f, twenty)
		if err != nil {
			t.Fatal(err)
		}
		if r.Policy.Unserved > 0 {
			continue // limits.runners is used up by what other pools keep
		}
		if !r.FixedSame.asGood(r.Policy) {
			t.Errorf("seed %d: the fixed fleet waits %v, the policy %v", seed, r.FixedSame.Wait, r.Policy.Wait)
		}
		for i := range f.Spec.Pools {
			fewer := r.FixedSame.sizes()
			if fewer[i]--; fewer[i] >= 0 && r.FixedSame.Peak <= 3 && alwaysOn(trace, f, twenty, fewer).asGood(r.Policy) {
				t.Errorf("seed %d: %v is as good as %v", seed, fewer, r.FixedSame.sizes())
			}
		}
		if c := r.Clairvoyant; c.Busy != r.Policy.Busy || c.Busy != r.FixedPeak.Busy || c.Runners < c.Busy {
			t.Errorf("seed %d: clairvoyant %+v, busy under the policy %s and in a fixed fleet %s", seed, c, r.Policy.Busy, r.FixedPeak.Busy)
		}
		if f.Ephemeral["linux"] && len(f.Spec.Pools) == 1 && r.Policy.Runners < r.Clairvoyant.Runners {
			t.Errorf("seed %d: the policy takes %s, less than can be: %s", seed, r.Policy.Runners, r.Clairvoyant.Runners)
		}
	}
}

func TestSynthetic(t *testing.T) {
	pools := []plan.Pool{pool("linux"), pool("gpu", func(p *plan.Pool) { p.Scope = plan.Scope{Kind: plan.ScopeOrg, Owner: "acme"} }),
		pool("arm", func(p *plan.Pool) { p.Scope = plan.Scope{Kind: plan.ScopeRepo, Owner: "acme", Repo: "app"} })}
	for size, want := range sizes {
		trace, err := Synthetic(size, pools, monday, 1)
		if err != nil {
			t.Fatal(err)
		}
		if last := trace.last(); len(trace.Jobs) != want.jobs || last >= time.Duration(want.days)*24*time.Hour || last < time.Duration(want.days-1)*24*time.Hour {
			t.Errorf("%s: %d jobs until %s", size, len(trace.Jobs), last)
		}
		again, _ := Synthetic(size, pools, monday, 1)
		other, _ := Synthetic(size, pools, monday, 2)
		if !reflect.DeepEqual(trace, again) || reflect.DeepEqual(trace, other) {
			t.Errorf("%s: the seed does not decide", size)
		}
		checkRhythm(t, size, trace)
		byLabel := make(map[string]int)
		for _, j := range trace.Jobs {
			byLabel[j.Labels[0]]++
		}
		if byLabel["linux"] <= byLabel["gpu"] || byLabel["gpu"] <= byLabel["arm"] || byLabel["arm"] == 0 {
			t.Errorf("%s: jobs by label: %v", size, byLabel)
		}
		if w := newWorld(trace, fleet(pools), twenty); w.left != len(trace.Jobs) {
			t.Errorf("%s: the pools serve %d of %d jobs", size, w.left, len(trace.Jobs))
		}
	}
	if _, err := Synthetic("year", pools, monday, 1); err == nil || err.Error() != `cannot simulate: a load of a "year" is not known: it has to be week, month or bursts` {
		t.Error(err)
	}
	if _, err := Synthetic("week", nil, monday, 1); err == nil {
		t.Error("no pools: no error")
	}
}

// checkRhythm wants days and nights, weekends, bursts and jobs of minutes.
func checkRhythm(t *testing.T, size string, trace Trace) {
	t.Helper()
	var hours [24]int
	var days [7]int
	sum, burst, most := time.Duration(0), 0, 0
	for i, j := range trace.Jobs {
		at := monday.Add(j.Arrival)
		hours[at.Hour()]++
		days[at.Weekday()]++
		sum += j.Duration
		if burst++; i > 0 && j.Arrival != trace.Jobs[i-1].Arrival {
			burst = 1
		}
		most = max(most, burst)
	}
	if hours[10] < 5*hours[4] || days[time.Tuesday] < 4*days[time.Sunday] {
		t.Errorf("%s: by hour %v, by day of the week %v", size, hours, days)
	}
	if mean := sum / time.Duration(len(trace.Jobs)); mean < 2*time.Minute || mean > 8*time.Minute {
		t.Errorf("%s: a job takes %s on average", size, mean)
	}
	if most < 20 || most > nightly+24 {
		t.Errorf("%s: %d jobs at once at most", size, most)
	}
}
