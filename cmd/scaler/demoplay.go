package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

// How the demo's jobs come and how long they take.
const (
	demoArrivals    = 8 * time.Second // over which all jobs arrive
	demoJobShortest = 500 * time.Millisecond
	demoJobLongest  = 2500 * time.Millisecond
	demoRefresh     = 200 * time.Millisecond
	// demoPatience bounds the demo: a base, and more for each job.
	demoPatience       = 2 * time.Minute
	demoPatiencePerJob = 2 * time.Second
)

// demoFigures are what the demo measured. Times are in milliseconds.
type demoFigures struct {
	Jobs           int         `json:"jobs"`
	Completed      int         `json:"completed"`
	Wait           percentiles `json:"wait_ms"`       // from queued to picked
	ColdStart      percentiles `json:"cold_start_ms"` // from the decision to start a runner to its job
	PeakRunners    int         `json:"peak_runners"`
	Registered     int         `json:"registered"`
	Deregistered   int         `json:"deregistered"`
	LeftInGitea    int         `json:"left_in_gitea"`
	Kept           int         `json:"kept"` // identities that are kept to be used again, since the server cannot delete them
	LeftContainers int         `json:"left_containers"`
}

// percentiles of a set of durations.
type percentiles struct {
	P50 int64 `json:"p50"`
	P95 int64 `json:"p95"`
	Max int64 `json:"max"`
}

func (f demoFigures) good() bool {
	return f.Completed == f.Jobs && f.LeftInGitea == 0 && f.LeftContainers == 0
}

// play runs the daemon until all jobs are done and nothing is left, or ctx or
// the patience ends.
func (d *demo) play(ctx context.Context, s *stage) (*demoFigures, error) {
	playing, cancel := context.WithTimeout(ctx, demoPatience+time.Duration(d.jobs)*demoPatiencePerJob)
	defer cancel()
	daemon, stopDaemon := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDaemon()
	ended := make(chan error, 1)
	go func() {
		ended <- runFleet(daemon, s.parts, s.services, serviceManager(s.parts, s.log), s.log)
	}()
	go d.sendJobs(playing, s.gitea)

	d.view.begin(d.jobs, d.release, s.path)
	tick := time.NewTicker(demoRefresh)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-tick.C:
		case <-playing.Done():
			done = true
		case err := <-ended:
			return nil, errors.Join(errors.New("the daemon has ended"), err)
		}
		state, status := s.gitea.State(), s.parts.fleet.Status()
		d.view.show(state, status)
		// Where the jobs that wait are not listed, runners are kept ready for some
		// time after the last. They end with the daemon.
		ended := len(status.Runners) == 0 && len(state.Runners) == len(status.Corpses)
		done = done || state.Jobs[giteatest.StatusSuccess] == d.jobs && (ended || !s.gitea.Profile().ListsJobs())
	}
	stopDaemon()
	if err := <-ended; err != nil {
		return nil, err
	}
	d.view.end()
	kept, err := s.store.Corpses()
	return d.figures(s.gitea.State(), len(kept)), err
}

// sendJobs queues the jobs over some seconds: two in three for one pool, the
// rest for the other.
func (d *demo) sendJobs(ctx context.Context, gitea *giteatest.Server) {
	random := rand.New(rand.NewPCG(1, 2)) // the same show each time
	for i := range d.jobs {
		labels := []string{"ubuntu-latest"}
		if i%3 == 2 {
			labels = []string{"deploy"}
		}
		gitea.AddJobs(giteatest.JobSpec{
			Repo: fmt.Sprintf("demo/app-%d", i%4+1), Labels: labels,
			Duration: demoJobShortest + time.Duration(random.Int64N(int64(demoJobLongest-demoJobShortest))),
		})
		select {
		case <-time.After(demoArrivals / time.Duration(d.jobs)):
		case <-ctx.Done():
			return
		}
	}
}

// figures sums up what the server has seen and the loop has told.
func (d *demo) figures(state giteatest.State, kept int) *demoFigures {
	c := state.Counts
	f := &demoFigures{
		Jobs: d.jobs, Completed: state.Jobs[giteatest.StatusSuccess], PeakRunners: c.PeakRunners, Registered: c.Registrations,
		Deregistered: c.Deletions + c.Deregistrations + c.EphemeralDeletions, LeftInGitea: len(state.Runners) - kept, Kept: kept,
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var waits, coldStarts []time.Duration
	for _, j := range state.Waits {
		waits = append(waits, j.StartedAt.Sub(j.QueuedAt))
		if r, known := d.runners[j.RunnerName]; known {
			coldStarts = append(coldStarts, j.StartedAt.Sub(r.CreatedAt))
		}
	}
	f.Wait, f.ColdStart = percentilesOf(waits), percentilesOf(coldStarts)
	return f
}

// percentilesOf gives nearest-rank percentiles, zero for an empty set.
func percentilesOf(d []time.Duration) percentiles {
	if len(d) == 0 {
		return percentiles{}
	}
	slices.Sort(d)
	rank := func(p float64) int64 {
		return d[max(int(math.Ceil(p*float64(len(d))))-1, 0)].Milliseconds()
	}
	return percentiles{P50: rank(0.5), P95: rank(0.95), Max: rank(1)}
}

func writeFigures(path string, f demoFigures) error {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode figures: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

// lastLines returns the last n lines of a text.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(len(lines)-n, 0):], "\n")
}
