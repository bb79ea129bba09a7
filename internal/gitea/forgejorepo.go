package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"scaler.io/scaler/internal/plan"
)

// repoAge is how long the name of a repository counts: it can be given another
// one.
const repoAge = 10 * time.Minute

// repoName is what is known of a repository's name.
type repoName struct {
	name string // "owner/name", empty if the API token may not read it
	at   time.Time
}

// repoName returns "owner/name" of a repository of the scope. What the API token
// may not read is "owner/#id", or "#id" where not even its owner is known, so
// that its jobs are served all the same.
func (c *Client) repoName(ctx context.Context, scope plan.Scope, id int64) (string, error) {
	if scope.Kind == plan.ScopeRepo {
		return scope.Owner + "/" + scope.Repo, nil
	}
	c.forgejo.mu.Lock()
	known := c.forgejo.repos[id]
	c.forgejo.mu.Unlock()
	if known.at.IsZero() || time.Since(known.at) >= repoAge {
		name, err := c.readRepoName(ctx, id)
		if err != nil {
			return "", err
		}
		known = repoName{name, time.Now()}
		c.forgejo.mu.Lock()
		c.forgejo.repos[id] = known
		c.forgejo.mu.Unlock()
	}
	switch {
	case known.name != "":
		return known.name, nil
	case scope.Owner != "":
		return fmt.Sprintf("%s/#%d", scope.Owner, id), nil
	}
	return fmt.Sprintf("#%d", id), nil
}

// readRepoName asks for the name, which is empty if there is no answer to that
// for this API token.
func (c *Client) readRepoName(ctx context.Context, id int64) (string, error) {
	call := &call{kind: KindRepo, what: fmt.Sprintf("read the name of repository %d", id), repeat: true,
		scope: plan.Scope{Kind: plan.ScopeRepo}, access: access{level: "read"}}
	var repo struct {
		FullName string `json:"full_name"`
	}
	_, err := c.send(ctx, call, http.MethodGet, fmt.Sprintf("/repositories/%d", id), nil, &repo)
	status, answered := errors.AsType[*StatusError](err)
	switch {
	case err == nil:
		return repo.FullName, nil
	case answered && status.fromGitea && (status.Status == http.StatusForbidden || status.Status == http.StatusNotFound):
		c.log.Info("repository is called by its number: the API token lacks read:repository, or its user may not see it", "repository", id, "err", status)
		return "", nil
	}
	return "", fmt.Errorf("%s: %w", call.what, c.explain(ctx, call, err))
}
