package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestFiftyDaemonsShareAQueue(t *testing.T) {
	const handover = 10 * time.Second
	const slack = 2*simPoll + 1300*time.Millisecond // a poll to see it, one to see that it is time, and a boot
	trickle := func(f *house, perMinute float64) func(int) {
		return func(int) {
			if f.rand.Float64() < perMinute/60/20 {
				f.add(1, 40*time.Second)
			}
		}
	}
	tests := map[string]struct {
		max  int
		wait time.Duration
		play func(f *house)
	}{
		"jobs that come one by one": {4, handover + slack, func(f *house) { f.run(10*time.Minute, trickle(f, 100)) }},
		"bursts of all sizes": {8, handover + slack, func(f *house) {
			for _, n := range []int{1, 3, 10, 60, 200, 60, 10, 3} {
				f.add(n, 20*time.Second)
				f.run(2*time.Minute, nil)
			}
		}},
		"more jobs than there is room": {2, 10 * time.Minute, func(f *house) {
			f.add(500, 30*time.Second)
			f.run(6*time.Minute, nil)
		}},
		"daemons die, with their hosts or without, and come back": {8, handover + slack, func(f *house) {
			for range 10 {
				for range 3 {
					f.die(f.daemons[f.rand.IntN(len(f.daemons))], f.rand.IntN(2) == 0)
				}
				f.run(time.Minute, trickle(f, 200))
				for _, m := range f.daemons {
					if m.dead && f.rand.IntN(3) == 0 {
						f.comeBack(m)
					}
				}
			}
		}},
		"half of them die at once": {8, handover + slack, func(f *house) {
			f.run(2*time.Minute, trickle(f, 100))
			for _, m := range f.daemons[:25] {
				f.die(m, true)
			}
			f.run(8*time.Minute, trickle(f, 100))
		}},
		"all but one die": {100, handover + 2*slack, func(f *house) {
			for _, m := range f.daemons[1:] {
				f.die(m, true)
			}
			f.run(3*time.Minute, trickle(f, 60))
		}},
	}
	for name, test := range tests {
		for by, byRoom := range map[string]bool{"weight": false, "room": true} {
			t.Run(name+"/by "+by, func(t *testing.T) {
				t.Parallel()
				f := newHouse(t, 1, 50, test.max, handover, byRoom)
				test.play(f)
				f.run(time.Minute, nil)
				f.report(0.02, test.wait)
			})
		}
	}
}

// Runners that a pool keeps ready, and runners that boot slowly, are what daemons
// know least of each other. What both cost is bounded, and stands in
// docs/scaling-out.md.
func TestSharingWithSlowBootsAndIdleRunners(t *testing.T) {
	fast, slow := [2]time.Duration{300 * time.Millisecond, 1300 * time.Millisecond}, [2]time.Duration{10 * time.Second, 20 * time.Second}
	tests := map[string]struct {
		boot      [2]time.Duration
		handover  time.Duration
		min, idle int
		unused    float64 // most runners that go without a job, as a share of the jobs
	}{
		"fast":         {fast, 10 * time.Second, 0, 0, 0.02},
		"fast, idle 1": {fast, 10 * time.Second, 0, 1, 0.15},
		"fast, min 1":  {fast, 10 * time.Second, 1, 0, 0.02},
		"slow":         {slow, 80 * time.Second, 0, 0, 0.02},
		"slow, idle 1": {slow, 80 * time.Second, 0, 1, 0.25},
		"slow, min 1":  {slow, 80 * time.Second, 1, 0, 0.02},
		// Far below what the rule asks for: jobs pass from one to the next.
		"slow, short handover": {slow, 10 * time.Second, 0, 0, 5},
	}
	for name, test := range tests {
		for load, play := range map[string]func(f *house){
			"one by one": func(f *house) {
				f.run(20*time.Minute, func(int) {
					if f.rand.Float64() < 60.0/60/20 {
						f.add(1, 40*time.Second)
					}
				})
			},
			"bursts": func(f *house) {
				for _, n := range []int{1, 3, 10, 30, 60, 30, 10, 3} {
					f.add(n, 20*time.Second)
					f.run(3*time.Minute, nil)
				}
			},
		} {
			t.Run(name+"/"+load, func(t *testing.T) {
				t.Parallel()
				f := newHouse(t, 1, 10, 16, test.handover, true)
				f.boot = test.boot
				for _, m := range f.daemons {
					m.pool.Min, m.pool.Idle = test.min, test.idle
				}
				f.run(time.Minute, nil)
				play(f)
				f.run(3*time.Minute, nil)
				slices.Sort(f.waits)
				n := len(f.waits)
				t.Logf("%d jobs, %d starts, %d went without a job (%.1f %%), waits: median %v, p99 %v, max %v", n, f.starts, f.unused, 100*float64(f.unused)/float64(n), f.waits[n/2], f.waits[n*99/100], f.waits[n-1])
				if len(f.queue) > 0 {
					t.Errorf("%d jobs were not served", len(f.queue))
				}
				if got := float64(f.unused) / float64(n); got > test.unused {
					t.Errorf("%.1f %% went without a job, at most %.1f %% may", 100*got, 100*test.unused)
				}
			})
		}
	}
}

// Where some daemons are full of jobs of their own, or hosts are small for what
// comes at once, rooms save the wait for a handover.
func TestRoomsShortenWaits(t *testing.T) {
	tests := map[string]struct {
		daemons, max, full int
		play               func(f *house)
	}{
		"3 of 10 full, one by one": {10, 16, 3, func(f *house) {
			f.run(10*time.Minute, func(int) {
				if f.rand.Float64() < 60.0/60/20 {
					f.add(1, 40*time.Second)
				}
			})
		}},
		"3 of 10 full, bursts": {10, 16, 3, func(f *house) {
			for _, n := range []int{3, 10, 30, 60, 30, 10, 3, 80} {
				f.add(n, 20*time.Second)
				f.run(3*time.Minute, nil)
			}
		}},
		"3 of 10 full, jobs that take seconds": {10, 16, 3, func(f *house) {
			for range 20 {
				f.add(60, 2*time.Second)
				f.run(15*time.Second, nil)
			}
		}},
		"15 of 50 small ones full, bursts": {50, 2, 15, func(f *house) {
			for _, n := range []int{20, 40, 60, 20, 40, 60} {
				f.add(n, 20*time.Second)
				f.run(time.Minute, nil)
			}
		}},
		"15 of 50 small ones full, matrices that come within seconds": {50, 4, 15, func(f *house) {
			for range 6 {
				f.spread(100, 4*time.Second, 20*time.Second)
				f.run(time.Minute, nil)
			}
		}},
		"50 small ones, nearly full of what comes one by one": {50, 2, 0, func(f *house) {
			f.run(10*time.Minute, func(int) {
				if f.rand.Float64() < 110.0/60/20 {
					f.add(1, 40*time.Second)
				}
			})
		}},
	}
	for name, test := range tests {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s/%d", name, seed+1), func(t *testing.T) {
				t.Parallel()
				mean := make(map[bool]time.Duration)
				for _, byRoom := range []bool{false, true} {
					f := newHouse(t, seed+1, test.daemons, test.max, 10*time.Second, byRoom)
					for _, m := range f.daemons[:test.full] {
						f.occupy(m)
					}
					test.play(f)
					f.run(2*time.Minute, nil)
					over := 0.02
					if !byRoom {
						over = 1
					}
					f.report(over, 14*time.Second)
					for _, w := range f.waits {
						mean[byRoom] += w / time.Duration(len(f.waits))
					}
				}
				if mean[true] > mean[false]*3/4 {
					t.Errorf("jobs wait for %v on average by room, and %v by weight", mean[true], mean[false])
				}
			})
		}
	}
}
