package gitea

import (
	"context"
	"fmt"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"scaler.io/scaler/internal/plan"
)

// FinishedJob is a job that has run.
type FinishedJob struct {
	Job plan.Job
	// StartedAt and EndedAt are when a runner began it and was done with it.
	StartedAt, EndedAt time.Time
}

// FinishedJobs lists the jobs of a scope that were created since a moment and
// that a runner has ended. The server cannot be asked for jobs by their age, so
// all that it has are read, up to 10,000; complete is false if there are more.
// Errors are as for QueuedJobs.
func (c *Client) FinishedJobs(ctx context.Context, scope plan.Scope, since time.Time) (jobs []FinishedJob, complete bool, err error) {
	call := jobsCall(KindFinished, "list finished jobs", scope)
	if c.isForgejo(ctx) {
		return nil, false, fmt.Errorf("%s: %w: Forgejo lists only jobs that wait or run", call.what, plan.ErrUnsupported)
	}
	fetch, err := c.jobPages(ctx, scope, call, "completed")
	if err != nil {
		return nil, false, c.fail(ctx, call, err)
	}
	l, err := readPages(func([]*sdk.ActionWorkflowJob) bool { return false }, jobID, fetch)
	if err != nil {
		return nil, false, c.fail(ctx, call, err)
	}
	for _, j := range l.items {
		// What no runner had, such as a job that was skipped, began in 1970.
		if ran := j.RunnerID != 0 && j.StartedAt.Unix() > 0 && !j.CompletedAt.Before(j.StartedAt); ran && !j.CreatedAt.Before(since) {
			jobs = append(jobs, FinishedJob{Job: c.job(j), StartedAt: j.StartedAt, EndedAt: j.CompletedAt})
		}
	}
	return jobs, l.complete, nil
}
