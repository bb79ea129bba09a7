package notify

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"scaler.io/scaler/internal/plan"
)

const (
	// giveUpAfter bounds all tries to send one message together.
	giveUpAfter = 15 * time.Minute
	// noteTime bounds the wait for the loop to take note of a problem.
	noteTime = 30 * time.Second
)

// worker sends the messages of one target, one after the other.
type worker struct {
	*target
	cfg     Config
	sender  sender
	log     *slog.Logger
	failing bool // the last message did not arrive
}

// run sends until ctx ends, and then what is there already, with requests that
// end with hard. It also ends when the target is no more.
func (w *worker) run(ctx, hard context.Context) {
	for {
		select {
		case <-w.wake:
			w.work(ctx, hard)
		case <-w.quit:
			w.leave(hard)
			return
		case <-ctx.Done():
			w.work(ctx, hard)
			if n := w.pending(); n > 0 {
				w.log.Warn("notifications not sent: scaler ends", "events", n)
			}
			return
		}
	}
}

// work sends all that is to be sent now or after a wait. Once ctx has ended it
// waits for nothing.
func (w *worker) work(ctx, hard context.Context) {
	for hard.Err() == nil && !w.over() {
		ending := ctx.Err() != nil
		wait, old, ok := w.due(time.Now(), ending)
		w.countDropped(old)
		switch {
		case !ok, ending && wait > 0:
			return
		case wait == 0:
			w.send(hard)
			continue
		}
		next := time.NewTimer(wait)
		select {
		case <-next.C:
		case <-w.wake: // other settings, or a full message
		case <-w.quit:
			next.Stop()
			return
		case <-ctx.Done():
		}
		next.Stop()
	}
}

// over reports whether the target is no more.
func (w *worker) over() bool {
	select {
	case <-w.quit:
		return true
	default:
		return false
	}
}

// send sends the next message, with all its tries.
func (w *worker) send(hard context.Context) {
	cfg, events, dropped := w.next()
	notice := w.notice(events, dropped)
	ctx, cancel := context.WithTimeout(hard, giveUpAfter)
	defer cancel()
	began := time.Now()
	answer, err := w.sender.send(ctx, cfg, notice)
	switch {
	case err == nil && answer.Nothing:
		w.drop(dropped) // still to be told
		w.log.Debug("notification left out: its template gives nothing", "events", len(events))
		return
	case err != nil:
		w.count(time.Now())
		w.drop(dropped + len(events))
		w.countDropped(len(events))
		w.log.Warn("notification not sent", "events", len(events), "tries", answer.Tries, "err", err)
	default:
		w.count(time.Now())
		w.log.Debug("notification sent", "id", notice.ID, "events", len(events), "status", answer.Status, "took", time.Since(began).Round(time.Millisecond).String())
	}
	if w.cfg.Meter != nil {
		w.cfg.Meter.Notified(w.name, err == nil)
	}
	w.note(hard, err)
}

func (w *worker) countDropped(events int) {
	if events > 0 && w.cfg.Meter != nil {
		w.cfg.Meter.Dropped(w.name, events)
	}
}

func (w *worker) notice(events []plan.Event, dropped int) plan.Notice {
	return plan.Notice{
		ID: uuid.NewString(), At: time.Now().UTC(), Host: w.cfg.Host, Instance: w.cfg.Instance, Version: w.cfg.Version,
		Events: events, Dropped: dropped,
	}
}

// subject is the target in the list of problems.
func (w *worker) subject() string { return "notification " + w.name }

// note shows that the target fails, or does no more.
func (w *worker) note(ctx context.Context, err error) {
	if w.cfg.Problem == nil || err == nil && !w.failing || w.sender.soft.Err() != nil {
		return // nobody is told at the end of the daemon
	}
	message := ""
	if err != nil {
		message = fmt.Sprintf("%v: the events are lost; scaler notify test %s tries it; this is over with the next notification that arrives", err, w.name)
	}
	w.failing = err != nil
	ctx, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	if err := w.cfg.Problem(ctx, w.subject(), message); err != nil {
		w.log.Debug("state of the notification not shown", "err", err)
	}
}

// leave forgets a target that is no more.
func (w *worker) leave(ctx context.Context) {
	w.note(ctx, nil)
	if w.cfg.Meter != nil {
		w.cfg.Meter.Forget(w.name)
	}
}
