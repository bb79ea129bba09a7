package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// A bad day is a fault that begins while one runner is busy and another is
// idle and overdue. Whatever it is: the busy one finishes, nothing is stopped
// or deleted for lack of knowledge, one line says what is wrong, and when it is
// over the work goes on.
func TestBadDaysOfTheServer(t *testing.T) {
	tests := map[string]struct {
		fault giteatest.Fault
		want  string // in the problem
	}{
		"down":           {giteatest.Fault{Drop: true}, "connection closed"},
		"slow":           {giteatest.Fault{Latency: time.Minute}, "deadline exceeded"},
		"500":            {giteatest.Fault{Status: 500}, "500"},
		"502 of a proxy": {giteatest.Fault{Status: 502, Body: "<html>Bad Gateway</html>"}, "502"},
		"401":            {giteatest.Fault{Status: 401, Body: `{"message":"token is required"}`}, "gitea.api_token"},
		"404":            {giteatest.Fault{Status: 404, Body: "not found"}, "gitea.url"},
		"half a page":    {giteatest.Fault{Kind: "jobs", HalfPage: true}, "EOF"},
		"half a body":    {giteatest.Fault{Kind: "jobs", HalfBody: true}, "JSON"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Idle = 1 }))
				r.run()
				r.after(5 * time.Second)
				r.queue(1, 2*time.Minute)
				r.after(10 * time.Second)
				r.stop()
				r.config.Spec.Pools[0].Idle = 0
				r.config.Spec.Pools[0].IdleTimeout = 30 * time.Second
				r.run()
				r.after(2 * time.Second)
				before := r.m.Status()
				if p := before.Pools[0]; p.Busy != 1 || p.Idle != 1 {
					t.Fatalf("pool before the fault: %+v", p)
				}

				if tt.fault.Kind == "" {
					tt.fault.Kind = "[a-z]*" // the REST API; the runners go on
				}
				if err := r.gitea.SetFault(tt.fault); err != nil {
					t.Fatal(err)
				}
				r.after(90 * time.Second)
				if got := r.problem("gitea instance"); !strings.Contains(got, tt.want) {
					t.Errorf("problem %q, want %q in it", got, tt.want)
				}
				if n := r.log.count("level=WARN"); n < 1 || n > 3 {
					t.Errorf("%d warnings, want about one", n)
				}
				if n := r.engine.Calls("Signal"); n > 0 {
					t.Errorf("%d signals were sent while nothing was known", n)
				}
				s := r.gitea.State()
				if len(s.Runners) != 2 || s.Counts.Deletions > 0 {
					t.Errorf("%d runners in Gitea, %d deletions; want 2 and 0", len(s.Runners), s.Counts.Deletions)
				}
				for _, x := range s.Runners {
					if x.Disabled {
						t.Errorf("runner %s was disabled", x.Name)
					}
				}

				r.gitea.ClearFaults()
				r.queue(2, time.Second)
				r.after(3 * time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 3)
				if got := r.problem("gitea instance"); got != "" {
					t.Errorf("problem %q after it is over", got)
				}
				if n := r.log.count("problem is over"); n < 1 {
					t.Error("the log does not say that it is over")
				}
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}

func TestBadDaysOfTheRegistrationToken(t *testing.T) {
	tests := map[string]struct {
		spoil func(*rig)
		mend  func(*rig)
		want  string
	}{
		"wrong": {
			func(r *rig) { r.token.Store("not-the-token") },
			func(r *rig) { r.token.Store(registrationToken) }, "registration token rejected",
		},
		"invalidated and replaced": {
			func(r *rig) { r.gitea.InvalidateToken(registrationToken) },
			func(r *rig) { r.token.Store(r.gitea.ResetToken(instanceScope)) }, "registration token rejected",
		},
		"missing": {
			func(r *rig) { r.token.Store("") },
			func(r *rig) { r.token.Store(registrationToken) }, "no such file",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{})
				r.run()
				r.queue(1, 15*time.Minute)
				r.after(3 * time.Second)
				tt.spoil(r)
				r.queue(3, time.Second)
				r.after(10 * time.Minute)
				if got := r.problem("pool linux"); !strings.Contains(got, tt.want) {
					t.Errorf("problem %q, want %q in it", got, tt.want)
				}
				if got := r.m.Status().Queue[0].Reason; !strings.Contains(got, tt.want) {
					t.Errorf("the job's reason is %q, want %q in it", got, tt.want)
				}
				s := r.gitea.State()
				if n := s.Counts.Calls["Register"]; n > 15 {
					t.Errorf("%d attempts to register in ten minutes", n)
				}
				if r.only().Phase != plan.PhaseBusy {
					t.Error("the busy runner is not busy any more")
				}
				if n := r.log.count("level=WARN"); n != 1 {
					t.Errorf("%d warnings, want one", n)
				}
				tt.mend(r)
				r.after(5 * time.Second)
				r.wantJobs(giteatest.StatusSuccess, 3) // within a poll of the change
				r.after(10 * time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 4)
				if got := r.problem("pool linux"); got != "" {
					t.Errorf("problem %q after it is over", got)
				}
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}

func TestBadDaysOfTheEngine(t *testing.T) {
	t.Run("image missing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, giteatest.Options{})
			r.engine.Fail("Create", fmt.Errorf("pull image acme/runner: %w: access denied", plan.ErrImage))
			r.run()
			r.queue(20, time.Second)
			r.after(30 * time.Minute)
			if got := r.problem("pool linux"); !strings.Contains(got, "pull image acme/runner") {
				t.Errorf("problem %q", got)
			}
			s := r.gitea.State()
			if n := s.Counts.Registrations; n > 10 {
				t.Errorf("%d registrations for an image that is not there", n)
			}
			if n := r.engine.Calls("Create"); n < 7 || n > 25 {
				t.Errorf("%d attempts to create in half an hour, want a back-off up to five minutes", n)
			}
			if len(s.Runners) > 0 {
				t.Errorf("left in Gitea: %+v", s.Runners)
			}
			r.engine.Fail("Create", nil)
			r.after(6 * time.Minute)
			r.wantJobs(giteatest.StatusSuccess, 20)
			r.stop()
			r.wantNothingLeft()
		})
	})
	t.Run("container exits at once", func(t *testing.T) {
		for _, code := range []int{0, 1} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, giteatest.Options{})
				r.engine.SetProcess(func(_ context.Context, _ <-chan struct{}, files map[string][]byte) int {
					files["/log"] = []byte("starting\nexec format error\n")
					return code
				})
				r.run()
				r.queue(5, time.Second)
				r.after(30 * time.Minute)
				got := r.problem("pool linux")
				if !strings.Contains(got, fmt.Sprintf("exit code %d", code)) || !strings.Contains(got, "exec format error") {
					t.Errorf("problem %q, want the exit code and the last log lines", got)
				}
				s := r.gitea.State()
				if s.Counts.Registrations > 25 || len(s.Runners) > 0 {
					t.Errorf("%d registrations in half an hour, %d runners left", s.Counts.Registrations, len(s.Runners))
				}
				r.engine.SetProcess(r.process)
				r.after(10 * time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 5)
				r.stop()
				r.wantNothingLeft()
			})
		}
	})
	t.Run("runner never comes online", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, giteatest.Options{})
			r.engine.SetProcess(func(ctx context.Context, term <-chan struct{}, _ map[string][]byte) int {
				select {
				case <-term:
				case <-ctx.Done():
				}
				return 0
			})
			r.run()
			r.queue(1, time.Second)
			r.after(4 * time.Minute)
			if got := r.problem("pool linux"); !strings.Contains(got, "never came online") {
				t.Errorf("problem %q", got)
			}
			r.engine.SetProcess(r.process)
			r.after(10 * time.Minute)
			r.wantJobs(giteatest.StatusSuccess, 1)
			r.stop()
			r.wantNothingLeft()
		})
	})
	for _, when := range []string{"at start", "later"} {
		t.Run("down "+when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				down := errors.New("connect to the engine: connection refused; is docker running?")
				fail := func(r *rig, err error) {
					for _, call := range []string{"Create", "Start", "Signal", "Remove", "List", "Inspect", "Logs", "ReadFile"} {
						r.engine.Fail(call, err)
					}
				}
				r := newRig(t, giteatest.Options{})
				if when == "at start" {
					fail(r, down)
				}
				r.run()
				r.queue(2, 30*time.Second)
				r.after(10 * time.Second)
				fail(r, down)
				r.after(10 * time.Minute)
				if got := r.problem("docker"); got != down.Error() {
					t.Errorf("problem %q", got)
				}
				if n := r.log.count("level=WARN"); n != 1 {
					t.Errorf("%d warnings, want one", n)
				}
				if when == "at start" && r.gitea.State().Counts.Registrations > 0 {
					t.Error("runners were registered that cannot run")
				}
				fail(r, nil)
				r.after(time.Minute)
				r.wantJobs(giteatest.StatusSuccess, 2)
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}

func TestJobThatNoPoolServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.gitea.AddJobs(giteatest.JobSpec{Count: 120, Labels: []string{"windows"}})
		r.after(5 * time.Second)
		r.queue(1, time.Second)
		r.after(5 * time.Second)
		r.wantJobs(giteatest.StatusSuccess, 1) // not hidden behind the others
		s := r.m.Status()
		if len(s.Queue) != 120 || s.Queue[0].Pool != "" || !strings.Contains(s.Queue[0].Reason, "pool linux lacks windows") {
			t.Errorf("queue of %d, first %+v", len(s.Queue), s.Queue[0])
		}
		r.stop()
		r.wantNothingLeft()
	})
}

func TestLostAnswerOfRegisterLeavesNoCorpse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		if err := r.gitea.SetFault(giteatest.Fault{Kind: "Register", DropAfter: true, Times: 1}); err != nil {
			t.Fatal(err)
		}
		r.run()
		r.queue(1, time.Second)
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 1)
		if s := r.gitea.State(); s.Counts.Registrations != 2 || s.Counts.Deletions != 1 {
			t.Errorf("counts %+v, want two registrations, of which one was deleted by its name", s.Counts)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

func TestDeregistrationIsTriedUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, persistent, sole(func(p *plan.Pool) { p.IdleTimeout = 5 * time.Second }))
		if err := r.gitea.SetFault(giteatest.Fault{Kind: "runner.delete", Status: 500}); err != nil {
			t.Fatal(err)
		}
		r.run()
		r.queue(1, time.Second)
		r.after(10 * time.Minute)
		got := r.only()
		if got.Phase != plan.PhaseRemoving || r.problem("runner "+got.Name) == "" {
			t.Errorf("phase %s, problem %q", got.Phase, r.problem("runner "+got.Name))
		}
		if n := r.log.count("level=WARN"); n > 3 {
			t.Errorf("%d warnings", n)
		}
		r.gitea.ClearFaults()
		r.after(2 * time.Minute)
		r.stop()
		r.wantNothingLeft()
	})
}

// fullDisk is a store whose disk is full.
type fullDisk struct {
	store
	full atomic.Bool
}

func (f *fullDisk) Put(records ...state.Record) error {
	if f.full.Load() {
		return fmt.Errorf("store %d runners: %w", len(records), syscall.ENOSPC)
	}
	return f.store.Put(records...)
}

func TestFullDiskStartsNothingAndKeepsRunnersSafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.queue(1, time.Minute)
		r.after(5 * time.Second)
		r.stop()
		disk := &fullDisk{}
		r.run(func(p *Ports) { disk.store = p.Store; p.Store = disk })
		disk.full.Store(true)
		r.after(time.Second)
		r.queue(2, time.Second)
		r.after(30 * time.Second)
		if n := r.gitea.State().Counts.Registrations; n != 1 {
			t.Errorf("%d registrations, want none without a stored intent", n)
		}
		if got := r.problem("pool linux"); !strings.Contains(got, "no space left") {
			t.Errorf("problem %q", got)
		}
		r.wantJobs(giteatest.StatusInProgress, 1)
		disk.full.Store(false)
		r.after(3 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 3)
		r.stop()
		r.wantNothingLeft()
	})
}
