package plan

import (
	"cmp"
	"time"
)

// Status is what the daemon tells about itself: the answer of the control
// socket and of scaler status --json. It holds no secret.
type Status struct {
	Version   string    `json:"version"`
	Instance  string    `json:"instance"`
	StartedAt time.Time `json:"started_at"`
	Cycle     uint64    `json:"cycle"`    // number of the cycle that it shows
	CycleAt   time.Time `json:"cycle_at"` // when that cycle looked
	// DueAt is when the loop is to turn next at the latest. Where that is long
	// ago, the daemon hangs.
	DueAt    time.Time `json:"due_at,omitzero"`
	Shutdown bool      `json:"shutting_down"`
	// PollEvery is how long after that cycle the next one is due, if nothing
	// happens before; EventsArrive, whether the webhook's events are known to
	// arrive.
	PollEvery    time.Duration `json:"poll_every"` // nanoseconds
	EventsArrive bool          `json:"events_arrive"`
	Config       ConfigStatus  `json:"config"`
	// Capabilities are those of the server, nil before they were found.
	Capabilities *Capabilities  `json:"capabilities,omitempty"`
	Problems     []Problem      `json:"problems"`          // what is wrong now, empty if all is well
	Host         *HostStatus    `json:"host,omitempty"`    // nil without limits.pressure
	Peers        []PeerStatus   `json:"peers,omitempty"`   // the daemons that share the jobs, this one among them
	Servers      []ServerStatus `json:"servers,omitempty"` // where there are several
	Budgets      []Budget       `json:"budgets"`           // what is limited over all pools
	Pools        []PoolStatus   `json:"pools"`
	Runners      []RunnerStatus `json:"runners"`
	// Corpses are the runners that the server cannot be told to delete.
	Corpses   []CorpseStatus `json:"corpses,omitempty"`
	Queue     []JobDecision  `json:"queue"`        // queued jobs that were read
	QueueSize int            `json:"queue_length"` // queued jobs that the server has
}

// ConfigStatus is the configuration that the daemon runs with.
type ConfigStatus struct {
	Path     string    `json:"path,omitempty"`
	LoadedAt time.Time `json:"loaded_at,omitzero"` // when what it runs with was taken over
	// Error says what is wrong with the file as it is now, so that the last good
	// one holds; empty if nothing is.
	Error string `json:"error,omitempty"`
	// Restart lists the changes that take effect after a restart only.
	Restart []string `json:"restart,omitempty"`
}

// The subjects of problems that a health report goes by.
const (
	SubjectDocker = "docker"
	SubjectGitea  = "gitea " // with the scope behind it
	SubjectState  = "state"
	SubjectConfig = "configuration"
)

// Further subjects of problems that are the same for all of several servers.
const (
	SubjectHost    = "host"
	SubjectReserve = "limits.reserve"
)

// Problem is a condition that keeps the daemon from its work.
type Problem struct {
	Subject string    `json:"subject"`          // "docker", "gitea instance", "pool linux", …
	Server  string    `json:"server,omitempty"` // whose loop tells it, where there are several
	Since   time.Time `json:"since"`
	Message string    `json:"message"`
}

// PeerStatus is one of the daemons that share the jobs.
type PeerStatus struct {
	Name   string `json:"name"`
	Self   bool   `json:"self,omitempty"`
	Weight int    `json:"weight"`
	// Free is how many jobs more it can take: Weight less those that its runners
	// have. It is missing where that is not known, as of a daemon without instance.
	Free *int `json:"free,omitempty"`
	// BehindUntil is until when it comes behind the others for some jobs, since it
	// has left such a job waiting; zero if it has not.
	BehindUntil time.Time `json:"behind_until,omitzero"`
}

// PoolStatus is one pool in numbers.
type PoolStatus struct {
	Name   string   `json:"name"`
	Server string   `json:"server,omitempty"` // where there are several
	Scope  string   `json:"scope"`
	Labels []string `json:"labels"`
	// Min, IdleWant and Max are the numbers that hold now, under the window.
	Min      int `json:"min"`
	IdleWant int `json:"idle_wanted"`
	Max      int `json:"max"`
	// IdleWhy says what IdleWant goes by where the pool chooses it by itself.
	IdleWhy  string `json:"idle_why,omitempty"`
	Waiting  int    `json:"waiting"` // queued jobs that it is to serve
	Standby  int    `json:"standby"` // made ahead and not started, or being made
	Starting int    `json:"starting"`
	Idle     int    `json:"idle"`
	Busy     int    `json:"busy"`
	Leaving  int    `json:"leaving"`
	Hold     string `json:"hold,omitempty"` // why it starts nothing
	// HoldKind is what Hold says in one word.
	HoldKind ObstacleKind `json:"hold_kind,omitempty"`
	// Paused is set while somebody has it start nothing, or has drained it.
	Paused *Pause `json:"paused,omitempty"`
	// Window is the window that holds, NextChange when another one will or
	// none, and NextWindow what will hold then. Empty is the pool's own numbers.
	Window     string    `json:"window,omitempty"`
	NextChange time.Time `json:"next_change,omitzero"`
	NextWindow string    `json:"next_window,omitempty"`
	// BreakerOpen is set while it starts nothing, or one runner at a time,
	// since its runners fail; Failures counts them since the last that worked.
	BreakerOpen bool `json:"breaker_open"`
	Failures    int  `json:"failures"`
	// Outdated is how many of its runners are to be replaced.
	Outdated int `json:"outdated,omitempty"`
	// RampUntil is when it may start the next runner by its ramp, CoolingUntil
	// when it may give up the next surplus one by its cool_down; zero is now.
	RampUntil    time.Time `json:"ramp_until,omitzero"`
	CoolingUntil time.Time `json:"cooling_until,omitzero"`
	// Nudges counts since the daemon's start how often a runner had to be
	// woken for a job that waited beside it.
	Nudges uint64 `json:"nudges"`
}

// RunnerStatus is one runner without its secrets.
type RunnerStatus struct {
	Name      string    `json:"name"`
	Server    string    `json:"server,omitempty"` // where there are several
	Pool      string    `json:"pool"`
	Scope     string    `json:"scope"`
	Phase     Phase     `json:"phase"`
	Since     time.Time `json:"since"`
	CreatedAt time.Time `json:"created_at"`
	StartedAt time.Time `json:"started_at,omitzero"` // of its container
	ServerID  int64     `json:"server_id,omitempty"`
	// ServerName is the server's name of it, if that is another: it has the
	// identity of an earlier runner.
	ServerName string    `json:"server_name,omitempty"`
	Container  string    `json:"container,omitempty"`
	Ephemeral  bool      `json:"ephemeral"`
	Job        int64     `json:"job,omitempty"`        // the last one
	Jobs       int       `json:"jobs,omitempty"`       // how many it was seen with
	LastJobAt  time.Time `json:"last_job_at,omitzero"` // when the last one came or ended
	// Outdated says why it is to be replaced, if it is.
	Outdated string `json:"outdated,omitempty"`
	// Leave is set if somebody has drained it.
	Leave   *Pause `json:"leave,omitempty"`
	Reason  string `json:"reason"` // why it was made
	Note    string `json:"note,omitempty"`
	History []Step `json:"history,omitempty"`
}

// AtServer is the name that the server has for the runner.
func (r RunnerStatus) AtServer() string { return cmp.Or(r.ServerName, r.Name) }

// Step is one entry of a runner's history.
type Step struct {
	At    time.Time `json:"at"`
	Phase Phase     `json:"phase"`
	Note  string    `json:"note,omitempty"`
}

// JobDecision is what becomes of a queued job.
type JobDecision struct {
	ID       int64     `json:"id"`
	Server   string    `json:"server,omitempty"` // whose id it is, where there are several
	Repo     string    `json:"repo"`
	Name     string    `json:"name"`
	Labels   []string  `json:"labels"`
	QueuedAt time.Time `json:"queued_at"`
	// SeenAt is when the daemon first saw it wait, by the daemon's clock.
	SeenAt time.Time `json:"seen_at,omitzero"`
	URL    string    `json:"url,omitempty"`
	Pool   string    `json:"pool,omitempty"` // empty if no pool serves it now
	Reason string    `json:"reason"`
	Next   string    `json:"next,omitempty"` // when it may be served, if a pool fits it
	// Obstacle is what keeps it from a runner while it has no pool, and Fits the
	// pool that would be the first to serve it, empty if it fits none.
	Obstacle ObstacleKind `json:"obstacle,omitempty"`
	Fits     string       `json:"fits,omitempty"`
}

// NewStatus puts the numbers, decisions and settings of a plan into a Status;
// what the plan does not know is left to the caller.
func NewStatus(spec Spec, p Plan) Status {
	s := Status{Problems: []Problem{}, Budgets: append([]Budget{}, p.Budgets...), Pools: []PoolStatus{}, Runners: []RunnerStatus{}, Queue: []JobDecision{}}
	for i, c := range p.Pools {
		q := spec.Pools[i]
		s.Pools = append(s.Pools, PoolStatus{
			Name: c.Name, Scope: q.Scope.String(), Labels: q.Labels, Min: c.Min, IdleWant: c.IdleWant, IdleWhy: c.IdleWhy, Max: c.Max,
			Waiting: c.Waiting, Standby: c.Standby, Starting: c.Starting, Idle: c.Idle, Busy: c.Busy, Leaving: c.Leaving, Hold: c.Hold, HoldKind: c.HoldKind, Paused: q.Paused,
			Outdated: c.Outdated, RampUntil: c.RampUntil, CoolingUntil: c.CoolingUntil, Window: c.Schedule.Window, NextChange: c.Schedule.Next, NextWindow: c.Schedule.NextWindow,
		})
	}
	for _, d := range p.Decisions {
		s.Queue = append(s.Queue, d.shown())
	}
	return s
}

// Why is the reason with what may come of it, for people.
func (j JobDecision) Why() string {
	if j.Next == "" {
		return j.Reason
	}
	return j.Reason + "; it can get a runner " + j.Next
}

// shown is the decision as people and their programs are told of it.
func (d *Decision) shown() JobDecision {
	return JobDecision{
		ID: d.Job.ID, Server: d.Server, Repo: d.Job.Repo, Name: d.Job.Name, Labels: append([]string{}, d.Job.Labels...), QueuedAt: d.Job.QueuedAt,
		SeenAt: d.Job.SeenAt, URL: d.Job.URL, Pool: d.Pool, Reason: d.Reason, Next: d.Next, Obstacle: d.Kind, Fits: d.Fits,
	}
}

// Finding is something of ours that has nobody, or nothing, behind it.
type Finding struct {
	Kind   string    `json:"kind"`             // "runner in Gitea", "record", "container" or "leftovers of a job"
	Server string    `json:"server,omitempty"` // where there are several
	Name   string    `json:"name"`
	Reason string    `json:"reason"`
	Due    time.Time `json:"due"` // when it is cleared away if it stays as it is
}
