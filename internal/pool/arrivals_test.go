package pool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/enginetest"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// auto has the one pool choose by itself how many runners are ready.
func auto(most int) func(*Config) {
	return sole(func(p *plan.Pool) {
		p.Auto, p.Max = &plan.Auto{Percentile: 95, Wait: 2 * time.Second, Most: most}, 20
	})
}

// slowRig is a rig whose runners take half a minute to start.
func slowRig(t *testing.T, change ...func(*Config)) *rig {
	r := newRig(t, giteatest.Options{}, change...)
	r.engine = enginetest.New(func(ctx context.Context, term <-chan struct{}, files map[string][]byte) int {
		time.Sleep(30 * time.Second)
		return r.process(ctx, term, files)
	})
	r.config.ParallelStarts = 20
	return r
}

// counts encodes what is known of the pool's arrivals so that it can be compared.
func (r *rig) counts() string {
	data, _ := r.m.arrivals.pools["linux"].MarshalBinary()
	return string(data)
}

// learned shows what the daemon has learned of the pool, between two cycles.
func (r *rig) learned(look func(*plan.Arrivals)) {
	r.t.Helper()
	if err := r.m.ask(r.t.Context(), func() { look(r.m.arrivals.pools["linux"]) }); err != nil {
		r.t.Fatal(err)
	}
}

func TestPoolKeepsRunnersReadyByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := slowRig(t, auto(8))
		r.run()
		r.after(2 * time.Minute)
		if s := r.m.Status().Pools[0]; s.Idle != 1 || s.IdleWant != 1 || s.IdleWhy != "auto, target p95 2s: no job has come yet" {
			t.Errorf("at first %+v", s)
		}
		for range 10 {
			r.queue(4, time.Minute)
			r.after(6 * time.Minute)
		}
		s := r.m.Status().Pools[0]
		if s.Idle != 4 || s.IdleWant != 4 || !strings.HasPrefix(s.IdleWhy, "auto, target p95 2s: 4") || !strings.Contains(s.IdleWhy, " jobs an hour around now") {
			t.Errorf("after bursts of four each six minutes: %+v", s)
		}
		r.queue(4, time.Minute)
		r.after(5 * time.Second) // a free runner asks every two seconds
		r.wantJobs(giteatest.StatusInProgress, 4)
		if r.log.count("has 0 (auto, target p95 2s: ") == 0 {
			t.Error("no start is logged with what the number goes by")
		}
		r.learned(func(a *plan.Arrivals) {
			if cold := a.ColdStart(); cold < 30*time.Second || cold > 33*time.Second {
				t.Errorf("cold start %v", cold)
			}
		})
		r.after(75 * time.Minute)
		if s := r.m.Status().Pools[0]; s.Idle > 1 {
			t.Errorf("after more than a quiet hour: %+v", s)
		}
		r.stop()
		r.killAll()
	})
}

// A job counts once, also if a runner has it before a poll sees it wait, and
// also over restarts.
func TestArrivalsCountEachJobOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := slowRig(t, auto(8), func(c *Config) { c.Pace.Usual = 5 * time.Second })
		r.run()
		r.after(2 * time.Minute)
		for range 10 { // most are taken by the ready runner between two polls
			r.queue(1, 2*time.Minute)
			r.after(50 * time.Second)
		}
		r.queue(30, time.Hour) // more than there is room for
		r.after(5 * time.Minute)
		r.learned(func(a *plan.Arrivals) {
			if n := a.Jobs(); n < 39.9 || n > 40 {
				t.Errorf("%v jobs counted, want 40", n)
			}
		})
		r.stop()
		before := r.counts()
		for range 3 {
			r.run()
			r.after(10 * time.Second)
			r.stop()
		}
		a, b := &plan.Arrivals{}, &plan.Arrivals{}
		if err := errors.Join(a.UnmarshalBinary([]byte(before)), b.UnmarshalBinary([]byte(r.counts()))); err != nil {
			t.Fatal(err)
		}
		if a.Jobs() != b.Jobs() {
			t.Errorf("%v jobs after three restarts, %v before", b.Jobs(), a.Jobs())
		}
		r.killAll()
	})
}

func TestArrivalsOutliveTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := slowRig(t, auto(8))
		r.run()
		for range 12 {
			r.queue(4, time.Minute)
			r.after(5 * time.Minute)
		}
		r.stop()
		r.run()
		r.after(time.Minute)
		if s := r.m.Status().Pools[0]; s.IdleWant != 4 {
			t.Errorf("after a restart: %+v", s)
		}
		r.reconfigure(r.edited(sole(func(p *plan.Pool) { p.Auto, p.Idle = nil, 1 })))
		r.after(time.Minute)
		if s := r.m.Status().Pools[0]; s.IdleWant != 1 || s.IdleWhy != "" || len(r.m.arrivals.pools) != 0 {
			t.Errorf("with a number: %+v", s)
		}
		r.reconfigure(r.edited(auto(8)))
		r.after(time.Minute)
		if s := r.m.Status().Pools[0]; s.IdleWant != 4 {
			t.Errorf("with auto again: %+v", s)
		}
		r.stop()
		r.killAll()
	})
}

// faulty is a store of arrivals that fails.
type faulty struct{ stored map[string][]byte }

func (f *faulty) PutJobs(map[int64][]byte) error { return state.ErrNoSpace }

func (f *faulty) Jobs() (map[int64][]byte, error) { return nil, nil }

func (f *faulty) PutArrivals(map[string][]byte) error { return state.ErrNoSpace }

func (f *faulty) Arrivals() (map[string][]byte, error) { return f.stored, nil }

func TestArrivalsThatCannotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := slowRig(t, auto(8))
		r.run(func(p *Ports) { p.History = &faulty{map[string][]byte{"linux": {77}}} })
		r.after(2 * time.Minute)
		if r.log.count("how jobs arrived before is not known") != 1 || !strings.Contains(r.problem("arrivals"), state.ErrNoSpace.Error()) {
			t.Errorf("problem %q", r.problem("arrivals"))
		}
		if s := r.m.Status().Pools[0]; s.IdleWant != 1 {
			t.Errorf("pool %+v", s)
		}
		r.stop()
		r.killAll()
	})
}

// What is known of pools that were removed long ago goes.
func TestStaleArrivalsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := slowRig(t, auto(8))
		old, recent := &plan.Arrivals{}, &plan.Arrivals{}
		old.Look(time.Now().Add(-forgetAfter))
		recent.Look(time.Now().Add(-time.Hour))
		oldData, _ := old.MarshalBinary()
		recentData, _ := recent.MarshalBinary()
		r.run(func(p *Ports) {
			if err := p.History.PutArrivals(map[string][]byte{"old": oldData, "recent": recentData, "damaged": {1}}); err != nil {
				t.Fatal(err)
			}
		})
		r.after(2 * time.Minute)
		got, err := r.store.Arrivals()
		if err != nil || len(got) != 2 || got["recent"] == nil || got["linux"] == nil {
			t.Errorf("kept of %d pools, %v", len(got), err)
		}
		r.stop()
		r.killAll()
	})
}
