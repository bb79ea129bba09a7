package pool

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

// story lists the events of some kinds: the kind, the phase, and what it is about.
func (n *notebook) story(kinds ...plan.EventKind) (list []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if len(kinds) == 0 || slices.Contains(kinds, e.Kind) {
			job := ""
			if e.Job != 0 {
				job = fmt.Sprintf("job %d", e.Job)
			}
			list = append(list, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", e.Kind, e.Phase, e.Pool, job)), " "))
		}
	}
	return list
}

func TestEventsTellTheLifeOfAJobAndItsRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.run()
		r.after(5 * time.Second)
		id := r.queue(1, 10*time.Second)[0]
		r.after(time.Minute)
		job := fmt.Sprintf("job %d", id)
		want := []string{"job_queued linux " + job, "runner starting linux", "job_gone " + job, "runner busy linux " + job, "runner finishing linux " + job,
			"runner exited linux " + job, "runner removing linux " + job}
		got := r.journal.story()
		slices.Sort(want)
		sorted := slices.Sorted(slices.Values(got))
		// The runner may be seen idle before its job.
		sorted = slices.DeleteFunc(sorted, func(s string) bool { return s == "runner idle linux" || s == "runner finishing linux "+job })
		want = slices.DeleteFunc(want, func(s string) bool { return s == "runner finishing linux "+job })
		if !slices.Equal(sorted, want) {
			t.Errorf("events %q", got)
		}
		if first := r.journal.of(plan.EventRunner)[0]; first.Runner == "" || !strings.Contains(first.Text, "waits and no runner of the pool is free") {
			t.Errorf("first event of the runner: %+v", first)
		}
		if gone := r.journal.of(plan.EventJobGone)[0]; gone.Text != "it runs" || gone.Runner == "" {
			t.Errorf("the job is gone: %+v", gone)
		}
		r.stop()
	})
}

// What stays as it is is told once, however many cycles see it, and of a crowd a
// few are named.
func TestEventsAreOfChangesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Max = 200 }))
		r.engine.Fail("Create", fmt.Errorf("no such image: %w", plan.ErrImage))
		r.run()
		r.queue(toldAtOnce+10, time.Second)
		r.after(4 * time.Minute)
		counts := func() map[plan.EventKind]int {
			n := make(map[plan.EventKind]int)
			for _, s := range r.journal.story() {
				kind, _, _ := strings.Cut(s, " ")
				n[plan.EventKind(kind)]++
			}
			return n
		}
		n := counts()
		if n[plan.EventJobQueued] != toldAtOnce+1 || n[plan.EventBreakerOpened] != 1 || n[plan.EventBreakerClosed] != 0 || n[plan.EventProblem] != 1 {
			t.Errorf("counts %v", n)
		}
		if queued := r.journal.of(plan.EventJobQueued); queued[toldAtOnce].Text != "and 10 more jobs" {
			t.Errorf("the last event of the crowd: %+v", queued[toldAtOnce])
		}
		// Each kind of reason is told of once.
		perJob := make(map[int64]int)
		for _, e := range r.journal.of(plan.EventJobUnserved) {
			if perJob[e.Job]++; e.Job != 0 && perJob[e.Job] > 2 { // the breaker, and one that tries
				t.Errorf("job %d: %+v", e.Job, e)
			}
		}
		if len(perJob) < toldAtOnce {
			t.Errorf("%d jobs are told of that are not served", len(perJob))
		}
		before := n[plan.EventJobUnserved]
		r.after(8 * time.Minute)
		if n = counts(); n[plan.EventJobUnserved] != before || n[plan.EventBreakerOpened] != 1 || n[plan.EventJobQueued] != toldAtOnce+1 {
			t.Errorf("later: counts %v, before %d jobs not served", n, before)
		}
		r.engine.Fail("Create", nil)
		r.after(10 * time.Minute)
		if n = counts(); n[plan.EventBreakerClosed] != 1 || n[plan.EventProblemOver] != 1 {
			t.Errorf("in the end: counts %v", n)
		}
		r.stop()
		r.killAll()
	})
}

func TestEventsOfATokenThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{})
		r.token.Store("wrong-token")
		r.run()
		r.queue(1, time.Second)
		r.after(30 * time.Minute)
		refused := r.journal.of(plan.EventTokenRefused)
		if len(refused) != 1 || refused[0].Pool != "linux" || strings.Contains(refused[0].Text, "wrong-token") {
			t.Errorf("events %+v, want one", refused)
		}
		r.token.Store(registrationToken)
		r.after(time.Minute)
		r.wantJobs(giteatest.StatusSuccess, 1)
		r.token.Store("")
		r.after(time.Minute)
		if refused = r.journal.of(plan.EventTokenRefused); len(refused) != 2 {
			t.Errorf("events %+v, want another one", refused)
		}
		r.stop()
	})
}

// A restart tells nothing of the past again.
func TestEventsAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, giteatest.Options{}, sole(func(p *plan.Pool) { p.Min = 2 }))
		r.run()
		r.after(10 * time.Second)
		r.stop()
		r.journal.events = nil
		r.run()
		r.after(time.Minute)
		if got := r.journal.story(); len(got) > 0 {
			t.Errorf("events %q", got)
		}
		r.stop()
		r.killAll()
	})
}
