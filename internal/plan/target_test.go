package plan

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// daily has some weeks of as many jobs an hour as said for each hour of the day,
// evenly spaced, each coming as a burst of so many.
func daily(a *Arrivals, days int, jobs func(hour int) int, burst int) time.Time {
	at := monday
	for h := range days * 24 {
		n := jobs(h % 24)
		for m := range 60 {
			t := at.Add(time.Duration(h*60+m) * time.Minute)
			a.Look(t)
			for range (m+1)*n/60/burst - m*n/60/burst {
				a.Add(t, burst, p95.Wait)
			}
		}
	}
	at = at.Add(time.Duration(days*24) * time.Hour)
	a.Look(at)
	return at
}

func TestTargetIsBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 30 {
		a, at := someArrivals(r, 1)
		auto := Auto{Percentile: []int{50, 90, 95, 99}[r.IntN(4)], Wait: time.Duration(r.IntN(30)) * time.Second, Most: r.IntN(40)}
		for range 50 {
			at = at.Add(time.Duration(r.IntN(90)) * time.Minute)
			a.Look(at)
			most := r.IntN(30)
			if got := a.Target(at, auto, most); got.Idle < 0 || got.Idle > min(most, auto.Most) {
				t.Fatalf("%+v with %+v and max %d", got, auto, most)
			}
		}
	}
}

func TestTargetIsDeterministic(t *testing.T) {
	a, at := someArrivals(rand.New(rand.NewPCG(1, 1)), 1)
	b, _ := someArrivals(rand.New(rand.NewPCG(1, 1)), 1)
	for k := range 200 {
		at = at.Add(7 * time.Minute)
		a.Look(at)
		b.Look(at)
		for range k % 3 {
			a.Target(at, p95, 40) // asked more often
		}
		if x, y := a.Target(at, p95, 40), b.Target(at, p95, 40); x != y {
			t.Fatalf("%+v and %+v", x, y)
		}
	}
}

// A higher percentile never keeps fewer runners, nor does a greater most.
func TestTargetRisesWithWhatIsAsked(t *testing.T) {
	for seed := range uint64(10) {
		a, at := someArrivals(rand.New(rand.NewPCG(seed, 2)), 1)
		for h := range 24 {
			before := 0
			for _, p := range []int{50, 90, 95, 99} {
				now := a.Target(at.Add(time.Duration(h)*time.Hour), Auto{p, p95.Wait, 100}, 100).Idle
				if now < before {
					t.Errorf("seed %d hour %d: p%d keeps %d, less than %d", seed, h, p, now, before)
				}
				before = now
			}
		}
	}
}

// More jobs of the same kind never keep fewer runners.
func TestTargetRisesWithTheLoad(t *testing.T) {
	for _, burst := range []int{1, 5} {
		before := 0
		for _, rate := range []int{0, 5, 20, 60, 240, 1200} {
			a := &Arrivals{}
			a.Started(20 * time.Second)
			r := rand.New(rand.NewPCG(1, 2))
			at := monday
			for range 3 * 24 * 3600 / 5 {
				at = at.Add(5 * time.Second)
				a.Look(at)
				if r.Float64() < float64(rate)/720/float64(burst) {
					a.Add(at, burst, p95.Wait)
				}
			}
			got := a.Target(at, p95, 50)
			t.Logf("bursts of %d, %d an hour: %d, %s", burst, rate, got.Idle, got.Why)
			if got.Idle < before {
				t.Errorf("%d jobs an hour keep %d, fewer than %d", rate, got.Idle, before)
			}
			before = got.Idle
		}
		if before == 0 {
			t.Error("nothing is ever kept")
		}
	}
}

func TestTargetGoesByTheHourOfTheWeek(t *testing.T) {
	a := &Arrivals{}
	a.Started(30 * time.Second)
	at := daily(a, 14, func(hour int) int {
		if hour >= 8 && hour < 18 {
			return 120
		}
		return 1
	}, 6)
	at = at.Add(7*time.Hour + 30*time.Minute)
	watch(a, monday.AddDate(0, 0, 14), 7*time.Hour+30*time.Minute)
	night := a.Target(at, p95, 50)
	if night.Idle > 1 {
		t.Errorf("at 07:30 %+v", night)
	}
	before := watch(a, at, 29*time.Minute)
	if rise := a.Target(before, p95, 50); rise.Idle < 5 {
		t.Errorf("a minute before the day begins: %+v", rise)
	}
	if !strings.HasPrefix(a.last.ready.Why, "auto, target p95 2s: ") {
		t.Errorf("why: %s", a.last.ready.Why)
	}
}

// After weeks without it a rhythm is forgotten.
func TestTargetForgets(t *testing.T) {
	a := &Arrivals{}
	a.Started(30 * time.Second)
	at := daily(a, 21, func(int) int { return 60 }, 6)
	if n := a.Target(at, p95, 50).Idle; n < 5 {
		t.Fatalf("keeps %d", n)
	}
	for range 20 * weekHours * 60 {
		at = at.Add(time.Minute)
		a.Look(at)
	}
	if r := a.Target(at, p95, 50); r.Idle != 0 {
		t.Errorf("twenty weeks without a job later: %+v", r)
	}
}

func TestTargetWithoutHistory(t *testing.T) {
	a := &Arrivals{}
	a.Look(monday)
	if r := a.Target(monday, p95, 50); r.Idle != 1 || !strings.Contains(r.Why, "no job has come yet") {
		t.Errorf("at first: %+v", r)
	}
	at := watch(a, monday, 10*time.Minute)
	a.Add(at, 4, p95.Wait)
	r := a.Target(at, p95, 50)
	if r.Idle < 3 || r.Idle > 4 || !strings.Contains(r.Why, "by the last hour alone") {
		t.Errorf("after a burst of four: %+v", r)
	}
	b := &Arrivals{}
	at = watch(b, monday, 2*time.Hour)
	if r := b.Target(at, p95, 50); r.Idle != 0 {
		t.Errorf("after two hours without a job: %+v", r)
	}
}

func TestTargetThatNeedsNothing(t *testing.T) {
	a, at := someArrivals(rand.New(rand.NewPCG(9, 9)), 1)
	for range maxColds {
		a.Started(1200 * time.Millisecond)
	}
	if r := a.Target(at, p95, 50); r.Idle != 0 || r.Why != "auto, target p95 2s: a cold start takes 1s, so none has to be ready" {
		t.Errorf("%+v", r)
	}
}

func TestTargetSaysThatItCannotBeMet(t *testing.T) {
	a := &Arrivals{}
	a.Started(30 * time.Second)
	at := daily(a, 14, func(int) int { return 60 }, 20)
	if r := a.Target(at, p95, 8); r.Idle != 8 || !strings.Contains(r.Why, "; its most, 8, are enough for p40 only") {
		t.Errorf("eight for bursts of twenty: %+v", r)
	}
	if r := a.Target(at, p95, 50); r.Idle < 19 || r.Idle > 24 || strings.Contains(r.Why, "only") {
		t.Errorf("fifty for bursts of twenty: %+v", r)
	}
}
