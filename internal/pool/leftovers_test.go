package pool

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

const jobContainer = "GITEA-ACTIONS-TASK-7"

func TestLeftoversOfAKilledRunnerAreCleared(t *testing.T) {
	tests := map[string]struct {
		harm func(r *rig)
		// gone is set if the job's own container went with the harm.
		gone bool
	}{
		"its container is killed":      {harm: func(r *rig) { r.kill(r.only().Container) }},
		"its container is removed":     {harm: func(r *rig) { r.engine.Vanish(r.only().Name) }},
		"it went while the daemon was": {harm: func(r *rig) { r.stop(); r.engine.KillAll(); r.run() }},
		"the host reboots": {gone: true, harm: func(r *rig) {
			r.stop()
			r.engine.KillAll()
			r.engine.EndJobContainer(jobContainer)
			r.run()
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{})
				r.run()
				r.queue(1, time.Hour)
				r.after(10 * time.Second)
				runner := r.only().Name
				r.engine.AddJobContainer(runner, jobContainer)
				r.after(time.Minute)
				if n := r.engine.Calls("Sweep"); n != 0 {
					t.Errorf("%d sweeps while the job runs", n)
				}
				tt.harm(r)
				r.after(2 * time.Minute)
				if n := r.engine.Volumes(); n != 0 {
					t.Errorf("%d volumes left", n)
				}
				if r.log.count("leftovers of a job removed") != 1 || !strings.Contains(r.log.String(), runner) {
					t.Error("it is not logged once")
				}
				r.stop()
				r.killAll()
			})
		})
	}
}

func TestLeftoversThatCannotBeClearedAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.queue(1, time.Hour)
		r.after(10 * time.Second)
		runner := r.only().Name
		r.engine.AddJobContainer(runner, jobContainer)
		r.engine.Fail("Sweep", errors.New("volume is in use"))
		r.kill(r.only().Container)
		r.after(time.Minute)
		if n := len(r.m.Status().Runners); n != 0 {
			t.Errorf("%d runners: what a job left must not hold up the end of its runner", n)
		}
		problems := r.m.Status().Problems
		if len(problems) != 1 || problems[0].Subject != "leftovers "+runner || !strings.Contains(problems[0].Message, "in use") {
			t.Errorf("problems %+v", problems)
		}
		findings, err := r.m.Reap(t.Context(), true)
		if err != nil || len(findings) != 1 || findings[0].Kind != "leftovers of a job" || !strings.Contains(findings[0].Reason, jobContainer) {
			t.Errorf("findings %+v, %v", findings, err)
		}
		r.engine.Fail("Sweep", nil)
		r.after(2 * time.Minute)
		if r.engine.Volumes() != 0 || len(r.m.Status().Problems) != 0 {
			t.Errorf("%d volumes, problems %+v", r.engine.Volumes(), r.m.Status().Problems)
		}
		r.stop()
		r.killAll()
	})
}

// The state may be lost together with all that it knew.
func TestJobContainersWithoutAnyRunnerAreCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.engine.AddJobContainer("scaler-0123456789ab-linux-aaaaaaaa", jobContainer)
		r.run()
		r.after(5 * time.Second)
		if n := r.engine.Volumes(); n != 0 {
			t.Errorf("%d volumes left", n)
		}
		r.stop()
	})
}

func TestPersistentRunnerStartsAgainWithoutLeftovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent)
		r.run()
		r.queue(1, time.Hour)
		r.after(10 * time.Second)
		runner := r.only().Name
		r.engine.AddJobContainer(runner, jobContainer)
		r.after(time.Minute)
		r.kill(r.only().Container)
		r.after(10 * time.Second)
		if n := r.engine.Volumes(); n != 0 || r.only().Name != runner {
			t.Errorf("%d volumes left; runner %s, before %s", n, r.only().Name, runner)
		}
		r.stop()
		r.killAll()
	})
}

// A persistent runner may have thousands of jobs in its life.
func TestJobContainersOfEarlierJobsAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.Min = 1 }))
		r.run()
		r.after(5 * time.Second)
		runner := r.only().Name
		noted := func() string {
			records, err := r.store.Records()
			if err != nil || len(records) != 1 {
				t.Fatalf("records %v, %v", records, err)
			}
			return strings.Join(records[0].JobContainers, " ")
		}
		for i := range 5 {
			name := fmt.Sprintf("%s-%d", jobContainer, i)
			r.engine.AddJobContainer(runner, name)
			r.after(time.Minute)
			if got := noted(); got != name {
				t.Errorf("while job %d runs, %q is noted", i, got)
			}
			r.engine.EndJobContainer(name)
			r.after(time.Minute)
			if got := noted(); got != "" {
				t.Errorf("after job %d, %q is noted", i, got)
			}
		}
		r.stop()
		r.killAll()
	})
}
