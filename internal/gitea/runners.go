package gitea

import (
	"context"
	"errors"
	"fmt"

	sdk "code.gitea.io/sdk/gitea"

	"scaler.io/scaler/internal/plan"
)

// Runners lists the runners of a scope, those of the scopes within it
// included for plan.ScopeInstance. Incomplete means that two readings in a row
// had fewer runners than the server counts: they are ordered by their last
// contact, so pages shift while runners poll.
//
// Errors: plan.ErrDenied, plan.ErrNotFound (no such organisation or
// repository, or the token cannot see it), plan.ErrUnsupported (Gitea < 1.24,
// Forgejo < 15).
func (c *Client) Runners(ctx context.Context, scope plan.Scope) (plan.RunnerList, error) {
	call := &call{
		kind:   KindRunners,
		what:   fmt.Sprintf("list runners of %s", scope),
		repeat: true,
		scope:  scope,
		access: access{level: "read", manage: true},
		needs:  plan.CanListRunners,
	}
	if c.isForgejo(ctx) {
		return c.forgejoRunners(ctx, scope, call)
	}
	at, err := c.at(ctx, scope, call)
	if err != nil {
		return plan.RunnerList{}, c.fail(ctx, call, err)
	}
	id := func(r *sdk.ActionRunner) int64 { return r.ID }
	l, err := readAllPages(id, func(page int) ([]*sdk.ActionRunner, int, error) {
		resp, _, err := at.runners(sdk.ListActionRunnersOptions{
			ListOptions: sdk.ListOptions{Page: page, PageSize: pageSize},
		})
		if err != nil {
			return nil, 0, err
		}
		return checkPage(resp.Runners, resp.TotalCount)
	})
	if err != nil {
		return plan.RunnerList{}, c.fail(ctx, call, err)
	}
	list := plan.RunnerList{Runners: make([]plan.ServerRunner, 0, len(l.items)), Complete: l.complete}
	for _, r := range l.items {
		list.Runners = append(list.Runners, toRunner(r))
	}
	return list, nil
}

// Runner reads one runner. Errors are those of Runners, with plan.ErrNotFound
// if the runner is gone, and plan.ErrDenied if it belongs to another scope.
func (c *Client) Runner(ctx context.Context, scope plan.Scope, id int64) (plan.ServerRunner, error) {
	call := runnerCall(KindRunner, "read", "read", scope, id)
	if c.isForgejo(ctx) {
		return c.forgejoRunner(ctx, scope, call, id)
	}
	at, err := c.at(ctx, scope, call)
	if err != nil {
		return plan.ServerRunner{}, c.fail(ctx, call, err)
	}
	r, _, err := at.runner(id)
	if err == nil {
		err = checkRunner(r, id)
	}
	if err != nil {
		return plan.ServerRunner{}, c.fail(ctx, call, err)
	}
	return toRunner(r), nil
}

// SetRunnerDisabled says whether the server may give a runner new jobs; a job
// that it has is not touched. Errors are those of Runner, with
// plan.ErrUnsupported where the server cannot do this (Gitea < 1.26, and
// any Forgejo).
func (c *Client) SetRunnerDisabled(ctx context.Context, scope plan.Scope, id int64, disabled bool) error {
	verb := "enable"
	if disabled {
		verb = "disable"
	}
	call := runnerCall(KindDisable, verb, "write", scope, id)
	call.needs = plan.CanDisableRunners
	at, err := c.at(ctx, scope, call)
	if err != nil {
		return c.fail(ctx, call, err)
	}
	r, _, err := at.update(id, sdk.EditActionRunnerOption{Disabled: &disabled})
	switch {
	case err != nil:
	case checkRunner(r, id) != nil:
		err = checkRunner(r, id)
	case r.Disabled != disabled:
		err = errors.New("the server accepted this and did not do it")
	}
	return c.fail(ctx, call, err)
}

// DeleteRunner deletes a runner, whether it has a job or not: the server does
// not check. plan.ErrNotFound means that it was gone already; if its
// organisation or repository is gone, its runners are too. Other errors are
// those of Runner.
func (c *Client) DeleteRunner(ctx context.Context, scope plan.Scope, id int64) error {
	call := runnerCall(KindDelete, "delete", "write", scope, id)
	call.needs = plan.CanDeleteRunners
	at, err := c.at(ctx, scope, call)
	if err != nil {
		return c.fail(ctx, call, err)
	}
	_, err = at.delete(id)
	if err == nil && len(call.answer.body) > 0 {
		// The SDK takes any 2xx, the login page of a proxy included.
		err = errors.New("the answer is not that of a delete, which is empty")
	}
	return c.fail(ctx, call, err)
}

func runnerCall(kind, verb, level string, scope plan.Scope, id int64) *call {
	return &call{
		kind:   kind,
		what:   fmt.Sprintf("%s runner %d of %s", verb, id, scope),
		repeat: true,
		runner: true,
		scope:  scope,
		access: access{level: level, manage: true},
		needs:  plan.CanListRunners,
	}
}

// checkRunner refuses an answer that is not about the runner asked for.
func checkRunner(r *sdk.ActionRunner, id int64) error {
	if r == nil || r.ID != id {
		return fmt.Errorf("the answer is JSON but not about runner %d", id)
	}
	return nil
}

func toRunner(r *sdk.ActionRunner) plan.ServerRunner {
	labels := make([]string, 0, len(r.Labels))
	for _, l := range r.Labels {
		if l != nil {
			labels = append(labels, l.Name)
		}
	}
	return plan.ServerRunner{
		ID:        r.ID,
		Name:      r.Name,
		Online:    r.Status == "online",
		Busy:      r.Busy,
		Disabled:  r.Disabled,
		Ephemeral: r.Ephemeral,
		Labels:    labels,
	}
}
