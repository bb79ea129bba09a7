package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"scaler.io/scaler/internal/gateway/runnerext"
	"scaler.io/scaler/internal/plan"
)

// Register makes a runner. It is one request and never repeated: a request
// whose answer is lost may have made a runner all the same, which the caller
// can find by its name, as long as that is unique.
//
// The server gets the labels' names only; Identity.Labels has them in full, as
// the .runner file needs them, and Identity.Address is Options.RunnerURL.
// Identity.Ephemeral is what the server made of it: false from a server that
// does not know ephemeral runners (Gitea < 1.24).
//
// Errors: plan.ErrTokenRejected; plan.ErrUnsupported where the runners'
// protocol is not served, which is what Actions being off looks like.
func (c *Client) Register(ctx context.Context, token plan.Secret, reg plan.Registration) (plan.Identity, error) {
	call := &call{kind: KindRegister, what: fmt.Sprintf("register runner %s", reg.Name)}
	if token == "" {
		return plan.Identity{}, fmt.Errorf("%s: %w: it is empty", call.what, plan.ErrTokenRejected)
	}
	names := make([]string, 0, len(reg.Labels))
	labels := make([]string, 0, len(reg.Labels))
	for _, l := range reg.Labels {
		names = append(names, l.Name)
		labels = append(labels, l.String())
	}
	resp, err := c.runners.Register(withCall(ctx, call), connect.NewRequest(&runnerv1.RegisterRequest{
		Name:      reg.Name,
		Token:     token.Reveal(),
		Version:   reg.Version,
		Labels:    names,
		Ephemeral: reg.Ephemeral,
	}))
	if err != nil {
		return plan.Identity{}, fmt.Errorf("%s: %w", call.what, scrub(c.explainRegister(ctx, call, err), token))
	}
	r := resp.Msg.GetRunner()
	if r.GetId() == 0 || r.GetUuid() == "" || r.GetToken() == "" {
		return plan.Identity{}, fmt.Errorf("%s: the answer lacks an id, a UUID or a token", call.what)
	}
	if reg.Ephemeral {
		c.found.shows(plan.CanEndRunners, r.GetEphemeral())
	}
	return plan.Identity{
		ID:        r.GetId(),
		UUID:      r.GetUuid(),
		Name:      r.GetName(),
		Token:     plan.Secret(r.GetToken()),
		Address:   c.runnerURL,
		Labels:    labels,
		Ephemeral: r.GetEphemeral(),
	}, nil
}

// RegisterAs makes a runner as another asks for it, with the token in place of
// the one in the request, and returns the server's answer as it is. Otherwise
// it is as Register.
func (c *Client) RegisterAs(ctx context.Context, token plan.Secret, req *runnerv1.RegisterRequest) (*runnerv1.RegisterResponse, error) {
	call := &call{kind: KindRegister, what: fmt.Sprintf("register runner %s", req.GetName())}
	if token == "" {
		return nil, fmt.Errorf("%s: %w: it is empty", call.what, plan.ErrTokenRejected)
	}
	asked := proto.CloneOf(req)
	asked.Token = token.Reveal()
	resp, err := c.runners.Register(withCall(ctx, call), connect.NewRequest(asked))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call.what, scrub(c.explainRegister(ctx, call, err), token))
	}
	if r := resp.Msg.GetRunner(); r.GetId() == 0 || r.GetUuid() == "" || r.GetToken() == "" {
		return nil, fmt.Errorf("%s: the answer lacks an id, a UUID or a token", call.what)
	}
	return resp.Msg, nil
}

// Verify returns the server's id of the runner that the identity's UUID and
// token prove. There is no call for that alone, so it declares the runner's
// labels anew, as the runner itself does at its start: Labels has to be what
// the server lists for it. The version that the server shows becomes ours
// (Gitea 1.26-dev, routers/api/actions/runner/runner.go). Errors:
// plan.ErrNotFound if the server knows no such runner, plan.ErrUnsupported if
// it answers without an id.
func (c *Client) Verify(ctx context.Context, id plan.Identity, version string) (runnerID int64, err error) {
	call := &call{kind: KindVerify, what: fmt.Sprintf("verify runner %s", id.UUID), repeat: true}
	req := connect.NewRequest(&runnerv1.DeclareRequest{Version: version, Labels: id.Labels})
	authenticate(req, id)
	resp, err := c.runners.Declare(withCall(ctx, call), req)
	switch {
	case connect.IsWireError(err) && connect.CodeOf(err) == connect.CodeUnauthenticated: // and not something in front of it
		return 0, fmt.Errorf("%s: %w: %w", call.what, plan.ErrNotFound, scrub(err, id.Token))
	case err != nil:
		return 0, fmt.Errorf("%s: %w", call.what, scrub(explainRunner(err), id.Token))
	case resp.Msg.GetRunner().GetId() == 0:
		return 0, fmt.Errorf("%s: %w: the answer has no id", call.what, plan.ErrUnsupported)
	}
	return resp.Msg.GetRunner().GetId(), nil
}

// explainRegister finds the server's judgement of the token in an error. Gitea
// gives it as text in an unknown error with HTTP 500; newer servers and
// Forgejo have a code for it.
func (c *Client) explainRegister(ctx context.Context, call *call, err error) error {
	text := err.Error()
	code := connect.CodeOf(err)
	switch {
	case strings.Contains(text, "registration token"), strings.Contains(text, "of the token not found"):
		return fmt.Errorf("%w: %w", plan.ErrTokenRejected, err)
	case connect.IsWireError(err) && (code == connect.CodeUnauthenticated || code == connect.CodePermissionDenied):
		return fmt.Errorf("%w: %w", plan.ErrTokenRejected, err)
	case call.answer.status == http.StatusUnauthorized, call.answer.status == http.StatusForbidden:
		return fmt.Errorf("%w by something in front of Gitea: %w", plan.ErrDenied, err)
	case code == connect.CodeUnimplemented:
		if _, why := c.Probe(ctx); why != nil {
			return why
		}
		return fmt.Errorf("%w: %w", plan.ErrUnsupported, err)
	}
	return err
}

// scrubbed is an error that repeated a secret and no longer does.
type scrubbed struct {
	text string
	err  error
}

// Error implements error.
func (e scrubbed) Error() string { return e.text }

// Is keeps errors.Is working; there is no Unwrap, which would give the text
// back.
func (e scrubbed) Is(target error) bool { return errors.Is(e.err, target) }

// scrub makes sure that no secret is part of an error's text, should the
// server repeat it.
func scrub(err error, secret plan.Secret) error {
	s := secret.Reveal()
	if err == nil || s == "" || !strings.Contains(err.Error(), s) {
		return err
	}
	return scrubbed{strings.ReplaceAll(err.Error(), s, secret.String()), err}
}

// Withdraw takes a runner out of service where the server cannot disable it
// (Gitea < 1.26): it declares, in the runner's name, one label that no job asks
// for, as the runner itself declares its labels at its start. From then on the
// server has only jobs for it whose runs-on is empty. Errors: plan.ErrNotFound
// if the server does not know the runner (any more).
func (c *Client) Withdraw(ctx context.Context, id plan.Identity, version string) error {
	call := &call{kind: KindWithdraw, what: fmt.Sprintf("withdraw runner %s", id.Name), repeat: true}
	req := connect.NewRequest(&runnerv1.DeclareRequest{Version: version, Labels: []string{"withdrawn-" + id.UUID}})
	authenticate(req, id)
	if _, err := c.runners.Declare(withCall(ctx, call), req); err != nil {
		return fmt.Errorf("%s: %w", call.what, scrub(explainRunner(err), id.Token))
	}
	return nil
}

// authenticate signs a call with what the runner's own calls are signed with.
func authenticate(req connect.AnyRequest, id plan.Identity) {
	req.Header().Set("x-runner-uuid", id.UUID)
	req.Header().Set("x-runner-token", id.Token.Reveal())
}

// deregisterProcedure is a proposed call by which a runner deletes itself,
// with what is in its .runner file. No release of Gitea has it.
const deregisterProcedure = "/runner.v1.RunnerService/Deregister"

// Deregister has a runner delete itself, which needs no API token. Where the
// server does not have this, as far as one first try shows, it returns
// plan.ErrUnsupported, from then on without a request; delete the runner by
// DeleteRunner then. plan.ErrNotFound means that the server does not know the
// runner (any more).
func (c *Client) Deregister(ctx context.Context, id plan.Identity) error {
	answered := false
	err := c.found.deregister().do(ctx, func() error {
		call := &call{kind: KindDeregister}
		req := connect.NewRequest(&runnerext.DeregisterRequest{Id: id.ID, Uuid: id.UUID, Token: id.Token.Reveal()})
		authenticate(req, id)
		_, err := c.deregister.CallUnary(withCall(ctx, call), req)
		if err == nil {
			answered = true
			return nil
		}
		answered = connect.IsWireError(err)
		return scrub(explainRunner(err), id.Token)
	}, func(error) bool { return answered })
	if err != nil {
		return fmt.Errorf("deregister runner %s: %w", id.Name, err)
	}
	return nil
}

// explainRunner finds out whether the server knows the runner and the call.
func explainRunner(err error) error {
	switch {
	case strings.Contains(err.Error(), "unregistered runner"), connect.CodeOf(err) == connect.CodeNotFound:
		return fmt.Errorf("%w: %w", plan.ErrNotFound, err)
	case connect.CodeOf(err) == connect.CodeUnimplemented:
		return fmt.Errorf("%w: %w", plan.ErrUnsupported, err)
	}
	return err
}
