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
)

// Options are the settings of one pool that the planner does not need.
type Options struct {
	Token     string // name of the registration token
	Labels    []plan.Label
	Ephemeral bool
	// Recipe is what its runners are made from, but for the image's id.
	Recipe  plan.Recipe
	DataDir string // working directory of the runner in its container
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
	Spec           plan.Spec
	Sharing        plan.Sharing // among which daemons jobs are split; without Peers they are not
	Pools          map[string]Options
	Pace           Pace
	ParallelStarts int
	// DrainOnShutdown stops the idle runners at shutdown and waits for the
	// busy ones, up to ShutdownTimeout; otherwise all are left running.
	DrainOnShutdown bool
	ShutdownTimeout time.Duration
	// OnRemoved, if not nil, is called by the loop with each runner of which
	// nothing is left.
	OnRemoved func(plan.RunnerStatus)
}

// Manager runs the fleet.
type Manager struct {
	version  string
	instance string
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
	canNudge   bool
	draining   bool
	firstSeen  map[int64]time.Time      // queued jobs, by the daemon's clock
	jobsRead   map[plan.Scope]time.Time // when the jobs of a scope were last read
	nudged     map[string]time.Time     // by pool
	corpses    map[corpse]time.Time     // when each was first seen
	auditedAt  time.Time
	noPlace    map[string]string   // by pool, why no machine has room for its next runner
	leftovers  map[string]leftover // of jobs, by the runner that is gone
	lookedAt   time.Time           // for leftovers
	pace       *pace
	size       hostSize
	nudges     map[string]uint64 // by pool, since the start
	arrivals   *arrivals
	split      *plan.Split // nil where no other daemon shares the jobs
	cycle      uint64
	cycleTook  time.Duration // the last one
	started    time.Time
	jobsWait   bool // as of the last cycle
	orders     orders
	told       told // what the journal has been told

	starts   *places // for the starts that may be under way
	ends     *places // likewise for removals
	results  chan result
	trigger  chan struct{}
	requests chan func() // to be called by the loop
	// announced are jobs that events have named, for the loop to take.
	announced struct {
		mu   sync.Mutex
		jobs []int64
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
	// verdict is the failure of a runner that ended by itself, if it was one.
	verdict error
	worked  bool // the runner ended after doing its work
	alive   bool // its container runs after all
	// cannotDisable is set if the server has no way to disable a runner.
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
		version: cfg.Version, instance: cfg.Instance, cfg: cfg, ports: ports, log: log, retired: make(map[string]Options),
		runners: make(map[string]*runner), breakers: make(map[string]*breaker), recent: make(map[string]*plan.Recent),
		canNudge:  true,
		firstSeen: make(map[int64]time.Time), jobsRead: make(map[plan.Scope]time.Time), nudged: make(map[string]time.Time), corpses: make(map[corpse]time.Time),
		leftovers: make(map[string]leftover), nudges: make(map[string]uint64),
		starts: newPlaces(cfg.ParallelStarts), ends: newPlaces(cfg.ParallelStarts),
		pace: newPace(cfg.Pace), arrivals: newArrivals(), told: newTold(),
		orders:  orders{pools: make(map[string]plan.Pause), runners: make(map[string]plan.Pause)},
		results: make(chan result), trigger: make(chan struct{}, 1), requests: make(chan func()), stopping: stopping, cutStarts: cutStarts,
		ready: func() {},
	}
	m.conditions = newConditions(log, m.tell)
	for name := range cfg.Pools {
		m.breakers[name] = &breaker{}
	}
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

// Run loads the records and runs cycles until ctx ends, then shuts down as
// configured. It returns an error only if the records cannot be read.
func (m *Manager) Run(ctx context.Context) error {
	if err := m.load(); err != nil {
		return err
	}
	m.started = time.Now()
	watch, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		if err := m.ports.Inspector.Watch(watch, func(string) { m.Trigger() }); err != nil && watch.Err() == nil {
			m.log.Error("watching containers has ended, polling goes on", "err", err)
		}
	}()
	m.turn(ctx)
	stopWatching()
	<-watching
	return nil
}

// turn is the loop itself. A trigger only moves the timer forward.
func (m *Manager) turn(ctx context.Context) {
	m.dueIn(0)
	gap := m.timeCycle(ctx)
	m.ready()
	last := time.Now()
	timer := time.NewTimer(m.dueIn(max(m.pace.jittered(last), gap)))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			m.shutdown(ctx)
			return
		case r := <-m.results:
			m.settle(r)
		case f := <-m.requests:
			f()
			m.turned() // it may have taken as long as a cycle
		case <-m.trigger:
			m.hear(time.Now())
			timer.Reset(max(gap-time.Since(last), 0))
		case <-timer.C:
			m.turned()
			gap = m.timeCycle(ctx)
			last = time.Now()
			timer.Reset(m.dueIn(max(m.pace.jittered(last), gap)))
		}
	}
}

// dueIn notes that the loop turns, and when it is to turn again.
func (m *Manager) dueIn(d time.Duration) time.Duration {
	at := time.Now().Add(d)
	m.due.Store(&at)
	return d
}

// turned notes that the loop turns, if it is overdue.
func (m *Manager) turned() {
	if time.Now().After(m.dueAt()) {
		m.dueIn(0)
	}
}

// timeCycle runs a cycle and returns how long the next one has to wait at least.
func (m *Manager) timeCycle(ctx context.Context) (gap time.Duration) {
	began := time.Now()
	m.runCycle(ctx)
	took, before := time.Since(began), m.cycleTook
	m.cycleTook = took
	// One answer that was late says nothing of the next.
	return min(max(min(took, before), cycleGap), cycleGapMost)
}

// runCycle is observe, plan, apply.
func (m *Manager) runCycle(ctx context.Context) {
	m.cycle++
	seen := m.observe(ctx)
	if ctx.Err() != nil && !m.draining {
		return // what was cut short proves nothing
	}
	bounded, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	m.adopt(bounded, seen)
	m.assess(seen)
	m.audit(bounded, seen)
	m.reapDue(bounded, seen)
	m.sweepDue(ctx)
	spec, snap := m.spec(seen), m.snapshot(seen)
	m.jobsWait = len(snap.Jobs) > 0
	p := plan.Compute(spec, snap)
	m.noteSurplus(p, seen.at)
	m.noteShares(p, seen.at)
	m.count(snap, p)
	m.apply(ctx, seen, p)
	m.chronicle(spec, snap, seen, p)
	m.publish(spec, snap, seen, p)
}

// load reads the records of the last run.
func (m *Manager) load() error {
	all, err := m.ports.Store.Records()
	if err != nil {
		return err
	}
	m.recall(time.Now())
	for _, rec := range all {
		// The time since it was disabled is the wall clock's, which may have
		// been set since: the wait begins anew.
		rec.Disabled = false
		m.completeRecipe(&rec)
		m.runners[rec.Name] = &runner{rec: rec, told: len(rec.History)}
	}
	m.recallRecent()
	if err := m.recallOrders(); err != nil {
		return err
	}
	if len(all) > 0 {
		m.log.Info("runners of an earlier run found in the state", "count", len(all))
	}
	return nil
}

// shutdown ends the loop: it waits, for a bounded time, for what was begun.
func (m *Manager) shutdown(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	m.cutStarts()
	m.dueIn(shutdownWait)
	if m.cfg.DrainOnShutdown {
		m.drain(ctx)
	}
	m.keepArrivals(time.Now())
	deadline := time.NewTimer(m.dueIn(shutdownWait))
	defer deadline.Stop()
	for m.busyWithSteps() > 0 {
		select {
		case r := <-m.results:
			m.settle(r)
		case f := <-m.requests:
			f()
		case <-deadline.C:
			m.log.Warn("leaving steps unfinished, the next start takes them up", "count", m.busyWithSteps())
			return
		}
	}
	m.log.Info("stopped", "runners_left", len(m.runners))
}

// drain runs cycles that start nothing and stop what is free, until no runner
// is left or the time is up.
func (m *Manager) drain(ctx context.Context) {
	m.draining = true
	m.log.Info("draining: idle runners stop, busy ones finish their jobs", "runners", len(m.runners), "at_most", m.cfg.ShutdownTimeout.String())
	deadline := time.NewTimer(m.cfg.ShutdownTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for m.runCycle(ctx); len(m.runners) > 0; {
		m.dueIn(drainPoll)
		select {
		case <-deadline.C:
			m.log.Warn("drain is out of time, runners are left to the next start", "runners", len(m.runners))
			return
		case r := <-m.results:
			m.settle(r)
			continue
		case f := <-m.requests:
			f()
			continue
		case <-m.trigger:
		case <-tick.C:
		}
		m.runCycle(ctx)
	}
}

func (m *Manager) busyWithSteps() int {
	n := 0
	for _, r := range m.runners {
		if r.op != "" {
			n++
		}
	}
	return n
}
