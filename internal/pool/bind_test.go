package pool

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// On Forgejo 15 the API token makes the runners, each for one job, and nothing is
// left of them.
func TestMainPathOnForgejo(t *testing.T) {
	for _, name := range []string{"forgejo-15", "forgejo-16"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, release(t, name))
				r.mint = true
				commands := r.commands()
				r.run()
				r.queue(6, 30*time.Second)
				r.after(15 * time.Second)
				r.wantJobs("in_progress", 6)
				r.has("6 jobs run", 0, 6)
				for _, s := range r.m.Status().Runners {
					if s.Job == 0 || !strings.Contains(s.Note, "has job ") {
						t.Errorf("which job it has is not known: %+v", s)
					}
				}
				r.after(2 * time.Minute)
				r.wantJobs("success", 6)
				got := commands()
				if len(got) != 6 || slices.ContainsFunc(got, func(c string) bool { return !strings.Contains(c, "one-job --handle ") }) {
					t.Errorf("commands %q", got)
				}
				if n := r.gitea.State().Counts.Calls["Register"]; n != 0 {
					t.Errorf("%d registrations by a token", n)
				}
				r.stop()
				r.wantNothingLeft()
			})
		})
	}
}

// A job that another runner has taken before its own leaves that one to end by
// itself, which is no failure of the pool.
func TestBoundRunnerWhoseJobIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "forgejo-15"), func(c *Config) {
			o := c.Pools["linux"]
			o.RunnerConfig = func(string) ([]byte, error) { time.Sleep(2 * time.Second); return nil, nil } // a slow start
			c.Pools["linux"] = o
		})
		r.run()
		ids := r.queue(1, time.Minute)
		r.after(1500 * time.Millisecond)
		if err := r.gitea.CancelJob(ids[0]); err != nil {
			t.Fatal(err)
		}
		r.after(30 * time.Second)
		if n := len(r.m.Status().Runners); n > 0 {
			t.Errorf("%d runners are left", n)
		}
		if r.log.count("exited with code 2") != 1 {
			t.Error("no runner has ended without its job")
		}
		if p := r.m.Status().Pools[0]; p.Hold != "" || r.problem("pool linux") != "" {
			t.Errorf("the pool has failed: %q, %q", p.Hold, r.problem("pool linux"))
		}
		r.queue(1, time.Second)
		r.after(2 * time.Minute)
		r.wantJobs("success", 1)
		r.stop()
		r.wantNothingLeft()
	})
}

// A job that waits and is not to be had, as in a busy concurrency group, does not
// have one runner after the other started: the second one waits for it.
func TestBoundRunnerOfAJobThatIsNotToBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "forgejo-15"))
		commands := r.commands()
		r.run()
		for _, f := range []giteatest.Fault{{Kind: "FetchSingleTask", Status: 200, Body: "{}"}, {Kind: "FetchTask", Status: 503}} {
			if err := r.gitea.SetFault(f); err != nil {
				t.Fatal(err)
			}
		}
		r.queue(1, time.Second)
		r.after(5 * time.Minute)
		got := commands()
		if len(got) != 2 || !strings.Contains(got[0], "--handle") || !strings.Contains(got[1], "--wait") {
			t.Errorf("commands %q, want one that is bound and one that waits", got)
		}
		r.gitea.ClearFaults()
		r.after(30 * time.Second)
		r.wantJobs("success", 1)
		r.after(time.Minute)
		r.stop()
		r.wantNothingLeft()
	})
}

// The binding survives a restart of the daemon.
func TestBindingSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "forgejo-15"), func(c *Config) {
			o := c.Pools["linux"]
			o.RunnerConfig = func(string) ([]byte, error) { time.Sleep(5 * time.Second); return nil, nil }
			c.Pools["linux"] = o
		}, sole(func(p *plan.Pool) { p.Max = 3 }))
		commands := r.commands()
		r.run()
		r.queue(1, time.Minute)
		r.after(2 * time.Second)
		r.stop()
		r.run()
		r.after(30 * time.Second)
		if got := commands(); len(got) != 1 {
			t.Errorf("commands %q, want one runner for one job", got)
		}
		r.after(2 * time.Minute)
		r.wantJobs("success", 1)
		r.stop()
		r.wantNothingLeft()
	})
}
