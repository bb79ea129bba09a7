package journal

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

// numbers are those of the events after seq.
func numbers(j *Journal, seq uint64, limit int) (seqs []uint64, missed uint64) {
	events, missed := j.Since(seq, limit)
	for _, e := range events {
		seqs = append(seqs, e.Seq)
	}
	return seqs, missed
}

func TestSince(t *testing.T) {
	j := New(3)
	for range 5 {
		j.Add(plan.Event{Kind: plan.EventRunner})
	}
	tests := map[string]struct {
		seq    uint64
		limit  int
		want   []uint64
		missed uint64
	}{
		"all that is kept":         {0, 10, []uint64{3, 4, 5}, 2},
		"some is missed":           {1, 10, []uint64{3, 4, 5}, 1},
		"nothing is missed":        {2, 10, []uint64{3, 4, 5}, 0},
		"a few":                    {2, 2, []uint64{3, 4}, 0},
		"the newest":               {4, 10, []uint64{5}, 0},
		"none is newer":            {5, 10, nil, 0},
		"the daemon was restarted": {17, 10, []uint64{3, 4, 5}, 2},
		"nobody wants to have any": {0, 0, nil, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, missed := numbers(j, tt.seq, tt.limit)
			if !slices.Equal(got, tt.want) || missed != tt.missed {
				t.Errorf("events %v, missed %d, want %v, %d", got, missed, tt.want, tt.missed)
			}
		})
	}
}

func TestTimeOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, before := New(2), time.Now().Add(-time.Hour)
		j.Add(plan.Event{At: before})
		j.Add(plan.Event{})
		events, _ := j.Since(0, 2)
		if !events[0].At.Equal(before) || !events[1].At.Equal(time.Now()) {
			t.Errorf("times %v and %v, want %v and %v", events[0].At, events[1].At, before, time.Now())
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := New(2)
		go func() {
			time.Sleep(time.Minute)
			j.Add(plan.Event{})
		}()
		began := time.Now()
		if err := j.Wait(t.Context(), 0); err != nil || time.Since(began) != time.Minute {
			t.Errorf("waited %s, %v, want a minute", time.Since(began), err)
		}
		if err := j.Wait(t.Context(), 0); err != nil || time.Since(began) != time.Minute {
			t.Errorf("waited %s for what is there, %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := j.Wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without an event: %v, want the end of ctx", err)
		}
	})
}

// Events come in while others read: with the race detector.
func TestTogether(t *testing.T) {
	j := New(8)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const count = 1000
	go func() {
		for range count {
			j.Add(plan.Event{})
		}
	}()
	var seen, lost uint64
	for seq := uint64(0); seq < count; {
		if err := j.Wait(ctx, seq); err != nil {
			t.Fatal(err)
		}
		events, missed := j.Since(seq, count)
		seen, lost = seen+uint64(len(events)), lost+missed
		seq = events[len(events)-1].Seq
	}
	if seen+lost != count {
		t.Errorf("%d seen and %d missed of %d", seen, lost, count)
	}
}
