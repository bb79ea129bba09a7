package pool

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// However often the daemon ends, the engine fails and pushes go unnoticed, at a
// server that tells nothing all jobs are done, and its list grows to no more
// runners than there may be at a time.
func TestMuteServerOnABadDay(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 22))
			change := []func(*Config){few(4)}
			if seed%2 == 1 {
				change = append(change, withEvents)
			}
			r := newRig(t, release(t, "gitea-1.22"), change...)
			r.run()
			jobs := 0
			for range 15 {
				n := 1 + rng.IntN(4)
				jobs += n
				r.queue(n, time.Duration(1+rng.IntN(300))*time.Second)
				if rng.IntN(2) == 0 {
					r.m.Sign()
				}
				r.after(time.Duration(rng.IntN(400)) * time.Second)
				switch rng.IntN(5) {
				case 0:
					r.engine.Fail([]string{"Logs", "Signal", "Create", "List", "Start"}[rng.IntN(5)], errors.New("the engine is out of sorts"))
					r.after(time.Duration(rng.IntN(60)) * time.Second)
					for _, call := range []string{"Logs", "Signal", "Create", "List", "Start"} {
						r.engine.Fail(call, nil)
					}
				case 1, 2:
					r.stop()
					r.after(time.Duration(rng.IntN(90)) * time.Second)
					r.run()
				}
			}
			r.wantDone(jobs, 4*time.Hour)
			if n := r.gitea.State().Counts.Registrations; n > 4 {
				t.Errorf("seed %d: %d registrations, want at most 4", seed, n)
			}
			r.wantLittleLeft("gitea-1.22")
		})
	}
}
