package pool

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// A matrix that is longer than all that is read of a queue leaves room for the
// jobs behind it.
func TestMatrixLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Max, p.MaxPerRepo = 4, 2 }))
		r.run()
		r.gitea.AddJobs(giteatest.JobSpec{Count: 60, Repo: "acme/matrix", Labels: []string{"linux"}, Duration: time.Minute})
		r.after(time.Second)
		r.gitea.AddJobs(giteatest.JobSpec{Count: 2, Repo: "acme/tool", Labels: []string{"linux"}, Duration: time.Second})
		r.after(10 * time.Second)
		// Two of the matrix run; the runners for the others may have been given
		// jobs of it too, since the server takes the oldest.
		s := r.m.Status()
		if p := s.Pools[0]; p.Starting+p.Idle+p.Busy+p.Leaving < 3 {
			t.Errorf("pool %+v: nothing was started for the other repository", p)
		}
		waits := 0
		for _, j := range s.Queue {
			if j.Repo == "acme/matrix" && j.Pool == "" && strings.HasSuffix(j.Reason, "of its 2 runners in pool linux (max_per_repo)") {
				waits++
			}
		}
		if waits == 0 {
			t.Errorf("no job of the matrix waits for its ceiling: %+v", s.Queue[:min(len(s.Queue), 5)])
		}
		r.after(40 * time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 62)
		r.stop()
		r.wantNothingLeft()
	})
}
