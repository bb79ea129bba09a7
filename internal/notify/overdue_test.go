package notify

import (
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

func TestOverdueJobs(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops"), simple("late", func(t *Target) { t.OverdueAfter = time.Hour; t.Pools = []string{"linux"} }))
		old := plan.JobDecision{ID: 1, Repo: "acme/app", Pool: "linux", Reason: "pool linux is full", QueuedAt: time.Now().Add(-24 * time.Hour)}
		r.wait(old, plan.JobDecision{ID: 2, Repo: "acme/app", Reason: "no pool has all of runs-on"})
		r.pass(9 * time.Minute)
		r.wantTold() // whatever the server says of when it was made
		r.wait()     // could not be read for a moment
		r.pass(time.Minute / 2)
		r.wait(old, plan.JobDecision{ID: 2, Repo: "acme/app", Reason: "no pool has all of runs-on"})
		r.pass(20 * time.Minute)
		r.wantTold("job_overdue linux 1, job_overdue 2")
		if text := r.post.letters()[0].notice.Events[0].Text; text != "for 10m: pool linux is full" {
			t.Errorf("text %q", text)
		}
		r.pass(time.Hour)
		r.wantTold("job_overdue linux 1, job_overdue 2", "job_overdue linux 1, job_overdue 2")
		if n := r.diary.count(plan.EventJobOverdue); n != 2 {
			t.Errorf("the journal was told %d times, want once for each job", n)
		}
		if url := r.post.letters()[1].url; url != "https://late.example.com/hook" {
			t.Errorf("the second message went to %s", url)
		}
	})
}

func TestManyOverdueJobsMakeOneEvent(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops"))
		first := plan.JobDecision{ID: 1, Repo: "acme/app", Pool: "linux", Reason: "pool linux is full"}
		r.wait(first)
		r.pass(time.Minute)
		jobs := []plan.JobDecision{first}
		for id := range int64(500) {
			jobs = append(jobs, plan.JobDecision{ID: id + 2, Repo: "acme/app", Pool: "linux"})
		}
		jobs[0], jobs[400] = jobs[400], jobs[0]
		r.wait(jobs...)
		r.pass(time.Hour)
		r.wantTold("job_overdue linux 1", "job_overdue linux")
		if n := r.diary.count(plan.EventJobOverdue); n != 2 {
			t.Errorf("the journal was told %d times", n)
		}
		if text := r.post.letters()[1].notice.Events[0].Text; !strings.HasPrefix(text, "500 jobs for more than 10m; job ") {
			t.Errorf("text %q", text)
		}
		r.wait()
		r.pass(2 * time.Hour)
		r.n.mu.Lock()
		defer r.n.mu.Unlock()
		if len(r.n.waiting) > 0 || len(r.n.told.marks["ops"])+len(r.n.told.marks[ofJournal]) > 0 {
			t.Errorf("%d jobs and %d marks are still remembered", len(r.n.waiting), len(r.n.told.marks["ops"]))
		}
	})
}
