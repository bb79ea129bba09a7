package pool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// release is a server of some release, as in "gitea-1.24".
func release(t *testing.T, name string) giteatest.Options {
	t.Helper()
	p, err := giteatest.ParseProfile(name)
	if err != nil {
		t.Fatal(err)
	}
	return giteatest.Options{Profile: p}
}

// withEvents configures a webhook.
func withEvents(c *Config) { c.Events = true }

// has checks how many runners of the pool are idle and busy.
func (r *rig) has(when string, idle, busy int) {
	r.t.Helper()
	if p := r.m.Status().Pools[0]; p.Idle+p.Starting != idle || p.Busy != busy {
		r.t.Errorf("%s: %d idle or starting and %d busy, want %d and %d", when, p.Idle+p.Starting, p.Busy, idle, busy)
	}
}

func TestKeepsAheadOfJobsThatNothingTells(t *testing.T) {
	for _, name := range []string{"gitea-1.22", "gitea-1.23", "gitea-1.24"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, release(t, name))
				r.run()
				r.after(10 * time.Second)
				r.has("with nothing to do", 1, 0)
				r.queue(5, 30*time.Second)
				r.after(20 * time.Second)
				r.has("5 jobs run", 1, 5)
				r.after(time.Minute)
				r.has("after the jobs", 1, 0)
				r.queue(40, time.Minute)
				r.after(20 * time.Second)
				r.has("as many as max run", 0, 10)
				r.after(10 * time.Minute)
				r.wantJobs("success", 45)
				r.has("in the end", 1, 0)
				if s := r.m.Status().Pools[0]; s.IdleWant != 1 || !strings.Contains(s.IdleWhy, "does not tell") {
					t.Errorf("the status says idle %d, %q", s.IdleWant, s.IdleWhy)
				}
				if n := r.log.count("level=WARN msg=\"this server"); n != 1 {
					t.Errorf("it was said %d times how jobs are found, want once", n)
				}
				r.stop()
				r.killAll()
			})
		})
	}
}

func TestBusyByItsLogAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "gitea-1.22"), sole(func(p *plan.Pool) { p.Max = 2 }))
		r.run()
		r.after(10 * time.Second)
		r.stop()
		r.queue(1, 20*time.Minute) // it is taken while no daemon runs
		r.after(10 * time.Second)
		r.run()
		r.after(5 * time.Second)
		r.has("after the restart", 1, 1)
		r.stop()
		r.run()
		r.after(15 * time.Minute)
		r.has("after another one", 1, 1)
		r.after(10 * time.Minute)
		r.wantJobs("success", 1)
		r.has("when the job is over", 1, 0)
		r.stop()
		r.killAll()
	})
}

func TestLogThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "gitea-1.24"), sole(func(p *plan.Pool) { p.Max = 2 }))
		r.engine.Fail("Logs", errors.New("configured logging driver does not support reading"))
		r.run()
		r.after(5 * time.Second)
		r.has("for some seconds", 1, 0)
		r.after(time.Minute)
		r.has("with logs that cannot be read", 0, 2)
		if p := r.problem("logs of pool linux"); !strings.Contains(p, "does not support reading") {
			t.Errorf("the problem is %q", p)
		}
		r.queue(1, 10*time.Second)
		r.after(30 * time.Second)
		r.wantJobs("success", 1)
		r.engine.Fail("Logs", nil)
		r.after(5 * time.Second)
		r.has("with logs that can be read", 2, 0)
		if p := r.problem("logs of pool linux"); p != "" {
			t.Errorf("the problem stays: %q", p)
		}
		r.stop()
		r.killAll()
	})
}

func TestLogThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "gitea-1.22"), sole(func(p *plan.Pool) { p.Max = 2 }))
		r.engine.SetProcess(func(ctx context.Context, term <-chan struct{}, _ map[string][]byte) int {
			select {
			case <-term:
				return 0
			case <-ctx.Done():
				return 137
			}
		})
		r.run()
		r.after(time.Minute)
		r.has("before boot_timeout", 1, 0)
		r.after(2 * time.Minute)
		r.has("after boot_timeout", 1, 1)
		r.after(3 * time.Hour)
		r.has("hours later", 0, 2)
		if p := r.problem("logs of pool linux"); !strings.Contains(p, "needs level info") {
			t.Errorf("the problem is %q", p)
		}
		r.stop()
		r.killAll()
	})
}

func TestPersistentRunnerOfAMuteServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "gitea-1.22"), persistent, sole(func(p *plan.Pool) { p.Max = 3 }))
		r.run()
		r.after(10 * time.Second)
		r.queue(1, time.Minute)
		r.after(5 * time.Minute)
		r.wantJobs("success", 1)
		r.has("that its job is over is not known", 1, 1)
		r.after(longestTask)
		r.has("no job lasts longer", 2, 0)
		r.after(30 * time.Minute)
		r.has("after idle_timeout", 1, 0)
		r.stop()
		r.run()
		r.after(10 * time.Second)
		r.has("after a restart", 1, 0)
		r.stop()
		r.killAll()
	})
}

func TestAheadWhileThereAreSigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "gitea-1.24"), withEvents)
		r.gitea.SetProfile(release(t, "gitea-1.23").Profile)
		r.run()
		r.after(10 * time.Second)
		r.has("after the start", 1, 0)
		r.after(15 * time.Minute)
		r.has("without any sign", 0, 0)
		r.queue(3, time.Minute)
		r.m.Sign()
		r.after(30 * time.Second)
		r.has("after a sign", 1, 3)
		r.after(15 * time.Minute)
		r.has("after the jobs", 0, 0)
		r.wantJobs("success", 3)
		r.queue(1, time.Minute) // its event is lost
		r.after(lookAnyway)
		r.wantJobs("success", 4)
		r.after(15 * time.Minute)
		r.has("after looking anyway", 0, 0)
		r.stop()
	})
}

func TestStopReadsTheLogOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "gitea-1.22"))
		r.run()
		r.after(10 * time.Second)
		r.queue(1, time.Hour)
		r.after(10 * time.Second)
		var busy string
		for _, s := range r.m.Status().Runners {
			if s.Phase == plan.PhaseBusy {
				busy = s.Container
			}
		}
		for _, tt := range []struct {
			name string
			rec  state.Record
			fail error
			want bool // spared
		}{
			{"a task that nobody has noticed", state.Record{}, nil, true},
			{"a task that is known", state.Record{Task: 2001}, nil, true},
			{"the task before is over", state.Record{Task: 2000, TaskOver: true}, nil, true},
			{"a log that cannot be read", state.Record{}, errors.New("no answer"), true},
			{"a task that is over", state.Record{Task: 2001, TaskOver: true}, nil, false},
		} {
			r.engine.Fail("Logs", tt.fail)
			tt.rec.Name, tt.rec.ContainerID = "copy", busy
			res := r.m.stop(t.Context(), step{rec: tt.rec, byLog: true})
			if res.rec.Signalled == tt.want || res.busy != (tt.want && tt.fail == nil) || tt.fail != nil && !errors.Is(res.err, tt.fail) {
				t.Errorf("%s: told to stop %t, busy %t, %v; want spared %t", tt.name, res.rec.Signalled, res.busy, res.err, tt.want)
			}
		}
		r.stop()
		r.killAll()
	})
}

func TestDrainOfARunnerThatTakesAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "gitea-1.22"))
		r.run()
		r.after(10 * time.Second)
		r.config.Spec.Pools[0].Max = 0
		if err := r.m.Reconfigure(t.Context(), r.config); err != nil {
			t.Fatal(err)
		}
		r.after(time.Second)
		if one := r.only(); one.Phase != plan.PhaseDraining {
			t.Fatalf("the runner is %s, want draining", one.Phase)
		}
		r.gitea.AddJobs(giteatest.JobSpec{Duration: 30 * time.Minute}) // of any labels
		r.after(20 * time.Minute)
		if one := r.only(); one.Phase != plan.PhaseDraining || one.Jobs != 1 {
			t.Errorf("the runner is %s with %d jobs, want draining with 1", one.Phase, one.Jobs)
		}
		r.after(15 * time.Minute)
		r.wantJobs("success", 1)
		if n := len(r.m.Status().Runners); n != 0 {
			t.Errorf("%d runners are left", n)
		}
		r.stop()
	})
}

// anonymous is a server whose running jobs name no runner, as Forgejo's do not.
type anonymous struct {
	forge
	numbered bool // they have the numbers of their tasks
	server   *giteatest.Server
}

func (a anonymous) Capabilities(ctx context.Context) (plan.Capabilities, error) {
	caps, err := a.forge.Capabilities(ctx)
	caps.RunningNamesRunner, caps.Runners = false, false
	return caps, err
}

func (a anonymous) RunningJobs(ctx context.Context, scope plan.Scope) (plan.JobList, error) {
	list, err := a.forge.RunningJobs(ctx, scope)
	for i := range list.Jobs {
		j := &list.Jobs[i]
		if a.numbered {
			s, _ := a.server.Job(j.ID)
			j.TaskID = s.Task
		}
		j.RunnerID, j.RunnerName = 0, ""
	}
	return list, err
}

func TestRunningJobsThatNameNoRunner(t *testing.T) {
	for name, numbered := range map[string]bool{"by their tasks": true, "by their repository": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{}, persistent)
				r.run(func(p *Ports) { p.Forge = anonymous{p.Forge, numbered, r.gitea} })
				r.queue(1, 5*time.Minute)
				r.after(time.Minute)
				r.has("the job runs", 0, 1)
				r.after(4*time.Minute + 30*time.Second)
				r.has("the job is over", 1, 0)
				other := r.gitea.AddJobs(giteatest.JobSpec{Repo: "demo/app", Labels: []string{"linux"}, Duration: 2 * time.Minute})
				r.after(30 * time.Second)
				r.has("another one runs", 0, 1)
				if one := r.only(); numbered && one.Jobs != 2 {
					t.Errorf("the runner has had %d jobs, want 2; the second is %v", one.Jobs, other)
				}
				r.after(2 * time.Minute)
				r.has("both are over", 1, 0)
				r.after(10 * time.Minute)
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}
