package pool

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/enginetest"
	"scaler.io/scaler/internal/plan"
)

// Before 15 a Forgejo lists jobs only by label and no runners, and deletes none:
// their logs tell what they do, and their identities are used again.
func TestMainPathOnOlderForgejo(t *testing.T) {
	for _, name := range []string{"forgejo-11", "forgejo-14"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, release(t, name))
				r.mint = true
				commands := r.commands()
				r.run()
				for round := range 3 {
					r.queue(3, 30*time.Second)
					r.after(15 * time.Second)
					r.has("3 jobs run", 0, 3)
					r.after(2 * time.Minute)
					r.wantJobs("success", 3*(round+1))
					r.has("after them", 0, 0)
				}
				for _, c := range commands() {
					if c != "forgejo-runner --config /data/config.yaml one-job --wait" {
						t.Errorf("command %q", c)
					}
				}
				if n := r.gitea.State().Counts.Registrations; n != 3 {
					t.Errorf("%d registrations for 3 runners at a time", n)
				}
				r.stop()
			})
		})
	}
}

// Persistent runners of a Forgejo are withdrawn by their labels, since it cannot
// disable one.
func TestPersistentRunnersOnForgejo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "forgejo-15"), persistent)
		r.mint = true
		r.run()
		r.queue(3, 30*time.Second)
		r.after(3 * time.Minute)
		r.wantJobs("success", 3)
		r.queue(1, time.Minute)
		r.after(20 * time.Second)
		r.wantJobs("in_progress", 1)
		r.after(20 * time.Minute)
		r.wantJobs("success", 4)
		if n := r.log.count("runner withdrawn"); n != 3 {
			t.Errorf("%d runners withdrawn, want 3", n)
		}
		r.stop()
		r.wantNothingLeft()
	})
}

// A server that has just learned to list runners shows one with a used identity as
// online while its container has not come so far: it is not taken for online, so
// that its .runner is not emptied before it is read.
func TestUsedIdentityAfterAnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "forgejo-11"))
		r.mint = true
		var delay atomic.Int64
		r.engine = enginetest.New(func(ctx context.Context, term <-chan struct{}, files map[string][]byte) int {
			time.Sleep(time.Duration(delay.Load()))
			return r.process(ctx, term, files)
		})
		r.run()
		r.queue(1, time.Second)
		r.after(15 * time.Second)
		r.wantJobs("success", 1)
		delay.Store(int64(10 * time.Second))
		r.queue(1, 30*time.Second)
		r.after(2 * time.Second)
		r.gitea.SetProfile(release(t, "forgejo-15").Profile)
		r.after(5 * time.Second)
		if s := r.only(); s.Phase != plan.PhaseStarting {
			t.Errorf("it is %s before it has said a word: %s", s.Phase, s.Note)
		}
		r.after(2 * time.Minute)
		r.wantJobs("success", 2)
		r.stop()
		r.wantNothingLeft()
	})
}
