package pool

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// TestServerChangeIsTold: an upgrade under a running daemon, and the way back, is
// found within a poll or so, told once, and shown.
func TestServerChangeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, release(t, "gitea-1.24"))
		r.run()
		r.after(10 * time.Second)
		for i, step := range []struct {
			to, text string
			disables bool
		}{
			{"gitea-1.26", "the server was Gitea 1.24.6 and is Gitea 1.26.0 now; it can now list queued and running jobs", true},
			{"gitea-1.25", "it can no longer disable runners", false},
		} {
			r.gitea.SetProfile(release(t, step.to).Profile)
			if err := r.gitea.SetFault(giteatest.Fault{Kind: "jobs", Drop: true, Times: 1}); err != nil { // as in a restart
				t.Fatal(err)
			}
			r.after(3 * time.Second)
			told := r.journal.of(plan.EventServerChanged)
			if len(told) != i+1 || !strings.Contains(told[i].Text, step.text) {
				t.Errorf("to %s: told %+v", step.to, told)
			}
			if caps := r.m.Status().Capabilities; caps == nil || caps.Disable != step.disables {
				t.Errorf("to %s: shown %+v", step.to, caps)
			}
		}
		if n := r.log.count("msg=\"server changed\""); n != 2 {
			t.Errorf("logged %d times", n)
		}
		r.stop()
		r.killAll()
	})
}
