package pool

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

// TestLedgerIsNeverExceeded has several take and give back at random, side by side.
func TestLedgerIsNeverExceeded(t *testing.T) {
	limits := plan.Limits{Runners: 7, Most: plan.Resources{MilliCPU: 9000, Memory: 20}}
	l := NewLedger(limits)
	var all sync.WaitGroup
	for server := range 4 {
		all.Go(func() {
			name, random := fmt.Sprint(server), rand.New(rand.NewPCG(uint64(server), 1))
			held := make(map[string]plan.Resources)
			for i := range 2000 {
				runner := fmt.Sprint(random.IntN(6))
				switch cost := (plan.Resources{MilliCPU: int64(random.IntN(4)) * 500, Memory: int64(random.IntN(5))}); {
				case random.IntN(3) == 0:
					l.give(name, runner)
					delete(held, runner)
				case l.take(name, runner, cost):
					held[runner] = cost
				}
				if i%100 == 0 {
					kept := make(map[string]plan.Resources)
					for k, v := range held {
						kept[k] = v
					}
					l.hold(name, kept, plan.Resources{})
				}
				for _, b := range l.budgets() {
					if b.Taken > b.Limit {
						t.Errorf("%s: %v of %v are taken", b.Resource, b.Taken, b.Limit)
						return
					}
				}
			}
		})
	}
	all.Wait()
}

func TestLedger(t *testing.T) {
	cost := plan.Resources{MilliCPU: 1000, Memory: 10}
	l := NewLedger(plan.Limits{Runners: 3, Most: plan.Resources{MilliCPU: 2500}, Reserve: plan.Resources{Memory: 5}})
	woken := 0
	l.await("b", func() { woken++ })
	l.hold("a", map[string]plan.Resources{"a1": cost}, plan.Resources{MilliCPU: 8000, Memory: 30})
	if !l.take("b", "b1", cost) {
		t.Error("there is room for a second")
	}
	if l.take("b", "b2", cost) {
		t.Error("2.5 CPUs are not enough for a third")
	}
	if l.take("b", "b2", plan.Resources{Memory: 10}) {
		t.Error("25 of memory are left of the host, and 20 are taken")
	}
	if !l.take("b", "b2", plan.Resources{Memory: 5}) || l.take("b", "b3", plan.Resources{}) {
		t.Error("there is room for a small third, and for no fourth")
	}
	if s := l.shared("a"); s.OtherRunners != 2 || s.Others != (plan.Resources{MilliCPU: 1000, Memory: 15}) || s.Runners != 3 {
		t.Errorf("others of a: %+v", s)
	}
	l.SetLimits(plan.Limits{Runners: 1})
	if !l.take("b", "b1", plan.Resources{MilliCPU: 500}) || l.take("b", "b1", cost) {
		t.Error("beyond the limits what is there may take less, and not more")
	}
	if s := l.shared("a"); s.Others.MilliCPU != 500 {
		t.Errorf("a refusal has changed what is held: %+v", s)
	}
	if woken != 0 {
		t.Error("woken before anything was given back")
	}
	l.give("b", "b1")
	l.give("a", "a1")
	l.give("a", "a1")
	l.hold("a", map[string]plan.Resources{"a2": cost}, plan.Resources{})
	l.hold("a", nil, plan.Resources{})
	if woken != 2 {
		t.Errorf("woken %d times, want 2", woken)
	}
	l.await("b", nil)
	l.hold("a", map[string]plan.Resources{"a3": cost}, plan.Resources{})
	l.give("a", "a3")
	if woken != 2 {
		t.Error("woken without waiting")
	}
}

// TestServersShareTheLimits has the jobs of two servers wait for each other's
// runners, and counts the containers all the time.
func TestServersShareTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, plan.Limits{Runners: 3})
		p.acme.queue(15, 3*time.Second)
		p.lab.queue(15, 3*time.Second)
		p.run()
		most := 0
		for began := time.Now(); p.acme.gitea.State().Jobs["success"]+p.lab.gitea.State().Jobs["success"] < 30; {
			n := 0
			for _, r := range []*rig{p.acme, p.lab} {
				list, err := r.engine.List(t.Context())
				must(t, err)
				n += len(list)
			}
			most = max(most, n)
			if p.after(20 * time.Millisecond); time.Since(began) > 5*time.Minute {
				t.Fatalf("jobs %v and %v", p.acme.gitea.State().Jobs, p.lab.gitea.State().Jobs)
			}
		}
		if most != 3 {
			t.Errorf("%d containers at a time, want 3", most)
		}
		s := p.group.Status()
		if len(s.Budgets) != 1 || s.Budgets[0].Limit != 3 || s.Budgets[0].Server != "" {
			t.Errorf("limits %+v", s.Budgets)
		}
		p.after(time.Minute)
		p.stop()
		p.acme.wantNothingLeft()
		p.lab.wantNothingLeft()
	})
}

// TestRunnersOfAnEarlierRunCount has a server whose records are read last start
// nothing in the place of the others' runners.
func TestRunnersOfAnEarlierRunCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, plan.Limits{Runners: 2})
		p.run()
		p.lab.queue(2, time.Minute)
		p.after(10 * time.Second)
		p.stop()
		p.ledger = NewLedger(plan.Limits{Runners: 2})
		p.acme.queue(2, time.Second)
		p.run()
		p.after(10 * time.Second)
		s := p.group.Status()
		if p.acme.wantJobs("queued", 2); s.Pools[0].Starting+s.Pools[0].Busy > 0 || s.Pools[1].Busy != 2 {
			t.Errorf("pools %+v", s.Pools)
		}
		if why := s.Queue[0].Reason; why != "limits.runners of 2 is reached, with those of all servers" {
			t.Errorf("the reason is %q", why)
		}
		p.after(2 * time.Minute)
		p.acme.wantJobs("success", 2)
		p.stop()
	})
}

// TestLimitsOfOneServer bind beside those of all.
func TestLimitsOfOneServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, plan.Limits{Runners: 5}, func(c *Config) {
			if c.Server == "lab" {
				c.Spec.MaxRunners = 1
			}
		})
		p.run()
		p.lab.queue(10, time.Minute)
		p.after(10 * time.Second)
		p.acme.queue(10, time.Minute)
		p.after(10 * time.Second)
		s := p.group.Status()
		if s.Pools[0].Busy != 4 || s.Pools[1].Busy != 1 {
			t.Errorf("pools %+v", s.Pools)
		}
		if len(s.Budgets) != 2 || s.Budgets[1].Server != "lab" || s.Budgets[1].Limit != 1 || s.Budgets[0].Taken != 5 {
			t.Errorf("limits %+v", s.Budgets)
		}
		for _, j := range s.Queue {
			if want := "the server's limits.runners of 1 is reached"; j.Server == "lab" && j.Pool == "" && j.Reason != want {
				t.Errorf("the reason is %q, want %q", j.Reason, want)
			}
		}
		p.stop()
		p.acme.killAll()
		p.lab.killAll()
	})
}
