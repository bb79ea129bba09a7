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
