// Package notify tells others what has happened: it sends the events of the
// journal, and which jobs wait for too long, to the URLs of the configuration.
//
// The invariants that it protects: nothing in the daemon ever waits for a
// notification, a target that does not answer costs a bounded amount of memory
// and time, and no part of a URL, header or secret is in what the package logs,
// counts or returns as an error.
package notify

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
)

// journal has what has happened in the daemon.
type journal interface {
	// Since returns up to limit events after the one numbered seq, and how many
	// of them are not kept any more.
	Since(seq uint64, limit int) (events []plan.Event, missed uint64)
	// Wait returns once there is one after seq, or ctx's error.
	Wait(ctx context.Context, seq uint64) error
	// Add notes one, for others to see.
	Add(plan.Event)
}

// meter counts what becomes of notifications.
type meter interface {
	// Notified counts a message that has arrived, or was given up.
	Notified(target string, arrived bool)
	// Dropped counts events that were to be told and are not.
	Dropped(target string, events int)
	// Forget ends the counting for a target that is no more.
	Forget(target string)
}

// Config is what a Notifier works with.
type Config struct {
	Host, Instance, Version string // for plan.Notice
	Events                  journal
	// Status says which jobs wait.
	Status func() plan.Status
	// Memory is the file that remembers over a restart what has been told, ""
	// for none.
	Memory string
	// Transport is the way to the targets, nil for the usual one.
	Transport http.RoundTripper
	Meter     meter // nil if nobody counts
	// Problem shows that a target keeps failing, or with an empty message that
	// it does no more; nil if nobody looks.
	Problem func(ctx context.Context, subject, message string) error
	Log     *slog.Logger
}

const (
	// readAtOnce is how many events are taken out of the journal in one go.
	readAtOnce = 256
	// lookEvery is how often the jobs that wait are looked at.
	lookEvery = 5 * time.Second
	// flushTime is how long the end of the daemon waits for the last messages.
	flushTime = 5 * time.Second
)

// Notifier sends notifications. Its methods may be called concurrently. Make
// one with New.
type Notifier struct {
	cfg  Config
	told *told

	mu      sync.Mutex
	targets map[string]*target
	waiting waiting
	workers sync.WaitGroup
	work    context.Context // of the workers, nil until Run
	hard    context.Context // of the requests, ends a little after work
}

// New returns a Notifier for the targets, whose names differ.
func New(cfg Config, targets []Target) *Notifier {
	n := &Notifier{cfg: cfg, told: newTold(cfg.Memory), targets: make(map[string]*target), waiting: newWaiting()}
	n.SetTargets(targets)
	return n
}

// SetTargets goes on with other targets. One whose name stays keeps what it has
// to tell; of one that is gone the message that is on its way is sent, and no
// other.
func (n *Notifier) SetTargets(targets []Target) {
	n.mu.Lock()
	defer n.mu.Unlock()
	left := maps.Clone(n.targets)
	for _, cfg := range targets {
		delete(left, cfg.Name)
		if t := n.targets[cfg.Name]; t != nil {
			t.set(cfg)
			continue
		}
		t := newTarget(cfg)
		n.targets[cfg.Name] = t
		n.start(t)
	}
	for name, t := range left {
		delete(n.targets, name)
		n.told.forget(name)
		close(t.quit)
	}
}

// start begins a target's worker, if the Notifier runs. n.mu is held.
func (n *Notifier) start(t *target) {
	if n.work == nil || n.work.Err() != nil {
		return
	}
	w := &worker{target: t, cfg: n.cfg, sender: sender{transport: n.cfg.Transport, soft: n.work}, log: n.cfg.Log.With("notification", t.name)}
	work, hard := n.work, n.hard
	n.workers.Go(func() { w.run(work, hard) })
}

// Run sends notifications until ctx ends, and then for five seconds at most
// what is still to be told. It returns nil.
func (n *Notifier) Run(ctx context.Context) error {
	// The workers end after the last events have been handed to them.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	hard, stopHard := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHard()
	n.begin(work, hard)
	var looking sync.WaitGroup
	looking.Go(func() { n.look(ctx) })
	seq := uint64(0)
	for err := error(nil); err == nil; {
		err = n.cfg.Events.Wait(ctx, seq)
		seq = n.take(seq)
	}
	looking.Wait()
	stopWork()
	end := time.AfterFunc(flushTime, stopHard)
	defer end.Stop()
	n.workers.Wait()
	n.save()
	return nil
}

// begin remembers what was told before, and begins the workers.
func (n *Notifier) begin(work, hard context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.told.load(time.Now()); err != nil {
		n.cfg.Log.Warn("notifications not remembered", "err", err)
	}
	n.told.keep(func(target string) bool { return n.targets[target] != nil })
	n.work, n.hard = work, hard
	for _, t := range n.targets {
		n.start(t)
	}
}

// take hands the events after the one numbered seq to the targets, and returns
// the number of the last.
func (n *Notifier) take(seq uint64) uint64 {
	for {
		events, missed := n.cfg.Events.Since(seq, readAtOnce)
		n.mu.Lock()
		for _, t := range n.targets {
			if missed > 0 {
				n.drop(t, int(missed))
			}
			for _, e := range events {
				if e.Kind != plan.EventJobOverdue { // which is for each target to say
					n.offer(t, e)
				}
			}
		}
		n.mu.Unlock()
		if len(events) == 0 {
			return seq
		}
		seq = events[len(events)-1].Seq
	}
}

// offer gives an event to a target, if that wants it and was not told of it
// already. n.mu is held.
func (n *Notifier) offer(t *target, e plan.Event) {
	cfg, now := t.settings(), time.Now()
	if !cfg.concerns(e) {
		return
	}
	n.told.over(cfg.Name, e)
	if !slices.Contains(cfg.Events, e.Kind) || !n.told.first(cfg, e, now) {
		return
	}
	if lost := t.add(e, now); lost > 0 {
		n.drop(t, lost)
	}
}

// drop counts events that a target is not told.
func (n *Notifier) drop(t *target, events int) {
	t.drop(events)
	if n.cfg.Meter != nil {
		n.cfg.Meter.Dropped(t.name, events)
	}
}

// look watches for jobs that wait too long, until ctx ends.
func (n *Notifier) look(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		n.overdue(n.cfg.Status(), time.Now())
		n.save()
	}
}

// save writes what has been told, if that has changed.
func (n *Notifier) save() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.told.save(); err != nil {
		n.cfg.Log.Warn("notifications not remembered", "err", err)
	}
}
