package notify

import (
	"slices"
	"strings"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Target is where notifications go, and which.
type Target struct {
	Name string
	// URL returns the address. In it "{id}" stands for the notice's id. As all
	// that returns a secret here it is asked for each message, so that one that
	// was replaced takes effect at once.
	URL     func() (plan.Secret, error)
	Method  string
	Headers map[string]func() (plan.Secret, error)
	Bearer  func() (plan.Secret, error) // nil for none
	Secret  func() (plan.Secret, error) // messages are signed with it; nil for none
	Events  []plan.EventKind
	Pools   []string // whose events are told; empty for all
	// OverdueAfter is how long a job may wait.
	OverdueAfter time.Duration
	Template     plan.NoticeTemplate
	Batch        int           // events in one message at most
	RepeatAfter  time.Duration // for so long the same thing is told once
	Rate         Rate
	Timeout      time.Duration // of one try to send
}

// Rate bounds messages within any stretch of time.
type Rate struct {
	Messages int
	Per      time.Duration
}

// concerns reports whether an event is of the target's pools, or of none.
func (t *Target) concerns(e plan.Event) bool {
	return len(t.Pools) == 0 || e.Pool == "" || slices.Contains(t.Pools, e.Pool)
}

const (
	// collectFor is how long more events are waited for before a message.
	collectFor = 2 * time.Second
	// maxQueue is how many events wait for a message at most.
	maxQueue = 128
	// maxAge is how long they do. What is older is news no more.
	maxAge = time.Hour
	// maxText bounds the text of an event, in characters. A program's output
	// can be in it.
	maxText = 1000
)

// target is a Target with what it is still to be told. Its methods may be
// called concurrently.
type target struct {
	name string
	wake chan struct{}
	quit chan struct{} // closed when the target is no more

	mu      sync.Mutex
	cfg     Target
	queue   []queued
	dropped int         // since the last message that arrived
	sent    []time.Time // the messages within Rate.Per
}

type queued struct {
	event plan.Event
	at    time.Time // when it came
}

func newTarget(cfg Target) *target {
	return &target{name: cfg.Name, cfg: cfg, wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

func (t *target) set(cfg Target) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cfg = cfg
	t.stir()
}

func (t *target) settings() *Target {
	t.mu.Lock()
	defer t.mu.Unlock()
	cfg := t.cfg
	return &cfg
}

// stir has the worker look.
func (t *target) stir() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// add takes an event, and returns how many others had to make room for it.
func (t *target) add(e plan.Event, now time.Time) (lost int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Text = tidy(e.Text, maxText)
	if lost = len(t.queue) + 1 - maxQueue; lost > 0 {
		t.queue = slices.Delete(t.queue, 0, lost)
	}
	t.queue = append(t.queue, queued{e, now})
	t.stir()
	return max(lost, 0)
}

func (t *target) drop(events int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped += events
}

// due returns how long it is until the next message may be sent, and how many
// events have become too old meanwhile. ok is false if there is nothing to
// send. At the end of the daemon nothing more is waited for to be collected.
func (t *target) due(now time.Time, ending bool) (wait time.Duration, old int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for old < len(t.queue) && now.Sub(t.queue[old].at) > maxAge {
		old++
	}
	t.queue = slices.Delete(t.queue, 0, old)
	t.dropped += old
	if len(t.queue) == 0 {
		return 0, old, false
	}
	t.sent = slices.DeleteFunc(t.sent, func(at time.Time) bool { return now.Sub(at) >= t.cfg.Rate.Per })
	if len(t.queue) < t.cfg.Batch && !ending {
		wait = max(t.queue[0].at.Add(collectFor).Sub(now), 0)
	}
	if over := len(t.sent) - t.cfg.Rate.Messages; over >= 0 {
		wait = max(wait, t.sent[over].Add(t.cfg.Rate.Per).Sub(now))
	}
	return wait, old, true
}

// next takes the events of the next message out, and with them how many others
// have been dropped, for it to say.
func (t *target) next() (cfg Target, events []plan.Event, dropped int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.queue), t.cfg.Batch)
	for _, q := range t.queue[:n] {
		events = append(events, q.event)
	}
	t.queue = slices.Delete(t.queue, 0, n)
	dropped, t.dropped = t.dropped, 0
	return t.cfg, withoutEchoes(events), dropped
}

// withoutEchoes leaves out the problems that say what another event of the same
// message says already, as that of a pool whose breaker has opened does.
func withoutEchoes(events []plan.Event) []plan.Event {
	all := slices.Clone(events)
	return slices.DeleteFunc(events, func(p plan.Event) bool {
		return p.Kind == plan.EventProblem && slices.ContainsFunc(all, func(e plan.Event) bool {
			return e.Kind != plan.EventProblem && e.Kind.Level() == plan.LevelBad && e.Text != "" && strings.Contains(p.Text, e.Text)
		})
	})
}

// count notes that a message was sent, or tried to be.
func (t *target) count(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent = append(t.sent, now)
}

// pending is how many events are not told yet.
func (t *target) pending() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue)
}
