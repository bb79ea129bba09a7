package giteatest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"google.golang.org/protobuf/types/known/structpb"
)

// workflowFile is where every job's workflow is.
const workflowFile = "demo.yaml"

// DurationVar is the task variable that has JobSpec.Duration in milliseconds.
const DurationVar = "FAKE_DURATION_MS"

// SetPickCollisions makes the next n picks that would succeed lose a race, as
// when another runner takes the same row at the same moment: the runner gets
// the new tasks version and no job, and will not look again before the next
// change of that version (gitea#33497). The job stays queued. Releases that
// have the runner try the next job are not affected.
func (s *Server) SetPickCollisions(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collide = n
}

// wish is what a runner asks for work with.
type wish struct {
	version int64  // the tasks version that it knows
	handle  string // of the one job that it wants, or none for any
	request string // the key of the request, or none
}

// fetch is FetchTask: it looks for work only if the runner's tasks version is
// not the current one of its scope. The caller holds s.mu.
func (s *Server) fetch(r *registered, w wish) (*runnerv1.FetchTaskResponse, error) {
	if j := s.db.requested(r, w.request); j != nil && s.profile.rules.recover {
		task, err := s.taskOf(j)
		return &runnerv1.FetchTaskResponse{Task: task}, err
	}
	latest := s.db.versions[versionKey(r.scope)]
	if latest == 0 {
		s.db.bump(r.scope)
		latest = 1
	}
	resp := &runnerv1.FetchTaskResponse{TasksVersion: latest}
	if w.version == latest {
		return resp, nil
	}
	j := s.pick(r, w)
	if j == nil {
		return resp, nil
	}
	var err error
	resp.Task, err = s.taskOf(j)
	return resp, err
}

// requested returns the job that the runner has got by a request, or nil.
func (d *database) requested(r *registered, request string) *job {
	for _, j := range d.jobs {
		if request != "" && j.request == request && j.runner == r.id {
			return j
		}
	}
	return nil
}

// pick gives the runner the oldest job that fits it, or nil. The caller holds
// s.mu.
func (s *Server) pick(r *registered, w wish) *job {
	can := s.profile.rules
	if r.disabled && can.disable || r.ephemeral && can.ephemeral && s.hasTask(r) {
		return nil
	}
	j := s.oldest(r, w.handle)
	if j == nil {
		return nil
	}
	if s.collide > 0 && can.collisions {
		s.collide--
		s.counts.Lost++
		return nil
	}
	now := s.opts.Now()
	s.db.lastTask++
	j.task = s.db.lastTask
	j.runner, j.by, j.request = r.id, r.name, w.request
	j.attempt++
	j.status = StatusInProgress
	j.started, j.reported, j.updated = now, now, now
	s.log.Debug("job picked", "job", j.id, "runner", r.name)
	s.notify(j)
	s.touch()
	return j
}

// hasTask reports whether the runner has a job. An ephemeral one that has had
// a job is gone.
func (s *Server) hasTask(r *registered) bool {
	return slices.ContainsFunc(s.db.jobs, func(j *job) bool {
		return j.runner == r.id && j.status == StatusInProgress
	})
}

// oldest returns the queued job that has waited longest among those that the
// runner's scope covers and whose runs-on is within its labels. A handle leaves
// the one job that has it.
func (s *Server) oldest(r *registered, handle string) *job {
	var best *job
	for _, j := range s.db.jobs {
		if j.status != StatusQueued || !r.scope.Covers(j.repo) || !s.fits(j, r.labels) || handle != "" && j.handle != handle {
			continue
		}
		if best == nil || j.updated.Before(best.updated) {
			best = j
		}
	}
	return best
}

// fits reports whether a job's runs-on is within the labels. A job without
// any fits all runners or none, by the release.
func (s *Server) fits(j *job, labels []string) bool {
	if len(j.spec.Labels) == 0 {
		return !s.profile.rules.emptyNone
	}
	return subset(j.spec.Labels, labels)
}

// subset reports whether all of want are in have, compared exactly. Nothing
// wanted matches anything.
func subset(want, have []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}

// taskOf builds what the runner gets: a workflow with the one job, and as much
// of Gitea's context, secrets and variables as the real runner needs.
func (s *Server) taskOf(j *job) (*runnerv1.Task, error) {
	token := randomToken(40)
	ctx, err := s.taskContext(j, token)
	if err != nil {
		return nil, fmt.Errorf("build context of job %d: %w", j.id, err)
	}
	vars := map[string]string{}
	maps.Copy(vars, j.spec.Payload)
	vars[DurationVar] = strconv.FormatInt(j.spec.Duration.Milliseconds(), 10)
	return &runnerv1.Task{
		Id:              j.task,
		WorkflowPayload: workflow(j),
		Context:         ctx,
		Secrets:         map[string]string{"GITEA_TOKEN": token, "GITHUB_TOKEN": token},
		Vars:            vars,
	}, nil
}

// taskContext is the "github" context of a job.
func (s *Server) taskContext(j *job, token string) (*structpb.Struct, error) {
	owner, _, _ := strings.Cut(j.repo, "/")
	base := s.base(nil)
	return structpb.NewStruct(map[string]any{
		"actor":                     AdminLogin,
		"api_url":                   base + "/api/v1",
		"event":                     map[string]any{},
		"event_name":                "push",
		"gitea_default_actions_url": base,
		"gitea_runtime_token":       token,
		"job":                       j.name,
		"ref":                       "refs/heads/main",
		"ref_name":                  "main",
		"ref_type":                  "branch",
		"repository":                j.repo,
		"repository_owner":          owner,
		"repositoryUrl":             base + "/" + j.repo,
		"run_id":                    strconv.FormatInt(j.run, 10),
		"run_number":                strconv.FormatInt(j.run, 10),
		"run_attempt":               strconv.FormatInt(j.attempt, 10),
		"secret_source":             "Actions",
		"server_url":                base + "/",
		"sha":                       headSHA,
		"token":                     token,
		"workflow":                  workflowFile,
	})
}

// workflow is a workflow file with the one job, as Gitea sends it.
func workflow(j *job) []byte {
	quoted := make([]string, len(j.spec.Labels))
	for i, l := range j.spec.Labels {
		quoted[i] = strconv.Quote(l)
	}
	return fmt.Appendf(nil,
		"name: demo\non: push\njobs:\n  %s:\n    name: %s\n    runs-on: [%s]\n    steps:\n      - run: sleep %g\n",
		j.name, j.name, strings.Join(quoted, ", "), j.spec.Duration.Seconds())
}

// resultStatus translates a runner's result.
func resultStatus(result runnerv1.Result) (string, error) {
	switch result {
	case runnerv1.Result_RESULT_SUCCESS:
		return StatusSuccess, nil
	case runnerv1.Result_RESULT_FAILURE:
		return StatusFailure, nil
	case runnerv1.Result_RESULT_CANCELLED:
		return StatusCancelled, nil
	case runnerv1.Result_RESULT_SKIPPED:
		return StatusSkipped, nil
	}
	return "", errors.New("unknown result " + strconv.Itoa(int(result)))
}

// statusResult is what UpdateTask tells the runner of its task: nothing while
// it runs, and how it ended after that.
func statusResult(status string) runnerv1.Result {
	switch status {
	case StatusSuccess:
		return runnerv1.Result_RESULT_SUCCESS
	case StatusFailure:
		return runnerv1.Result_RESULT_FAILURE
	case StatusCancelled:
		return runnerv1.Result_RESULT_CANCELLED
	case StatusSkipped:
		return runnerv1.Result_RESULT_SKIPPED
	}
	return runnerv1.Result_RESULT_UNSPECIFIED
}
