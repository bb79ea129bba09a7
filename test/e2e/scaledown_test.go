package e2e

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
)

// checkScaleDowns takes runners out of service again and again while jobs for
// them arrive, most of all right when it is done. No job may fail or hang.
func checkScaleDowns(t *testing.T, r *rig) {
	slow(t)
	for _, c := range []struct {
		name  string
		patch bool // runners can be disabled
		want  int  // scale-downs
	}{
		{"disabled first", true, 50},
		{"only told to stop", false, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := r.daemon(t, settings{
				InternalURL: r.proxy(t, random(t, 1), c.patch).URL,
				// Both serve the same jobs, so that each takes some for which
				// the other has started a runner.
				Pools: []pool{
					{Name: "steady", Label: "tide", Max: 5, Persistent: true, IdleTimeout: "0s"},
					{Name: "once", Label: "tide", Max: 5, IdleTimeout: "0s"},
				},
				LogLevel: "debug",
			})
			log, events := d.follow(t), r.record(t, nil)
			tide := &tide{r: r, rnd: random(t, 2)}
			t.Cleanup(func() { r.explain(t, tide) })
			began := time.Now()
			tide.run(t, log, c.want)
			took := time.Since(began)
			jobs := tide.succeed(t)
			r.nothingLeft(t, time.Minute)
			stopped := log.of("runner told to stop")
			t.Logf("%d scale-downs in %s (%d runners disabled), %d containers, %s", len(stopped), took.Round(time.Second),
				len(log.of("runner disabled")), len(events.all("create")), figures(waits(jobs)))
			t.Logf("%d jobs came to a runner before it was disabled, %d before it was told to stop",
				slipped(jobs, log.of("runner disabled")), slipped(jobs, stopped))
			if len(stopped) < c.want {
				t.Errorf("%d scale-downs, want %d", len(stopped), c.want)
			}
			if c.patch != (len(log.of("runner disabled")) > 0) {
				t.Errorf("%d runners were disabled", len(log.of("runner disabled")))
			}
			for _, e := range events.all("die") {
				if e.Actor.Attributes["exitCode"] != "0" {
					t.Errorf("%s ended with code %s", e.Actor.Attributes["name"], e.Actor.Attributes["exitCode"])
				}
			}
			wantQuiet(t, d)
			if code := d.signal(t, syscall.SIGTERM, time.Minute); code != 0 {
				t.Errorf("the daemon ended with code %d", code)
			}
		})
	}
}

// slipped counts the jobs that still ran on a runner after that had been done
// to it which is only done to a runner without a job.
func slipped(jobs []course, done map[string]time.Time) int {
	n := 0
	for _, j := range jobs {
		if at, known := done[j.RunnerName]; known && j.Ran.After(at) {
			n++
		}
	}
	return n
}

// Bounds of a tide.
const (
	tideLength  = 4 * time.Minute
	tidePace    = 200 * time.Millisecond // of the watches
	mostOpen    = 8                      // jobs that are not done yet
	mostPerRepo = 40                     // so that they fit on a page
)

// tide makes jobs arrive.
type tide struct {
	r     *rig
	rnd   *rand.Rand
	repos []*shore
}

// shore is a repository of a tide, whose jobs take one time.
type shore struct {
	work       string
	repo       string
	dispatched int
	watch      *watch
}

// run makes jobs arrive until as many runners as wanted were told to stop:
// from time to time, and when a runner becomes idle or is taken out.
func (td *tide) run(t *testing.T, log *follower, want int) {
	t.Helper()
	late := time.After(tideLength)
	next := time.NewTimer(0)
	defer next.Stop()
	for len(log.of("runner told to stop")) < want {
		select {
		case <-late:
			t.Errorf("only %d scale-downs within %s", len(log.of("runner told to stop")), tideLength)
			return
		case <-next.C:
			next.Reset(td.upTo(3 * time.Second))
		case s := <-log.news:
			switch s.Message {
			case "runner is idle":
				pause(t, td.upTo(time.Second))
			case "runner disabled", "runner told to stop":
				pause(t, td.upTo(100*time.Millisecond))
			default:
				continue
			}
		}
		if td.open() < mostOpen {
			td.dispatch(t)
		}
	}
}

func (td *tide) upTo(d time.Duration) time.Duration { return time.Duration(td.rnd.Int64N(int64(d))) }

// dispatch adds one job.
func (td *tide) dispatch(t *testing.T) {
	t.Helper()
	work := fmt.Sprintf("sleep %dms", 500+500*td.rnd.IntN(6))
	var s *shore
	for _, known := range td.repos {
		if known.work == work && known.dispatched < mostPerRepo {
			s = known
		}
	}
	if s == nil {
		s = &shore{work: work, repo: td.r.repo(t, realgitea.Admin, "tide", 1, work)}
		s.watch = td.r.watchAt(t, s.repo, tidePace)
		td.repos = append(td.repos, s)
	}
	td.r.gitea.Dispatch(t, s.repo, workflowFile)
	s.dispatched++
}

// open is how many jobs are not done yet.
func (td *tide) open() int {
	n := 0
	for _, s := range td.repos {
		n += s.dispatched - s.watch.done()
	}
	return n
}

// succeed waits until all jobs are done, and well.
func (td *tide) succeed(t *testing.T) []course {
	t.Helper()
	var all []course
	for _, s := range td.repos {
		jobs := s.watch.succeed(t, s.dispatched, time.Minute)
		td.r.wantWhole(t, s.repo, jobs, 1)
		all = append(all, jobs...)
	}
	return all
}

// explain shows for a failed check which jobs did not succeed, and what the
// containers that are left say.
func (r *rig) explain(t *testing.T, td *tide) {
	if !t.Failed() {
		return
	}
	for _, s := range td.repos {
		all, _, err := s.watch.look()
		for _, j := range all {
			if j.Conclusion != "success" {
				t.Logf("%s: %+v %v", s.repo, j, err)
			}
		}
	}
	r.showContainers(t)
}
