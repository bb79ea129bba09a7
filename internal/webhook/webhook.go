// Package webhook receives the workflow_job events that Gitea sends.
//
// Events are hints that make the daemon look at once. They come late, twice, in
// disorder or not at all, so who goes by what they say, as for a server that cannot
// list its jobs, has to correct it by other means. The invariant that the
// package protects: what is not signed with the secret has no effect but to be
// counted, and costs a bounded amount of time and memory.
package webhook

import (
	"log/slog"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Config says what a receiver takes.
type Config struct {
	// Path is the one path of the URL that events are sent to.
	Path string
	// Secret returns what events are signed with. It is asked for each event,
	// so that a rotated secret takes effect at once, and must be safe for
	// concurrent use. Neither its error nor an empty secret lets anything in.
	Secret func() (plan.Secret, error)
	// Other, if not nil, is called for each signed event of another kind. It must
	// be safe for concurrent use, and quick.
	Other func()
}

// Event is what matters of a workflow_job event.
type Event struct {
	// Action is what has become of the job, as sent: queued, waiting,
	// in_progress or completed.
	Action plan.JobStatus
	Job    plan.Job // without SeenAt
	// Attempt counts the runners that have been given the job, and Started is set
	// if one has it or had it last.
	Attempt int64
	Started bool
	// Delivery is the id that Gitea gave this delivery of the event.
	Delivery string
}

// limits bound what a sender can hold up.
type limits struct {
	header   time.Duration // to send the head of a request
	body     time.Duration // to send the whole of it
	idle     time.Duration // between two requests
	answer   time.Duration // to take the answer
	turn     time.Duration // to wait for one of the slots
	shutdown time.Duration // for what is under way at the end
	slots    int           // requests whose bodies are in memory at one time
}

// Gitea gives a delivery 5 s ([webhook] DELIVER_TIMEOUT), so turn is less.
func defaultLimits() limits {
	return limits{
		header: 5 * time.Second, body: 10 * time.Second, idle: 2 * time.Minute, answer: 10 * time.Second,
		turn: 4 * time.Second, shutdown: 5 * time.Second, slots: 64,
	}
}

// Receiver answers deliveries. It is safe for concurrent use.
type Receiver struct {
	cfg    Config
	take   func(Event)
	log    *slog.Logger
	others []*Receiver // on other paths
	limits limits
	slots  chan struct{}
	recent *recent
	tally  *tally
}

// New returns a receiver that hands each event to take, which must be safe for
// concurrent use, and quick: the sender is answered after it.
func New(cfg Config, take func(Event), log *slog.Logger) *Receiver {
	return newReceiver(cfg, take, log, defaultLimits())
}

func newReceiver(cfg Config, take func(Event), log *slog.Logger, l limits) *Receiver {
	return &Receiver{
		cfg: cfg, take: take, log: log, limits: l,
		slots: make(chan struct{}, l.slots), recent: newRecent(), tally: newTally(time.Now()),
	}
}

// Stats returns what has been counted since the receiver was made.
func (r *Receiver) Stats() Stats { return r.tally.stats() }
