package plan

import (
	"math"
	"slices"
	"testing"
	"time"
)

// monday is the first hour of a week.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

var p95 = Auto{Percentile: 95, Wait: 2 * time.Second, Most: 50}

// watch has the queue looked at each ten seconds.
func watch(a *Arrivals, from time.Time, d time.Duration) time.Time {
	end := from.Add(d)
	for t := from; t.Before(end); t = t.Add(10 * time.Second) {
		a.Look(t)
	}
	a.Look(end)
	return end
}

func near(got, want float64) bool { return math.Abs(got-want) < 1e-6*(1+math.Abs(want)) }

func TestRanks(t *testing.T) {
	tests := []struct {
		name         string
		before, jobs int
		want         map[int]float64 // by the class's limit, 0 for the last
	}{
		{"one", 0, 1, map[int]float64{1: 1}},
		{"the fourth", 3, 1, map[int]float64{4: 1}},
		{"a burst goes through the classes", 0, 10, map[int]float64{1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 8: 2, 10: 2}},
		{"a burst after others", 5, 4, map[int]float64{6: 1, 8: 2, 10: 1}},
		{"what is beyond all classes counts in the last", 254, 10, map[int]float64{256: 2, 0: 8}},
		{"all beyond", 600, 2, map[int]float64{0: 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var want, got spread
			for limit, jobs := range test.want {
				i := slices.Index(rankLimits[:], limit)
				if limit == 0 {
					i = rankClasses - 1
				}
				want[i] = jobs
			}
			got.add(test.before, test.jobs)
			if got != want {
				t.Errorf("got %v\nwant %v", got, want)
			}
		})
	}
}

func TestGainsNeverRise(t *testing.T) {
	var r spread
	r.add(0, 12) // a dozen at once: each of twelve runners gains the same
	g := gainsOf(&r, 6, 256)
	for i, limit := range rankLimits {
		want := 0.5
		if limit > 12 {
			want = 0
		}
		if !near(g.gain[i], want) {
			t.Errorf("up to %d runners gain %v each, want %v", limit, g.gain[i], want)
		}
	}
	r.add(0, 1)
	r.add(0, 1)
	if g = gainsOf(&r, 14, 256); !near(g.gain[0], 3) || !near(g.gain[1], 1) || !near(g.gain[8], 1) {
		t.Errorf("gains %v", g.gain)
	}
	if n, jobs := g.above(0.5); n != 12 || !near(jobs, 14) {
		t.Errorf("%d runners serve %v of 14 jobs", n, jobs)
	}
	g = gainsOf(&r, 14, 7) // between two classes
	if n, jobs := g.above(0); n != 7 || !near(jobs, 9) {
		t.Errorf("7 runners at most: %d serve %v jobs", n, jobs)
	}
}

func TestArrivalsCountRanksWithinAStart(t *testing.T) {
	a := &Arrivals{}
	a.Started(10 * time.Second) // and reaction, less the target: 8.5 s
	a.Look(monday)
	for _, s := range []float64{1, 2, 9.4, 9.6, 30} {
		at := monday.Add(time.Duration(s * float64(time.Second)))
		a.Look(at)
		a.Add(at, 1, 2*time.Second)
	}
	var want spread
	want[0], want[1], want[2] = 2, 1, 2 // 1 and 30; 2; 9.4 and, with that of 1 gone, 9.6
	if a.present.ranks != want {
		t.Errorf("ranks %v, want %v", a.present.ranks, want)
	}
}

func TestArrivalsByTheHour(t *testing.T) {
	a := &Arrivals{}
	at := watch(a, monday, 30*time.Minute)
	a.Add(at, 6, p95.Wait)
	at = watch(a, at, 30*time.Minute)
	if h := a.hours[0]; !near(h.watched, 1) || h.ranks.sum() != 6 {
		t.Errorf("first hour: %+v", h)
	}
	at = watch(a, at, 167*time.Hour) // the rest of the week
	at = watch(a, at, time.Hour)
	if h := a.hours[0]; !near(h.watched, 1+fade) || !near(h.ranks.sum(), 6*fade) {
		t.Errorf("a quiet hour a week later: watched %v, %v jobs", h.watched, h.ranks.sum())
	}
	if at.Sub(a.LookedAt()) != 0 {
		t.Errorf("looked at %v", a.LookedAt())
	}
}

// What comes while nobody looks is not known, and is not nothing.
func TestArrivalsWhileNobodyLooks(t *testing.T) {
	a := &Arrivals{}
	at := watch(a, monday, 15*time.Minute)
	a.Add(at, 5, p95.Wait)
	if !a.Look(at.Add(time.Minute)) || a.Look(at.Add(3*time.Hour)) {
		t.Error("what came in three hours without a look came just now, or what came in a minute did not")
	}
	if h := a.hours[0]; !near(h.watched, 16.0/60) || h.ranks.sum() != 5 {
		t.Errorf("the hour that was looked at for 16 minutes: %+v", h)
	}
	if h := a.hours[1]; h.watched != 0 {
		t.Errorf("the hour that was not looked at: %+v", h)
	}
	if jobs := a.lastHour(); jobs != 0 {
		t.Errorf("%v jobs an hour, by what was long ago", jobs)
	}
	a.Look(at.Add(1000 * time.Hour))
	a.Look(at.Add(500 * time.Hour)) // the clock was wrong
	if !a.LookedAt().Equal(at.Add(500 * time.Hour)) {
		t.Errorf("looked at %v", a.LookedAt())
	}
	b := *a
	a.Look(at.Add(500*time.Hour - 5*time.Minute)) // set back a little
	if a.present != b.present || a.at != b.at {
		t.Error("a clock that is set back a little counts time twice")
	}
}

func TestColdStart(t *testing.T) {
	a := &Arrivals{}
	if a.ColdStart() != 0 || a.lead(2*time.Second) != 18500*time.Millisecond {
		t.Errorf("before any start: %v, lead %v", a.ColdStart(), a.lead(2*time.Second))
	}
	for i := range 40 {
		took := 3 * time.Second
		if i%11 == 0 {
			took = time.Minute // an image was pulled
		}
		a.Started(took)
	}
	a.Started(-time.Second)
	a.Started(2 * time.Hour)
	if len(a.colds) != maxColds || a.ColdStart() != 3*time.Second {
		t.Errorf("%d starts, cold start %v", len(a.colds), a.ColdStart())
	}
}

func TestWeekHour(t *testing.T) {
	for h := range 2 * weekHours {
		if got := weekHour(int(monday.Add(time.Duration(h)*time.Hour).Unix() / 3600)); got != h%weekHours {
			t.Fatalf("hour %d of the week is %d", h, got)
		}
	}
}
