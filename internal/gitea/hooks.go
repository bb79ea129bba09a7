package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"scaler.io/scaler/internal/plan"
)

// The events of hooks.
const (
	eventJob  = "workflow_job"
	eventPush = "push"
	eventPull = "pull_request"
)

// sinceHookJobs is the Gitea version that brought the event workflow_job. Older
// ones make the hook and leave the event out.
const sinceHookJobs = "1.24"

// Hook is a webhook of a scope. Its secret cannot be read.
type Hook struct {
	ID          int64
	URL         string // where events are sent to
	Type        string // "gitea", or the service whose format it has
	ContentType string // "json" or "form"
	Active      bool
	Events      []string
	// signs is true where the server has no workflow_job events: then one that
	// tells of pushes is a sign that jobs may come.
	signs bool
}

// Fault says why the hook does not send what a receiver of workflow_job events
// reads, or "".
func (h Hook) Fault() string {
	switch {
	case !h.Active:
		return "it is not active"
	case !slices.Contains(h.Events, h.wanted()):
		return "it does not send the event " + h.wanted()
	case h.Type != string(sdk.HookTypeGitea):
		return "its type is " + h.Type
	case h.ContentType != "json":
		return "its content type is " + h.ContentType
	}
	return ""
}

// wanted is the event that it has to send.
func (h Hook) wanted() string {
	if h.signs {
		return eventPush
	}
	return eventJob
}

// Hooks lists the webhooks of exactly this scope; those of plan.ScopeInstance
// are the system webhooks. A list with gaps is an error.
//
// Errors: plan.ErrDenied, plan.ErrNotFound (no such organisation or repository,
// or the token cannot see it), plan.ErrUnsupported (the server has no webhooks,
// or they are switched off).
func (c *Client) Hooks(ctx context.Context, scope plan.Scope) ([]Hook, error) {
	call := hookCall(KindHooks, fmt.Sprintf("list webhooks of %s", scope), "read", scope)
	call.repeat = true
	at, err := c.hooksAt(ctx, scope, call)
	if err != nil {
		return nil, c.fail(ctx, call, err)
	}
	var seen map[int64]bool
	l, err := readAllPages(func(h *sdk.Hook) int64 { return h.ID }, func(page int) ([]*sdk.Hook, int, error) {
		hooks, resp, err := at.list(sdk.ListOptions{Page: page, PageSize: pageSize})
		if err != nil {
			return nil, 0, err
		}
		if page == 1 {
			seen = make(map[int64]bool)
		}
		before := len(seen)
		for _, h := range hooks {
			if h != nil { // which checkPage refuses
				seen[h.ID] = true
			}
		}
		total, err := strconv.Atoi(resp.Header.Get("X-Total-Count"))
		if err != nil {
			// The administrator's list of Gitea before 1.26 and Forgejo before 14 has
			// neither a count nor pages: each page is all of it, and one that has
			// nothing new is the end.
			total = len(seen)
			if total > before {
				total++
			}
		}
		return checkPage(hooks, int64(total))
	})
	if err == nil && !l.complete {
		err = fmt.Errorf("only %d of %d came", len(l.items), l.total)
	}
	if err != nil {
		return nil, c.failHook(ctx, call, err)
	}
	out := make([]Hook, 0, len(l.items))
	for _, h := range l.items {
		out = append(out, c.toHook(ctx, h))
	}
	return out, nil
}

// CreateHook makes a webhook that sends workflow_job events, signed with the
// secret, to the URL; where the server has none, pushes and
// pull requests, which are a sign that jobs may come. It does not look whether there is one already. Each call
// that reaches the server makes one, so it is never repeated. Errors are those
// of Hooks.
func (c *Client) CreateHook(ctx context.Context, scope plan.Scope, url string, secret plan.Secret) (Hook, error) {
	call := hookCall(KindHookCreate, fmt.Sprintf("create webhook of %s", scope), "write", scope)
	at, err := c.hooksAt(ctx, scope, call)
	if err != nil {
		return Hook{}, c.fail(ctx, call, err)
	}
	config := map[string]string{"url": url, "content_type": "json", "secret": secret.Reveal()}
	if scope.Kind == plan.ScopeInstance {
		// Without it the hook is only a model for those of new repositories.
		config["is_system_webhook"] = "true"
	}
	events := []string{eventJob}
	if c.lacksJobEvents(ctx) {
		events = append(events, eventPush, eventPull)
	}
	h, _, err := at.create(sdk.CreateHookOption{Type: sdk.HookTypeGitea, Config: config, Events: events, Active: true})
	if err == nil && (h == nil || h.ID <= 0) {
		err = errors.New("the answer is JSON but not about a webhook")
	}
	if err != nil {
		return Hook{}, c.failHook(ctx, call, err)
	}
	knows := slices.Contains(h.Events, eventJob)
	c.found.shows(plan.CanSendJobEvents, knows)
	made := c.toHook(ctx, h)
	if !knows && !slices.Contains(h.Events, eventPush) {
		err := fmt.Errorf("%w: it does not know the event %s, which needs Gitea %s or later", plan.ErrUnsupported, eventJob, sinceHookJobs)
		return Hook{}, c.fail(ctx, call, errors.Join(err, c.DeleteHook(ctx, scope, made.ID)))
	}
	return made, nil
}

// UpdateHook puts a new webhook, with an id of its own, in the place of one: the
// server takes no new secret for a hook that it has, and says nothing of that
// [tried on 1.26]. The new one is there before the old one goes, so no event is
// missed; with an error of the delete the new Hook is returned as well. Errors
// are those of Hooks. A hook that is gone already is not an error.
func (c *Client) UpdateHook(ctx context.Context, scope plan.Scope, id int64, url string, secret plan.Secret) (Hook, error) {
	made, err := c.CreateHook(ctx, scope, url, secret)
	if err != nil {
		return Hook{}, err
	}
	if err := c.DeleteHook(ctx, scope, id); err != nil && !errors.Is(err, plan.ErrNotFound) {
		return made, err
	}
	return made, nil
}

// DeleteHook deletes a webhook. plan.ErrNotFound means that it was gone already.
// Other errors are those of Hooks.
func (c *Client) DeleteHook(ctx context.Context, scope plan.Scope, id int64) error {
	call := oneHookCall(KindHookDelete, "delete", scope, id)
	call.repeat = true
	at, err := c.hooksAt(ctx, scope, call)
	if err != nil {
		return c.fail(ctx, call, err)
	}
	_, err = at.delete(id)
	if err == nil && len(call.answer.body) > 0 {
		// The SDK takes any 2xx, the login page of a proxy included.
		err = errors.New("the answer is not that of a delete, which is empty")
	}
	return c.failHook(ctx, call, err)
}

// TestHook has the server send a push event to a webhook, soon after it
// returns. Nothing tells whether that succeeds but the page of the hook. The
// server sends it to hooks for pushes only [tried on 1.26], so the hook is made
// one while this takes. Errors are those of Hooks; plan.ErrUnsupported for all
// scopes but a repository.
func (c *Client) TestHook(ctx context.Context, scope plan.Scope, id int64) (err error) {
	if scope.Kind != plan.ScopeRepo {
		return fmt.Errorf("test webhook %d of %s: %w: Gitea's API tests the webhooks of repositories only", id, scope, plan.ErrUnsupported)
	}
	hook, err := c.hook(ctx, scope, id)
	if err != nil {
		return err
	}
	if !slices.Contains(hook.Events, eventPush) {
		if err := c.setEvents(ctx, scope, hook, append(slices.Clone(hook.Events), eventPush)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.setEvents(context.WithoutCancel(ctx), scope, hook, hook.Events)) }()
	}
	call := oneHookCall(KindHookTest, "test", scope, id)
	return c.failHook(ctx, call, c.testHook(ctx, scope, id, call))
}

// testHook is a plain request over the same client because the SDK has none.
func (c *Client) testHook(ctx context.Context, scope plan.Scope, id int64, call *call) error {
	token, err := c.apiToken()
	if err != nil {
		return err
	}
	address := fmt.Sprintf("%s/api/v1/repos/%s/%s/hooks/%d/tests", c.url, url.PathEscape(scope.Owner), url.PathEscape(scope.Repo), id)
	req, err := http.NewRequestWithContext(withCall(ctx, call), http.MethodPost, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "token "+token.Reveal())
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return newStatusError(call.answer)
	}
	return nil
}

// hook reads one webhook of a repository, with what an edit has to repeat.
func (c *Client) hook(ctx context.Context, scope plan.Scope, id int64) (*sdk.Hook, error) {
	call := oneHookCall(KindHook, "read", scope, id)
	call.repeat = true
	client, err := c.rest(ctx, call)
	if err != nil {
		return nil, c.fail(ctx, call, err)
	}
	h, _, err := client.GetRepoHook(scope.Owner, scope.Repo, id)
	if err == nil && (h == nil || h.ID != id) {
		err = fmt.Errorf("the answer is JSON but not about webhook %d", id)
	}
	if err != nil {
		return nil, c.failHook(ctx, call, err)
	}
	return h, nil
}

// setEvents changes the events of a webhook of a repository and nothing else:
// the server resets the branch filter and the header that are not repeated.
func (c *Client) setEvents(ctx context.Context, scope plan.Scope, h *sdk.Hook, events []string) error {
	call := oneHookCall(KindHookEdit, "edit", scope, h.ID)
	call.repeat = true
	client, err := c.rest(ctx, call)
	if err != nil {
		return c.fail(ctx, call, err)
	}
	_, err = client.EditRepoHook(scope.Owner, scope.Repo, h.ID, sdk.EditHookOption{
		Events: events, BranchFilter: h.BranchFilter, AuthorizationHeader: h.AuthorizationHeader,
	})
	return c.failHook(ctx, call, err)
}

// failHook is fail, with the meanings that answers have for webhooks.
func (c *Client) failHook(ctx context.Context, call *call, err error) error {
	if err == nil || call.answer.status < http.StatusBadRequest {
		return c.fail(ctx, call, err)
	}
	switch status := newStatusError(call.answer); {
	case status.Status == http.StatusForbidden && strings.Contains(status.Message, "webhooks disabled"):
		return fmt.Errorf("%s: %w: webhooks are switched off; take DISABLE_WEBHOOKS out of the section [security] of app.ini (%w)",
			call.what, plan.ErrUnsupported, status)
	case status.Status == http.StatusNotFound && strings.Contains(status.Message, "is empty"):
		return fmt.Errorf("%s: the test is about the last commit, and the repository has none (%w)", call.what, status)
	}
	return c.fail(ctx, call, err)
}

func hookCall(kind, what, level string, scope plan.Scope) *call {
	return &call{kind: kind, what: what, scope: scope, access: access{level: level, manage: true}}
}

func oneHookCall(kind, verb string, scope plan.Scope, id int64) *call {
	level := "write"
	if kind == KindHook {
		level = "read"
	}
	call := hookCall(kind, fmt.Sprintf("%s webhook %d of %s", verb, id, scope), level, scope)
	call.runner = true
	return call
}

func (c *Client) toHook(ctx context.Context, h *sdk.Hook) Hook {
	return Hook{ID: h.ID, URL: h.Config["url"], Type: h.Type, ContentType: h.Config["content_type"], Active: h.Active, Events: h.Events, signs: c.lacksJobEvents(ctx)}
}

// lacksJobEvents reports whether the server is known to have no workflow_job
// events.
func (c *Client) lacksJobEvents(ctx context.Context) bool {
	caps, err := c.known(ctx)
	return err == nil && !caps.JobEvents
}
