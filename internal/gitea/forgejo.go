package gitea

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
)

// forgejo is what is remembered of a Forgejo server.
type forgejo struct {
	mu    sync.Mutex
	lists map[plan.Scope]jobsSeen
	repos map[int64]repoName
}

// jobsSeen is a scope's last answer to the question for its jobs.
type jobsSeen struct {
	jobs  []forgejoJob
	at    time.Time
	spent bool // its running jobs have been used
	// waits has since when each waiting job was seen.
	waits map[attempt]time.Time
}

// attempt is one try of a job: a job that is run again keeps its id.
type attempt struct{ id, number int64 }

// sharedFor is how long after the waiting jobs were read the running ones of the
// same answer are as good as new ones.
const sharedFor = time.Second

// forgejoLabelled is the version before which jobs are listed only by the labels
// that a runner for them would have: without labels the list is empty. Source:
// GetActionRunJobs in routers/api/v1/shared/runners.go of v13.0.5 and v14.0.0.
var forgejoLabelled = release{14, 0}

// barredByForgejo is why a job waits for ever that has no runs-on. Source:
// ItRunsOn in models/actions/run_job.go of v11.0.15 and v15.0.3.
const barredByForgejo = "it has no runs-on, and Forgejo gives such a job to no runner"

// isForgejo reports whether the server is a Forgejo. Where that is not known and
// cannot be found out, the call that follows meets the same trouble and says so.
func (c *Client) isForgejo(ctx context.Context) bool {
	caps, err := c.known(ctx)
	return err == nil && caps.Product == plan.ProductForgejo
}

// forgejoJob is a job as Forgejo lists it. Source: ActionRunJob in
// modules/structs/action.go of v11.0.15 to v16.0.
type forgejoJob struct {
	ID      int64    `json:"id"`
	RunID   int64    `json:"run_id"`  // since 16
	Attempt int64    `json:"attempt"` // since 15
	Handle  string   `json:"handle"`  // since 15
	RepoID  int64    `json:"repo_id"`
	Name    string   `json:"name"`
	RunsOn  []string `json:"runs_on"`
	TaskID  int64    `json:"task_id"`
	Status  string   `json:"status"`
}

// The states of a job that Forgejo lists. All others it leaves out.
const (
	forgejoWaiting = "waiting"
	forgejoRuns    = "running"
)

// forgejoQueued lists the waiting jobs of a scope. Forgejo gives all of them at
// once, the running ones among them.
func (c *Client) forgejoQueued(ctx context.Context, scope plan.Scope, call *call, limit int, counts func(plan.Job) bool) (plan.JobList, error) {
	seen, err := c.readForgejoJobs(ctx, scope, call)
	if err != nil {
		return plan.JobList{}, c.fail(ctx, call, err)
	}
	list := plan.JobList{Jobs: []plan.Job{}, Complete: true}
	for _, j := range seen.jobs {
		if j.Status != forgejoWaiting {
			continue
		}
		list.Total++
		if !list.Complete {
			continue
		}
		job, err := c.forgejoToJob(ctx, scope, j)
		if err != nil {
			return plan.JobList{}, fmt.Errorf("%s: %w", call.what, err)
		}
		job.QueuedAt = seen.waits[attempt{j.ID, j.Attempt}]
		list.Jobs = append(list.Jobs, job)
		if limit > 0 && (counts == nil || counts(job)) {
			limit--
			list.Complete = limit > 0
		}
	}
	list.Complete = list.Complete || len(list.Jobs) == list.Total
	return list, nil
}

// forgejoRunning lists the jobs of a scope that a runner has. Which one that is
// Forgejo does not say. The answer that the waiting jobs were taken from serves
// once, so that both lists are of one moment.
func (c *Client) forgejoRunning(ctx context.Context, scope plan.Scope, call *call) (plan.JobList, error) {
	c.forgejo.mu.Lock()
	seen := c.forgejo.lists[scope]
	fresh := !seen.spent && time.Since(seen.at) < sharedFor && !seen.at.IsZero()
	if fresh {
		seen.spent = true
		c.forgejo.lists[scope] = seen
	}
	c.forgejo.mu.Unlock()
	if !fresh {
		var err error
		if seen, err = c.readForgejoJobs(ctx, scope, call); err != nil {
			return plan.JobList{}, c.fail(ctx, call, err)
		}
	}
	list := plan.JobList{Jobs: []plan.Job{}, Complete: true}
	for _, j := range seen.jobs {
		if j.Status != forgejoRuns {
			continue
		}
		job, err := c.forgejoToJob(ctx, scope, j)
		if err != nil {
			return plan.JobList{}, fmt.Errorf("%s: %w", call.what, err)
		}
		list.Jobs = append(list.Jobs, job)
	}
	list.Total = len(list.Jobs)
	return list, nil
}

// readForgejoJobs asks for the jobs of a scope.
func (c *Client) readForgejoJobs(ctx context.Context, scope plan.Scope, call *call) (jobsSeen, error) {
	// Everything about runners, their jobs included, is for owners of the scope.
	call.access.manage = true
	if err := c.may(ctx, scope, call); err != nil {
		return jobsSeen{}, err
	}
	path, err := c.forgejoJobsPath(scope)
	if err != nil {
		return jobsSeen{}, err
	}
	var jobs []forgejoJob // null if there are none
	if _, err := c.send(ctx, call, http.MethodGet, path, nil, &jobs); err != nil {
		return jobsSeen{}, err
	}
	return c.noteForgejoJobs(scope, jobs), nil
}

// forgejoJobsPath is where the jobs of a scope are listed. Those of the whole
// server have moved with version 15.
func (c *Client) forgejoJobsPath(scope plan.Scope) (string, error) {
	caps, _ := c.found.latest()
	path := pathOf(scope) + "/actions/runners/jobs"
	if scope.Kind == plan.ScopeInstance && !caps.Runners {
		path = "/admin/runners/jobs"
	}
	if r := releaseOf(caps.Version); r.atLeast(forgejoLabelled) {
		return path, nil
	}
	labels := c.labels()
	if len(labels) == 0 {
		return "", fmt.Errorf("%w: Forgejo before 14 lists jobs only for given labels, and no pool has any", plan.ErrUnsupported)
	}
	return path + "?labels=" + url.QueryEscape(strings.Join(labels, ",")), nil
}

// noteForgejoJobs keeps an answer, with since when each of its jobs waits.
func (c *Client) noteForgejoJobs(scope plan.Scope, jobs []forgejoJob) jobsSeen {
	c.forgejo.mu.Lock()
	defer c.forgejo.mu.Unlock()
	now, before := time.Now(), c.forgejo.lists[scope].waits
	seen := jobsSeen{jobs: jobs, at: now, waits: make(map[attempt]time.Time)}
	for _, j := range jobs {
		if j.Status != forgejoWaiting {
			continue
		}
		key := attempt{j.ID, j.Attempt}
		since, known := before[key]
		if !known {
			since = now
		}
		seen.waits[key] = since
	}
	c.forgejo.lists[scope] = seen
	return seen
}

// forgejoToJob translates one job. Its page has a number that the list does not
// tell, so that its address is that of the repository's Actions.
func (c *Client) forgejoToJob(ctx context.Context, scope plan.Scope, j forgejoJob) (plan.Job, error) {
	repo, err := c.repoName(ctx, scope, j.RepoID)
	if err != nil {
		return plan.Job{}, err
	}
	job := plan.Job{ID: j.ID, RunID: j.RunID, Name: j.Name, Repo: repo, Labels: j.RunsOn, TaskID: j.TaskID, Handle: j.Handle, Status: plan.JobQueued}
	if j.Status == forgejoRuns {
		job.Status = plan.JobInProgress
	}
	if len(j.RunsOn) == 0 {
		job.Barred = barredByForgejo
	}
	if !strings.Contains(repo, "#") {
		job.URL = c.runnerURL + "/" + repo + "/actions"
	}
	return job, nil
}
