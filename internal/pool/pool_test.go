package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

func TestQueuedJobsBecomeRunnersThatLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.after(3 * time.Second)
		if n := r.gitea.State().Counts.Registrations; n != 0 {
			t.Errorf("%d runners registered with an empty queue", n)
		}
		r.queue(15, 20*time.Second)
		r.after(5 * time.Second)
		r.wantJobs(giteatest.StatusInProgress, 10)
		if s := r.m.Status(); s.Pools[0].Busy != 10 || s.QueueSize != 5 || !strings.Contains(s.Queue[0].Reason, "at its max of 10") {
			t.Errorf("status: %+v, queue %+v", s.Pools[0], s.Queue)
		}
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 15)
		s := r.gitea.State()
		if s.Counts.Registrations != 15 || s.Counts.PeakRunners > 10 {
			t.Errorf("counts: %+v, want 15 registrations and at most 10 at once", s.Counts)
		}
		for _, j := range s.Waits[:10] {
			if wait := j.StartedAt.Sub(j.QueuedAt); wait > 2*time.Second {
				t.Errorf("job %d waited %s", j.ID, wait)
			}
		}
		r.stop()
		r.wantNothingLeft()
	})
}

func TestIdleRunnerIsDrainedBeforeItGoes(t *testing.T) {
	for name, tt := range map[string]struct {
		opts     giteatest.Options
		disabled bool
	}{
		"by disabling it":            {giteatest.Options{}, true},
		"by its labels":              {giteatest.Options{DisablePatch: true}, false},
		"where there is Deregister":  {giteatest.Options{Deregister: true}, true},
		"where nothing is ephemeral": {giteatest.Options{DisableEphemeral: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.opts, sole(func(p *plan.Pool) { p.Idle = 1 }))
				r.run()
				r.after(10 * time.Second)
				if got := r.only(); got.Phase != plan.PhaseIdle {
					t.Fatalf("phase %s, want idle", got.Phase)
				}
				r.stop()
				r.config.Spec.Pools[0].Idle = 0
				r.run()
				r.after(4 * time.Minute)
				if got := r.only(); got.Phase != plan.PhaseIdle {
					t.Fatalf("phase %s before idle_timeout, want idle", got.Phase)
				}
				r.after(time.Minute)
				if got := r.only(); got.Phase != plan.PhaseDraining {
					t.Fatalf("phase %s, want draining", got.Phase)
				}
				x := r.gitea.State().Runners[0]
				if withdrawn := x.Labels[0] == "withdrawn-"+x.UUID; x.Disabled != tt.disabled || withdrawn == tt.disabled {
					t.Errorf("disabled %v, labels %v at the server", x.Disabled, x.Labels)
				}
				r.queue(1, time.Second) // which it must not get any more
				r.after(20 * time.Second)
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}

func TestJobThatComesDuringTheDrainIsFinished(t *testing.T) {
	for _, ephemeral := range []bool{true, false} {
		t.Run(fmt.Sprintf("ephemeral %v", ephemeral), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Without PATCH the runner can get a job until it obeys SIGTERM;
				// with it, until the server has processed the request.
				r := newRig(t, giteatest.Options{DisablePatch: true}, sole(func(p *plan.Pool) { p.Min, p.IdleTimeout = 1, 0 }))
				if !ephemeral {
					persistent(&r.config)
				}
				r.run()
				r.after(5 * time.Second)
				ids := r.queue(1, 10*time.Minute)
				r.after(3 * time.Second)
				r.stop()
				r.config.Spec.Pools[0].Min, r.config.Spec.Pools[0].Max = 0, 0
				r.run()
				r.after(5 * time.Minute)
				if j, _ := r.gitea.Job(ids[0]); j.Status != giteatest.StatusInProgress {
					t.Fatalf("the job is %s", j.Status)
				}
				r.after(10 * time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 1)
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}

func TestPersistentRunnerTakesJobAfterJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.Max = 1 }))
		r.run()
		r.queue(5, 5*time.Second)
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 5)
		if n := r.gitea.State().Counts.Registrations; n != 1 {
			t.Errorf("%d registrations, want 1", n)
		}
		r.after(6 * time.Minute)
		r.stop()
		r.wantNothingLeft()
	})
}

func TestRestartAdoptsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.queue(3, time.Minute)
		r.after(10 * time.Second)
		r.stop()
		r.wantJobs(giteatest.StatusInProgress, 3)
		r.after(20 * time.Second)
		r.run()
		r.after(5 * time.Second)
		if s := r.m.Status(); s.Pools[0].Busy != 3 {
			t.Errorf("pool after the restart: %+v, want 3 busy", s.Pools[0])
		}
		r.queue(1, time.Second)
		r.after(2 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 4)
		r.stop()
		r.wantNothingLeft()
	})
}

// A daemon that dies while the engine starts a container leaves one that is
// created for the next daemon's eyes and runs a moment later.
func TestStartThatIsStillUnderWayAfterARestart(t *testing.T) {
	for _, call := range []string{"Inspect", "Remove"} {
		t.Run("it runs before "+call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{})
				dead := errors.New("the daemon is dead")
				r.engine.Fail("Start", dead)
				r.engine.Fail("Inspect", dead) // so that it does not clear up either
				r.run()
				r.queue(1, time.Minute)
				r.after(time.Second)
				records, err := r.store.Records()
				if err != nil || len(records) != 1 {
					t.Fatalf("records: %v, %v", records, err)
				}
				r.stop()
				r.engine.Fail("Start", nil)
				r.engine.Fail("Inspect", nil)
				rec := records[0]
				rec.Enter(plan.PhaseStarting, "", time.Now())
				r.engine.Before(call, func() {
					data, err := dotRunner(rec.Name, *rec.Identity, rec.Ephemeral)
					if err != nil {
						t.Error(err)
					}
					if err := r.engine.Start(context.Background(), rec.ContainerID, []plan.File{{Path: "/data/.runner", Data: data}}); err != nil {
						t.Error(err)
					}
				})
				r.run(func(p *Ports) { p.Store = &preset{p.Store, []state.Record{rec}} })
				r.after(2 * time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 1)
				if n := r.log.count("runner taken back"); n != 1 {
					t.Errorf("%d runners were taken back, want 1", n)
				}
				r.after(10 * time.Minute) // for one that was started meanwhile
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}

func TestLostStateIsRecoveredFromTheContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.queue(2, time.Minute)
		r.after(10 * time.Second)
		r.stop()
		r.run()
		records, err := r.store.Records()
		if err != nil {
			t.Fatal(err)
		}
		r.stop()
		r.run() // only to have the store open
		for _, rec := range records {
			if err := r.store.Delete(rec.Name, 0); err != nil {
				t.Fatal(err)
			}
		}
		r.stop()
		r.run()
		r.after(3 * time.Second)
		if s := r.m.Status(); len(s.Runners) != 2 || s.Pools[0].Busy != 2 {
			t.Errorf("status: %+v", s.Pools[0])
		}
		r.after(2 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 2)
		r.stop()
		r.wantNothingLeft()
	})
}

func TestDrainOnShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, func(c *Config) { c.DrainOnShutdown = true }, sole(func(p *plan.Pool) { p.Idle = 2 }))
		r.run()
		r.after(5 * time.Second)
		r.queue(1, 3*time.Minute)
		r.after(5 * time.Second)
		began := time.Now()
		r.stop()
		if took := time.Since(began); took < 2*time.Minute || took > 4*time.Minute {
			t.Errorf("the drain took %s, want the rest of the job", took)
		}
		r.wantJobs(giteatest.StatusSuccess, 1)
		r.wantNothingLeft()
	})
}

func TestDrainOnShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, func(c *Config) { c.DrainOnShutdown = true })
		r.run()
		r.queue(1, time.Hour)
		r.after(5 * time.Second)
		began := time.Now()
		r.stop()
		if took := time.Since(began); took < 10*time.Minute || took > 11*time.Minute {
			t.Errorf("the drain took %s, want shutdown_timeout", took)
		}
		r.wantJobs(giteatest.StatusInProgress, 1)
		r.killAll()
	})
}

func TestFastestJobsAreNotTakenForFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.queue(30, 0)
		r.after(30 * time.Second)
		r.wantJobs(giteatest.StatusSuccess, 30)
		if n := r.log.count("failure"); n > 0 {
			t.Errorf("the log speaks of failures %d times", n)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

func TestOneJobARunnerWhereTheServerHasNoEphemeralOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{DisableEphemeral: true}, sole(func(p *plan.Pool) { p.Max = 2 }))
		r.run()
		r.queue(6, 0)
		r.queue(2, 10*time.Second)
		r.after(2 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 8)
		s := r.gitea.State()
		if s.Counts.Registrations != 8 || s.Counts.Deletions != 8 {
			t.Errorf("counts %+v, want eight runners, all deleted by the daemon", s.Counts)
		}
		if n := r.log.count("failure"); n > 0 {
			t.Errorf("the log speaks of failures %d times", n)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

func TestContainerThatVanishesGivesWayToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Min = 1 }))
		r.run()
		r.after(5 * time.Second)
		first := r.only().Name
		r.engine.Vanish(first)
		r.after(5 * time.Second)
		if second := r.only(); second.Name == first || second.Phase != plan.PhaseIdle {
			t.Errorf("runner %s in phase %s, want another idle one", second.Name, second.Phase)
		}
		if n := len(r.gitea.State().Runners); n != 1 {
			t.Errorf("%d runners in Gitea, want 1", n)
		}
		r.stop()
		r.killAll()
	})
}

func TestNamesCarryTheInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Min = 2 }))
		r.run()
		r.after(5 * time.Second)
		for _, s := range r.m.Status().Runners {
			if !strings.HasPrefix(s.Name, "scaler-"+r.store.Instance()+"-linux-") {
				t.Errorf("name %s does not carry the instance id", s.Name)
			}
			data, err := r.m.DotRunner(s.Name)
			if err != nil || !strings.Contains(string(data), `"linux:host"`) {
				t.Errorf(".runner of %s: %v\n%s", s.Name, err, data)
			}
		}
		if _, err := r.m.DotRunner("other"); !errors.Is(err, plan.ErrNotFound) {
			t.Errorf("error = %v, want not found", err)
		}
		r.stop()
		r.killAll()
	})
}

func TestPreviewChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, func(c *Config) { c.Pace.Usual = time.Hour })
		r.run()
		r.after(time.Second)
		r.queue(2, time.Second)
		p, err := r.m.Preview(t.Context())
		if err != nil || len(p.Actions) != 2 || p.Actions[0].Kind != plan.ActionStart {
			t.Errorf("preview = %+v, %v, want two starts", p.Actions, err)
		}
		r.after(time.Minute)
		if n := r.gitea.State().Counts.Registrations; n != 0 {
			t.Errorf("%d registrations after a preview", n)
		}
		r.m.Trigger()
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 2)
		r.stop()
		r.wantNothingLeft()
	})
}
