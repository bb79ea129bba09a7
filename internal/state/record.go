package state

import (
	"encoding/json"
	"fmt"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Record is all that is known of one runner and cannot be asked elsewhere.
type Record struct {
	Name  string
	Pool  string
	Token string // name of the registration token, not its value
	Scope plan.Scope
	Phase plan.Phase
	// Since is when the runner entered its phase.
	Since     time.Time
	CreatedAt time.Time
	StartedAt time.Time // when the engine had started the container
	Ephemeral bool
	// Used is set once an ephemeral runner was seen with its job.
	Used bool
	// Online is set once the server has seen the runner.
	Online bool
	// Disabled is set once the server has confirmed that it gives the runner
	// no more jobs.
	Disabled bool
	// Nudging is set while the server may have the runner disabled only to
	// wake it.
	Nudging bool
	// Signalled is set once the engine has told the runner to stop.
	Signalled bool
	// Concealed is set once the container's .runner file has been emptied.
	Concealed bool
	// ContainerID is empty until the engine has answered.
	ContainerID string
	// DataDir is the runner's working directory in its container, empty in
	// records of earlier versions.
	DataDir string
	// Identity is nil until the server has answered.
	Identity *plan.Identity
	// Unregistered is set if it is certain that the server made no runner.
	// Without it, a record that has no identity may have one there all the
	// same: the answer can have been lost.
	Unregistered bool
	// Deregistered is set once the server has it no more, and Existed if it
	// was this daemon that deleted it.
	Deregistered bool
	Existed      bool
	// Bound is the one job that it asks for, nil if it takes any.
	Bound *plan.Bound
	// Lost is set if the machine of its container was lost with it: the runner may
	// still run there, so that nothing else may have its identity.
	Lost bool
	// Cost is what its container takes of the limits over all pools, nil if
	// that was not noted.
	Cost *plan.Resources
	// Job is the last job that the runner was seen with, 0 before.
	Job int64
	// Task is the server's number of the last task that the runner's log told of,
	// 0 for none, and TaskOver is set once that has ended.
	Task     int64
	TaskOver bool
	// Jobs is how many jobs it was seen with, and LastJobAt when the last one
	// came to it or ended.
	Jobs      int
	LastJobAt time.Time
	// Recipe is what it was made from, as far as that is known.
	Recipe plan.Recipe
	// JobContainers names the containers that it was seen to have made for
	// its jobs, so that what they leave is still known when they are gone.
	JobContainers []string
	// Reason says why the runner was made, and Note what led to its phase.
	Reason string
	Note   string
	// History has the phases that the runner went through, oldest first.
	History []plan.Step
}

// Status returns what may be shown of the record.
func (r Record) Status() plan.RunnerStatus {
	s := plan.RunnerStatus{
		Name: r.Name, Pool: r.Pool, Scope: r.Scope.String(), Phase: r.Phase, Since: r.Since, CreatedAt: r.CreatedAt, StartedAt: r.StartedAt,
		Container: r.ContainerID, Ephemeral: r.Ephemeral, Job: r.Job, Jobs: r.Jobs, LastJobAt: r.LastJobAt, Reason: r.Reason, Note: r.Note, History: r.History,
	}
	if r.Identity != nil {
		s.ServerID = r.Identity.ID
	}
	if name := r.ServerName(); name != r.Name {
		s.ServerName = name
	}
	return s
}

// ServerName is the name that the server has for the runner: another than ours
// if the runner was given the identity of an earlier one.
func (r Record) ServerName() string {
	if r.Identity != nil && r.Identity.Name != "" {
		return r.Identity.Name
	}
	return r.Name
}

// Enter moves the record into a phase. It does nothing if the record is in it
// already.
func (r *Record) Enter(p plan.Phase, note string, now time.Time) {
	if r.Phase == p {
		return
	}
	r.Phase, r.Since, r.Note = p, now, note
	r.History = append(r.History[:len(r.History):len(r.History)], plan.Step{At: now, Phase: p, Note: note})
}

// stored is a Record as it lies on disk, the one place where a runner's own
// token is written in clear: without it the runner could not be deregistered
// nor its .runner file be made again.
type stored struct {
	Name         string          `json:"name"`
	Pool         string          `json:"pool"`
	Token        string          `json:"registration_token"`
	Scope        string          `json:"scope"`
	Phase        plan.Phase      `json:"phase"`
	Since        time.Time       `json:"since"`
	CreatedAt    time.Time       `json:"created_at"`
	StartedAt    time.Time       `json:"started_at,omitzero"`
	Ephemeral    bool            `json:"ephemeral"`
	Used         bool            `json:"used,omitempty"`
	Online       bool            `json:"online,omitempty"`
	Disabled     bool            `json:"disabled,omitempty"`
	Nudging      bool            `json:"nudging,omitempty"`
	Signalled    bool            `json:"signalled,omitempty"`
	Concealed    bool            `json:"concealed,omitempty"`
	ContainerID  string          `json:"container_id,omitempty"`
	DataDir      string          `json:"data_dir,omitempty"`
	Identity     *storedIdentity `json:"identity,omitempty"`
	Unregistered bool            `json:"unregistered,omitempty"`
	Deregistered bool            `json:"deregistered,omitempty"`
	Existed      bool            `json:"existed,omitempty"`
	Bound        *storedBound    `json:"bound,omitempty"`
	Lost         bool            `json:"lost,omitempty"`
	Cost         *plan.Resources `json:"cost,omitempty"`
	Job          int64           `json:"job,omitempty"`
	Task         int64           `json:"task,omitempty"`
	TaskOver     bool            `json:"task_over,omitempty"`
	Jobs         int             `json:"jobs,omitempty"`
	LastJobAt    time.Time       `json:"last_job_at,omitzero"`
	Recipe       storedRecipe    `json:"recipe,omitzero"`
	JobNames     []string        `json:"job_containers,omitempty"`
	Reason       string          `json:"reason,omitempty"`
	Note         string          `json:"note,omitempty"`
	History      []plan.Step     `json:"history,omitempty"`
}

// storedRecipe is a plan.Recipe.
type storedRecipe struct {
	Registration string `json:"registration,omitempty"`
	Container    string `json:"container,omitempty"`
	Image        string `json:"image,omitempty"`
}

// storedBound is a plan.Bound.
type storedBound struct {
	Job    int64  `json:"job"`
	Repo   string `json:"repo"`
	Handle string `json:"handle"`
}

type storedIdentity struct {
	ID        int64    `json:"id"`
	UUID      string   `json:"uuid"`
	Name      string   `json:"name"`
	Token     string   `json:"token"`
	Address   string   `json:"address"`
	Labels    []string `json:"labels"`
	Ephemeral bool     `json:"ephemeral"`
}

func (r Record) encode() ([]byte, error) {
	s := stored{
		Name: r.Name, Pool: r.Pool, Token: r.Token, Scope: r.Scope.String(), Phase: r.Phase, Since: r.Since, CreatedAt: r.CreatedAt, StartedAt: r.StartedAt, DataDir: r.DataDir,
		Ephemeral: r.Ephemeral, Used: r.Used, Online: r.Online, Disabled: r.Disabled, Nudging: r.Nudging, Signalled: r.Signalled, Concealed: r.Concealed, ContainerID: r.ContainerID, Unregistered: r.Unregistered, Deregistered: r.Deregistered, Existed: r.Existed, Lost: r.Lost, Cost: r.Cost, Job: r.Job, Task: r.Task, TaskOver: r.TaskOver, JobNames: r.JobContainers,
		Jobs: r.Jobs, LastJobAt: r.LastJobAt, Recipe: storedRecipe(r.Recipe),
		Reason: r.Reason, Note: r.Note, History: r.History,
	}
	if r.Bound != nil {
		b := storedBound(*r.Bound)
		s.Bound = &b
	}
	if id := r.Identity; id != nil {
		s.Identity = &storedIdentity{ID: id.ID, UUID: id.UUID, Name: id.Name, Token: id.Token.Reveal(),
			Address: id.Address, Labels: id.Labels, Ephemeral: id.Ephemeral}
	}
	return json.Marshal(s)
}

func decode(data []byte) (Record, error) {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return Record{}, err
	}
	scope, err := plan.ParseScope(s.Scope)
	if err != nil {
		return Record{}, err
	}
	if s.Name == "" {
		return Record{}, fmt.Errorf("a record has no name")
	}
	r := Record{
		Name: s.Name, Pool: s.Pool, Token: s.Token, Scope: scope, Phase: s.Phase, Since: s.Since, CreatedAt: s.CreatedAt, StartedAt: s.StartedAt, DataDir: s.DataDir,
		Ephemeral: s.Ephemeral, Used: s.Used, Online: s.Online, Disabled: s.Disabled, Nudging: s.Nudging, Signalled: s.Signalled, Concealed: s.Concealed, ContainerID: s.ContainerID, Unregistered: s.Unregistered, Deregistered: s.Deregistered, Existed: s.Existed, Lost: s.Lost, Cost: s.Cost, Job: s.Job, Task: s.Task, TaskOver: s.TaskOver, JobContainers: s.JobNames,
		Jobs: s.Jobs, LastJobAt: s.LastJobAt, Recipe: plan.Recipe(s.Recipe),
		Reason: s.Reason, Note: s.Note, History: s.History,
	}
	if s.Bound != nil {
		b := plan.Bound(*s.Bound)
		r.Bound = &b
	}
	if id := s.Identity; id != nil {
		r.Identity = &plan.Identity{ID: id.ID, UUID: id.UUID, Name: id.Name, Token: plan.Secret(id.Token),
			Address: id.Address, Labels: id.Labels, Ephemeral: id.Ephemeral}
	}
	return r, nil
}
