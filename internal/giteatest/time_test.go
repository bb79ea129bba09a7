package giteatest_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

func TestOfflineAndBusyFade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newMemory(t, giteatest.Options{})
		id := c.register(t, false, "fade")
		c.addJobs(t, 1, "fade")
		c.report(t, id, c.take(t, id), "").want(t, http.StatusOK, nil)
		steps := []struct {
			wait   time.Duration
			status string
			busy   bool
		}{
			{0, "online", true},
			{10 * time.Second, "online", true},
			{time.Second, "online", false},
			{49 * time.Second, "online", false},
			{time.Second, "offline", false},
		}
		for _, step := range steps {
			time.Sleep(step.wait) // the clock is synctest's
			if r, _ := c.runner(t, id); r.Status != step.status || r.Busy != step.busy {
				t.Errorf("after another %s: %s, busy %v, want %s, %v", step.wait, r.Status, r.Busy, step.status, step.busy)
			}
		}
		c.fetch(t, id, "0")
		if r, _ := c.runner(t, id); r.Status != "online" {
			t.Errorf("after a call: %s", r.Status)
		}
	})
}

func TestSweep(t *testing.T) {
	tests := []struct {
		name string
		// report is how often the runner reports, 0 for never.
		report    time.Duration
		ephemeral bool
		idle      bool // nobody takes the job
		after     time.Duration
		want      string
		runners   int
	}{
		{"silent, not yet", 0, false, false, 9 * time.Minute, giteatest.StatusInProgress, 1},
		{"silent", 0, false, false, 15 * time.Minute, giteatest.StatusFailure, 1},
		{"silent ephemeral runner is deleted", 0, true, false, 15 * time.Minute, giteatest.StatusFailure, 0},
		{"reports", 5 * time.Minute, false, false, time.Hour, giteatest.StatusInProgress, 1},
		{"endless", 5 * time.Minute, false, false, 3*time.Hour + 10*time.Minute, giteatest.StatusFailure, 1},
		{"nobody comes, not yet", 0, false, true, 23 * time.Hour, giteatest.StatusQueued, 1},
		{"nobody comes", 0, false, true, 25 * time.Hour, giteatest.StatusCancelled, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, server := newMemory(t, giteatest.Options{})
				id := c.register(t, tt.ephemeral, "sweep")
				ids := server.AddJobs(giteatest.JobSpec{Labels: []string{"sweep"}})
				var task string
				if !tt.idle {
					task = c.take(t, id)
				}
				step := tt.report
				if step == 0 {
					step = tt.after
				}
				for range tt.after / step {
					time.Sleep(step)
					if tt.report != 0 {
						c.report(t, id, task, "").want(t, http.StatusOK, nil)
					}
				}
				if j, _ := server.Job(ids[0]); j.Status != tt.want {
					t.Errorf("job is %s, want %s", j.Status, tt.want)
				}
				if n := len(server.State().Runners); n != tt.runners {
					t.Errorf("%d runners, want %d", n, tt.runners)
				}
			})
		})
	}
}

func TestSweepAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := newMemory(t, giteatest.Options{})
		id := c.register(t, false, "hang")
		ids := server.AddJobs(giteatest.JobSpec{Labels: []string{"hang"}})
		c.take(t, id)
		c.rest(t, http.MethodDelete, "/admin/actions/runners/"+id.ID, nil).want(t, http.StatusNoContent, nil)
		server.Sweep()
		if j, _ := server.Job(ids[0]); j.Status != giteatest.StatusInProgress {
			t.Errorf("job is %s at once", j.Status)
		}
		time.Sleep(10*time.Minute + time.Second)
		server.Sweep()
		if j, _ := server.Job(ids[0]); j.Status != giteatest.StatusFailure {
			t.Errorf("job is %s after ten minutes", j.Status)
		}
	})
}
