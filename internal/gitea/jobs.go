package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"scaler.io/scaler/internal/plan"
)

// errNoList is for a JSON answer that has no list where one must be. Gitea
// writes an empty list as [], so null or nothing is not one.
var errNoList = errors.New("the answer is JSON but has no list in it")

// QueuedJobs lists the jobs of a scope that a runner could take now; jobs that
// are blocked on others are not among them. It stops reading once it has limit
// jobs for which counts is true (0 means no limit, nil counts each), with the
// rest of the last page beyond that, and such a list is not Complete. The
// server cannot be asked for jobs by label, so what nobody here can serve has
// to be read past.
//
// Errors: plan.ErrDenied, plan.ErrNotFound (no such organisation or
// repository, or the token cannot see it), plan.ErrUnsupported (Gitea < 1.25,
// Forgejo < 11).
func (c *Client) QueuedJobs(ctx context.Context, scope plan.Scope, limit int, counts func(plan.Job) bool) (plan.JobList, error) {
	call := jobsCall(KindQueued, "list queued jobs", scope)
	if c.isForgejo(ctx) {
		return c.forgejoQueued(ctx, scope, call, limit, counts)
	}
	fetch, err := c.jobPages(ctx, scope, call, plan.JobQueued)
	if err != nil {
		return plan.JobList{}, c.fail(ctx, call, err)
	}
	enough := func([]*sdk.ActionWorkflowJob) bool { return false }
	if limit > 0 {
		enough = func(fresh []*sdk.ActionWorkflowJob) bool {
			for _, j := range fresh {
				if counts == nil || counts(c.job(j)) {
					limit--
				}
			}
			return limit <= 0
		}
	}
	l, err := readPages(enough, jobID, fetch)
	return c.jobList(ctx, call, l, err)
}

// RunningJobs lists all jobs of a scope that a runner has. Incomplete means
// that two readings in a row had fewer jobs than the server counts. Errors are
// as for QueuedJobs.
func (c *Client) RunningJobs(ctx context.Context, scope plan.Scope) (plan.JobList, error) {
	call := jobsCall(KindRunning, "list running jobs", scope)
	if c.isForgejo(ctx) {
		return c.forgejoRunning(ctx, scope, call)
	}
	fetch, err := c.jobPages(ctx, scope, call, plan.JobInProgress)
	if err != nil {
		return plan.JobList{}, c.fail(ctx, call, err)
	}
	l, err := readAllPages(jobID, fetch)
	return c.jobList(ctx, call, l, err)
}

func jobsCall(kind, what string, scope plan.Scope) *call {
	return &call{
		kind:   kind,
		what:   fmt.Sprintf("%s of %s", what, scope),
		repeat: true,
		scope:  scope,
		access: access{level: "read"},
		needs:  plan.CanListJobs,
	}
}

func jobID(j *sdk.ActionWorkflowJob) int64 { return j.ID }

// jobPages returns a function that reads one page of jobs.
func (c *Client) jobPages(ctx context.Context, scope plan.Scope, call *call, status plan.JobStatus) (func(page int) ([]*sdk.ActionWorkflowJob, int, error), error) {
	at, err := c.at(ctx, scope, call)
	if err != nil {
		return nil, err
	}
	return func(page int) ([]*sdk.ActionWorkflowJob, int, error) {
		resp, _, err := at.jobs(sdk.ListRepoActionJobsOptions{
			ListOptions: sdk.ListOptions{Page: page, PageSize: pageSize},
			Status:      string(status),
		})
		if err != nil {
			return nil, 0, err
		}
		return checkPage(resp.Jobs, resp.TotalCount)
	}, nil
}

// checkPage refuses a page without a list or with holes in it.
func checkPage[T any](items []*T, total int64) ([]*T, int, error) {
	if items == nil {
		return nil, 0, errNoList
	}
	for _, item := range items {
		if item == nil {
			return nil, 0, errNoList
		}
	}
	return items, int(total), nil
}

func (c *Client) jobList(ctx context.Context, call *call, l listing[*sdk.ActionWorkflowJob], err error) (plan.JobList, error) {
	if err != nil {
		return plan.JobList{}, c.fail(ctx, call, err)
	}
	list := plan.JobList{Jobs: make([]plan.Job, 0, len(l.items)), Total: l.total, Complete: l.complete}
	for _, j := range l.items {
		list.Jobs = append(list.Jobs, c.job(j))
	}
	return list, nil
}

// job translates one job of a listing.
func (c *Client) job(j *sdk.ActionWorkflowJob) plan.Job {
	repo, ok := repoOf(j.URL)
	if !ok {
		c.log.Debug("job has no repository in its address", "job", j.ID, "url", j.URL)
	}
	return plan.Job{
		ID:         j.ID,
		RunID:      j.RunID,
		Name:       j.Name,
		Repo:       repo,
		Labels:     j.Labels,
		Status:     plan.JobStatus(j.Status),
		RunnerID:   j.RunnerID,
		RunnerName: j.RunnerName,
		QueuedAt:   j.CreatedAt,
		URL:        j.HTMLURL,
	}
}

// repoOf reads "owner/name" from a job's API address,
// ROOT/api/v1/repos/{owner}/{name}/actions/jobs/{id}: a job has no other
// mention of its repository. The root may have a path of its own.
func repoOf(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil {
		return "", false
	}
	const mark = "/api/v1/repos/"
	path := u.EscapedPath()
	at := strings.LastIndex(path, mark)
	if at < 0 {
		return "", false
	}
	parts := strings.Split(path[at+len(mark):], "/")
	if len(parts) < 3 || parts[2] != "actions" {
		return "", false
	}
	owner, err1 := url.PathUnescape(parts[0])
	name, err2 := url.PathUnescape(parts[1])
	if err1 != nil || err2 != nil || owner == "" || name == "" {
		return "", false
	}
	return owner + "/" + name, true
}
