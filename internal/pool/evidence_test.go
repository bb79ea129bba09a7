package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

// What a cycle has seen of runners that have ended is not asked for again.
func TestManyRunnersGoAtTheCostOfFewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		jobs := r.queue(10, time.Hour)
		r.after(10 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 10)
		asked := func() (calls int) {
			for _, kind := range []string{"runner.get", "runner.delete"} {
				calls += r.gitea.State().Counts.Calls[kind]
			}
			return calls
		}
		calls := func(names ...string) (n int) {
			for _, name := range names {
				n += r.engine.Calls(name)
			}
			return n
		}
		single, looks, sweeps, removals := asked(), calls("Inspect", "Logs"), calls("Sweep"), calls("Remove")
		for _, id := range jobs {
			if err := r.gitea.CancelJob(id); err != nil {
				t.Fatal(err)
			}
		}
		r.after(20 * time.Second)
		if n := calls("Remove") - removals; n != 10 {
			t.Errorf("%d removals, want 10", n)
		}
		if n := asked() - single; n > listEnded-1 {
			t.Errorf("the server was asked for single runners %d times; it has listed them", n)
		}
		if n := calls("Inspect", "Logs") - looks; n > 0 {
			t.Errorf("%d looks at containers whose exit code the list has told", n)
		}
		if n := calls("Sweep") - sweeps; n > 0 {
			t.Errorf("%d sweeps after runners whose jobs have left no container", n)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

// A list that was cut short proves nothing: each runner is asked for.
func TestRunnersGoOneByOneWhereTheListFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.queue(10, 30*time.Second)
		r.after(20 * time.Second)
		if err := r.gitea.SetFault(giteatest.Fault{Kind: "runners", HalfPage: true}); err != nil {
			t.Fatal(err)
		}
		r.after(time.Minute)
		r.gitea.ClearFaults()
		r.after(2 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 10)
		r.stop()
		r.wantNothingLeft()
	})
}

// To empty .runner files makes way for starts, but not for ever.
func TestEmptyingRunnerFilesMakesWayForStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.engine.StartTime = 20 * time.Second
		r.config.Spec.Pools[0].Max, r.config.ParallelStarts = 6, 1
		r.run()
		r.queue(6, time.Hour)
		emptied := func() (n int) {
			for _, s := range r.m.Status().Runners {
				if data, err := r.engine.ReadFile(t.Context(), s.Container, "/data/.runner"); err == nil && len(data) == 0 {
					n++
				}
			}
			return n
		}
		r.after(30 * time.Second)
		if n := emptied(); n != 0 {
			t.Errorf("%d files are empty while runners are being started, want 0 so soon", n)
		}
		r.after(35 * time.Second)
		if n := emptied(); n != 1 {
			t.Errorf("%d files are empty after a minute, want that of the first runner", n)
		}
		r.after(70 * time.Second)
		if n := emptied(); n != 6 {
			t.Errorf("%d files are empty after all were started, want 6", n)
		}
		r.stop()
		r.killAll()
	})
}
