package plan

import "time"

// Product is a kind of server that runners work for.
type Product string

// The products that are known.
const (
	ProductGitea   Product = "gitea"
	ProductForgejo Product = "forgejo"
)

// Capabilities are what a server can do for the daemon. What a server lacks is
// made up for where that is possible; see docs/compatibility.md.
type Capabilities struct {
	Product   Product
	Version   string    // as the server writes it, such as "15.0.3+gitea-1.22.0"
	CheckedAt time.Time // when this was found

	// Jobs: queued and running jobs can be listed (Gitea 1.25, Forgejo 11).
	Jobs bool
	// RunningNamesRunner: the list of running jobs says which runner has which
	// (Gitea 1.25; no Forgejo). Else the runners' own logs are asked.
	RunningNamesRunner bool
	// JobEvents: there are workflow_job webhooks (Gitea 1.24; no Forgejo).
	JobEvents bool
	// Runners: runners can be listed and read (Gitea 1.24, Forgejo 15).
	Runners bool
	// Delete: runners can be deleted by id (Gitea 1.24, Forgejo 15).
	Delete bool
	// Disable: a runner can be kept from new jobs (Gitea 1.26; no Forgejo).
	Disable bool
	// Ephemeral: the server deletes a runner with its one job (Gitea 1.24, Forgejo 15).
	Ephemeral bool
	// Create: runners are made by the API, without a registration token (Forgejo 15).
	Create bool
	// Bind: a runner can ask for one job only, by the job's handle (Forgejo 15).
	Bind bool
	// Deregister: a runner can delete itself by its own token (no release).
	Deregister bool
}

// Full reports whether nothing is missing whose coming would change what the
// daemon does, so that there is no need to look for a newer server.
func (c Capabilities) Full() bool {
	return c.Jobs && c.Runners && c.Delete && c.Ephemeral && (c.Disable || c.Product == ProductForgejo)
}
