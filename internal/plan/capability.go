package plan

import (
	"slices"
	"strings"
	"time"
)

// Product is a kind of server that runners work for.
type Product string

// The products that are known.
const (
	ProductGitea   Product = "gitea"
	ProductForgejo Product = "forgejo"
)

// String is the product's name as its makers write it.
func (p Product) String() string {
	switch p {
	case ProductGitea:
		return "Gitea"
	case ProductForgejo:
		return "Forgejo"
	}
	return "unknown server"
}

// Capability names one thing that a server can do or not.
type Capability string

// The capabilities. What each is stands at its field in Capabilities.
const (
	CanListJobs       Capability = "jobs"
	CanNameRunners    Capability = "running_names_runner"
	CanSendJobEvents  Capability = "job_events"
	CanListRunners    Capability = "runners"
	CanDeleteRunners  Capability = "delete"
	CanDisableRunners Capability = "disable"
	CanEndRunners     Capability = "ephemeral"
	CanCreateRunners  Capability = "create"
	CanBindRunners    Capability = "bind"
	CanDeregister     Capability = "deregister"
)

// Capabilities are what a server can do for the daemon. What a server lacks is
// made up for where that is possible; see docs/compatibility.md.
type Capabilities struct {
	Product   Product   `json:"product"`
	Version   string    `json:"version"`    // as the server writes it, such as "15.0.3+gitea-1.22.0"
	CheckedAt time.Time `json:"checked_at"` // when this was found or, without a change, last confirmed

	// Jobs: queued and running jobs can be listed (Gitea 1.25, Forgejo 11).
	Jobs bool `json:"jobs"`
	// RunningNamesRunner: the list of running jobs says which runner has which
	// (Gitea 1.25; no Forgejo). Else the runners' own logs are asked.
	RunningNamesRunner bool `json:"running_names_runner"`
	// JobEvents: there are workflow_job webhooks (Gitea 1.24; no Forgejo).
	JobEvents bool `json:"job_events"`
	// Runners: runners can be listed and read (Gitea 1.24, Forgejo 15).
	Runners bool `json:"runners"`
	// Delete: runners can be deleted by id (Gitea 1.24, Forgejo 15).
	Delete bool `json:"delete"`
	// Disable: a runner can be kept from new jobs (Gitea 1.26; no Forgejo).
	Disable bool `json:"disable"`
	// Ephemeral: the server deletes a runner with its one job (Gitea 1.24, Forgejo 15).
	Ephemeral bool `json:"ephemeral"`
	// Create: runners are made by the API, without a registration token (Forgejo 15).
	Create bool `json:"create"`
	// Bind: a runner can ask for one job only, by the job's handle (Forgejo 15).
	Bind bool `json:"bind"`
	// Deregister: a runner can delete itself by its own token (no release).
	Deregister bool `json:"deregister"`
}

// field is where a capability stands, nil for one that is not known.
func (c *Capabilities) field(k Capability) *bool {
	switch k {
	case CanListJobs:
		return &c.Jobs
	case CanNameRunners:
		return &c.RunningNamesRunner
	case CanSendJobEvents:
		return &c.JobEvents
	case CanListRunners:
		return &c.Runners
	case CanDeleteRunners:
		return &c.Delete
	case CanDisableRunners:
		return &c.Disable
	case CanEndRunners:
		return &c.Ephemeral
	case CanCreateRunners:
		return &c.Create
	case CanBindRunners:
		return &c.Bind
	case CanDeregister:
		return &c.Deregister
	}
	return nil
}

// Has reports whether the server has the capability.
func (c Capabilities) Has(k Capability) bool {
	f := c.field(k)
	return f != nil && *f
}

// Set says whether the server has the capability.
func (c *Capabilities) Set(k Capability, has bool) {
	if f := c.field(k); f != nil {
		*f = has
	}
}

// Full reports whether the server can do all that any release of its product
// can, so that there is no need to look for a newer one.
func (c Capabilities) Full() bool {
	return !slices.ContainsFunc(Features(), func(f Feature) bool { return f.Since(c.Product) != "" && !c.Has(f.Capability) })
}

// Missing are the features that the server lacks and that make a difference.
func (c Capabilities) Missing() []Feature {
	return slices.DeleteFunc(Features(), func(f Feature) bool { return f.Cost == "" || c.Has(f.Capability) })
}

// ServerName is product and version, for people.
func (c Capabilities) ServerName() string {
	if c.Version == "" {
		return c.Product.String()
	}
	return c.Product.String() + " " + c.Version
}

// Summary is one line for people: which server it is, and what it lacks.
func (c Capabilities) Summary() string {
	var missing []string
	for _, f := range c.Missing() {
		missing = append(missing, f.What)
	}
	if len(missing) == 0 {
		return c.ServerName()
	}
	return c.ServerName() + ", which cannot " + strings.Join(missing, ", ")
}

// Change says in words what became different between two findings about a
// server, "" if nothing did.
func (c Capabilities) Change(now Capabilities) string {
	var gained, lost []string
	for _, f := range Features() {
		switch was, is := c.Has(f.Capability), now.Has(f.Capability); {
		case is && !was:
			gained = append(gained, f.What)
		case was && !is:
			lost = append(lost, f.What)
		}
	}
	var parts []string
	if c.ServerName() != now.ServerName() {
		parts = append(parts, "the server was "+c.ServerName()+" and is "+now.ServerName()+" now")
	}
	if len(gained) > 0 {
		parts = append(parts, "it can now "+strings.Join(gained, ", "))
	}
	if len(lost) > 0 {
		parts = append(parts, "it can no longer "+strings.Join(lost, ", "))
	}
	return strings.Join(parts, "; ")
}
