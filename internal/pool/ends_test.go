package pool

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// writes is a store that counts what is written.
type writes struct {
	store

	mu     sync.Mutex
	phases map[plan.Phase]int
}

func (w *writes) Put(records ...state.Record) error {
	w.mu.Lock()
	for _, rec := range records {
		w.phases[rec.Phase]++
	}
	w.mu.Unlock()
	return w.store.Put(records...)
}

func (w *writes) use(p *Ports) { w.store, p.Store = p.Store, w }

func newWrites() *writes { return &writes{phases: make(map[plan.Phase]int)} }

// Each record is written as seldom as can be: every write is a sync.
func TestEndOfARunnerIsStoredByItsDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newRig(t, giteatest.Options{}), newWrites()
		r.run(w.use)
		r.queue(3, 20*time.Second)
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 3)
		r.stop()
		for _, phase := range []plan.Phase{plan.PhaseExited, plan.PhaseRemoving} {
			if n := w.phases[phase]; n != 0 {
				t.Errorf("phase %s was stored %d times for runners that were removed at once", phase, n)
			}
		}
		// The intent, the identity, and the container.
		if n := w.phases[plan.PhaseStarting]; n > 3*3 {
			t.Errorf("starting runners were stored %d times, want 3 times each at most: %v", n, w.phases)
		}
		r.wantNothingLeft()
	})
}

// The end of a runner that stays for another container is stored.
func TestEndOfARunnerThatStaysIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.Min = 1 })), newWrites()
		r.run(w.use)
		r.after(10 * time.Second)
		r.kill(r.only().Container)
		r.after(time.Minute)
		if n := w.phases[plan.PhaseExited]; n != 1 {
			t.Errorf("the end was stored %d times, want once: %v", n, w.phases)
		}
		r.stop()
		r.killAll()
	})
}

// A daemon that dies after it has removed a container finds the record as it was
// while the runner had its job.
func TestRemovedRunnerWhoseRecordIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		d := &death{call: "Delete", nth: 1}
		r.run(d.ports)
		r.queue(1, 20*time.Second)
		r.after(time.Minute)
		records, err := r.store.Records()
		containers, listErr := r.engine.List(t.Context())
		r.stop()
		if err != nil || len(records) != 1 || records[0].Phase != plan.PhaseBusy || records[0].ContainerID == "" {
			t.Fatalf("records %+v, %v, want that of the busy runner", records, err)
		}
		if listErr != nil || len(containers) > 0 {
			t.Fatalf("containers %+v, %v, want none", containers, listErr)
		}
		c := newTally()
		r.run(c.use)
		r.after(time.Minute)
		if problems := r.m.Status().Problems; len(problems) > 0 {
			t.Errorf("problems %v", problems)
		}
		if got := c.String(); strings.Contains(got, "fail") || strings.Contains(got, "start") {
			t.Errorf("counted %s, want neither starts nor failures", got)
		}
		r.wantJobs(giteatest.StatusSuccess, 1)
		r.stop()
		r.wantNothingLeft()
	})
}

// The place of a runner that is gone is free for a job that comes, though its
// record waits to be deleted with others.
func TestJobsHurryTheRecordsOfRunnersThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.config.Spec.Pools[0].Max = 4
		r.run()
		r.queue(4, 20*time.Second)
		r.after(10 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 4)
		for r.engine.Calls("Remove") < 4 {
			r.after(time.Millisecond)
		}
		created := r.engine.Calls("Create")
		r.queue(4, 20*time.Second)
		r.m.Trigger()
		r.after(4 * cycleGap)
		if n := r.engine.Calls("Create") - created; n != 4 {
			t.Errorf("%d runners were made for the jobs that came, %s after, want 4; records may wait %s", n, 4*cycleGap, togetherFor)
		}
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 8)
		r.stop()
		r.wantNothingLeft()
	})
}
