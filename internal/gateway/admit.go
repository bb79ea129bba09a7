package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"google.golang.org/protobuf/proto"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/state"
)

const (
	// registerTimeout bounds the server's part of a registration, which goes
	// on if the runner goes away.
	registerTimeout = 30 * time.Second
	// enrolTimeout bounds what a pool does about a runner of its own.
	enrolTimeout = 30 * time.Second
	// undoTimeout bounds the deletion of a runner that could not be kept.
	undoTimeout = 30 * time.Second
)

// registration is one call of Register.
type registration struct {
	Request *runnerv1.RegisterRequest
	Source  netip.Addr // whom it came from
}

// errForeignToken is what admit returns, without having done anything, for a
// token that is none of ours where Config.AllowGiteaTokens lets these pass:
// the caller then sends the request on as it is.
var errForeignToken = errors.New("not a registration token of this gateway")

// admit registers a runner with one of our tokens and returns the server's
// answer. Its error is a *refusal or errForeignToken.
func (g *Gateway) admit(ctx context.Context, r registration) (*runnerv1.RegisterResponse, error) {
	secret, err := parseSecret(r.Request.GetToken())
	if errors.Is(err, errForeign) && g.cfg.AllowGiteaTokens {
		return nil, errForeignToken
	}
	token, known := g.registry.find(secret)
	if err != nil || !known {
		return nil, g.refuse(g.wrongSecret(err, r.Source), r.entry("refuse", plan.Token{}))
	}
	if no := g.check(ctx, token.Token, r); no != nil {
		return nil, g.refuse(no, r.entry("refuse", token.Token))
	}
	token, no := g.spend(ctx, secret, r)
	if no != nil {
		return nil, g.refuse(no, r.entry("refuse", token.Token))
	}
	return g.register(ctx, token, r)
}

// wrongSecret refuses a secret that no token has, and counts it against the
// address.
func (g *Gateway) wrongSecret(err error, from netip.Addr) *refusal {
	wait := g.guard.wrong(from)
	switch {
	case wait > 0:
		no := deny(kindLimited, "flood", "too many wrong registration tokens came from this address; wait before the next")
		no.retryAfter = wait
		return no
	case errors.Is(err, errForeign):
		return deny(kindUnauthenticated, "foreign", "not a registration token of this gateway; those begin with %s", secretPrefix)
	case err != nil:
		return deny(kindUnauthenticated, "mistyped", "registration token is mistyped or cut off")
	}
	return deny(kindUnauthenticated, "unknown", "registration token is not known here; it may have been deleted or replaced")
}

// check refuses a registration that a token, whose secret was right, is not
// good for. It is the first of the reasons that is given, and no other.
func (g *Gateway) check(ctx context.Context, t plan.Token, r registration) *refusal {
	if no := checkState(t, time.Now()); no != nil {
		return no
	}
	if no := checkSource(t, r.Source); no != nil {
		return no
	}
	if no := checkName(t, r.Request.GetName()); no != nil {
		return no
	}
	if no := g.checkOwner(ctx, t, r.Source); no != nil {
		return no
	}
	if no := checkLabels(t.Name, t.Labels, requested(r.Request)); no != nil {
		return no
	}
	if _, served := g.served(t.Scope); !served {
		return notServed(t)
	}
	if wait := g.guard.use(t.ID); wait > 0 {
		no := deny(kindLimited, "rate", "registration token %s was used too often in the last minute; try again later", t.Name)
		no.retryAfter = wait
		return no
	}
	return nil
}

func notServed(t plan.Token) *refusal {
	return deny(kindForbidden, "scope", "registration token %s is for a scope that this gateway does not serve any more", t.Name)
}

// checkOwner refuses an address that is not that of the runner which the token
// is bound to.
func (g *Gateway) checkOwner(ctx context.Context, t plan.Token, from netip.Addr) *refusal {
	if t.Runner == "" {
		return nil
	}
	err := plan.ErrDenied
	if g.ports.Fleet != nil {
		err = g.ports.Fleet.Owns(ctx, t.Runner, from)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, plan.ErrDenied):
		return deny(kindForbidden, "address", "registration token %s is not for this address", t.Name)
	}
	no := deny(kindUnavailable, "address", "the gateway cannot check at the moment whose address this is; try again later")
	no.cause = err
	return no
}

// served returns a scope as it is configured, if it is. The server's names
// are case-insensitive.
func (g *Gateway) served(want plan.Scope) (plan.Scope, bool) {
	for _, s := range g.ports.Enroller.Scopes() {
		if s.Kind == want.Kind && strings.EqualFold(s.Owner, want.Owner) && strings.EqualFold(s.Repo, want.Repo) {
			return s, true
		}
	}
	return plan.Scope{}, false
}

// spend counts a use of the token, on disk, if it still has one: of many that
// come at once, only as many pass as may.
func (g *Gateway) spend(ctx context.Context, secret hash, r registration) (state.TokenRecord, *refusal) {
	g.registry.mu.Lock()
	defer g.registry.mu.Unlock()
	t, known := g.registry.find(secret)
	if !known {
		return t, g.wrongSecret(nil, r.Source) // replaced or deleted at this moment
	}
	now := time.Now()
	if no := checkState(t.Token, now); no != nil {
		return t, no
	}
	if err := ctx.Err(); err != nil {
		return t, goneAway(err)
	}
	t.Uses++
	t.LastUsedAt = now
	if err := g.registry.commit(state.TokenChanges{
		PutTokens: []state.TokenRecord{t}, Audit: []plan.AuditEntry{r.entry("register.begin", t.Token)},
	}); err != nil {
		return t, cannotStore(err)
	}
	return t, nil
}

func goneAway(err error) *refusal {
	no := deny(kindUnavailable, "gone", "the runner went away before it was registered")
	no.cause = err
	return no
}

func cannotStore(err error) *refusal {
	no := deny(kindUnavailable, "store", "the gateway cannot store anything at the moment; this is not the runner's fault, try again later")
	no.cause = err
	return no
}

// register has the server register a runner whose use of the token is stored.
func (g *Gateway) register(ctx context.Context, t state.TokenRecord, r registration) (*runnerv1.RegisterResponse, error) {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), registerTimeout)
	defer cancel()
	scope, served := g.served(t.Scope)
	if !served {
		return nil, g.giveBack(t, r, notServed(t.Token))
	}
	req := proto.CloneOf(r.Request)
	req.Token = ""
	resp, err := g.ports.Enroller.Register(call, scope, req)
	made := resp.GetRunner()
	switch {
	case err != nil && noneMade(err):
		return nil, g.giveBack(t, r, refusedUpstream(err))
	case err == nil && (made.GetId() <= 0 || made.GetUuid() == "" || made.GetToken() == ""):
		err = errors.New("the answer lacks an id, a UUID or a token")
		fallthrough
	case err != nil:
		return nil, g.lost(t, r, err)
	}
	e := newEnrolment(t, r, scope, made)
	if no := g.keep(ctx, t, r, e, plan.Secret(made.GetToken())); no != nil {
		return nil, g.takeBack(ctx, t, r, e, no)
	}
	g.log.Info("runner registered by a token", "token", t.Name, "runner", e.Name, "id", e.RunnerID, "scope", scope.String(), "source", e.Source)
	return resp, nil
}

// noneMade reports whether an error of a registration means that the server
// has made no runner.
func noneMade(err error) bool {
	var dial *net.OpError
	return errors.Is(err, plan.ErrTokenRejected) || errors.Is(err, plan.ErrUnsupported) || errors.Is(err, plan.ErrDenied) ||
		errors.As(err, &dial) && dial.Op == "dial"
}

func refusedUpstream(err error) *refusal {
	no := deny(kindUnavailable, "upstream", "Gitea cannot be reached by the gateway; this is not the runner's fault, try again later")
	if errors.Is(err, plan.ErrTokenRejected) || errors.Is(err, plan.ErrUnsupported) || errors.Is(err, plan.ErrDenied) {
		no.message = "Gitea does not let the gateway register runners in this scope; this is not the runner's fault, tell who runs the gateway"
	}
	no.cause = err
	return no
}

// giveBack gives the use of a registration back that has made no runner.
func (g *Gateway) giveBack(t state.TokenRecord, r registration, no *refusal) *refusal {
	g.log.Warn("registration failed", "token", t.Name, "runner", clip(r.Request.GetName()), "source", r.Source.String(), "err", no.cause)
	entry := r.entry("register.failed", t.Token)
	entry.Detail = no.message
	g.registry.mu.Lock()
	defer g.registry.mu.Unlock()
	c := state.TokenChanges{Audit: []plan.AuditEntry{entry}}
	// A new secret has begun to count anew.
	if now, known := g.registry.tokens[t.ID]; known && now.Hash == t.Hash && now.Uses > 0 {
		now.Uses--
		c.PutTokens = []state.TokenRecord{now}
	}
	if err := g.registry.commit(c); err != nil {
		g.log.Error("use of a token not given back", "token", t.Name, "err", err)
	}
	return no
}

// lost is for a registration of which nobody knows whether it made a runner:
// its use stays counted.
func (g *Gateway) lost(t state.TokenRecord, r registration, cause error) *refusal {
	g.log.Error("outcome of a registration is not known, it may have left a runner in Gitea that nobody has",
		"token", t.Name, "runner", clip(r.Request.GetName()), "scope", t.Scope.String(), "source", r.Source.String(), "err", cause)
	entry := r.entry("register.unknown", t.Token)
	entry.Detail = "no usable answer; a runner of this name may be left in scope " + t.Scope.String()
	if err := g.registry.note(entry); err != nil {
		g.log.Error("audit entry not stored", "err", err)
	}
	no := deny(kindUnavailable, "lost", "Gitea gave the gateway no usable answer; this is not the runner's fault. The use of registration token %s stays counted", t.Name)
	no.cause = cause
	return no
}

// entry begins an audit entry about a registration.
func (r registration) entry(action string, t plan.Token) plan.AuditEntry {
	return plan.AuditEntry{At: time.Now(), Action: action, Source: r.Source.String(), Token: t.Name, TokenID: t.ID, Runner: clip(r.Request.GetName())}
}

// refuse logs and audits a refusal, unless the like has just been, and
// returns it.
func (g *Gateway) refuse(no *refusal, entry plan.AuditEntry) *refusal {
	from, _ := netip.ParseAddr(entry.Source)
	silent, tell := g.guard.tell(from, no.reason+" "+entry.TokenID)
	if !tell {
		return no
	}
	g.log.Warn("runner refused", "reason", no.reason, "token", entry.Token, "runner", entry.Runner, "source", entry.Source,
		"like_it_before", silent, "err", cmp.Or(no.cause, error(no)))
	entry.Detail = no.message
	if silent > 0 {
		entry.Detail += fmt.Sprintf("; %d like it since the last entry", silent)
	}
	if err := g.registry.note(entry); err != nil {
		g.log.Error("audit entry not stored", "err", err)
	}
	return no
}
