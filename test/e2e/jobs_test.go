package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
)

// watchPace is how often a watch looks. Its figures are too long by two looks
// at most, and never too short.
const watchPace = 20 * time.Millisecond

const workflowFile = "test.yaml"

// repo makes a repository with one workflow, which runs count jobs that ask
// for the label and run the script (see testdata/stepshell).
func (r *rig) repo(t *testing.T, owner, label string, count int, script ...string) string {
	t.Helper()
	r.repos++
	repo := fmt.Sprintf("%s/r%d", owner, r.repos)
	r.gitea.CreateRepo(t, repo)
	var matrix []string
	for i := range count {
		matrix = append(matrix, fmt.Sprint(i+1))
	}
	r.gitea.AddWorkflow(t, repo, workflowFile, fmt.Sprintf(`on: workflow_dispatch
jobs:
  job:
    runs-on: [%s]
    strategy:
      matrix:
        n: [%s]
    steps:
      - shell: /bin/stepshell {0}
        run: |
          %s
`, label, strings.Join(matrix, ", "), strings.Join(script, "\n          ")))
	return repo
}

// course is one job as a watch saw it.
type course struct {
	realgitea.Job
	Queued time.Time // it was not there before
	There  time.Time // it was there by then
	Waited time.Time // it still waited then, zero if no look saw it wait
	Begun  time.Time // it had been begun by then
	Ran    time.Time // it still ran then
}

// waited is how long the job was queued, at most.
func (c course) waited() time.Duration { return c.Begun.Sub(c.Queued) }

// about is how long the job was queued: the middle of what it was at least and
// at most.
func (c course) about() time.Duration {
	return (c.waited() + max(c.Waited.Sub(c.There), 0)) / 2
}

// watch looks at the jobs of a repository all the time, since the times that
// the server gives are of whole seconds.
type watch struct {
	mu      sync.Mutex
	jobs    map[int64]course
	changed chan struct{} // closed and replaced at each look
	err     error
}

// watch watches a repository until the test ends.
func (r *rig) watch(t *testing.T, repo string) *watch { return r.watchAt(t, repo, watchPace) }

// watchAt is watch at a pace of its own.
func (r *rig) watchAt(t *testing.T, repo string, every time.Duration) *watch {
	return startWatch(t, every, func(ctx context.Context) ([]realgitea.Job, error) { return r.gitea.Jobs(ctx, repo, "") })
}

// startWatch looks at jobs until the test ends.
func startWatch(t *testing.T, every time.Duration, look func(context.Context) ([]realgitea.Job, error)) *watch {
	w := &watch{jobs: make(map[int64]course), changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	var looking sync.WaitGroup
	t.Cleanup(func() { cancel(); looking.Wait() })
	looking.Go(func() {
		pace := time.NewTicker(every)
		defer pace.Stop()
		for before := time.Now(); ctx.Err() == nil; {
			asked := time.Now()
			jobs, err := look(ctx)
			w.note(jobs, err, before, asked, time.Now())
			before = asked
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
	})
	return w
}

// note takes in one look from asked to now, that of before being the last one
// without what is new in this one.
func (w *watch) note(jobs []realgitea.Job, err error, before, asked, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	for _, j := range jobs {
		c, known := w.jobs[j.ID]
		if !known {
			c.Queued, c.There = before, now
		}
		if j.Status == "queued" {
			c.Waited = asked
		}
		if c.Job = j; j.Status != "queued" && c.Begun.IsZero() {
			c.Begun = now
		}
		if j.Status == "in_progress" {
			c.Ran = asked
		}
		w.jobs[j.ID] = c
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// look returns the jobs in the order of their ids, and a channel that is
// closed at the next look.
func (w *watch) look() ([]course, <-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]course, 0, len(w.jobs))
	for _, c := range w.jobs {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b course) int { return int(a.ID - b.ID) })
	return all, w.changed, w.err
}

// done is how many jobs are done.
func (w *watch) done() int {
	all, _, _ := w.look()
	return count(all, "completed")
}

func count(all []course, status string) int {
	n := 0
	for _, c := range all {
		if c.Status == status {
			n++
		}
	}
	return n
}

// await waits until the repository has n jobs in that status, and returns all
// of its jobs.
func (w *watch) await(t *testing.T, n int, status string, within time.Duration) []course {
	t.Helper()
	late := time.NewTimer(within)
	defer late.Stop()
	for {
		all, changed, err := w.look()
		in := count(all, status)
		if in >= n {
			return all
		}
		select {
		case <-changed:
		case <-late.C:
			t.Fatalf("%d jobs %s after %s, want %d: %+v, %v", in, status, within, n, all, err)
		}
	}
}

// succeed waits until the repository has n jobs, all of them done and well.
func (w *watch) succeed(t *testing.T, n int, within time.Duration) []course {
	t.Helper()
	all := w.await(t, n, "completed", within)
	for _, c := range all {
		if c.Conclusion != "success" {
			t.Errorf("job %d: %s", c.ID, c.Conclusion)
		}
	}
	if len(all) != n {
		t.Errorf("%d jobs, want %d", len(all), n)
	}
	return all
}

// wantWhole fails the test if a job was cut short: that it succeeded does not
// prove that all its steps did what they say, since a runner that runs out of
// time when it was told to stop reports success. Each job is to sleep n times.
func (r *rig) wantWhole(t *testing.T, repo string, jobs []course, n int) {
	t.Helper()
	for _, j := range jobs {
		log, err := r.jobLog(t.Context(), repo, j.ID)
		if slept := strings.Count(log, "slept "); err != nil || slept != n {
			t.Errorf("job %d of %s, on %s: slept %d times, want %d: %v\n%s", j.ID, repo, j.RunnerName, slept, n, err, log)
		}
	}
}

// figures says how long jobs waited.
func figures(waits []time.Duration) string {
	sorted := slices.Sorted(slices.Values(waits))
	at := func(percent int) time.Duration {
		return sorted[(len(sorted)*percent+99)/100-1].Round(time.Millisecond)
	}
	return fmt.Sprintf("%d jobs waited p50 %s, p95 %s, max %s", len(sorted), at(50), at(95), at(100))
}

func waits(jobs []course) []time.Duration {
	var all []time.Duration
	for _, c := range jobs {
		all = append(all, c.waited())
	}
	return all
}
