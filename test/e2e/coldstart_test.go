package e2e

import (
	"slices"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
)

// With no runner there and default settings, half of the jobs are to be begun
// within usuallyWithin of being queued, and 95 of 100 within nearlyAlwaysWithin.
const (
	usuallyWithin      = 600 * time.Millisecond
	nearlyAlwaysWithin = 1300 * time.Millisecond
	// coldPace is the pace of the watch. Each look takes the server a few
	// milliseconds of the machine's time. When a job came and was begun is known
	// within the pace, so that the middle is taken.
	coldPace = 50 * time.Millisecond
)

// checkColdStarts queues fifty jobs one at a time, with random pauses of 2 s to
// 20 s between them.
func checkColdStarts(t *testing.T, r *rig) {
	slow(t)
	const n = 50
	rnd := random(t, 50)
	d := r.daemon(t, settings{UsualNetwork: true, Pools: []pool{{Name: "cold", Label: "cold", Max: 10}}})
	repo := r.repo(t, realgitea.Admin, "cold", 1, "sleep 300ms")
	w := r.watchAt(t, repo, coldPace)
	rest := func() time.Duration { return 2*time.Second + time.Duration(rnd.Int64N(int64(18*time.Second))) }
	jobs := r.oneByOne(t, repo, w, n, rest, func() { r.nothingLeft(t, goneWithin) })
	t.Log("at most: " + figures(waits(jobs)))
	var about []time.Duration
	for _, j := range jobs {
		about = append(about, j.about())
	}
	t.Log("about: " + figures(about))
	sorted := slices.Sorted(slices.Values(about))
	if p50, p95 := sorted[n/2-1], sorted[n*95/100]; p50 > usuallyWithin || p95 > nearlyAlwaysWithin {
		t.Errorf("p50 %s and p95 %s, want at most %s and %s", p50, p95, usuallyWithin, nearlyAlwaysWithin)
	}
	wantQuiet(t, d)
}
