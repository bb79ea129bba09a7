package giteatest

import (
	"maps"
	"slices"
	"time"
)

// State is a snapshot of everything, with what Gitea does not tell: exact
// times, the scope of runners, and counts.
type State struct {
	Profile string         `json:"profile"`
	Version string         `json:"version"`
	Jobs    map[string]int `json:"jobs"` // by status
	Runners []RunnerState  `json:"runners"`
	Counts  Counts         `json:"counts"`
	// Waits has the times of every job that was picked, by id.
	Waits []JobState `json:"waits"`
}

// RunnerState is a registered runner.
type RunnerState struct {
	ID        int64    `json:"id"`
	UUID      string   `json:"uuid"`
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Scope     string   `json:"scope"`           // as plan.ParseScope reads it
	Owner     string   `json:"owner,omitempty"` // empty for one of the instance
	Labels    []string `json:"labels"`
	Online    bool     `json:"online"`
	Busy      bool     `json:"busy"` // has a job, unlike the REST API's guess
	Disabled  bool     `json:"disabled"`
	Ephemeral bool     `json:"ephemeral"`
}

// JobState is a job. Its times are exact, where the REST API gives whole
// seconds.
type JobState struct {
	ID          int64     `json:"id"`
	Repo        string    `json:"repo"`
	Labels      []string  `json:"labels"`
	Status      string    `json:"status"`
	RunnerID    int64     `json:"runner_id,omitempty"`
	RunnerName  string    `json:"runner_name,omitempty"`
	Task        int64     `json:"task,omitempty"` // number of the runner's turn at it
	QueuedAt    time.Time `json:"queued_at"`
	StartedAt   time.Time `json:"started_at,omitzero"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
}

// Counts say what has happened since the server was made.
type Counts struct {
	Registrations      int `json:"registrations"`
	Deletions          int `json:"deletions"`           // by REST
	Deregistrations    int `json:"deregistrations"`     // by the proposed call
	EphemeralDeletions int `json:"ephemeral_deletions"` // with their job
	PeakRunners        int `json:"peak_runners"`        // registered at one time
	Lost               int `json:"lost_picks"`          // see SetPickCollisions
	// Calls has the number of requests by kind, see Fault.Kind; those that a
	// fault answered are among them.
	Calls map[string]int `json:"calls"`
}

// State returns a snapshot, which is what GET /fake/state answers.
func (s *Server) State() State {
	s.lock()
	defer s.mu.Unlock()
	now := s.opts.Now()
	st := State{
		Profile: s.profile.name,
		Version: s.profile.version,
		Jobs:    map[string]int{},
		Runners: []RunnerState{},
		Counts:  s.counts,
		Waits:   []JobState{},
	}
	st.Counts.Calls = maps.Clone(s.counts.Calls)
	busy := map[int64]bool{}
	for _, j := range s.db.jobs {
		st.Jobs[j.status]++
		if j.status == StatusInProgress {
			busy[j.runner] = true
		}
		if j.task != 0 {
			st.Waits = append(st.Waits, j.state())
		}
	}
	for _, r := range s.db.runners {
		st.Runners = append(st.Runners, RunnerState{
			ID: r.id, UUID: r.uuid, Name: r.name, Version: r.version,
			Scope: r.scope.String(), Owner: versionKey(r.scope),
			Labels: slices.Clone(r.labels),
			Online: r.online(now), Busy: busy[r.id],
			Disabled: r.disabled && s.profile.rules.disable, Ephemeral: r.ephemeral && s.profile.rules.ephemeral,
		})
	}
	return st
}

// Job returns a job's state, and false if there is none of that id.
func (s *Server) Job(id int64) (JobState, bool) {
	s.lock()
	defer s.mu.Unlock()
	j := s.db.job(id)
	if j == nil {
		return JobState{}, false
	}
	return j.state(), true
}

// state converts a job.
func (j *job) state() JobState {
	return JobState{
		ID: j.id, Repo: j.repo, Labels: slices.Clone(j.spec.Labels), Status: j.status,
		RunnerID: j.runner, RunnerName: j.by, Task: j.task,
		QueuedAt: j.queued, StartedAt: j.started, CompletedAt: j.stopped,
	}
}
