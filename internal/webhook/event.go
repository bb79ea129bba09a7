package webhook

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// payload is the body of a workflow_job event, as far as it is read.
type payload struct {
	Action string `json:"action"`
	Job    struct {
		ID         int64     `json:"id"`
		RunID      int64     `json:"run_id"`
		Name       string    `json:"name"`
		Labels     []string  `json:"labels"`
		Status     string    `json:"status"`
		RunnerID   int64     `json:"runner_id"`
		RunnerName string    `json:"runner_name"`
		RunAttempt int64     `json:"run_attempt"`
		CreatedAt  time.Time `json:"created_at"`
		StartedAt  time.Time `json:"started_at"` // 1970 for a job that no runner has or had last
		HTMLURL    string    `json:"html_url"`
		URL        string    `json:"url"`
	} `json:"workflow_job"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

// decode reads a body. Fields that it does not know are left alone; without an
// action, a job's id or a repository it is none of a workflow_job event.
func decode(body []byte) (Event, error) {
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		return Event{}, explain(err)
	}
	owner, name, _ := strings.Cut(p.Repository.FullName, "/")
	switch {
	case p.Action == "":
		return Event{}, errors.New("decode event: it has no action")
	case p.Job.ID <= 0:
		return Event{}, errors.New("decode event: it has no workflow_job.id")
	case owner == "" || name == "" || strings.Contains(name, "/"):
		return Event{}, errors.New("decode event: it has no repository.full_name")
	}
	return Event{
		Action: plan.JobStatus(p.Action), Attempt: p.Job.RunAttempt, Started: p.Job.StartedAt.Unix() > 0,
		Job: plan.Job{
			ID: p.Job.ID, RunID: p.Job.RunID, Name: p.Job.Name, Repo: p.Repository.FullName, Labels: p.Job.Labels,
			Status: plan.JobStatus(cmp.Or(p.Job.Status, p.Action)), RunnerID: p.Job.RunnerID, RunnerName: p.Job.RunnerName,
			QueuedAt: p.Job.CreatedAt, URL: cmp.Or(p.Job.HTMLURL, p.Job.URL),
		},
	}, nil
}

// explain says what is wrong with JSON without repeating any of it, as some of
// the decoder's own errors do.
func explain(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("decode event: %s is of another type", cmp.Or(wrong.Field, "the whole"))
	}
	if broken, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("decode event: broken JSON at byte %d", broken.Offset)
	}
	return errors.New("decode event: workflow_job.created_at or started_at is no time")
}
