package pool

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// The daemon is alive as long as its loop turns, however slow Gitea is, also in a
// long drain; and not any more once the loop hangs.
func TestHealthFollowsTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, func(c *Config) { c.DrainOnShutdown, c.ShutdownTimeout = true, time.Hour })
		r.run()
		r.queue(1, 30*time.Minute)
		r.after(10 * time.Second)
		health := func(when string, alive, ready bool) {
			t.Helper()
			if h := r.m.Status().Health(time.Now()); h.Alive != alive || h.Ready != ready {
				t.Errorf("%s: alive %v, ready %v: %s", when, h.Alive, h.Ready, h.Line())
			}
		}
		health("all is well", true, true)
		if err := r.gitea.SetFault(giteatest.Fault{Kind: "[a-z]*", Latency: time.Minute}); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			r.after(31 * time.Second)
			health("Gitea does not answer", true, false)
		}
		r.gitea.ClearFaults()
		r.after(time.Minute)
		health("Gitea is back", true, true)
		ended := make(chan struct{})
		go func() { defer close(ended); r.stop() }()
		for range 8 {
			r.after(time.Minute)
			health("drains", true, false)
		}
		<-ended
		r.killAll()
	})
}

// What somebody asks of the loop may take its time, and so may the cycle after it.
func TestHealthWhileTheLoopIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, func(c *Config) { c.Pace.Usual = 10 * time.Minute })
		r.run()
		r.after(9 * time.Minute)
		if h := r.m.Status().Health(time.Now()); !h.Alive {
			t.Errorf("nothing is due: %s", h.Line())
		}
		slow := plan.LoopBound - 30*time.Second
		asked := make(chan error)
		go func() { asked <- r.m.ask(t.Context(), func() { time.Sleep(slow) }) }()
		r.engine.Before("List", func() { time.Sleep(slow) })
		for range 10 {
			r.after(30 * time.Second)
			if h := r.m.Status().Health(time.Now()); !h.Alive {
				t.Errorf("at %s: %s", time.Now().Format("15:04:05"), h.Line())
			}
		}
		if err := <-asked; err != nil {
			t.Error(err)
		}
		r.stop()
	})
}

func TestHealthOfALoopThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.after(10 * time.Second)
		release := make(chan struct{})
		r.engine.Before("List", func() { <-release }) // heeds no deadline
		r.after(plan.LoopBound - time.Second)
		if h := r.m.Status().Health(time.Now()); !h.Alive {
			t.Errorf("given up too early: %s", h.Line())
		}
		r.after(5 * time.Second)
		if h := r.m.Status().Health(time.Now()); h.Alive || h.Ready || !strings.Contains(h.Line(), "the loop was to turn 3m") {
			t.Errorf("alive %v, ready %v: %s", h.Alive, h.Ready, h.Line())
		}
		close(release)
		r.after(2 * time.Second)
		if h := r.m.Status().Health(time.Now()); !h.Alive || !h.Ready {
			t.Errorf("it goes on, and is %s", h.Line())
		}
		r.stop()
		r.wantNothingLeft()
	})
}
