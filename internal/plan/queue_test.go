package plan

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestByAge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 8))
	times := map[string]func() time.Time{
		"within seconds": func() time.Time { return now.Add(time.Duration(r.Int64N(3e9))) },
		"within an hour": func() time.Time { return now.Add(-time.Duration(r.IntN(3600)) * time.Second) },
		"within a year":  func() time.Time { return now.Add(-time.Duration(r.IntN(1e7)) * time.Second) },
		"some never":     func() time.Time { return []time.Time{{}, now, now.Add(time.Second)}[r.IntN(3)] },
		"at any time":    func() time.Time { return time.Unix(r.Int64()-1<<62, r.Int64N(1e9)) },
		"at one time":    func() time.Time { return now },
	}
	for name, at := range times {
		t.Run(name, func(t *testing.T) {
			for n := range 200 {
				var jobs []Job
				for range n {
					jobs = append(jobs, Job{ID: r.Int64N(int64(2 * n)), QueuedAt: at()})
				}
				want := slices.Clone(jobs)
				slices.SortStableFunc(want, func(a, b Job) int { return cmp.Or(a.QueuedAt.Compare(b.QueuedAt), cmp.Compare(a.ID, b.ID)) })
				want = slices.CompactFunc(want, func(a, b Job) bool { return a.ID == b.ID })
				got := byAge(jobs)
				if !slices.EqualFunc(got, want, func(d Decision, j Job) bool { return d.Job.ID == j.ID && d.Job.QueuedAt.Equal(j.QueuedAt) }) {
					t.Fatalf("%d jobs %v\nare ordered as %v\nwant %v", n, jobs, got, want)
				}
			}
		})
	}
}
