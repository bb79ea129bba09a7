package plan

// Feature is a capability for people: what it is, who has it, and how the
// daemon does without.
type Feature struct {
	Capability Capability
	What       string // what such a server can do, after "it can"
	// Gitea and Forgejo are the first releases that have it, "" for none.
	Gitea, Forgejo string
	// Cost is what a server without it costs, "" if nothing, and Instead what
	// the daemon does then.
	Cost, Instead string
}

// Since is the first release of a product that has the feature, "" for none.
func (f Feature) Since(p Product) string {
	if p == ProductForgejo {
		return f.Forgejo
	}
	return f.Gitea
}

// Features are all capabilities. Source of the releases: the routes and the
// runner protocol of each (routers/api/v1/api.go and routers/api/actions/runner
// in Gitea and Forgejo).
func Features() []Feature {
	return []Feature{
		{
			Capability: CanListJobs, What: "list queued and running jobs", Gitea: "1.25", Forgejo: "11",
			Cost:    "nobody tells which jobs wait",
			Instead: "workflow_job webhooks are counted (Gitea 1.24 with a webhook); without them each pool keeps a runner ready",
		},
		{
			Capability: CanNameRunners, What: "say which runner has which job", Gitea: "1.25",
			Cost:    "the server does not say which runner is busy",
			Instead: "the runners' logs are read",
		},
		{
			Capability: CanSendJobEvents, What: "send workflow_job webhooks", Gitea: "1.24",
			Cost:    "no event tells that a job waits",
			Instead: "the jobs are polled for; where they cannot be listed, any webhook is a sign that jobs may come",
		},
		{
			Capability: CanListRunners, What: "list runners", Gitea: "1.24", Forgejo: "15",
			Cost:    "what is left over at the server is not seen",
			Instead: "the runners' logs tell whether they are online",
		},
		{
			Capability: CanDeleteRunners, What: "delete runners", Gitea: "1.24", Forgejo: "15",
			Cost:    "runners that have ended stay in the server's list, as many as there were at a time",
			Instead: "their identities are used again; scaler corpses lists them with links",
		},
		{
			Capability: CanDisableRunners, What: "disable runners", Gitea: "1.26",
			Cost:    "a runner that missed a job is replaced, not woken; a job with an empty runs-on may come to one on its way out (not with Forgejo)",
			Instead: "a runner is withdrawn by its labels",
		},
		{
			Capability: CanEndRunners, What: "end ephemeral runners with their job", Gitea: "1.24", Forgejo: "15",
			Cost:    "the server would give an ephemeral runner a second job",
			Instead: "the runner ends itself after one job",
		},
		{
			Capability: CanCreateRunners, What: "make runners without a registration token", Forgejo: "15",
			Instead: "a registration token makes them",
		},
		{
			Capability: CanBindRunners, What: "bind a runner to one job", Forgejo: "15",
			Instead: "a runner that was started for one job may take another that fits",
		},
		{
			Capability: CanDeregister, What: "have a runner delete itself",
			Instead: "the API token deletes it",
		},
	}
}
