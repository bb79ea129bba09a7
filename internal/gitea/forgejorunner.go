package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"scaler.io/scaler/internal/plan"
)

// forgejoRunnerInfo is a runner as Forgejo 15 lists it. Source: ActionRunner in
// modules/structs/repo_actions.go of v15.0.3.
type forgejoRunnerInfo struct {
	ID        int64    `json:"id"`
	Name      string   `json:"name"`
	Status    string   `json:"status"` // offline, idle or active
	Labels    []string `json:"labels"`
	Ephemeral bool     `json:"ephemeral"`
}

// toRunner translates. A runner is active for ten seconds after its last report
// on a job.
func (r forgejoRunnerInfo) toRunner() plan.ServerRunner {
	return plan.ServerRunner{
		ID: r.ID, Name: r.Name, Online: r.Status == "idle" || r.Status == "active", Busy: r.Status == "active",
		Ephemeral: r.Ephemeral, Labels: r.Labels,
	}
}

// forgejoRunners is Runners of a Forgejo.
func (c *Client) forgejoRunners(ctx context.Context, scope plan.Scope, call *call) (plan.RunnerList, error) {
	if err := c.may(ctx, scope, call); err != nil {
		return plan.RunnerList{}, c.fail(ctx, call, err)
	}
	path := pathOf(scope) + "/actions/runners?limit=" + strconv.Itoa(pageSize)
	if scope.Kind == plan.ScopeInstance {
		path += "&visible=true" // those of all owners and repositories too
	}
	l, err := readAllPages(func(r *forgejoRunnerInfo) int64 { return r.ID }, func(page int) ([]*forgejoRunnerInfo, int, error) {
		var runners []*forgejoRunnerInfo
		header, err := c.send(ctx, call, http.MethodGet, path+"&page="+strconv.Itoa(page), nil, &runners)
		if err != nil {
			return nil, 0, err
		}
		total, err := strconv.ParseInt(header.Get("X-Total-Count"), 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("the answer does not say how many runners there are: %w", err)
		}
		return checkPage(runners, total)
	})
	if err != nil {
		return plan.RunnerList{}, c.fail(ctx, call, err)
	}
	list := plan.RunnerList{Runners: make([]plan.ServerRunner, 0, len(l.items)), Complete: l.complete}
	for _, r := range l.items {
		list.Runners = append(list.Runners, r.toRunner())
	}
	return list, nil
}

// forgejoRunner is Runner of a Forgejo.
func (c *Client) forgejoRunner(ctx context.Context, scope plan.Scope, call *call, id int64) (plan.ServerRunner, error) {
	var r forgejoRunnerInfo
	err := c.may(ctx, scope, call)
	if err == nil {
		_, err = c.send(ctx, call, http.MethodGet, pathOf(scope)+"/actions/runners/"+strconv.FormatInt(id, 10), nil, &r)
	}
	if err == nil && r.ID != id {
		err = fmt.Errorf("the answer is JSON but not about runner %d", id)
	}
	if err != nil {
		return plan.ServerRunner{}, c.fail(ctx, call, err)
	}
	return r.toRunner(), nil
}

// CreateRunner makes a runner at a scope by the API token alone, where the server
// can (plan.Capabilities.Create, Forgejo 15). As for Register, it is one request
// and never repeated, and Identity.Labels has the labels in full. The server
// knows none of them before the runner itself declares them at its start. Errors
// are those of Runners.
func (c *Client) CreateRunner(ctx context.Context, scope plan.Scope, reg plan.Registration) (plan.Identity, error) {
	call := &call{kind: KindCreate, what: fmt.Sprintf("create runner %s of %s", reg.Name, scope), scope: scope,
		access: access{level: "write", manage: true}, needs: plan.CanCreateRunners}
	var made struct {
		ID    int64       `json:"id"`
		UUID  string      `json:"uuid"`
		Token plan.Secret `json:"token"`
	}
	err := c.may(ctx, scope, call)
	if err == nil {
		_, err = c.send(ctx, call, http.MethodPost, pathOf(scope)+"/actions/runners", struct {
			Name        string `json:"name"`
			Description string `json:"description"`
			Ephemeral   bool   `json:"ephemeral"`
		}{reg.Name, "made by scaler", reg.Ephemeral}, &made)
	}
	if err == nil && (made.ID == 0 || made.UUID == "" || made.Token == "") {
		err = errors.New("the answer lacks an id, a UUID or a token")
	}
	if err != nil {
		return plan.Identity{}, c.fail(ctx, call, err)
	}
	id := plan.Identity{ID: made.ID, UUID: made.UUID, Name: reg.Name, Token: made.Token, Address: c.runnerURL, Ephemeral: reg.Ephemeral}
	for _, l := range reg.Labels {
		id.Labels = append(id.Labels, l.String())
	}
	return id, nil
}
