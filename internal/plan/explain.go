package plan

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Query asks what becomes of a job: of a queued one, by its id or by its page,
// or of one that might come, by what it would ask for.
type Query struct {
	Job    int64
	URL    string
	Labels []string // runs-on; only if neither Job nor URL is set
	Repo   string   // likewise, "owner/name"; empty for one that is not known
	Server string   // whose job it is; empty where that is clear
}

// View is what a cycle saw and went by.
type View struct {
	Spec      Spec
	Snap      Snapshot
	Running   []Job // those that some runner has, as far as they were read
	Runners   []RunnerStatus
	QueueSize int // queued jobs that the server has, of which Snap may have some
}

// JobState is where a job is that was asked for.
type JobState string

// The states of an explanation.
const (
	StateQueued       JobState = "queued"
	StateHypothetical JobState = "hypothetical" // as if it were queued now
	StateRunning      JobState = "running"
	StateEnded        JobState = "ended" // a runner that is still here has had it
	StateUnknown      JobState = "unknown"
)

// Explanation is what becomes of one job and why, pool by pool.
type Explanation struct {
	At      time.Time    `json:"at"` // when the world was like that
	State   JobState     `json:"state"`
	Job     JobDecision  `json:"job"`
	Summary []string     `json:"summary"` // in sentences
	Pools   []PoolAnswer `json:"pools"`   // in the order of the file, for a job that is queued or might be
}

// PoolAnswer is what one pool can do for the job.
type PoolAnswer struct {
	Pool      string     `json:"pool"`
	Scope     string     `json:"scope"`
	Labels    []string   `json:"labels"`
	Fits      bool       `json:"fits"`      // its runners may take the job
	Serves    bool       `json:"serves"`    // the planner counts on it for the job
	Obstacles []Obstacle `json:"obstacles"` // what keeps it from that
	// The numbers are those of the moment, with the runners that are about to
	// be started for jobs.
	Waiting  int `json:"waiting"` // jobs that it is to serve
	Starting int `json:"starting"`
	Idle     int `json:"idle"`
	Busy     int `json:"busy"`
	Leaving  int `json:"leaving"`
	Max      int `json:"max"`
}

const (
	// anyRepo stands for a repository that is not known. It is covered by the
	// scopes that cover all.
	anyRepo = "every repository"
	// newJob is the id of a job that might come. A server's ids are positive.
	newJob = -1
)

// Explain says what Compute decides about a job and why. A job that might come
// is put behind those that are queued. The error wraps ErrInvalid for a query
// that names no job.
func (v View) Explain(q Query) (Explanation, error) {
	id, unread := q.Job, v.QueueSize-len(v.Snap.Jobs)
	switch {
	case q.Job < 0:
		return Explanation{}, fmt.Errorf("job %d: %w: an id is positive", q.Job, ErrInvalid)
	case q.URL != "":
		var err error
		if id, err = v.byPage(q.URL); err != nil {
			return Explanation{}, err
		}
	case q.Job == 0:
		id = newJob
		v.Snap.Jobs = append(slices.Clip(v.Snap.Jobs), v.hypothetical(q))
	}
	c := served(v.Spec, v.Snap)
	j := slices.IndexFunc(c.jobs, func(d Decision) bool { return d.Job.ID == id })
	if j < 0 {
		e := v.notQueued(id)
		e.At, e.Pools = v.Snap.Now, []PoolAnswer{}
		return e, nil
	}
	e := Explanation{At: v.Snap.Now, State: StateQueued, Job: c.jobs[j].shown()}
	e.Summary = append(c.summary(j), v.Spec.Source.doubt()...)
	e.Pools = make([]PoolAnswer, len(c.pools))
	for i, p := range c.pools {
		e.Pools[p.index] = c.answer(i, j)
	}
	if id != newJob {
		return e, nil
	}
	e.State, e.Job.ID, e.Job.Repo, e.Job.QueuedAt = StateHypothetical, 0, q.Repo, v.Snap.Now
	if q.Repo == "" && slices.ContainsFunc(v.Spec.Pools, func(p Pool) bool { return p.Scope.Kind != ScopeInstance }) {
		e.Summary = append(e.Summary, "No repository was given, so that only pools fit whose scope is the whole server.")
	}
	if unread > 0 {
		e.Summary = append(e.Summary, fmt.Sprintf("%d more jobs are queued that were not read. Those that these pools can serve come before it.", unread))
	}
	return e, nil
}

// hypothetical is the youngest of the queued jobs.
func (v View) hypothetical(q Query) Job {
	at := v.Snap.Now
	for _, j := range v.Snap.Jobs {
		at = later(at, j.QueuedAt.Add(time.Nanosecond))
	}
	return Job{ID: newJob, Repo: cmp.Or(q.Repo, anyRepo), Labels: q.Labels, Status: JobQueued, QueuedAt: at}
}

// byPage finds the id of the job whose page has the address. Its host does not
// count: there may be several for one server.
func (v View) byPage(address string) (int64, error) {
	path := pagePath(address)
	if path == "" {
		return 0, fmt.Errorf("job %s: %w: give its id, or the address of its page", address, ErrInvalid)
	}
	for _, jobs := range [][]Job{v.Snap.Jobs, v.Running} {
		for _, j := range jobs {
			if pagePath(j.URL) == path {
				return j.ID, nil
			}
		}
	}
	return 0, fmt.Errorf("job %s: %w: no queued or running job that was read has this page; scaler status lists the queued ones with their ids", address, ErrNotFound)
}

func pagePath(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Path
}

// answer is what pool i can do for job j.
func (c *computation) answer(i, j int) PoolAnswer {
	p, job := c.pools[i], c.jobs[j].Job
	a := PoolAnswer{Pool: p.Name, Scope: p.Scope.String(), Labels: append([]string{}, p.Labels...), Waiting: c.assigned.count[i] + p.bound,
		Starting: p.count.Starting, Idle: p.count.Idle, Busy: p.count.Busy, Leaving: p.count.Leaving, Max: p.Max, Obstacles: []Obstacle{}}
	if job.Barred != "" {
		a.Obstacles = append(a.Obstacles, Obstacle{Kind: ObstacleLabel, Reason: job.Barred})
	}
	var lacks []string
	for _, l := range job.Labels {
		if !slices.Contains(p.Labels, l) && !slices.Contains(lacks, l) {
			lacks = append(lacks, l)
		}
	}
	if len(lacks) > 0 {
		a.Obstacles = append(a.Obstacles, Obstacle{Kind: ObstacleLabel, Reason: string(appendLacks(nil, p.Name, lacks))})
	}
	if !p.Scope.Covers(job.Repo) {
		a.Obstacles = append(a.Obstacles, Obstacle{Kind: ObstacleScope, Reason: string(appendOutside(nil, p.Scope, job.Repo))})
	}
	a.Fits = len(a.Obstacles) == 0
	bound := c.jobs[j].bound
	a.Serves = c.assigned.pool[j] == int32(i) || bound != nil && bound.Pool == p.Name
	if a.Fits && c.assigned.isAside(j) {
		a.Obstacles = append(a.Obstacles, c.assigned.aside[j].obstacle())
	}
	if a.Fits && !a.Serves && bound == nil {
		a.Obstacles = append(a.Obstacles, c.between(i, c.assigned.kind[j])...)
	}
	return a
}

// between lists what keeps a pool from one more job of a kind that fits it.
func (c *computation) between(i int, kind int32) []Obstacle {
	var list []Obstacle
	ceiling, reached := c.ceiling(i, kind)
	held := c.pools[i].hold != ""
	if reached && !held {
		list = append(list, ceiling)
	}
	if c.assigned.count[i] >= c.assigned.capacity[i] || reached && held {
		list = append(list, c.obstacles(c.pools[i])...)
	}
	if reached && held {
		list = append(list, ceiling)
	}
	return list
}
