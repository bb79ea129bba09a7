package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/netip"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

// DeregisterRequest is a runner's wish to be deleted, proven by its own token.
type DeregisterRequest struct {
	ID     int64
	UUID   string
	Token  plan.Secret
	Force  bool // also if it has a job
	Source netip.Addr
}

// Deregister deletes a runner by its own wish, also one that did not come by a
// token of ours. It can be repeated: a runner that is gone already is success.
// Once it has begun it goes on without its caller. The error is a *refusal; it
// wraps plan.ErrBusy if the runner has a job, and plan.ErrNotFound if no scope
// that is served has it.
func (g *Gateway) Deregister(ctx context.Context, req DeregisterRequest) (plan.Enrolment, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	e, no := g.prove(ctx, req)
	if no == nil && e.GoneAt.IsZero() {
		e, no = g.dismiss(ctx, e, req)
	}
	if no != nil {
		entry := leaveEntry("refuse", e, "")
		entry.Source = req.Source.String()
		return plan.Enrolment{}, g.refuse(no, entry)
	}
	return e, nil
}

// notRegistered has the text that the server has for a runner that it does
// not know, or that proves itself wrongly.
func notRegistered() *refusal {
	return deny(kindUnauthenticated, "unregistered", "unregistered runner")
}

func askLater(err error) *refusal {
	no := deny(kindUnavailable, "upstream", "the gateway gets no usable answer from Gitea; this is not the runner's fault, try again later")
	no.cause = err
	return no
}

// prove returns the runner that a request is about, if its own token proves
// that the request comes from it. One that is not known is taken up, as one
// that is to leave.
func (g *Gateway) prove(ctx context.Context, req DeregisterRequest) (plan.Enrolment, *refusal) {
	e, known := g.registry.enrolment(req.UUID)
	if !known && plainUUID(req.UUID) && req.UUID != "" && req.ID > 0 && req.Token != "" {
		taken, no := g.takeUp(ctx, req)
		if no == nil {
			return taken, nil
		}
		// While it was looked for, another request of the same runner may have
		// deleted it.
		if e, known = g.registry.enrolment(req.UUID); !known {
			return plan.Enrolment{}, no
		}
	}
	own := sha256.Sum256([]byte(req.Token.Reveal()))
	if !known || e.RunnerID != req.ID || subtle.ConstantTimeCompare(own[:], e.Hash[:]) != 1 {
		return plan.Enrolment{}, g.wrongProof(req.Source)
	}
	return e.Enrolment, nil
}

// wrongProof refuses a request that is not the runner's, and counts it against
// the address.
func (g *Gateway) wrongProof(from netip.Addr) *refusal {
	if wait := g.guard.wrong(from); wait > 0 {
		no := deny(kindLimited, "flood", "too many requests of unregistered runners came from this address; wait before the next")
		no.retryAfter = wait
		return no
	}
	return notRegistered()
}

// takeUp stores a runner that did not come by a token of ours as one that is
// to leave, if it is of a scope that is served and the server confirms that
// the request comes from it.
func (g *Gateway) takeUp(ctx context.Context, req DeregisterRequest) (plan.Enrolment, *refusal) {
	select {
	case g.lookups <- struct{}{}:
		defer func() { <-g.lookups }()
	case <-ctx.Done():
		return plan.Enrolment{}, askLater(ctx.Err())
	}
	uuid := key(req.UUID)
	scope, found, no := g.search(ctx, req.ID)
	if no != nil {
		return plan.Enrolment{}, no
	}
	id, err := g.ports.Verifier.Verify(ctx, plan.Identity{
		ID: req.ID, UUID: uuid, Name: found.Name, Token: req.Token, Labels: slices.Clone(found.Labels), Ephemeral: found.Ephemeral,
	})
	switch {
	case errors.Is(err, plan.ErrNotFound), err == nil && id != req.ID:
		return plan.Enrolment{}, g.wrongProof(req.Source)
	case err != nil:
		return plan.Enrolment{}, askLater(err)
	}
	e := plan.Enrolment{
		RunnerID: req.ID, UUID: uuid, Name: found.Name, Scope: scope, Labels: slices.Clone(found.Labels), Ephemeral: found.Ephemeral,
		Source: req.Source.String(), RegisteredAt: time.Now(), Leaving: selfReason,
	}
	g.registry.mu.Lock()
	defer g.registry.mu.Unlock()
	if already, known := g.registry.enrolment(uuid); known {
		return already.Enrolment, nil // by the same request, sent twice
	}
	rec := state.EnrolmentRecord{Enrolment: e, Hash: sha256.Sum256([]byte(req.Token.Reveal()))}
	if err := g.registry.commit(state.TokenChanges{PutEnrolments: []state.EnrolmentRecord{rec}}); err != nil {
		return plan.Enrolment{}, cannotStore(err)
	}
	return e, nil
}

// search finds the narrowest scope that is served and has a runner.
func (g *Gateway) search(ctx context.Context, id int64) (plan.Scope, plan.ServerRunner, *refusal) {
	width := map[plan.ScopeKind]int{plan.ScopeRepo: 1, plan.ScopeUser: 2, plan.ScopeOrg: 2, plan.ScopeInstance: 3}
	scopes := slices.SortedFunc(slices.Values(g.ports.Enroller.Scopes()), func(a, b plan.Scope) int {
		return cmp.Or(cmp.Compare(width[a.Kind], width[b.Kind]), cmp.Compare(a.String(), b.String()))
	})
	for _, scope := range scopes {
		found, err := g.ports.Forge.Runner(ctx, scope, id)
		switch {
		case err == nil && found.Name != "":
			return scope, found, nil
		case err != nil && !errors.Is(err, plan.ErrNotFound) && !errors.Is(err, plan.ErrDenied):
			return plan.Scope{}, plan.ServerRunner{}, askLater(err)
		}
	}
	no := deny(kindForbidden, "scope", "no scope that this gateway serves has the runner")
	no.cause = plan.ErrNotFound
	return plan.Scope{}, plan.ServerRunner{}, no
}

// dismiss takes a runner out of service and deletes it, unless it has a job.
// What was begun and could not be finished is left to the janitor.
func (g *Gateway) dismiss(ctx context.Context, e plan.Enrolment, req DeregisterRequest) (plan.Enrolment, *refusal) {
	if err := g.hold(ctx, e.UUID); err != nil {
		return e, askLater(err)
	}
	defer g.release(e.UUID)
	now, known := g.registry.enrolment(e.UUID)
	switch {
	case !known: // it had a job a moment ago, or its pool has just forgotten it
		return e, askLater(errors.New("the runner was deregistered by another request"))
	case !now.GoneAt.IsZero():
		return now.Enrolment, nil
	}
	e = now.Enrolment
	if e.Pool == "" {
		if err := g.registry.amend([]string{e.UUID}, func(e *plan.Enrolment) bool {
			was := e.Leaving
			if was == "" || reaping(*e) {
				e.Leaving = selfReason
			}
			return was != e.Leaving
		}); err != nil {
			return e, cannotStore(err)
		}
	}
	no := g.dismissHeld(ctx, e, req)
	switch {
	case no == nil:
		return g.asGone(e), nil
	case no.kind == kindBusy:
		if err := g.stay(ctx, e.UUID, selfReason); err != nil {
			g.log.Warn("runner is not enabled again yet", "runner", e.Name, "id", e.RunnerID, "err", err)
		}
	case no.kind == kindUnavailable && e.Pool == "":
		no.message = "the gateway gets no usable answer from Gitea; the runner gets no more jobs, and is deregistered once Gitea answers"
	}
	return e, no
}

// dismissHeld does that for a runner that does not ask for jobs meanwhile.
func (g *Gateway) dismissHeld(ctx context.Context, e plan.Enrolment, req DeregisterRequest) *refusal {
	entry := leaveEntry("deregister", e, selfReason)
	entry.Source = req.Source.String()
	_, err := g.withdraw(ctx, e)
	switch {
	case errors.Is(err, errAbsent):
		return storedOr(g.gone(e, absence(e), entry))
	case err != nil:
		return askLater(err)
	case req.Force:
		entry.Detail += ", with force"
	default:
		if no := g.idle(ctx, e); no != nil {
			return no
		}
	}
	return laterOr(g.remove(ctx, e, entry))
}

// laterOr makes a refusal of what the server did not do.
func laterOr(err error) *refusal {
	if err == nil {
		return nil
	}
	return askLater(err)
}

// storedOr makes a refusal of what could not be stored.
func storedOr(err error) *refusal {
	if err == nil {
		return nil
	}
	return cannotStore(err)
}

// idle refuses a runner that has a job, or of which the server cannot tell.
func (g *Gateway) idle(ctx context.Context, e plan.Enrolment) *refusal {
	jobs, err := g.ports.Forge.RunningJobs(ctx, e.Scope)
	if errors.Is(err, plan.ErrUnsupported) {
		no := deny(kindBusy, "busy", "Gitea is too old to tell whether the runner has a job; deregister it with force")
		no.cause = err
		return no
	}
	var job *plan.Job
	if err == nil {
		job, err = jobOf(e, jobs)
	}
	switch {
	case err != nil:
		return askLater(err)
	case job != nil:
		no := deny(kindBusy, "busy", "the runner has the job %q (%d) of %s; deregister it when that is done, or with force", clip(job.Name), job.ID, clip(job.Repo))
		no.cause = plan.ErrBusy
		return no
	}
	return nil
}

// asGone returns a runner that is gone as it is stored or, if that failed, as
// it should be.
func (g *Gateway) asGone(e plan.Enrolment) plan.Enrolment {
	if now, known := g.registry.enrolment(e.UUID); known {
		e = now.Enrolment
	}
	if e.GoneAt.IsZero() {
		e.GoneAt, e.Gone = time.Now(), selfReason
	}
	return e
}
