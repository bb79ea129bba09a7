package trend

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

// world is what the recorder looks at.
type world struct {
	mu sync.Mutex
	plan.Status
}

func (w *world) status() plan.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Status
}

// busyWorld has five queued jobs, of which one is served, and ten runners.
func busyWorld() *world {
	w := &world{}
	w.CycleAt, w.QueueSize = time.Now(), 5
	w.Queue = []plan.JobDecision{{ID: 1, Pool: "linux", QueuedAt: time.Now().Add(-time.Minute)}, {ID: 2, QueuedAt: time.Now()}}
	w.Pools = []plan.PoolStatus{{Name: "linux", Starting: 1, Idle: 2, Busy: 3, Leaving: 1}, {Name: "arm", Busy: 3}}
	return w
}

// run has a recorder look at the world for some time.
func run(t *testing.T, w *world, lasting time.Duration) *Recorder {
	t.Helper()
	r := New(w.status)
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDescriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := busyWorld()
		r := New(w.status)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.Run(ctx)
		time.Sleep(10 * time.Minute)
		for range 19 {
			r.Began(2 * time.Second)
		}
		r.Began(time.Minute)
		w.mu.Lock()
		w.QueueSize, w.Queue, w.Pools = 1, nil, []plan.PoolStatus{{Name: "linux", Idle: 4}}
		w.mu.Unlock()
		time.Sleep(time.Minute)
		for chart, want := range map[string]string{
			Queue:   "Over the last hour at most 5 jobs waited, and at most 1 had no pool to serve them. Lately it was 1 and 0.",
			Runners: "Over the last hour there were at most 10 runners. Lately 0 were busy, 4 idle, 0 starting and 0 leaving.",
			"other": "",
		} {
			if got := r.Describe(chart); got != want {
				t.Errorf("%s: %q, want %q", chart, got, want)
			}
		}
		if got := r.Describe(Waits); !strings.HasPrefix(got, "Over the last hour 20 jobs began. Half of them waited up to 1.") && !strings.HasPrefix(got, "Over the last hour 20 jobs began. Half of them waited up to 2.") {
			t.Errorf("waits: %q", got)
		}
	})
}

func TestNothingIsShownBeforeTheFirstCycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &world{}, time.Minute)
		r.mu.Lock()
		defer r.mu.Unlock()
		list, _ := r.series()
		for _, p := range list {
			if p.looked {
				t.Fatalf("a look at %s", p.at)
			}
		}
	})
}

// The shortest span is drawn that has all there is, and never more than twelve
// hours.
func TestSpans(t *testing.T) {
	for lasting, want := range map[time.Duration]time.Duration{
		time.Minute: time.Hour, 50 * time.Minute: time.Hour, 2 * time.Hour: 3 * time.Hour, 5 * time.Hour: 12 * time.Hour, 40 * time.Hour: 12 * time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := run(t, busyWorld(), lasting)
			r.mu.Lock()
			defer r.mu.Unlock()
			list, each := r.series()
			if got := each * time.Duration(len(list)); got != want {
				t.Errorf("after %s: %s are drawn, want %s", lasting, got, want)
			}
			if age := time.Since(list[len(list)-1].at); age < 0 || age > 2*each {
				t.Errorf("after %s: the last point is %s old", lasting, age)
			}
			looked := 0
			for _, p := range list {
				if p.looked {
					looked++
				}
			}
			if want := min(int(lasting/each), len(list)); looked < want-1 || looked > want+1 {
				t.Errorf("after %s: %d points, want some %d", lasting, looked, want)
			}
		})
	}
}

// What is older than the ring is forgotten, also where the daemon slept.
func TestOldSlotsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := busyWorld()
		r := New(w.status)
		r.look(time.Now())
		r.Began(time.Second)
		time.Sleep(13 * time.Hour)
		w.Status = plan.Status{CycleAt: time.Now()}
		r.look(time.Now())
		if got := r.Describe(Queue); !strings.Contains(got, "at most 0 jobs waited") {
			t.Errorf("queue: %q", got)
		}
		if got := r.Describe(Waits); !strings.Contains(got, "no job began") {
			t.Errorf("waits: %q", got)
		}
	})
}

func TestQuantilesAreRightToAnEighth(t *testing.T) {
	for _, wait := range []time.Duration{60 * time.Millisecond, 700 * time.Millisecond, 3 * time.Second, 95 * time.Second, 40 * time.Minute, 9 * time.Hour} {
		var h histogram
		for range 10 {
			h.add(wait)
		}
		for _, q := range []float64{0.01, 0.5, 0.95, 1} {
			if got := h.quantile(q); got < wait*85/100 || got > wait*115/100 {
				t.Errorf("quantile %v of %s is %s", q, wait, got)
			}
		}
	}
	var h histogram
	h.add(0)
	h.add(1000 * time.Hour)
	if got := h.quantile(0.5); got > firstBucket {
		t.Errorf("no wait counts as %s", got)
	}
	if got := h.quantile(1); got < 10*time.Hour {
		t.Errorf("a very long wait counts as %s", got)
	}
}

func TestDraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, r := range map[string]*Recorder{"nothing": New((&world{}).status), "an hour": run(t, busyWorld(), time.Hour)} {
			r.Began(3 * time.Second)
			seen := make(map[string]bool)
			for _, chart := range []string{Queue, Runners, Waits} {
				for _, dark := range []bool{false, true} {
					svg, err := r.Draw(chart, dark)
					if err != nil {
						t.Fatalf("%s: %s: %v", name, chart, err)
					}
					checkPicture(t, svg)
					if seen[string(svg)] {
						t.Errorf("%s: %s, dark %t is as another one", name, chart, dark)
					}
					seen[string(svg)] = true
				}
			}
		}
	})
}

// checkPicture expects well-formed SVG that loads nothing and runs nothing.
func checkPicture(t *testing.T, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && strings.Contains("script image use foreignObject a style", e.Name.Local) {
			t.Errorf("it has a <%s>", e.Name.Local)
		}
	}
	for _, no := range []string{"url(", "@import", "javascript", "NaN", "Inf", "e+"} {
		if bytes.Contains(svg, []byte(no)) {
			t.Errorf("it has %q", no)
		}
	}
}

func TestIntervalsAreRound(t *testing.T) {
	for highest, want := range map[float64]float64{0: 1, 4: 1, 4.5: 2, 8.1: 5, 77: 20, 399: 100, 5000: 2000} {
		if got := (picture{chart: Queue}).interval(highest); got != want {
			t.Errorf("up to %v jobs: %v, want %v", highest, got, want)
		}
	}
	for seconds, want := range map[float64]float64{0: 1, 7: 2, 50: 15, 90: 30, 250: 120, 7000: 1800, 20_000: 7200} {
		if got := (picture{chart: Waits}).interval(seconds); got != want {
			t.Errorf("up to %v s: %v, want %v", seconds, got, want)
		}
	}
}

func TestDrawsOncePerSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := busyWorld()
		r := New(w.status)
		r.look(time.Now())
		first, _ := r.Draw(Queue, false)
		again, _ := r.Draw(Queue, false)
		if &first[0] != &again[0] {
			t.Error("drawn twice without a new sample")
		}
		before := r.Version()
		time.Sleep(every)
		w.QueueSize = 50
		r.look(time.Now())
		if r.Version() == before {
			t.Error("the version is the same after a sample")
		}
		if next, _ := r.Draw(Queue, false); bytes.Equal(first, next) {
			t.Error("not drawn anew after a sample")
		}
	})
}

func TestNoSuchChart(t *testing.T) {
	if _, err := New((&world{}).status).Draw("other", false); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestTogether(t *testing.T) {
	r := New(busyWorld().status)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			r.Began(time.Duration(i) * time.Millisecond)
			r.look(time.Now())
		}
	}()
	for range 5 {
		if _, err := r.Draw(Waits, true); err != nil {
			t.Error(err)
		}
		_ = r.Describe(Waits)
	}
	<-done
}

func BenchmarkLook(b *testing.B) {
	w := busyWorld()
	for i := range 5000 {
		w.Queue = append(w.Queue, plan.JobDecision{ID: int64(i), QueuedAt: time.Now()})
	}
	r := New(w.status)
	for b.Loop() {
		r.look(time.Now())
	}
}

func BenchmarkDraw(b *testing.B) {
	w := busyWorld()
	r := New(w.status)
	at := time.Now()
	for i := range slots {
		at = at.Add(every)
		w.QueueSize = i % 97
		r.look(at)
	}
	for _, chart := range []string{Queue, Runners, Waits} {
		b.Run(fmt.Sprint(chart), func(b *testing.B) {
			for b.Loop() {
				clear(r.drawn)
				if _, err := r.Draw(chart, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
