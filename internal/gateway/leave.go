package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// leaveTimeout bounds a deregistration that a runner asks for. It outlasts
	// a request of the runner that is under way.
	leaveTimeout = 2 * time.Minute

	// Reasons to leave, as they are stored and shown.
	selfReason = "it deregistered itself"
	reapReason = "offline for "
)

// reaping reports whether a runner is to leave for having been offline, which
// is off if it is seen again.
func reaping(e plan.Enrolment) bool { return strings.HasPrefix(e.Leaving, reapReason) }

// errAbsent is for a runner that the server does not have any more: there is
// none of its id, or it has another name, as after a backup was restored.
var errAbsent = errors.New("the server does not have the runner any more")

// look reads a runner, if it is the one that is meant.
func (g *Gateway) look(ctx context.Context, e plan.Enrolment) (plan.ServerRunner, error) {
	found, err := g.ports.Forge.Runner(ctx, e.Scope, e.RunnerID)
	switch {
	case errors.Is(err, plan.ErrNotFound), err == nil && found.Name != e.Name:
		return plan.ServerRunner{}, errAbsent
	case err != nil:
		return plan.ServerRunner{}, fmt.Errorf("find runner %s: %w", e.Name, err)
	}
	return found, nil
}

// withdraw has the server give a runner no more jobs, and reports whether it
// is only now that it does so. Where the server cannot, that the runner does
// not ask has to do. One that somebody else has disabled is not enabled by us
// later. The runners of our pools are withdrawn by their hold alone: it is the
// pool that disables them. The caller has the runner's hold.
func (g *Gateway) withdraw(ctx context.Context, e plan.Enrolment) (fresh bool, err error) {
	found, err := g.look(ctx, e)
	if err != nil || found.Disabled || e.Pool != "" {
		return false, err
	}
	if e.DisabledAt.IsZero() {
		if err := g.registry.amend([]string{e.UUID}, func(e *plan.Enrolment) bool {
			e.DisabledAt = time.Now()
			return true
		}); err != nil {
			return false, err
		}
	}
	err = g.ports.Forge.SetRunnerDisabled(ctx, e.Scope, e.RunnerID, true)
	switch {
	case errors.Is(err, plan.ErrUnsupported):
		return false, nil
	case errors.Is(err, plan.ErrNotFound):
		return false, errAbsent
	}
	return err == nil, err
}

// stay undoes that a runner was to leave for a reason: it gets jobs again, if
// there is no other reason by now. One that is only known because it was to
// leave is forgotten. The caller has its hold.
func (g *Gateway) stay(ctx context.Context, uuid, reason string) error {
	if err := g.registry.amend([]string{uuid}, func(e *plan.Enrolment) bool {
		undone := e.Leaving == reason && reason != ""
		if undone {
			e.Leaving = ""
		}
		return undone
	}); err != nil {
		return err
	}
	e, known := g.registry.enrolment(uuid)
	if !known || !unsettled(e.Enrolment) {
		return nil
	}
	if !e.DisabledAt.IsZero() {
		_, err := g.look(ctx, e.Enrolment)
		if err == nil {
			err = g.ports.Forge.SetRunnerDisabled(ctx, e.Scope, e.RunnerID, false)
		}
		if err != nil && !errors.Is(err, errAbsent) && !errors.Is(err, plan.ErrNotFound) && !errors.Is(err, plan.ErrUnsupported) {
			return err
		}
	}
	return g.registry.stayed(uuid)
}

// absence says why the server does not have a runner any more that we have not
// deleted, or have without being able to note it.
func absence(e plan.Enrolment) string {
	switch {
	case e.Leaving != "" && !e.DisabledAt.IsZero():
		return e.Leaving
	case e.Ephemeral:
		return "its job is done"
	}
	return "deleted in Gitea"
}

// jobOf returns the job that a runner has among those of a list. A list that
// may be incomplete does not prove that there is none.
func jobOf(e plan.Enrolment, jobs plan.JobList) (*plan.Job, error) {
	for _, j := range jobs.Jobs {
		if j.RunnerID == e.RunnerID {
			return &j, nil
		}
	}
	if !jobs.Complete {
		return nil, fmt.Errorf("list running jobs of %s: the list changed while it was read", e.Scope)
	}
	return nil, nil
}

// remove deletes a runner that gets no job any more and has none, and notes
// that it is gone.
func (g *Gateway) remove(ctx context.Context, e plan.Enrolment, entry plan.AuditEntry) error {
	_, err := g.look(ctx, e)
	if err == nil {
		err = g.ports.Forge.DeleteRunner(ctx, e.Scope, e.RunnerID)
	}
	if err != nil && !errors.Is(err, errAbsent) && !errors.Is(err, plan.ErrNotFound) {
		return err
	}
	g.log.Info("runner deregistered", "token", e.TokenName, "runner", e.Name, "id", e.RunnerID, "scope", e.Scope.String(), "reason", entry.Detail)
	if err := g.gone(e, entry.Detail, entry); err != nil {
		// It is gone all the same. The janitor finds that out, and notes it.
		g.log.Error("deregistration of a runner not stored", "runner", e.Name, "id", e.RunnerID, "err", err)
	}
	return nil
}

// gone notes that the server does not have a runner any more.
func (g *Gateway) gone(e plan.Enrolment, why string, audit ...plan.AuditEntry) error {
	return g.registry.amend([]string{e.UUID}, func(e *plan.Enrolment) bool {
		e.GoneAt, e.Gone = time.Now(), why
		return true
	}, audit...)
}

// leaveEntry begins an audit entry about a runner that leaves.
func leaveEntry(action string, e plan.Enrolment, why string) plan.AuditEntry {
	return plan.AuditEntry{At: time.Now(), Action: action, Token: e.TokenName, TokenID: e.Token, Runner: clip(e.Name), RunnerID: e.RunnerID, Detail: why}
}

// mayDeclare returns a *refusal if a runner may not have these labels, by the
// token that it came by.
func (g *Gateway) mayDeclare(uuid string, labels []string) error {
	if !plainUUID(uuid) {
		return notRegistered()
	}
	e, known := g.registry.enrolment(uuid)
	if !known {
		return nil
	}
	if no := checkLabels(e.TokenName, e.Allowed, labels); no != nil {
		return g.refuse(no, leaveEntry("refuse", e.Enrolment, ""))
	}
	return nil
}
