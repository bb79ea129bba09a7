package plan

import (
	"slices"
	"time"
)

// Phase is where a runner of ours is in its life.
type Phase string

// The phases of a runner, in the order of a full life. A runner with an
// in_progress job is busy whatever its phase says: see Runner.HasJob.
const (
	PhaseStandby   Phase = "standby"   // made ahead, or being made: its container is not started
	PhaseStarting  Phase = "starting"  // from the stored intent until it is online
	PhaseIdle      Phase = "idle"      // online and free
	PhaseBusy      Phase = "busy"      // an in_progress job names it
	PhaseFinishing Phase = "finishing" // ephemeral, had its job, about to exit
	PhaseDraining  Phase = "draining"  // disabled at the server, may still have got a job
	PhaseStopping  Phase = "stopping"  // told to stop, may finish a job first
	PhaseExited    Phase = "exited"    // its container has ended or is gone
	PhaseRemoving  Phase = "removing"  // being deregistered and removed
)

// Pool is what the planner needs to know of one pool.
type Pool struct {
	Name   string
	Scope  Scope
	Labels []string // label names
	Min    int      // runners kept in any case
	Idle   int      // ready runners kept beyond the busy ones
	// Auto, if not nil, has Idle be chosen from the pool's arrivals: see
	// SetReady. IdleWhy says then what the choice goes by.
	Auto    *Auto
	IdleWhy string
	// Ahead, if not empty, says why at least one runner is kept ready, whatever
	// Idle and the windows say: nothing else tells of the jobs.
	Ahead string
	Max   int // runners at most, in whatever phase
	// Standby is how many runners are kept made ahead: registered, with a
	// container that is not started. They are no runners in the sense of the
	// other numbers until they are started, and what is to be started is taken
	// from them first.
	Standby int
	// IdleTimeout is how long a surplus runner stays idle before it goes.
	IdleTimeout time.Duration
	// Windows change the numbers above at times: see At.
	Windows *Windows
	// Pace is how quickly it grows and shrinks, Recent what it did lately.
	Pace   Pace
	Recent Recent
	// Renewal says when its runners are replaced.
	Renewal Renewal
	// BootTimeout is how long a runner may take from the start of its
	// container until it is online.
	BootTimeout time.Duration
	// ShutdownTimeout is how long a runner may take to finish its job after
	// it was told to stop.
	ShutdownTimeout time.Duration
	// Paused, if not nil, says that somebody wants nothing to be started in this
	// pool, or that it is to be drained.
	Paused *Pause
	// Hold, if not empty, says why nothing may be started in this pool.
	Hold string
	// HoldKind is what Hold is about: ObstacleBreaker, or else ObstacleToken.
	HoldKind ObstacleKind
	// NoPlace, if not empty, says why no machine of the engine has room for the
	// runner that the pool has started last. Another one would wait beside it.
	NoPlace string
	// RetryAt is when the hold is over, zero if that is not a matter of time.
	RetryAt time.Time
	// NudgedAt is when a runner of the pool was last nudged, zero for never.
	NudgedAt time.Time
	// Probe limits the pool to one starting runner at a time, after failures
	// and until one has come online. One that has ended counts until it is
	// removed, since only then it is known how it fared.
	Probe bool
	// Binds says that a runner that is started for a job asks for that job alone,
	// if the job has a handle.
	Binds bool
	// Eager says that an idle runner asks for any job each time, so that none is
	// ever to be woken.
	Eager bool
	// Cost is what a runner takes of Spec.Most: the limits of its container.
	Cost Resources
	// Priority is the pool's place where not all can have what they want, higher
	// ones first; and for a job that several pools may serve.
	Priority int
	// Weight is the pool's share of the runners among pools of its priority,
	// where not all can have what they want; 0 counts as 1.
	Weight int
	// MaxPerRepo and MaxPerOwner bound how many runners of the pool may be busy
	// with, or wait for, jobs of one repository and of one owner; 0 is no bound.
	// Jobs beyond that are no demand of the pool.
	MaxPerRepo, MaxPerOwner int
}

// Spec is what the operator wants.
type Spec struct {
	Pools []Pool // in the order of the file
	// MaxRunners bounds the runners of all pools together; 0 means no bound.
	MaxRunners int
	// Most bounds what the runners of all pools take together; 0 means no
	// bound. A pool whose Cost has none of a resource takes none of it.
	Most Resources
	// Reserve is what the runners leave of the Docker host, see Snapshot.Engine.
	Reserve Resources
	// Shared, if not nil, are limits that bind these runners and those of other
	// servers together.
	Shared *Shared
	// DrainSettle is how long after disabling a runner a fetch that began
	// before may still be answered with a job.
	DrainSettle time.Duration
	// CanNudge is false where the server cannot disable and enable a runner,
	// which is what wakes one.
	CanNudge bool
	// Source is how queued jobs are found, empty if that is not known.
	Source JobSource
	// Shutdown says that the daemon drains to end. The pools' numbers are 0
	// then; this is for the reasons.
	Shutdown bool
	// Asked are the runners that somebody has asked for beyond what the queue
	// needs. A plan answers each.
	Asked []Ask
}

// Index is the place of a pool among Pools, -1 if there is no such pool.
func (s *Spec) Index(pool string) int {
	return slices.IndexFunc(s.Pools, func(p Pool) bool { return p.Name == pool })
}

// Pool is the pool of that name, nil if there is none.
func (s *Spec) Pool(name string) *Pool {
	if i := s.Index(name); i >= 0 {
		return &s.Pools[i]
	}
	return nil
}

// Runner is a runner of ours as it was observed.
type Runner struct {
	Name      string
	Pool      string
	Scope     Scope
	Phase     Phase
	Ephemeral bool
	// Used is set once an ephemeral runner has had its job; it never gets
	// another one.
	Used bool
	// HasJob is true if an in_progress job names the runner: the one proof
	// that it is busy.
	HasJob bool
	// Repo is the repository of that job, "owner/name".
	Repo string
	// Bound, if not nil, is the one job that it asks for.
	Bound *Bound
	// JobSeen is when a list last showed it with a job, zero for never. A
	// list of several pages can miss a job while others come and go, so one
	// look at it is not enough to end a runner that had one.
	JobSeen time.Time
	// LastJobAt is when it was given a job, or had ended one, for the last time
	// in its life; zero for never. Its caches are as warm as this is near.
	LastJobAt time.Time
	Jobs      int // how many it has been given
	// Recipe is what it was made from. If that differs from its pool's, Labels
	// are the names of the labels that it was registered with.
	Recipe Recipe
	Labels []string
	// Registered is true if its identity at the server is known.
	Registered bool
	// Prepared is true if it is on standby and can be started.
	Prepared bool
	// Gone is true if the server was asked for just this runner and has it no
	// more: somebody deleted it, or its job was cancelled.
	Gone bool
	// Told is true once it was told to stop.
	Told bool
	// Leave, if not nil, says that somebody wants it to go, after its job if it
	// has one.
	Leave     *Pause
	CreatedAt time.Time
	StartedAt time.Time // when its container was started, zero before
	Since     time.Time // when it entered its phase
	Note      string    // what led to the phase, for reasons
	// Cost is what it was made with; nil is the Cost of its pool.
	Cost *Resources
}

// Snapshot is the world at one moment. What could not be read is said in Hold
// and Unknown: unknown is not zero.
type Snapshot struct {
	Now  time.Time
	Jobs []Job // queued jobs, each once
	// Shares says for each job whose it is, where several daemons split them; a
	// job that it lacks is this one's.
	Shares map[int64]Share
	// Balances says by pool how this daemon's runners and jobs are traded for
	// those of the others.
	Balances map[string]Balance
	// Unknown has the scopes whose jobs could not be read in full, with the
	// reason. Nothing is stopped or started on their account.
	Unknown map[Scope]string
	Runners []Runner
	// Hold, if not empty, says why nothing at all may be done (the engine
	// cannot be reached).
	Hold string
	// StartHold, if not empty, says why nothing new may be started in any pool
	// (the host is short of something). All else goes on.
	StartHold string
	// Engine is what the Docker host has, zero while that is not known, which
	// EngineUnknown says why. It matters if the Spec has a Reserve.
	Engine        Resources
	EngineUnknown string
}

// ActionKind is what is to be done.
type ActionKind string

// The kinds of action. Prepare makes a runner ahead, for standby. Restart gives a persistent runner whose container has
// ended another one, with the same identity. Nudge makes an idle runner look at
// the queue again. Drain, stop and kill are steps of one way down: a
// runner is disabled, proven free, told to stop, and only then removed.
const (
	ActionPrepare ActionKind = "prepare"
	ActionStart   ActionKind = "start"
	ActionRestart ActionKind = "restart"
	ActionNudge   ActionKind = "nudge"
	ActionDrain   ActionKind = "drain"  // disable at the server
	ActionStop    ActionKind = "stop"   // SIGTERM; a job that it has is finished
	ActionKill    ActionKind = "kill"   // SIGKILL, for one that cannot have a job and runs on
	ActionRemove  ActionKind = "remove" // deregister, then remove its container
)

// Action is one thing to do, with its reason.
type Action struct {
	Kind   ActionKind `json:"action"`
	Server string     `json:"server,omitempty"` // whose runner it is, where there are several
	Pool   string     `json:"pool"`
	Runner string     `json:"runner,omitempty"` // empty for prepare, and for a start of one that is not on standby
	Job    int64      `json:"job,omitempty"`    // the job that a start is for
	Bound  *Bound     `json:"-"`                // that job, if the runner is to take no other
	By     string     `json:"by,omitempty"`     // who asked for it, empty for the planner itself
	// Cause is set where a runner is started, and where its way out begins.
	Cause  Cause  `json:"cause,omitempty"`
	Reason string `json:"reason"`
}

// Decision is what becomes of one queued job.
type Decision struct {
	Job    *Job   // that of the snapshot
	Pool   string // the pool whose runner is to take it; empty if unserved
	Reason string
	// Next says when a job that fits a pool and is unserved may be served, as
	// in "once the engine answers"; empty if that is not known.
	Next string
	// Kind is what keeps an unserved job from a runner, and Fits the pool that
	// would be the first to serve it, empty if it fits none.
	Kind ObstacleKind
	Fits string
	// Server is whose job it is, where there are several.
	Server string

	bound *Runner // the runner that asks for this job alone
}

// Served reports whether a runner is there or on its way for the job.
func (d Decision) Served() bool { return d.Pool != "" }

// PoolCount is the state of a pool in numbers.
type PoolCount struct {
	Name     string
	Total    int // runners in whatever phase
	Standby  int
	Starting int
	Idle     int
	Busy     int
	Leaving  int // finishing, draining, stopping, exited or removing, without a job
	Waiting  int // queued jobs that the pool is to serve
	Hold     string
	HoldKind ObstacleKind
	// Min, IdleWant and Max are the pool's numbers that the plan goes by, under
	// the window that Schedule names.
	Min, IdleWant, Max int
	IdleWhy            string // what IdleWant goes by if the pool chooses it by itself
	Schedule           ScheduleState
	// Surplus is how many runners neither a job nor min or idle asks for, and
	// -1 if that is not known.
	Surplus int
	// Full says that it can start no runner more, as things are.
	Full bool
	// Outdated is how many runners are to be replaced.
	Outdated int
	// RampUntil is when the pool may start the next runner by its pace, and
	// CoolingUntil when it may give up the next surplus one; zero is now.
	RampUntil, CoolingUntil time.Time
}

// Plan is what Compute returns.
type Plan struct {
	Actions   []Action
	Decisions []Decision  // one for each queued job, in order of age
	Pools     []PoolCount // in the order of the Spec
	Budgets   []Budget    // what is limited over all pools
	Answers   []Answer    // to Spec.Asked, in its order
}

// Budget is what the runners of all pools take of something that is limited.
type Budget struct {
	Resource string `json:"resource"` // "runners", "cpus" or "memory"
	// Server is whose pools it is about, empty for all pools.
	Server string  `json:"server,omitempty"`
	Taken  float64 `json:"taken"` // by runners that exist or are to be started; memory in bytes
	Limit  float64 `json:"limit"`
	// Host is what the Docker host has and Reserve what is kept from the
	// runners, if it is the reserve that bounds them; else 0.
	Host    float64 `json:"host,omitempty"`
	Reserve float64 `json:"reserve,omitempty"`
}
