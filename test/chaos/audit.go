package main

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

// audit watches what the daemon does while it does it.
type audit struct {
	stage *stage

	mu       sync.Mutex
	findings []string       // what was wrong, in order
	stopped  map[int64]bool // jobs whose runner was taken from them
	foreign  map[string]bool
	counts   map[string]int // requests that were carried out, by step
	// known has the runners that a record was seen of, with their ids at
	// Gitea, 0 if not registered; unknown, by kind and name, what was seen
	// without a record.
	known   map[string]int64
	unknown map[string]bool
	// forgotten has the runners whose record is gone and that Gitea had
	// still, and late the ones that it registered after their daemon's death.
	forgotten, late map[string]bool
}

func newAudit(s *stage) *audit {
	return &audit{stage: s, stopped: map[int64]bool{}, foreign: map[string]bool{}, counts: map[string]int{}, known: map[string]int64{}, unknown: map[string]bool{}, forgotten: map[string]bool{}, late: map[string]bool{}}
}

// find notes that something is wrong.
func (a *audit) find(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.findings = append(a.findings, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// seeGitea judges a request to Gitea that is about to be carried out.
func (a *audit) seeGitea(step string, r *http.Request) {
	a.count(step)
	if step != stepDisable && step != stepWithdraw && step != stepDeregister {
		return
	}
	// By REST the path names the runner, in the runners' protocol a header.
	id, _ := strconv.ParseInt(path.Base(r.URL.Path), 10, 64)
	uuid := r.Header.Get("X-Runner-Uuid")
	state := a.stage.gitea.State()
	for _, runner := range state.Runners {
		switch {
		case runner.ID != id && runner.UUID != uuid:
		case !a.stage.ours(runner.Name):
			a.touch("runner "+runner.Name, step)
		case step == stepDeregister && runner.Busy:
			a.takeJob(state, runner.Name, "deregistered")
		}
	}
}

// seeEngine judges a request to the engine that is about to be carried out.
func (a *audit) seeEngine(step string, r *http.Request) {
	a.count(step)
	if step == stepCreate {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), engineTimeout)
	defer cancel()
	what, labels, err := a.stage.own.object(ctx, r.URL.Path)
	if err != nil {
		return // it is gone, or not there yet, and the daemon will be told so
	}
	runner := labels[labelRunner]
	signal := r.URL.Query().Get("signal")
	switch {
	case labels[labelInstance] != a.stage.instance || runner == "":
		a.touch(what, step)
	case step == stepRemove, step == stepStop && signal != "SIGTERM" && strings.HasPrefix(what, "container "):
		a.takeJob(a.stage.gitea.State(), runner, strings.TrimSpace(step+" "+signal))
	}
}

// takeJob notes the job that a runner has, which is about to lose its runner.
func (a *audit) takeJob(state giteatest.State, runner, how string) {
	for _, j := range state.Waits {
		if j.Status == giteatest.StatusInProgress && j.RunnerName == runner {
			a.find("job %d: its runner %s: %s", j.ID, runner, how)
			a.mu.Lock()
			a.stopped[j.ID] = true
			a.mu.Unlock()
		}
	}
}

// touch notes that something of others was changed.
func (a *audit) touch(what, how string) {
	a.mu.Lock()
	known := a.foreign[what]
	a.foreign[what] = true
	a.mu.Unlock()
	if !known {
		a.find("foreign %s: %s", what, how)
	}
}

// done returns how often a step was carried out.
func (a *audit) done(step string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts[step]
}

// stop notes a job that ended without success after a runner had it.
func (a *audit) stop(job int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped[job] = true
}

// sum returns the figures of the audit and what it found.
func (a *audit) sum() (stopped, touched int, findings []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.stopped), len(a.foreign), a.findings
}

// count notes that a step is carried out.
func (a *audit) count(step string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts[step]++
}
