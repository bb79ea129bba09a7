package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

// Shape of the load.
const (
	burstMost    = 6  // jobs in a burst
	outstanding  = 18 // jobs that are not done, above which no more come
	cancelOneIn  = 50 // jobs that a user cancels
	cancelWithin = time.Second
	lullOneIn    = 12 // bursts after which nothing comes for a while
	burstPause   = 400 * time.Millisecond
	jobShortest  = 20 * time.Millisecond
)

// load queues jobs.
type load struct {
	gitea *giteatest.Server
	pace  pace

	mu        sync.Mutex
	random    *rand.Rand
	ids       []int64
	open      map[int64]bool // not known to be done
	cancelled map[int64]bool // on purpose
	closed    bool
	cancels   sync.WaitGroup
}

func newLoad(gitea *giteatest.Server, p pace, random *rand.Rand) *load {
	return &load{gitea: gitea, pace: p, random: random, open: map[int64]bool{}, cancelled: map[int64]bool{}}
}

// run queues bursts of jobs, with lulls in which runners become superfluous,
// until ctx ends.
func (l *load) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause := l.burst()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancels.Wait()
}

// burst queues some jobs of one kind, unless there are many, and returns how
// long to wait then.
func (l *load) burst() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unfinished() < outstanding {
		k := kinds()[l.random.IntN(len(kinds()))]
		for range 1 + l.random.IntN(burstMost) {
			l.add(k)
		}
	}
	if l.random.IntN(lullOneIn) == 0 {
		return l.pace.lull/2 + time.Duration(l.random.Int64N(int64(l.pace.lull/2)))
	}
	return time.Duration(l.random.Int64N(int64(burstPause)))
}

// provoke queues a job at the moment at which the daemon takes a runner out of
// service, every other time, and holds the request so that the runner can take
// it before.
func (l *load) provoke(step string) {
	if step != stepDisable && step != stepWithdraw && step != stepStop {
		return
	}
	l.mu.Lock()
	provoked := !l.closed && l.random.IntN(2) == 0
	hold := time.Duration(l.random.Int64N(int64(l.pace.slowAnswers)))
	if provoked {
		l.add(kinds()[l.random.IntN(len(kinds()))])
	}
	l.mu.Unlock()
	if provoked {
		time.Sleep(hold)
	}
}

// add queues one job. The caller holds l.mu.
func (l *load) add(k kind) {
	// Most are short, few are long.
	share := l.random.Float64()
	d := jobShortest + time.Duration(share*share*share*float64(l.pace.jobLongest))
	id := l.gitea.AddJobs(giteatest.JobSpec{Repo: k.repo, Labels: []string{k.label}, Duration: d})[0]
	l.ids = append(l.ids, id)
	l.open[id] = true
	if l.random.IntN(cancelOneIn) == 0 {
		after := time.Duration(l.random.Int64N(int64(cancelWithin)))
		l.cancels.Go(func() {
			time.Sleep(after)
			if l.gitea.CancelJob(id) == nil {
				l.mu.Lock()
				l.cancelled[id] = true
				l.mu.Unlock()
			}
		})
	}
}

// unfinished counts the jobs that are not done. The caller holds l.mu.
func (l *load) unfinished() int {
	for id := range l.open {
		if j, found := l.gitea.Job(id); found && done(j) {
			delete(l.open, id)
		}
	}
	return len(l.open)
}

// waiting is unfinished for those who do not hold l.mu.
func (l *load) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unfinished()
}

// jobs returns the jobs that were not cancelled on purpose.
func (l *load) jobs() []giteatest.JobState {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []giteatest.JobState
	for _, id := range l.ids {
		if j, found := l.gitea.Job(id); found && !l.cancelled[id] {
			all = append(all, j)
		}
	}
	return all
}

// done reports whether a job has come to its end, whichever.
func done(j giteatest.JobState) bool {
	return j.Status != giteatest.StatusQueued && j.Status != giteatest.StatusInProgress
}
