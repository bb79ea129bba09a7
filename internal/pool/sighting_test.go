package pool

import (
	"maps"
	"slices"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// How long a job has waited is told by when it was first seen, which is kept until
// no look after the first can show it with its runner.
func TestWhenAJobWasFirstSeenIsKept(t *testing.T) {
	is := func(ids ...int64) map[int64]bool {
		set := make(map[int64]bool)
		for _, id := range ids {
			set[id] = true
		}
		return set
	}
	type look struct{ queued, running map[int64]bool }
	tests := map[string]struct {
		looks []look
		want  time.Duration // after the first look at which the job was first seen, less than 0 if that is forgotten
	}{
		"waits":                    {[]look{{is(7), nil}, {is(7), nil}}, 0},
		"runs":                     {[]look{{is(7), nil}, {nil, is(7)}, {nil, is(7)}, {nil, is(7)}}, 0},
		"in neither list once":     {[]look{{is(7), nil}, {is(8), nil}}, 0},
		"between lists, then runs": {[]look{{is(7), nil}, {nil, nil}, {nil, is(7)}, {nil, nil}}, 0},
		"is over":                  {[]look{{is(7), nil}, {nil, is(7)}, {nil, nil}, {nil, nil}}, -1},
		"was cancelled":            {[]look{{is(7), nil}, {nil, nil}, {nil, nil}}, -1},
		"waits again":              {[]look{{is(7), nil}, {nil, is(7)}, {nil, nil}, {is(7), nil}}, 3 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := &Manager{firstSeen: make(map[int64]sighting), pace: newPace(Pace{Polls: plan.Polls{Usual: time.Second}})}
			start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for i, l := range tt.looks {
				at := start.Add(time.Duration(i) * time.Second)
				for range 2 { // a status is made of the same look as its cycle
					for _, id := range slices.Sorted(maps.Keys(l.queued)) {
						m.sawFirst(id, at)
					}
					m.forgetSeen(l.queued, l.running, at)
				}
			}
			got := time.Duration(-1)
			if s, kept := m.firstSeen[7]; kept {
				got = s.first.Sub(start)
			}
			if got != tt.want {
				t.Errorf("first seen after %s, want %s", got, tt.want)
			}
		})
	}
}
