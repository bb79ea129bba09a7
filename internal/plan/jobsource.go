package plan

// JobSource is how the daemon learns which jobs wait for runners.
type JobSource string

// The ways, the best first.
const (
	// SourceList: the server lists the jobs that wait.
	SourceList JobSource = "list"
	// SourceEvents: a webhook tells what becomes of each job.
	SourceEvents JobSource = "events"
	// SourceNone: nothing tells. Each pool keeps a runner ahead of the jobs, and
	// starts the next as soon as that has taken one.
	SourceNone JobSource = "none"
)

// JobSource is the best way that a server offers. Events says whether the daemon has
// a webhook that the server can send them to.
func (c Capabilities) JobSource(events bool) JobSource {
	switch {
	case c.Jobs:
		return SourceList
	case c.JobEvents && events:
		return SourceEvents
	}
	return SourceNone
}

// Words says it in a few words.
func (s JobSource) Words() string {
	switch s {
	case SourceList:
		return "the server lists the jobs that wait"
	case SourceEvents:
		return "the server's events tell of the jobs"
	case SourceNone:
		return "the server does not tell which jobs wait, so runners are kept ahead of them"
	}
	return "not known yet"
}

// doubt says in sentences what it means for a job which is asked about that jobs
// are not listed, or nothing.
func (s JobSource) doubt() []string {
	switch s {
	case SourceEvents:
		return []string{"This server does not list its jobs: what is known of them is what its events have told."}
	case SourceNone:
		return []string{"This server does not tell which jobs wait: each pool keeps a runner ready, which takes the oldest job that it fits, and starts the next as soon as that has one."}
	}
	return nil
}

// keepAhead has a pool keep at least one runner ready where that is how its jobs
// are found.
func (p *Pool) keepAhead() {
	if p.Ahead != "" && p.Idle < 1 {
		p.Idle, p.IdleWhy = 1, p.Ahead
	}
}
