// Package pool runs the fleet: it looks at the queue, the containers and the
// records, lets the planner decide, and carries the plan out.
//
// One goroutine owns the records in memory. What takes long runs beside it,
// on one runner at a time, and comes back as a result. The invariant that it
// protects: the intent is on disk before its effect, so that whatever the
// daemon was doing when it died can be finished or undone at the next start.
package pool

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/register"
	"scaler.io/scaler/internal/state"
)

// Deadlines of what the loop does. They bound a whole step; the adapters have
// their own for each call.
const (
	observeTimeout = 30 * time.Second
	clearTimeout   = time.Minute     // adopting, auditing and reaping, within a cycle
	reapTimeout    = time.Minute     // of one corpse
	stepTimeout    = 2 * time.Minute // draining, stopping, removing
	shutdownWait   = 30 * time.Second
	drainPoll      = time.Second // pace of a draining shutdown
	// cycleGap is the least time between two cycles: what many containers
	// report at once makes one cycle. Where cycles take longer, as much time is
	// between them, up to cycleGapMost: what is looked at is then busy.
	cycleGap     = 50 * time.Millisecond
	cycleGapMost = time.Second
	crowdedGap   = time.Second // see crowd
)

// Options are the settings of one pool that the planner does not need.
type Options struct {
	Token     string // name of the registration token
	Labels    []plan.Label
	Ephemeral bool
	// Recipe is what its runners are made from, but for the image's id.
	Recipe  plan.Recipe
	DataDir string // working directory of the runner in its container
	// Program is the runner that the image has, "" for that of the server's
	// product. Launched says that the pool's own settings start it.
	Program  register.Program
	Launched bool
	// RunnerConfig returns the content of a runner's configuration file.
	RunnerConfig func(runner string) ([]byte, error)
	// SelfRegister, if not nil, has the container register itself.
	SelfRegister *SelfRegister
	// StartTimeout bounds one start, the pull of the image included.
	StartTimeout time.Duration
}

// SelfRegister is how a container registers itself at the gateway.
type SelfRegister struct {
	// Env returns what its image wants to be told, by the names of the
	// official image.
	Env func(runner string, token plan.Secret) map[string]string
	// TokenLifetime is how long a token is good for.
	TokenLifetime time.Duration
}

// Config is what the daemon is told to do.
type Config struct {
	Version        string
	Instance       string // id under which all that is ours is labelled and named
	Server         string // name of the server, empty where there is only one
	Spec           plan.Spec
	Sharing        plan.Sharing // among which daemons jobs are split; without Peers they are not
	Pools          map[string]Options
	Pace           Pace
	ParallelStarts int // 0 goes by the CPUs of the engine
	// DrainOnShutdown stops the idle runners at shutdown and waits for the
	// busy ones, up to ShutdownTimeout; otherwise all are left running.
	DrainOnShutdown bool
	ShutdownTimeout time.Duration
	// Events says that the server can send events to the daemon.
	Events bool
	// OnRemoved, if not nil, is called by the loop with each runner of which
	// nothing is left.
	OnRemoved func(plan.RunnerStatus)
}

// Manager runs the fleet.
type Manager struct {
	version  string
	instance string
	server   string
	ports    Ports
	log      *slog.Logger

	// Owned by the goroutine of Run.
	cfg        Config
	retired    map[string]Options // of pools that are no longer configured
	runners    map[string]*runner
	breakers   map[string]*breaker
	recent     map[string]*plan.Recent // by pool
	conditions *conditions
	aside      bool // it looks at copies of the runners, and nothing is to come of it
	draining   bool
	caps       plan.Capabilities        // of the server, as last found
	source     plan.JobSource           // how jobs are found, empty before that is known
	ears       *ears                    // listen to the runners' logs
	heardSign  atomic.Bool              // Sign was called
	signAt     time.Time                // when something last told that there may be jobs
	tookAt     map[string]time.Time     // by pool, when a runner last took a job
	answering  time.Time                // since when the server has answered each time
	book       *plan.Book               // of the jobs that events have told of
	unsaved    map[int64][]byte         // what has changed in the book and is not stored
	firstSeen  map[int64]sighting       // queued jobs, by the daemon's clock
	jobsRead   map[plan.Scope]time.Time // when the jobs of a scope were last read
	nudged     map[string]time.Time     // by pool
	missed     map[string]time.Time     // attempts of jobs that a runner was bound to and did not get, by handle
	corpses    map[corpse]time.Time     // when each was first seen
	auditedAt  time.Time
	noPlace    map[string]string   // by pool, why no machine has room for its next runner
	leftovers  map[string]leftover // of jobs, by the runner that is gone
	kept       kept                // corpses that the server could not delete
	lookedAt   time.Time           // for leftovers
	pace       *pace
	size       hostSize
	nudges     map[string]uint64 // by pool, since the start
	arrivals   *arrivals
	split      *plan.Split     // nil where no other daemon shares the jobs
	boots      []time.Duration // of the last runners, where one does
	cycle      uint64
	cycleTook  time.Duration  // the last one
	under      map[string]int // steps under way, by their op
	started    time.Time
	jobsWait   bool // as of the last cycle
	orders     orders
	told       told // what the journal has been told

	starts   *places // for the starts that may be under way
	ends     *places // likewise for removals
	results  chan result
	trigger  chan struct{}
	stirs    *stirs
	requests chan func() // to be called by the loop
	// announced are jobs that events have named, for the loop to take.
	announced struct {
		mu   sync.Mutex
		jobs []int64
	}
	// events are those of jobs that have come, for the loop to take.
	events struct {
		mu   sync.Mutex
		jobs []plan.JobEvent
	}
	stopping     context.Context // ends when nothing new may begin
	cutStarts    context.CancelFunc
	status       atomic.Pointer[plan.Status]
	due          atomic.Pointer[time.Time] // when the loop is to turn next at the latest
	lastView     atomic.Pointer[plan.View] // what the status is of
	handles      atomic.Pointer[map[string]handle]
	configStatus atomic.Pointer[plan.ConfigStatus]
	ready        func() // called once, after the first cycle
}

// runner is a record with what only the loop knows of it.
type runner struct {
	rec state.Record
	// op names the step that is under way beside the loop, which alone may
	// change the record then.
	op string
	// job is the in_progress job that names the runner, as of this cycle.
	job *plan.Job
	// unsure says why it is not known whether it has a job, empty if it is. It
	// counts as one that has.
	unsure string
	// unannounced is the last task of which no event has told.
	unannounced int64
	// jobSeen is when job was last found.
	jobSeen time.Time
	// waited is the job whose wait was noted last.
	waited int64
	// suspect is set if the container ended without having been told to.
	suspect bool
	// gone is set if the server was asked for the runner and does not have it.
	gone bool
	// waits is why no machine has a place for its container now, and noPlace why
	// none had when it was asked for last, empty if it has run.
	waits, noPlace string
	waitsSince     time.Time
	// lost is set if its machine was lost with it: its identity may still be in
	// use there, and is used no more.
	lost bool
	// killedAt is when it was killed last, which an engine of many machines may
	// not be able to do at once.
	killedAt time.Time
	// leave says that the engine wants it to go, nil if it does not.
	leave *plan.Pause
	// told is how many steps of its history the journal has been told.
	told int
	// retryAt and retries pace a step that fails again and again.
	retryAt time.Time
	retries int
}

// result is what a step gives back to the loop.
type result struct {
	op   string
	rec  state.Record
	err  error
	gone bool // nothing is left of the runner
	kept bool // but its identity, which the server cannot delete
	// verdict is the failure of a runner that ended by itself, if it was one.
	verdict error
	worked  bool // the runner ended after doing its work
	alive   bool // its container runs after all
	// busy is set if the runner was to be stopped and its log tells of a job.
	busy bool
	// cannotDisable is set if the runner was withdrawn by its labels, since the
	// server has no way to disable one.
	cannotDisable bool
	deleted       bool  // the server does not know the runner any more
	sweepErr      error // what its jobs left is not cleared away
	overload      bool  // the engine could not keep up with a start
	took          time.Duration
}

// New returns a Manager. It does no I/O.
func New(cfg Config, ports Ports, log *slog.Logger) *Manager {
	if ports.Meter == nil {
		ports.Meter = uncounted{}
	}
	stopping, cutStarts := context.WithCancel(context.Background())
	m := &Manager{
		version: cfg.Version, instance: cfg.Instance, server: cfg.Server, cfg: cfg, ports: ports, log: log, retired: make(map[string]Options),
		runners: make(map[string]*runner), breakers: make(map[string]*breaker), recent: make(map[string]*plan.Recent),
		ears: newEars(), tookAt: make(map[string]time.Time),
		book: plan.NewBook(), unsaved: make(map[int64][]byte),
		firstSeen: make(map[int64]sighting), jobsRead: make(map[plan.Scope]time.Time), nudged: make(map[string]time.Time), missed: make(map[string]time.Time), corpses: make(map[corpse]time.Time),
		leftovers: make(map[string]leftover), nudges: make(map[string]uint64), under: make(map[string]int),
		kept: kept{stale: true},
		pace: newPace(cfg.Pace), arrivals: newArrivals(), told: newTold(),
		orders:  orders{pools: make(map[string]plan.Pause), runners: make(map[string]plan.Pause)},
		results: make(chan result), trigger: make(chan struct{}, 1), stirs: newStirs(), requests: make(chan func()), stopping: stopping, cutStarts: cutStarts,
		ready: func() {},
	}
	m.conditions = newConditions(log, m.tell)
	for name := range cfg.Pools {
		m.breakers[name] = &breaker{}
	}
	m.starts, m.ends = newPlaces(1), newPlaces(1)
	m.setPlaces()
	m.setSharing(cfg.Sharing)
	return m
}

// OnReady has f called once, when the first cycle is done.
func (m *Manager) OnReady(f func()) { m.ready = f }

// Trigger asks for a cycle now. Any number of calls before it begins make one.
func (m *Manager) Trigger() {
	select {
	case m.trigger <- struct{}{}:
	default:
	}
}
