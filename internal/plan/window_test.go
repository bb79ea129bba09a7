package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// starting is a Next for windows that start at the given moments, in order.
func starting(at ...time.Time) func(time.Time) time.Time {
	return func(after time.Time) time.Time {
		for _, t := range at {
			if t.After(after) {
				return t
			}
		}
		return time.Time{}
	}
}

// every is a Next for windows that start at each multiple of the distance.
func every(d time.Duration) func(time.Time) time.Time {
	return func(after time.Time) time.Time { return after.Truncate(d).Add(d) }
}

func in(hours float64) time.Time { return now.Add(time.Duration(hours * float64(time.Hour))) }

func ptr[T any](v T) *T { return &v }

func TestAtUnderWindows(t *testing.T) {
	night := Window{Name: "night", Next: starting(in(-1), in(23)), Duration: 4 * time.Hour}
	tests := []struct {
		name    string
		windows []Window
		at      time.Time
		want    ScheduleState
	}{
		{"no windows", nil, now, ScheduleState{}},
		{"before", []Window{night}, in(-2), ScheduleState{Next: in(-1), NextWindow: "night"}},
		{"just before", []Window{night}, in(-1).Add(-1), ScheduleState{Next: in(-1), NextWindow: "night"}},
		{"the first moment", []Window{night}, in(-1), ScheduleState{Window: "night", Next: in(3)}},
		{"within", []Window{night}, now, ScheduleState{Window: "night", Next: in(3)}},
		{"the last moment", []Window{night}, in(3).Add(-1), ScheduleState{Window: "night", Next: in(3)}},
		{"after", []Window{night}, in(3), ScheduleState{Next: in(23), NextWindow: "night"}},
		{"never again", []Window{night}, in(27), ScheduleState{}},
		{
			"one that begins as it ends goes on", []Window{{Name: "w", Next: starting(in(-1), in(1), in(3), in(6)), Duration: 2 * time.Hour}}, now,
			ScheduleState{Window: "w", Next: in(5)},
		},
		{
			"one that begins before it has ended goes on", []Window{{Name: "w", Next: starting(in(-3), in(-2), in(-1), in(2), in(6)), Duration: 4 * time.Hour}}, now,
			ScheduleState{Window: "w", Next: in(10)},
		},
		{
			"a later one takes over and gives back", []Window{{Name: "a", Next: starting(in(-1)), Duration: 9 * time.Hour}, {Name: "b", Next: starting(in(2)), Duration: time.Hour}}, now,
			ScheduleState{Window: "a", Next: in(2), NextWindow: "b"},
		},
		{
			"and goes back to the earlier one", []Window{{Name: "a", Next: starting(in(-1)), Duration: 9 * time.Hour}, {Name: "b", Next: starting(in(2)), Duration: time.Hour}}, in(2),
			ScheduleState{Window: "b", Next: in(3), NextWindow: "a"},
		},
		{
			"what an earlier one does beneath does not show", []Window{{Name: "a", Next: starting(in(1)), Duration: time.Hour}, {Name: "b", Next: starting(in(-1)), Duration: 9 * time.Hour}}, now,
			ScheduleState{Window: "b", Next: in(8)},
		},
		{
			"the last of those that begin at once", []Window{{Name: "a", Next: starting(in(1)), Duration: time.Hour}, {Name: "b", Next: starting(in(1)), Duration: time.Hour}}, now,
			ScheduleState{Next: in(1), NextWindow: "b"},
		},
		{"far away", []Window{{Name: "w", Next: starting(in(400 * 24)), Duration: time.Hour}}, now, ScheduleState{}},
		{"not quite a year away", []Window{{Name: "w", Next: starting(in(365 * 24)), Duration: time.Hour}}, now, ScheduleState{Next: in(365 * 24), NextWindow: "w"}},
		{"always", []Window{{Name: "w", Next: every(time.Hour), Duration: time.Hour}}, now, ScheduleState{Window: "w"}},
		{"always, minute by minute", []Window{{Name: "w", Next: every(time.Minute), Duration: time.Minute}}, now, ScheduleState{Window: "w"}},
		{
			"minute by minute, beneath one that is not looked so far for",
			[]Window{{Name: "w", Next: every(time.Minute), Duration: time.Minute}, {Name: "x", Next: starting(in(300 * 24)), Duration: time.Hour}}, now,
			ScheduleState{Window: "w"},
		},
		{
			"minute by minute, beneath one that comes soon",
			[]Window{{Name: "w", Next: every(time.Minute), Duration: time.Minute}, {Name: "x", Next: starting(in(100)), Duration: time.Hour}}, now,
			ScheduleState{Window: "w", Next: in(100), NextWindow: "x"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := linux(func(p *Pool) { p.Windows = NewWindows(tt.windows...) })
			if _, got := p.At(tt.at); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestAtSetsNumbers(t *testing.T) {
	first := Window{Name: "first", Next: starting(in(-1)), Duration: 2 * time.Hour, Min: ptr(2), Idle: ptr(3), Max: ptr(20)}
	second := Window{Name: "second", Next: starting(now), Duration: 2 * time.Hour, Max: ptr(0), IdleTimeout: ptr(time.Duration(0))}
	own := linux(func(p *Pool) { p.Min, p.Idle = 1, 4 })
	own.Windows = NewWindows(first, second)
	tests := []struct {
		name           string
		at             time.Time
		min, idle, max int
		timeout        time.Duration
	}{
		{"its own", in(-2), 1, 4, 10, 5 * time.Minute},
		{"what the window does not set is its own", in(-1), 2, 3, 20, 5 * time.Minute},
		{"the winner alone counts", now, 1, 4, 0, 0},
		{"its own again", in(2), 1, 4, 10, 5 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := own.At(tt.at)
			if p.Min != tt.min || p.Idle != tt.idle || p.Max != tt.max || p.IdleTimeout != tt.timeout {
				t.Errorf("min %d, idle %d, max %d, idle_timeout %s", p.Min, p.Idle, p.Max, p.IdleTimeout)
			}
			if again, s := p.At(in(-1)); again.Max != tt.max || s != (ScheduleState{}) {
				t.Errorf("At of what At gave is %d, %+v, which must be settled", again.Max, s)
			}
		})
	}
	if own.Max != 10 || own.Windows == nil {
		t.Error("At changed the pool itself")
	}
}

// scan says what the windows come to by looking at each minute: the holder of
// one, and the first minute after it that has another holder.
func scan(windows []Window, starts [][]time.Time, at, last time.Time) ScheduleState {
	holder := func(at time.Time) string {
		name := ""
		for i, w := range windows {
			if slices.ContainsFunc(starts[i], func(s time.Time) bool { return !s.After(at) && at.Before(s.Add(w.Duration)) }) {
				name = w.Name
			}
		}
		return name
	}
	s := ScheduleState{Window: holder(at)}
	for t := at.Truncate(time.Minute).Add(time.Minute); !t.After(last); t = t.Add(time.Minute) {
		if next := holder(t); next != s.Window {
			s.Next, s.NextWindow = t, next
			break
		}
	}
	return s
}

func TestAtAgreesWithScanOfMinutes(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 6))
		var windows []Window
		var starts [][]time.Time
		for i := range 1 + r.IntN(4) {
			var at []time.Time
			for range r.IntN(12) {
				at = append(at, now.Add(time.Duration(r.IntN(3*24*60))*time.Minute))
			}
			slices.SortFunc(at, time.Time.Compare)
			starts = append(starts, at)
			windows = append(windows, Window{Name: fmt.Sprintf("w%d", i), Next: starting(at...), Duration: time.Duration(1+r.IntN(600)) * time.Minute})
		}
		p := Pool{Windows: NewWindows(windows...)}
		last := now.Add(4 * 24 * time.Hour)
		for range 20 {
			at := now.Add(time.Duration(r.Int64N(int64(3 * 24 * time.Hour))))
			want := scan(windows, starts, at, last)
			if _, got := p.At(at); got != want {
				t.Fatalf("seed %d, at %s: got %+v, want %+v", seed, at, got, want)
			}
			// What it remembers must not show.
			if _, got := (Pool{Windows: NewWindows(windows...)}).At(at); got != want {
				t.Fatalf("seed %d, at %s: afresh %+v, want %+v", seed, at, got, want)
			}
		}
	}
}

// A window that is looked at for a year ahead gives the same answer whenever
// it was asked before.
func TestAtForgetsHowFarItLooked(t *testing.T) {
	at := now.Add(lookAhead)
	windows := []Window{{Name: "w", Next: starting(at), Duration: time.Hour}}
	p := Pool{Windows: NewWindows(windows...)}
	for h := range 24 * 3 {
		day := now.Add(time.Duration(h-48) * time.Hour)
		_, got := p.At(day)
		if _, want := (Pool{Windows: NewWindows(windows...)}).At(day); got != want {
			t.Fatalf("%d hours: got %+v, afresh %+v", h, got, want)
		}
	}
	if _, got := p.At(now.Add(24 * time.Hour)); got.Next != at {
		t.Errorf("got %+v, want a change at %s", got, at)
	}
}

func TestAtIsSafeForConcurrentUse(t *testing.T) {
	p := linux(func(p *Pool) {
		p.Windows = NewWindows(Window{Name: "w", Next: every(time.Hour), Duration: 30 * time.Minute, Max: ptr(1)})
	})
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := range 1000 {
				at := now.Add(time.Duration(i+g) * 7 * time.Minute)
				want := 10
				if at.Minute() < 30 {
					want = 1
				}
				if q, _ := p.At(at); q.Max != want {
					t.Errorf("at %s: max %d, want %d", at, q.Max, want)
				}
			}
		})
	}
	group.Wait()
}

func BenchmarkAt(b *testing.B) {
	p := linux(func(p *Pool) {
		p.Windows = NewWindows(Window{Name: "w", Next: every(24 * time.Hour), Duration: 10 * time.Hour, Max: ptr(1)})
	})
	for i := 0; b.Loop(); i++ {
		if q, _ := p.At(now.Add(time.Duration(i%240) * 250 * time.Millisecond)); q.Max != 10 {
			b.Fatalf("max %d", q.Max)
		}
	}
}
