// Package plan decides how many runners each pool needs and says why.
//
// It holds the vocabulary that every other package shares (jobs, runners,
// scopes, labels, identities) and the pure function Compute. The package
// imports nothing but the standard library, performs no I/O, and reads no
// clock: everything that a decision depends on is in its inputs, so that any
// decision can be replayed and tested. The invariant that it protects: a
// runner that has, or may have, a job is never chosen to be stopped.
package plan

import (
	"errors"
	"log/slog"
	"time"
)

// Errors that the outside world can answer with, shared by the packages that
// talk to it and those that decide what follows. Test for them with
// errors.Is; the wrapping error says what was being done, and to what.
var (
	// ErrNotFound: the object does not exist (any more). For a delete this
	// is success.
	ErrNotFound = errors.New("not found")
	// ErrUnsupported: the server has no such function; asking again is
	// useless until it is upgraded.
	ErrUnsupported = errors.New("not supported by the server")
	// ErrTokenRejected: the registration token is unknown, invalidated or
	// disabled. It is final until the token changes.
	ErrTokenRejected = errors.New("registration token rejected")
	// ErrDenied: the API token is missing, wrong, or lacks a permission.
	ErrDenied = errors.New("access denied")
	// ErrImage: the image of a pool is missing and could not be pulled.
	ErrImage = errors.New("image unavailable")
	// ErrInvalid: what was asked for cannot be; the text says how it would be
	// right.
	ErrInvalid = errors.New("invalid")
	// ErrConflict: it contradicts what is there, such as a name that is
	// taken.
	ErrConflict = errors.New("conflict")
	// ErrBusy: it cannot be done while the runner has a job.
	ErrBusy = errors.New("the runner has a job")
)

// Secret is a token that must not be seen. Every usual way of printing or
// marshalling it gives "[redacted]"; Reveal is the one way to its value, so
// that a search for Reveal finds each place where a secret leaves the daemon.
type Secret string

const redacted = "[redacted]"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer and never shows the secret.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer and never shows the secret.
func (s Secret) GoString() string { return redacted }

// MarshalText implements encoding.TextMarshaler and never shows the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer and never shows the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// JobStatus is the state of a job as Gitea's REST API names it.
type JobStatus string

// The job states that matter here. "waiting" and "pending" jobs are blocked on
// other jobs, concurrency groups or approval and are not demand.
const (
	JobQueued     JobStatus = "queued"
	JobInProgress JobStatus = "in_progress"
)

// Job is one job of a workflow run as the server lists it.
type Job struct {
	ID     int64
	RunID  int64
	Name   string
	Repo   string   // "owner/name"
	Labels []string // what runs-on asks for; empty matches any runner
	Status JobStatus
	// RunnerID is the server's id of the runner that has the job, 0 while it
	// is queued.
	RunnerID   int64
	RunnerName string
	// TaskID is what the runner's own log calls the job once it has it, 0 where
	// the server does not say.
	TaskID int64
	// Handle names this attempt of the job where a runner can be bound to one;
	// else it is empty.
	Handle string
	// Barred, if not empty, says why no runner whatever gets the job.
	Barred string
	// QueuedAt is the creation time that the server reports, or else when it
	// was first seen in a list.
	QueuedAt time.Time
	// SeenAt is when the daemon first saw it queued, by the daemon's clock.
	SeenAt time.Time
	URL    string // the page for people
}

// JobList is what one listing of jobs gave.
type JobList struct {
	Jobs []Job // de-duplicated by id
	// Total is how many jobs the server said there are; it can exceed
	// len(Jobs) when the listing stopped at its limit.
	Total int
	// Complete is false if jobs may be missing, because of the limit or
	// because pages shifted while they were read. An incomplete list proves
	// that a job exists, never that it does not.
	Complete bool
}

// ServerRunner is a runner as the server lists it.
type ServerRunner struct {
	ID        int64
	Name      string
	Online    bool
	Busy      bool // a heuristic over the last 10 s; decides nothing
	Disabled  bool
	Ephemeral bool
	Labels    []string
}

// RunnerList is what one listing of runners gave.
type RunnerList struct {
	Runners  []ServerRunner
	Complete bool // as for JobList
}

// Registration is what a new runner is registered with.
type Registration struct {
	Name      string
	Labels    []Label
	Ephemeral bool
	Version   string
}

// Identity is what the server gave a runner when it registered: the content
// of its .runner file.
type Identity struct {
	ID        int64
	UUID      string
	Name      string
	Token     Secret // the runner's own token, not a registration token
	Address   string // the base URL that the runner uses
	Labels    []string
	Ephemeral bool
}

// ContainerState is the state of a container as the engine names it.
type ContainerState string

// Container states. Everything that is neither created, running nor exited
// (restarting, paused, removing, dead) keeps the engine's own word.
const (
	ContainerCreated ContainerState = "created"
	ContainerRunning ContainerState = "running"
	ContainerExited  ContainerState = "exited"
)

// Container is a container of ours as the engine lists it.
type Container struct {
	ID     string
	Runner string // label io.scaler.runner
	Pool   string // label io.scaler.pool
	State  ContainerState
	// ExitCode holds if Ended is set.
	ExitCode int
	// Ended is set for an exited container whose exit code is known, which it
	// may not be from a list.
	Ended bool
	// Reason is what the engine says of a container that it has no place for
	// yet, or that has ended other than by its program's own doing.
	Reason string
	// Withdrawn is set if the engine has ended the container by itself, as when
	// the machine that it was on is gone: the runner has not failed. If it still
	// runs, its machine is to be emptied: it may finish its job.
	Withdrawn bool
}

// Lost reports whether the engine has given the container up without knowing that
// it has ended.
func (c Container) Lost() bool { return c.State == ContainerExited && c.Withdrawn && !c.Ended }

// Launch is what one container gets beyond what its pool says.
type Launch struct {
	Env     map[string]string // on top of the pool's
	Command []string          // in place of the image's, if there is any
}

// File is a file to be put into a container before it starts.
type File struct {
	Path string // absolute, slash-separated
	Mode int64  // permission bits
	Data []byte
}
