package giteatest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"scaler.io/scaler/internal/plan"
)

// Job states as State and the REST API name them. The REST API calls all but
// the first three "completed" and gives the state as the conclusion.
const (
	StatusQueued     = "queued"      // can be picked
	StatusWaiting    = "waiting"     // blocked on another job
	StatusInProgress = "in_progress" // a runner has it
	StatusSuccess    = "success"
	StatusFailure    = "failure"
	StatusCancelled  = "cancelled"
	StatusSkipped    = "skipped"
)

// ErrNoJob: there is no job of that id, or it is not in a state that allows
// what was asked.
var ErrNoJob = errors.New("no such job")

// JobSpec describes jobs to be added.
type JobSpec struct {
	Repo     string        // "owner/name", default DefaultRepo
	Labels   []string      // runs-on; empty matches any runner
	Duration time.Duration // how long this module's own runner works on it
	Count    int           // default 1
	Needs    bool          // starts as "waiting", until Release
	// Payload is handed to the runner among the task's variables.
	Payload map[string]string
}

// job is a job and its task.
type job struct {
	id, run  int64
	repo     string
	index    int // place in the run
	name     string
	spec     JobSpec
	status   string
	updated  time.Time // orders the queue; the sweep goes by it, too
	queued   time.Time
	started  time.Time
	stopped  time.Time
	task     int64 // 0 until picked
	runner   int64 // this and the name stay when the runner is deleted
	by       string
	attempt  int64
	handle   string    // by which a runner may ask for it
	request  string    // the key of the request that got it, or none
	reported time.Time // the task's last sign of life
	logLines int64
	logDone  bool
}

// done reports whether the job has come to its end.
func (j *job) done() bool {
	return j.status != StatusQueued && j.status != StatusWaiting && j.status != StatusInProgress
}

// scopes returns the two levels below the instance that the job belongs to.
func (j *job) scopes() []plan.Scope {
	name, repo, _ := strings.Cut(j.repo, "/")
	return []plan.Scope{
		{Kind: plan.ScopeOrg, Owner: name},
		{Kind: plan.ScopeRepo, Owner: name, Repo: repo},
	}
}

// AddJobs queues jobs, all in one run, and returns their ids.
func (s *Server) AddJobs(spec JobSpec) []int64 {
	if spec.Repo == "" {
		spec.Repo = DefaultRepo
	}
	spec.Count = max(spec.Count, 1)
	spec.Labels = slices.Clone(spec.Labels)
	spec.Payload = maps.Clone(spec.Payload)

	s.lock()
	defer s.mu.Unlock()
	s.db.addRepo(spec.Repo)
	s.db.lastRun++
	s.notifyPush(spec.Repo)
	now := s.opts.Now()
	ids := make([]int64, 0, spec.Count)
	for i := range spec.Count {
		s.db.lastJob++
		j := &job{
			id:      s.db.lastJob,
			run:     s.db.lastRun,
			repo:    spec.Repo,
			index:   i,
			handle:  uuid.NewString(),
			name:    fmt.Sprintf("job-%d", i+1),
			spec:    spec,
			status:  StatusQueued,
			queued:  now,
			updated: now,
		}
		if spec.Needs {
			j.status = StatusWaiting
		} else {
			s.db.bump(j.scopes()...)
		}
		s.db.jobs = append(s.db.jobs, j)
		ids = append(ids, j.id)
		s.notify(j)
	}
	s.touch()
	return ids
}

// Release makes a waiting job queued, as the end of the job that it needs
// does. The error is ErrNoJob if it is not waiting.
func (s *Server) Release(id int64) error {
	s.lock()
	defer s.mu.Unlock()
	j := s.db.job(id)
	if j == nil || j.status != StatusWaiting {
		return fmt.Errorf("release job %d: %w", id, ErrNoJob)
	}
	j.status = StatusQueued
	j.updated = s.opts.Now()
	s.db.bump(j.scopes()...)
	s.notify(j)
	s.touch()
	return nil
}

// CancelJob cancels a job as a user does on its page. An ephemeral runner that
// has the job is deleted before it can learn of it; any other runner learns of
// it at its next UpdateTask. The error is ErrNoJob if the job is unknown or
// done.
func (s *Server) CancelJob(id int64) error {
	s.lock()
	defer s.mu.Unlock()
	j := s.db.job(id)
	if j == nil || j.done() {
		return fmt.Errorf("cancel job %d: %w", id, ErrNoJob)
	}
	s.finish(j, StatusCancelled)
	return nil
}

// finish ends a job and deletes the ephemeral runner that had it, in one
// transaction as Gitea's UpdateTask does. The caller holds s.mu.
func (s *Server) finish(j *job, status string) {
	j.status = status
	j.stopped = s.opts.Now()
	j.updated = j.stopped
	if r := s.db.runner(j.runner); r != nil && r.ephemeral && s.profile.rules.ephemeral {
		s.db.removeRunner(r)
		s.counts.EphemeralDeletions++
	}
	s.log.Debug("job finished", "job", j.id, "status", status)
	s.notify(j)
	s.touch()
}
