package pool

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/enginetest"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

const noNode = "no suitable node (insufficient resources on 1 node)"

// While one runner waits for a machine no second one is started to wait beside
// it, and it is said why. With room all goes on.
func TestRunnersWaitForAMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.BootTimeout = time.Hour }))
		r.engine.SetRoom(noNode)
		r.run()
		r.queue(1, time.Minute)
		r.after(3 * time.Second)
		r.queue(4, time.Minute)
		r.after(5 * time.Second)
		p := r.m.Status().Pools[0]
		if p.Starting != 1 || p.HoldKind != plan.ObstaclePlace || p.Hold != noNode {
			t.Errorf("pool %+v, want one runner to wait and the hold to say for what", p)
		}
		if got := r.problem("place for pool linux"); got != "" {
			t.Errorf("problem %q after a moment", got)
		}
		r.after(10 * time.Second)
		if got := r.problem("place for pool linux"); !strings.Contains(got, noNode) {
			t.Errorf("problem %q, want %q in it", got, noNode)
		}
		r.engine.SetRoom("")
		r.after(5 * time.Minute)
		r.wantJobs("success", 5)
		if got := r.problem("place for pool linux"); got != "" {
			t.Errorf("problem %q when it is over", got)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

// A runner that finds no machine within its time to boot is given up: its identity
// is freed, and what is said of it is why.
func TestRunnerWithoutAMachineIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.engine.SetRoom(noNode)
		r.run()
		r.queue(1, time.Minute)
		r.after(4 * time.Minute)
		if got := r.problem("pool linux"); !strings.Contains(got, "never came online") || !strings.Contains(got, noNode) || strings.Contains(got, "exit code") {
			t.Errorf("problem %q, want %q in it and no exit code", got, noNode)
		}
		if n := len(r.gitea.State().Runners); n > 1 {
			t.Errorf("%d runners in Gitea, one may wait", n)
		}
		r.engine.SetRoom("")
		r.after(15 * time.Minute)
		r.wantJobs("success", 1)
		r.stop()
		r.wantNothingLeft()
	})
}

// A machine that is to be emptied: who is idle there goes, who is busy finishes,
// and nobody has failed.
func TestMachineIsEmptied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Idle = 1 }))
		r.run()
		r.after(5 * time.Second)
		r.queue(1, 10*time.Minute)
		r.after(10 * time.Second)
		before := r.m.Status()
		if p := before.Pools[0]; p.Busy != 1 || p.Idle != 1 {
			t.Fatalf("pool before: %+v", p)
		}
		r.engine.Drain("its node beta is being drained")
		r.after(time.Minute)
		for _, was := range before.Runners {
			there := false
			for _, x := range r.m.Status().Runners {
				there = there || x.Name == was.Name
			}
			if busy := was.Phase == plan.PhaseBusy; there != busy {
				t.Errorf("runner in phase %s: still there: %v", was.Phase, there)
			}
		}
		if p := r.m.Status().Pools[0]; p.Busy != 1 || p.Idle != 1 {
			t.Errorf("pool afterwards: %+v, want another idle one", p)
		}
		r.after(10 * time.Minute)
		r.wantJobs("success", 1)
		if got := r.problem("pool linux"); got != "" {
			t.Errorf("problem %q", got)
		}
		r.stop()
		r.killAll()
	})
}

// A machine is lost with a job on it. The runner is still online at first: the
// way to the machine may be all that is broken. Then it is deregistered, and it
// is said which job has gone with it.
func TestMachineIsLost(t *testing.T) {
	for name, change := range map[string]func(*Config){"ephemeral": func(*Config) {}, "persistent": persistent} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{}, change)
				r.run()
				r.queue(1, time.Hour)
				r.after(10 * time.Second)
				lost := r.only()
				r.engine.Lose(lost.Name, "its node gamma is lost")
				r.after(2 * time.Minute)
				if now := r.only(); now.Name != lost.Name || now.Phase != plan.PhaseBusy {
					t.Fatalf("runner %+v, want it to be busy on", now)
				}
				r.engine.Crash(lost.Name)
				r.after(10 * time.Minute)
				if n := len(r.m.Status().Runners); n != 0 {
					t.Errorf("%d runners, want none", n)
				}
				if !strings.Contains(r.log.String(), "job lost") {
					t.Error("the log does not say that a job was lost")
				}
				if got := r.problem("pool linux"); got != "" {
					t.Errorf("problem %q: the runner has not failed", got)
				}
				if left := r.gitea.State().Runners; len(left) > 0 {
					t.Errorf("left in Gitea: %+v", left)
				}
				r.queue(1, time.Second)
				r.after(time.Minute)
				r.wantJobs("success", 1)
				r.stop()
				r.killAll()
			})
		})
	}
}

// Where the files of containers cannot be reached, runners are found by their
// names.
func TestAdoptionWithoutFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.engine.Fail("ReadFile", plan.ErrUnsupported)
		r.engine.Fail("WriteFile", plan.ErrUnsupported)
		r.run()
		r.queue(2, 5*time.Minute)
		r.after(10 * time.Second)
		r.stop()
		if err := os.Remove(filepath.Join(r.dir, "state", "scaler.db")); err != nil {
			t.Fatal(err)
		}
		r.run()
		r.after(10 * time.Second)
		if p := r.m.Status().Pools[0]; p.Busy != 2 {
			t.Errorf("pool %+v, want both to be busy", p)
		}
		r.after(10 * time.Minute)
		r.wantJobs("success", 2)
		r.stop()
		r.wantNothingLeft()
	})
}

// unhurried is an engine that cannot kill at once.
type unhurried struct {
	*enginetest.Engine
	kills *atomic.Int64
}

// Signal leaves a container that is to be killed to its own time.
func (u unhurried) Signal(ctx context.Context, id, signal string) error {
	if signal == "SIGKILL" {
		u.kills.Add(1)
		return nil
	}
	return u.Engine.Signal(ctx, id, signal)
}

// A runner that does not end when it is killed is killed again, but not in each
// cycle.
func TestKillsAreNotRepeatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.engine.SetProcess(func(ctx context.Context, term <-chan struct{}, files map[string][]byte) int {
			code := r.process(ctx, term, files)
			<-ctx.Done() // it hangs
			return code
		})
		kills := new(atomic.Int64)
		r.run(func(p *Ports) { p.Engine = unhurried{r.engine, kills} })
		job := r.queue(1, 24*time.Hour)[0]
		r.after(10 * time.Second)
		if err := r.gitea.CancelJob(job); err != nil {
			t.Fatal(err)
		}
		r.after(5 * time.Minute)
		if n := kills.Load(); n < 2 || n > 10 {
			t.Errorf("killed %d times in five minutes, want some", n)
		}
		r.stop()
		r.killAll()
	})
}
