package plan

import "time"

// EventKind says what an Event tells. The kinds are part of the output that
// programs read, so none changes its name.
type EventKind string

// What happens to jobs and runners, and what the daemon does about it.
const (
	EventJobQueued    EventKind = "job_queued"   // a job was seen waiting for the first time
	EventJobUnserved  EventKind = "job_unserved" // it waits and no pool serves it, or for another reason than before
	EventJobOverdue   EventKind = "job_overdue"  // it has waited for longer than it may
	EventJobGone      EventKind = "job_gone"     // it waits no more: it runs, or was cancelled
	EventRunner       EventKind = "runner"       // a runner has come into another phase, which Phase says
	EventRunnerFailed EventKind = "runner_failed"
	EventCorpse       EventKind = "corpse_reaped" // a runner of ours was deleted at the server that had nothing behind it
	EventOrphan       EventKind = "orphan_reaped" // what a runner or its job had left on the host was removed

	EventBreakerOpened EventKind = "breaker_opened"
	EventBreakerClosed EventKind = "breaker_closed"
	EventTokenRefused  EventKind = "token_refused" // the server, or its file, gives no usable registration token
	EventProblem       EventKind = "problem"       // something keeps the daemon from its work
	EventProblemOver   EventKind = "problem_over"
	EventServerChanged EventKind = "server_changed" // the server is another release, or can do other things

	EventConfigTaken    EventKind = "config_taken"
	EventConfigRejected EventKind = "config_rejected"

	EventPaused  EventKind = "paused" // somebody did it; Actor says who
	EventResumed EventKind = "resumed"
	EventDrain   EventKind = "drain"
	EventStart   EventKind = "start_asked"

	EventDaemonStarted EventKind = "daemon_started"
	EventDaemonStops   EventKind = "daemon_stops"
)

// Event is one thing that has happened. It holds no secret.
type Event struct {
	// Seq numbers the events of one run of the daemon from 1, without a gap.
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"`
	Kind   EventKind `json:"kind"`
	Server string    `json:"server,omitempty"` // that it is about, where there are several
	Pool   string    `json:"pool,omitempty"`
	Runner string    `json:"runner,omitempty"`
	Phase  Phase     `json:"phase,omitempty"` // of the runner, after it
	Job    int64     `json:"job,omitempty"`
	Repo   string    `json:"repo,omitempty"`
	Actor  string    `json:"actor,omitempty"` // who asked for it, empty for the daemon itself
	// Text says it for people: the reason, or what is wrong.
	Text string `json:"text,omitempty"`
}
