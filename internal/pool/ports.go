package pool

import (
	"context"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// engine makes and ends containers. Every method leaves alone what does not
// carry our instance id, and takes a state that is already reached for
// success.
type engine interface {
	// Create makes the image of the pool available, then a container for the
	// runner, which is not started. The launch, if not nil, is added to what the
	// pool says.
	Create(ctx context.Context, pool, runner string, launch *plan.Launch) (containerID string, err error)
	// Start puts the files into a created container and starts it.
	Start(ctx context.Context, containerID string, files []plan.File) error
	// Signal sends a signal and does not wait for its effect.
	Signal(ctx context.Context, containerID, signal string) error
	// Remove removes a container with its anonymous volumes; a running one
	// only with force.
	Remove(ctx context.Context, containerID string, force bool) error
	// List returns all containers of ours, in whatever state.
	List(ctx context.Context) ([]plan.Container, error)
}

// inspector looks into containers.
type inspector interface {
	Inspect(ctx context.Context, containerID string) (plan.Container, error)
	Logs(ctx context.Context, containerID string, lines int) ([]string, error)
	ReadFile(ctx context.Context, containerID, path string) ([]byte, error)
	WriteFile(ctx context.Context, containerID string, file plan.File) error
	// Watch calls notify at each event of a container of ours, and once after
	// each (re)connection. It returns when ctx ends.
	Watch(ctx context.Context, notify func(runner string)) error
}

// sweeper clears away what the jobs of our runners left on the engine.
type sweeper interface {
	// JobContainers names the containers that our runners have made for their
	// jobs, by runner.
	JobContainers(ctx context.Context) (map[string][]string, error)
	// Sweep removes what the jobs of a runner that has ended left: their
	// containers, and the networks and volumes of those and of the named
	// ones. It says what it removed, also beside an error.
	Sweep(ctx context.Context, runner string, jobs []string) (removed []string, err error)
}

// forge is the server as far as the whole fleet is concerned.
type forge interface {
	// Capabilities says what the server can do. It is asked in each cycle, and
	// asks the server only now and then.
	Capabilities(ctx context.Context) (plan.Capabilities, error)
	// QueuedJobs reads queued jobs page by page until it has limit jobs for
	// which counts is true.
	QueuedJobs(ctx context.Context, scope plan.Scope, limit int, counts func(plan.Job) bool) (plan.JobList, error)
	RunningJobs(ctx context.Context, scope plan.Scope) (plan.JobList, error)
	Runners(ctx context.Context, scope plan.Scope) (plan.RunnerList, error)
	Runner(ctx context.Context, scope plan.Scope, id int64) (plan.ServerRunner, error)
	SetRunnerDisabled(ctx context.Context, scope plan.Scope, id int64, disabled bool) error
}

// registrar is the server as far as one runner is concerned.
type registrar interface {
	// Check says, without asking the server, why a registration token cannot
	// be used.
	Check(token string) error
	Register(ctx context.Context, token string, reg plan.Registration) (plan.Identity, error)
	// Reuse takes up an identity that no runner has for another one; the error
	// wraps plan.ErrNotFound if the server does not know it any more.
	Reuse(ctx context.Context, id plan.Identity, reg plan.Registration) (plan.Identity, error)
	// Deregister and Forget delete at the server; the error wraps
	// plan.ErrUnsupported if it has no way to.
	Deregister(ctx context.Context, scope plan.Scope, id plan.Identity) (existed bool, err error)
	Forget(ctx context.Context, scope plan.Scope, name string) (deleted int, err error)
}

// pages knows the server's pages for people.
type pages interface {
	// RunnerPage is the address of the page on which a runner can be deleted.
	RunnerPage(caps plan.Capabilities, scope plan.Scope, id int64) string
}

// runnerVoice speaks to the server in a runner's own name.
type runnerVoice interface {
	// Withdraw takes a runner out of service where it cannot be disabled.
	Withdraw(ctx context.Context, id plan.Identity, version string) error
	// Verify returns the server's id of the runner, for which it declares the
	// identity's labels anew. The error wraps plan.ErrNotFound if the server does
	// not know the runner, and plan.ErrUnsupported if it answers without an id.
	Verify(ctx context.Context, id plan.Identity, version string) (runnerID int64, err error)
}

// issuer gives out registration tokens of the gateway, for containers that
// register themselves.
type issuer interface {
	// Issue returns a token for one registration of the runner. It replaces an
	// earlier one.
	Issue(ctx context.Context, runner, pool string, scope plan.Scope, labels []string, until time.Time) (plan.Secret, error)
	// Retire ends the runner's token, if there is one.
	Retire(ctx context.Context, runner string) error
}

// store keeps records durably.
type store interface {
	// Put writes all of the records or none.
	Put(...state.Record) error
	// Delete and Keep may wait so long for others, to be written with them.
	Delete(name string, patience time.Duration) error
	// Keep deletes a record and keeps its identity as a corpse, in one step.
	Keep(name string, c plan.Corpse, patience time.Duration) error
	// Hurry ends that wait for those which wait now.
	Hurry()
	// TakeSpare gives a record a spare identity of its scope, and writes it.
	TakeSpare(state.Record) (taken state.Record, found bool, err error)
	PutCorpse(plan.Corpse) error
	// WithdrawSpare has no runner be given an identity from then on. It reports
	// false if it is no corpse, since a runner has it.
	WithdrawSpare(name string) (withdrawn bool, err error)
	Corpses() ([]plan.Corpse, error)
	ForgetCorpses(plan.ForgetCorpses, *plan.AuditEntry) (forgotten []string, err error)
	Records() ([]state.Record, error)
	// PutOrders writes all of what people have ordered or none of it.
	PutOrders(state.Orders) error
	Orders() (pools, runners map[string]plan.Pause, err error)
}

// history keeps durably how jobs arrive, by pool, and what events have told of
// jobs, by their ids. It is not needed to find runners again.
type history interface {
	// PutJobs writes all of the jobs or none; nil removes one.
	PutJobs(jobs map[int64][]byte) error
	Jobs() (map[int64][]byte, error)
	// PutArrivals writes all of the pools or none; nil removes one.
	PutArrivals(pools map[string][]byte) error
	Arrivals() (map[string][]byte, error)
}

// meter counts for the metrics what the loop and its steps do. Its methods may
// be called concurrently, and neither block nor fail.
type meter interface {
	// Started counts a start that was begun.
	Started(pool string, cause plan.Cause)
	// Stopped counts a runner whose way out was begun, or that has done its work.
	Stopped(pool string, cause plan.Cause)
	Failed(pool string, at plan.Failure)
	// Took notes how long something took that ended well.
	Took(pool string, what plan.Span, took time.Duration)
	// Reaped counts what was cleared away that had nothing behind it.
	Reaped(kind plan.Remains, n int)
}

// images knows the images of the pools.
type images interface {
	// Image returns the id of the image that a pool's containers are made from
	// now, "" if it is not known.
	Image(pool string) string
}

// journal takes what happens, for people and programs that follow it. It is
// called from several goroutines.
type journal interface{ Add(plan.Event) }

// follower follows what a container writes.
type follower interface {
	// FollowLogs calls line with the last lines and then with each that comes,
	// until the container has ended, ctx ends or line returns an error.
	FollowLogs(ctx context.Context, containerID string, lines int, line func(string) error) error
	// Usage returns what a container takes at the moment.
	Usage(ctx context.Context, containerID string) (plan.Usage, error)
}

// Ports are the ways out of the loop.
type Ports struct {
	Engine    engine
	Inspector inspector
	Images    images // nil if they make no difference
	Sweeper   sweeper
	Forge     forge
	Registrar registrar
	Voice     runnerVoice
	Pages     pages  // nil if nobody is shown any
	Issuer    issuer // needed for pools with SelfRegister only
	Store     store
	History   history  // nil if what is known of jobs is learned anew at each start
	Pressure  pressure // nil if the host's load does not matter
	Sizer     sizer    // needed with a reserve only
	Meter     meter    // nil if nobody counts
	Journal   journal  // nil if nobody follows
	Follower  follower // needed for FollowLogs and Usage, and to hear at once that a runner has begun a task
	Ledger    *Ledger  // nil if no limits bind others, too
}
