package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

const (
	// keepGone is how long a runner that is gone stays in the list, and
	// mostGone how many of one token do.
	keepGone = 30 * 24 * time.Hour
	mostGone = 1000
	// registering is how long after its use a token of our pools may still
	// have its registration under way.
	registering = 10 * time.Minute
)

// toLeave reports whether the janitor is to deregister a runner. Those of our
// own pools are the pool's.
func toLeave(e plan.Enrolment) bool { return e.GoneAt.IsZero() && e.Leaving != "" && e.Pool == "" }

// withdrawAll sees to it that the runners which are to leave get no more jobs,
// also if somebody has enabled one again.
func (j *janitor) withdrawAll(ctx context.Context, scope plan.Scope, list plan.RunnerList) error {
	disabled := make(map[int64]bool, len(list.Runners))
	for _, r := range list.Runners {
		disabled[r.ID] = r.Disabled
	}
	var errs []error
	for _, e := range j.registry.all(func(e plan.Enrolment) bool { return e.Scope == scope && toLeave(e) }) {
		if _, done := j.settling[e.UUID]; !done || !disabled[e.RunnerID] {
			errs = append(errs, j.withdrawOne(ctx, e.UUID))
		}
	}
	return errors.Join(errs...)
}

func (j *janitor) withdrawOne(ctx context.Context, uuid string) error {
	if !j.tryHold(ctx, uuid) {
		return nil // another request has it leave, or the next round does
	}
	defer j.release(uuid)
	e, known := j.registry.enrolment(uuid)
	if !known || !toLeave(e.Enrolment) {
		return nil
	}
	fresh, err := j.withdraw(ctx, e.Enrolment)
	switch {
	case errors.Is(err, errAbsent):
		return nil // the next comparison notes that
	case err != nil:
		return err
	}
	if _, done := j.settling[uuid]; fresh || !done {
		j.settling[uuid] = time.Now()
	}
	return nil
}

// conclude deregisters the runners that have got no jobs for long enough and
// have none. The list of jobs is read while none of them can ask for one.
func (j *janitor) conclude(ctx context.Context, scope plan.Scope) error {
	now := time.Now()
	due := j.holdSettled(ctx, scope, now)
	defer func() {
		for _, e := range due {
			j.release(e.UUID)
		}
	}()
	late := j.registry.all(func(e plan.Enrolment) bool { return e.Scope == scope && j.late(e, now) })
	if len(due)+len(late) == 0 {
		return nil
	}
	jobs, err := j.ports.Forge.RunningJobs(ctx, scope)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range due {
		errs = append(errs, j.part(ctx, e, jobs))
	}
	for _, e := range late {
		errs = append(errs, j.beginReap(ctx, e, jobs, now))
	}
	return errors.Join(errs...)
}

// holdSettled returns the runners that have settled, each with its hold.
func (j *janitor) holdSettled(ctx context.Context, scope plan.Scope, now time.Time) []plan.Enrolment {
	var due []plan.Enrolment
	for _, e := range j.registry.all(func(e plan.Enrolment) bool { return e.Scope == scope && toLeave(e) }) {
		since, settling := j.settling[e.UUID]
		if !settling || now.Sub(since) < settleTime || !j.tryHold(ctx, e.UUID) {
			continue
		}
		if now, known := j.registry.enrolment(e.UUID); known && toLeave(now.Enrolment) {
			due = append(due, now.Enrolment)
		} else {
			j.release(e.UUID)
		}
	}
	return due
}

// part deregisters a runner if it has no job; one that has waits for the next
// round. A runner that was to leave for being offline stays if it has come
// back or has a job.
func (j *janitor) part(ctx context.Context, e plan.Enrolment, jobs plan.JobList) error {
	job, err := jobOf(e, jobs)
	if err != nil {
		return err
	}
	action := "deregister"
	if reaping(e) {
		found, err := j.look(ctx, e)
		if err != nil && !errors.Is(err, errAbsent) {
			return err
		}
		if job != nil || found.Online {
			j.log.Info("runner is not offline any more, it stays", "token", e.TokenName, "runner", e.Name, "id", e.RunnerID)
			return j.stay(ctx, e.UUID, e.Leaving)
		}
		action = "reap"
	}
	if job != nil {
		j.log.Debug("runner leaves after its job", "runner", e.Name, "id", e.RunnerID, "job", job.ID)
		return nil
	}
	return j.remove(ctx, e, leaveEntry(action, e, e.Leaving))
}

// late reports whether a runner has been offline for longer than its token
// lets it.
func (j *janitor) late(e plan.Enrolment, now time.Time) bool {
	well, known := j.wellSince[e.Scope]
	return e.GoneAt.IsZero() && e.Leaving == "" && e.Pool == "" && e.ReapAfter > 0 && !e.OfflineSince.IsZero() &&
		now.Sub(e.OfflineSince) >= e.ReapAfter && known && now.Sub(well) >= reapGrace
}

// beginReap has a runner leave for being offline, unless it has a job.
func (j *janitor) beginReap(ctx context.Context, e plan.Enrolment, jobs plan.JobList, now time.Time) error {
	job, err := jobOf(e, jobs)
	if err != nil || job != nil {
		return err
	}
	if err := j.registry.amend([]string{e.UUID}, func(e *plan.Enrolment) bool {
		offline := j.late(*e, now)
		if offline {
			e.Leaving = reapReason + now.Sub(e.OfflineSince).Round(time.Second).String()
		}
		return offline
	}); err != nil {
		return err
	}
	return j.withdrawOne(ctx, e.UUID)
}

// prune forgets runners that have been gone for long, and tokens of our pools
// that have done their duty.
func (j *janitor) prune(now time.Time) error {
	j.registry.mu.Lock()
	defer j.registry.mu.Unlock()
	var c state.TokenChanges
	living := make(map[string]bool) // token IDs
	gone := make(map[string][]plan.Enrolment)
	for _, e := range j.registry.enrolments {
		if e.GoneAt.IsZero() {
			living[e.Token] = true
		} else {
			gone[e.Token] = append(gone[e.Token], e.Enrolment)
		}
	}
	for id, t := range j.registry.tokens {
		state := t.State(now)
		if t.Runner != "" && !living[id] && (state == plan.TokenExpired || state == plan.TokenUsed && now.Sub(t.LastUsedAt) >= registering) {
			c.DeleteTokens = append(c.DeleteTokens, id)
		}
	}
	for token, list := range gone {
		slices.SortFunc(list, func(a, b plan.Enrolment) int { return b.GoneAt.Compare(a.GoneAt) })
		for i, e := range list {
			_, known := j.registry.tokens[token]
			if i >= mostGone || now.Sub(e.GoneAt) >= keepGone || e.Pool != "" && (!known || slices.Contains(c.DeleteTokens, token)) {
				c.DeleteEnrolments = append(c.DeleteEnrolments, e.UUID)
			}
		}
	}
	if len(c.DeleteTokens)+len(c.DeleteEnrolments) == 0 {
		return nil
	}
	if err := j.registry.commit(c); err != nil {
		return err
	}
	for _, id := range c.DeleteTokens {
		j.guard.forget(id)
	}
	return nil
}
