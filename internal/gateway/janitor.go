package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// roundInterval is how often the runners are compared with the server's.
	roundInterval = 30 * time.Second
	// settleTime is how long after a runner was disabled what it has asked
	// for before may still bring it a job.
	settleTime = 10 * time.Second
	// askTimeout bounds what a round does at one scope.
	askTimeout = time.Minute
	// holdWait is how long a round waits for a runner's requests to end.
	holdWait = time.Second
	// reapGrace is how long a scope must have been read without a failure
	// before runners are reaped there: if the server or the gateway was away,
	// they were offline through no fault of theirs.
	reapGrace = 5 * time.Minute
)

// janitor keeps the list of runners true, and makes those leave that are to.
// One goroutine owns it.
type janitor struct {
	*Gateway
	problems problems
	// settling has when this process saw to it that a runner gets no more
	// jobs, by UUID. The clock of an earlier one may have been another.
	settling map[string]time.Time
	// wellSince is since when a scope has been read without a failure.
	wellSince map[plan.Scope]time.Time
}

// hurry has the janitor begin a round now.
func (g *Gateway) hurry() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Run compares the runners with those that the server has, and deregisters
// those that are to leave, until ctx ends. It returns nil.
func (g *Gateway) Run(ctx context.Context) error {
	j := &janitor{Gateway: g, problems: problems{log: g.log, open: make(map[string]string)},
		settling: make(map[string]time.Time), wellSince: make(map[plan.Scope]time.Time)}
	for {
		timer := time.NewTimer(j.round(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-g.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// round does everything that is due and returns when the next is.
func (j *janitor) round(ctx context.Context) time.Duration {
	j.deleteStrays(ctx)
	living := j.registry.all(func(e plan.Enrolment) bool { return e.GoneAt.IsZero() })
	mine := make(map[plan.Scope][]plan.Enrolment)
	var scopes []plan.Scope
	for _, e := range living {
		if mine[e.Scope] == nil {
			scopes = append(scopes, e.Scope)
		}
		mine[e.Scope] = append(mine[e.Scope], e)
	}
	slices.SortFunc(scopes, func(a, b plan.Scope) int { return cmp.Compare(a.String(), b.String()) })
	for _, scope := range scopes {
		err := j.tend(ctx, scope, mine[scope])
		if ctx.Err() != nil {
			return roundInterval // what was cut short is no failure
		}
		j.problems.set("scope "+scope.String(), err)
	}
	j.problems.set("state", j.prune(time.Now()))
	return j.pause(time.Now())
}

// pause is until the next round, which comes early if a runner settles before.
func (j *janitor) pause(now time.Time) time.Duration {
	pause := roundInterval
	for uuid, since := range j.settling {
		e, known := j.registry.enrolment(uuid)
		if !known || !toLeave(e.Enrolment) {
			delete(j.settling, uuid)
		} else if left := settleTime - now.Sub(since); left > 0 {
			pause = min(pause, left)
		}
	}
	return pause
}

// tend looks after the runners of one scope. An error means that it could not
// see or do all.
func (j *janitor) tend(ctx context.Context, scope plan.Scope, mine []plan.Enrolment) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	list, err := j.ports.Forge.Runners(ctx, scope)
	if err != nil {
		delete(j.wellSince, scope)
		return err
	}
	if j.wellSince[scope].IsZero() {
		j.wellSince[scope] = time.Now()
	}
	return errors.Join(
		j.compare(ctx, mine, list),
		j.enable(ctx, scope),
		j.withdrawAll(ctx, scope, list),
		j.conclude(ctx, scope),
	)
}

// compare notes which runners are gone, and since when others are offline.
// Only a complete list suggests that one is gone, and only its own address
// proves it.
func (j *janitor) compare(ctx context.Context, mine []plan.Enrolment, list plan.RunnerList) error {
	listed := make(map[int64]plan.ServerRunner, len(list.Runners))
	for _, r := range list.Runners {
		listed[r.ID] = r
	}
	var errs []error
	var changed []string
	now := time.Now()
	for _, e := range mine {
		r, found := listed[e.RunnerID]
		switch {
		case found && r.Name == e.Name:
			if r.Online != e.OfflineSince.IsZero() {
				changed = append(changed, e.UUID)
			}
		case list.Complete || found:
			errs = append(errs, j.confirm(ctx, e))
		}
	}
	return errors.Join(append(errs, j.registry.amend(changed, func(e *plan.Enrolment) bool {
		e.OfflineSince = time.Time{}
		if !listed[e.RunnerID].Online {
			e.OfflineSince = now
		}
		return true
	}))...)
}

// confirm asks for a runner that is not listed and, if it is not there,
// notes that it is gone.
func (j *janitor) confirm(ctx context.Context, e plan.Enrolment) error {
	_, err := j.look(ctx, e)
	if !errors.Is(err, errAbsent) {
		return err
	}
	why := absence(e)
	var audit []plan.AuditEntry
	if !e.Ephemeral { // those do so after each job
		audit = append(audit, leaveEntry("gone", e, why))
	}
	j.log.Info("runner is not at the server any more", "token", e.TokenName, "runner", e.Name, "id", e.RunnerID, "reason", why)
	return j.gone(e, why, audit...)
}

// enable lets runners have jobs again that were to leave and are not any more.
func (j *janitor) enable(ctx context.Context, scope plan.Scope) error {
	var errs []error
	for _, e := range j.registry.all(func(e plan.Enrolment) bool { return e.Scope == scope && unsettled(e) }) {
		if j.tryHold(ctx, e.UUID) {
			errs = append(errs, j.stay(ctx, e.UUID, ""))
			j.release(e.UUID)
		}
	}
	return errors.Join(errs...)
}

// tryHold is hold for a round, which does not wait for one runner for long.
func (j *janitor) tryHold(ctx context.Context, uuid string) bool {
	ctx, cancel := context.WithTimeout(ctx, holdWait)
	defer cancel()
	return j.hold(ctx, uuid) == nil
}

// problems logs what is wrong once when it begins or changes, and once when it
// has passed.
type problems struct {
	log  *slog.Logger
	open map[string]string
}

func (p problems) set(subject string, err error) {
	was, open := p.open[subject]
	switch {
	case err == nil && open:
		delete(p.open, subject)
		p.log.Info("problem is over", "subject", subject)
	case err != nil && (!open || was != err.Error()):
		p.open[subject] = err.Error()
		p.log.Warn("problem", "subject", subject, "err", err)
	}
}

// deleteStrays tries again to delete the runners that could not be kept.
func (j *janitor) deleteStrays(ctx context.Context) {
	j.mu.Lock()
	todo := j.strays
	j.strays = nil
	j.mu.Unlock()
	var left []stray
	var errs []error
	for _, s := range todo {
		if err := j.deleteStray(ctx, s); err != nil {
			left, errs = append(left, s), append(errs, fmt.Errorf("scope %s: %w", s.scope, err))
		}
	}
	j.mu.Lock()
	j.strays = append(j.strays, left...)
	j.mu.Unlock()
	j.problems.set("runners that could not be kept", errors.Join(errs...))
}
