package pool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

func (r *rig) must(errs ...error) {
	r.t.Helper()
	if err := errors.Join(errs...); err != nil {
		r.t.Fatal(err)
	}
}

// audited lists the entries of the audit log, as "action pool runner by actor: detail".
func (r *rig) audited() (list []string) {
	r.t.Helper()
	entries, err := r.store.Audit(0, 0)
	r.must(err)
	for _, e := range entries {
		list = append(list, strings.Join(strings.Fields(e.Action+" "+e.Pool+" by "+e.Actor+": "+e.Detail), " "))
	}
	return list
}

func TestPausedPoolStartsNothingUntilItIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Idle = 1 }))
		r.run()
		r.queue(1, 10*time.Minute)
		r.after(10 * time.Second) // one is busy, one is idle
		r.must(r.m.Pause(t.Context(), "alice", "linux", "new disks"))
		r.queue(3, time.Second)
		r.after(10 * time.Second) // the idle one has taken one of them
		r.wantJobs(giteatest.StatusSuccess, 1)
		before := r.gitea.State().Counts.Registrations
		for range 2 {
			r.after(time.Minute)
			s := r.m.Status()
			p := s.Pools[0]
			if p.Paused == nil || p.Paused.By != "alice" || p.Paused.Drain || p.Busy != 1 || p.Starting+p.Idle > 0 || len(s.Problems) > 0 {
				t.Errorf("pool %+v, problems %v", p, s.Problems)
			}
			if len(s.Queue) != 2 || !strings.HasPrefix(s.Queue[0].Reason, "pool linux is paused by alice since ") || !strings.HasSuffix(s.Queue[0].Reason, " (new disks)") {
				t.Errorf("queue %+v", s.Queue)
			}
			r.stop()
			r.run() // which changes nothing
		}
		// Nor does an edit that takes the pool away for a while.
		without := r.config
		without.Spec.Pools, without.Pools = nil, nil
		r.must(r.m.Reconfigure(t.Context(), without))
		r.after(5 * time.Second)
		r.must(r.m.Reconfigure(t.Context(), r.config))
		r.after(time.Minute)
		if n := r.gitea.State().Counts.Registrations; n != before {
			t.Errorf("%d runners registered, %d before the pause", n, before)
		}
		r.must(r.m.Resume(t.Context(), "bob", "linux"), r.m.Resume(t.Context(), "bob", "linux"))
		r.after(20 * time.Second)
		r.wantJobs(giteatest.StatusSuccess, 3)
		if p := r.m.Status().Pools[0]; p.Paused != nil || p.Hold != "" {
			t.Errorf("after it was resumed: %+v", p)
		}
		if got, want := r.audited(), []string{"pool.pause linux by alice: new disks", "pool.resume linux by bob:"}; !slices.Equal(got, want) {
			t.Errorf("audited %q, want %q", got, want)
		}
		r.after(15 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 4)
		r.stop()
		r.killAll()
	})
}

func TestDrainedPoolFinishesItsJobsAndNothingElse(t *testing.T) {
	for name, ephemeral := range map[string]bool{"ephemeral": true, "persistent": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Idle, p.Standby, p.IdleTimeout = 2, 1, time.Hour }))
				if !ephemeral {
					persistent(&r.config)
				}
				r.run()
				r.queue(1, 10*time.Minute)
				r.after(20 * time.Second)
				if p := r.m.Status().Pools[0]; p.Busy != 1 || p.Idle != 2 || p.Standby != 1 {
					t.Fatalf("before: %+v", p)
				}
				r.must(r.m.Drain(t.Context(), "alice", plan.DrainTarget{Pool: "linux"}))
				r.after(5 * time.Second)
				jobs := r.queue(5, time.Second) // of which they may get none
				r.stop()                        // as after a crash: the wait begins anew
				r.run()
				r.after(30 * time.Second)
				if p := r.m.Status().Pools[0]; p.Idle+p.Starting+p.Standby > 0 || p.Busy+p.Leaving != 1 {
					t.Errorf("after half a minute: %+v", p)
				}
				r.wantJobs(giteatest.StatusSuccess, 0)
				r.after(10 * time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 1)
				if j, _ := r.gitea.Job(jobs[0]); j.Status != giteatest.StatusQueued {
					t.Errorf("a later job is %s", j.Status)
				}
				r.stop()
				r.wantNothingLeft()
				r.run()
				r.must(r.m.Resume(t.Context(), "alice", "linux"))
				r.after(time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 6)
				r.stop()
				r.killAll()
			})
		})
	}
}

func TestDrainOfOneRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.Min, p.Max = 1, 2 }))
		r.run()
		r.queue(1, 5*time.Minute)
		r.after(10 * time.Second)
		old := r.only()
		r.must(r.m.Drain(t.Context(), "alice", plan.DrainTarget{Runner: old.Name, Reason: "it is slow"}))
		r.after(time.Second)
		next := r.queue(1, time.Second)
		r.stop()
		r.run()
		r.after(20 * time.Second)
		s := r.m.Status()
		if len(s.Runners) != 2 {
			t.Fatalf("runners %+v, want the drained one and another in its place", s.Runners)
		}
		for _, x := range s.Runners {
			if drained := x.Name == old.Name; drained != (x.Leave != nil) || drained && x.Leave.Reason != "it is slow" {
				t.Errorf("runner %+v", x)
			}
		}
		if j, _ := r.gitea.Job(next[0]); j.Status != giteatest.StatusSuccess || j.RunnerName == old.Name {
			t.Errorf("the next job: %+v", j)
		}
		r.after(6 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 2)
		if got := r.only(); got.Name == old.Name {
			t.Errorf("it is still there: %+v", got)
		}
		_, runners, err := r.store.Orders()
		if err != nil || len(runners) > 0 {
			t.Errorf("orders left: %v, %v", runners, err)
		}
		r.stop()
		r.killAll()
	})
}

func TestOneMoreRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Max = 2 }))
		r.run()
		r.after(time.Second)
		name, err := r.m.StartOne(t.Context(), "alice", "linux")
		r.must(err)
		r.after(10 * time.Second)
		if got := r.only(); got.Name != name || got.Phase != plan.PhaseIdle || got.Reason != "alice asked for one more" {
			t.Errorf("runner %+v, want %s", got, name)
		}
		r.after(4 * time.Minute)
		if got := r.only(); got.Phase != plan.PhaseIdle {
			t.Errorf("phase %s before idle_timeout", got.Phase)
		}
		// Two at a time, of which one fits.
		answers := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := r.m.StartOne(context.Background(), "alice", "linux")
				answers <- err
			}()
		}
		refused := errors.Join(<-answers, <-answers)
		if !errors.Is(refused, plan.ErrConflict) || strings.Count(refused.Error(), "\n") > 0 || !strings.Contains(refused.Error(), "pool linux is at its max of 2") {
			t.Errorf("two more: %v, want one refusal", refused)
		}
		r.after(10 * time.Minute)
		if n := len(r.m.Status().Runners); n != 0 {
			t.Errorf("%d runners after idle_timeout", n)
		}
		started := r.journal.of(plan.EventStart)
		if len(started) != 2 || started[0].Runner != name || started[0].Actor != "alice" {
			t.Errorf("events %+v", started)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

func TestOrdersThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.after(time.Second)
		ctx := t.Context()
		start := func(pool string) error {
			_, err := r.m.StartOne(ctx, "alice", pool)
			return err
		}
		for what, tt := range map[string]struct {
			err  error
			is   error
			want string
		}{
			"pause of no pool":     {r.m.Pause(ctx, "alice", "linus", ""), plan.ErrNotFound, "pause pool linus: not found: the pools are linux"},
			"resume of no pool":    {r.m.Resume(ctx, "alice", "linus"), plan.ErrNotFound, "the pools are linux"},
			"drain of no pool":     {r.m.Drain(ctx, "alice", plan.DrainTarget{Pool: "linus"}), plan.ErrNotFound, "the pools are linux"},
			"drain of no runner":   {r.m.Drain(ctx, "alice", plan.DrainTarget{Runner: "x"}), plan.ErrNotFound, "drain runner x: not found"},
			"drain of nothing":     {r.m.Drain(ctx, "alice", plan.DrainTarget{}), plan.ErrInvalid, "name a pool, or a runner, or all"},
			"drain of two":         {r.m.Drain(ctx, "alice", plan.DrainTarget{Pool: "linux", All: true}), plan.ErrInvalid, "name a pool, or a runner, or all"},
			"start in no pool":     {start("linus"), plan.ErrNotFound, "the pools are linux"},
			"reason of two lines":  {r.m.Pause(ctx, "alice", "linux", "a\nb"), plan.ErrInvalid, "line break"},
			"reason that is long":  {r.m.Pause(ctx, "alice", "linux", strings.Repeat("x", 201)), plan.ErrInvalid, "more than 200 characters"},
			"logs of no runner":    {errorOf(r.m.Logs(ctx, "x", 1)), plan.ErrNotFound, "read log of runner x: not found"},
			"log followed of none": {r.m.FollowLogs(ctx, "x", 1, nil), plan.ErrNotFound, "follow log of runner x: not found"},
		} {
			if !errors.Is(tt.err, tt.is) || !strings.Contains(tt.err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", what, tt.err, tt.want)
			}
		}
		if p := r.m.Status().Pools[0]; p.Paused != nil || len(r.audited()) > 0 {
			t.Errorf("something was ordered: %+v, %q", p, r.audited())
		}
		r.stop()
	})
}

func errorOf[T any](_ T, err error) error { return err }

// An order that cannot be stored is none.
func TestOrderThatCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run(func(p *Ports) { p.Store = noOrders{p.Store} })
		r.after(time.Second)
		if err := r.m.Drain(t.Context(), "alice", plan.DrainTarget{All: true}); !errors.Is(err, state.ErrNoSpace) {
			t.Errorf("Drain = %v", err)
		}
		if _, err := r.m.StartOne(t.Context(), "alice", "linux"); !errors.Is(err, state.ErrNoSpace) {
			t.Errorf("StartOne = %v", err)
		}
		r.after(10 * time.Second)
		if s := r.m.Status(); s.Pools[0].Paused != nil || len(s.Runners) > 0 || len(r.journal.of(plan.EventDrain)) > 0 {
			t.Errorf("status %+v", s)
		}
		r.stop()
	})
}

// noOrders is a store that has no room for orders.
type noOrders struct{ store }

func (noOrders) PutOrders(state.Orders) error { return state.ErrNoSpace }

func TestLogsAndUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Min = 1 }))
		r.run()
		r.after(10 * time.Second)
		x := r.only()
		r.must(r.engine.WriteFile(t.Context(), x.Container, plan.File{Path: "/log", Data: []byte("one\ntwo\nthree\n")}))
		lines, err := r.m.Logs(t.Context(), x.Name, 2)
		r.must(err)
		followed := make(chan []string, 1)
		go func() {
			var got []string
			_ = r.m.FollowLogs(context.Background(), x.Name, 1, func(l string) error { got = append(got, l); return nil })
			followed <- got
		}()
		usage := r.m.Usage(t.Context(), []string{x.Name, "nobody"})
		if len(usage) != 1 || usage[0].Runner != x.Name || usage[0].Memory == 0 || usage[0].CPU == 0 {
			t.Errorf("usage %+v", usage)
		}
		r.kill(x.Container)
		r.after(5 * time.Second)
		if got := <-followed; !slices.Equal(lines, []string{"two", "three"}) || !slices.Equal(got, []string{"three"}) {
			t.Errorf("lines %q, followed %q", lines, got)
		}
		r.stop()
		r.killAll()
	})
}
