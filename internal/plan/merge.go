package plan

import (
	"cmp"
	"slices"
	"time"
)

// ServerStatus is how one of several servers fares.
type ServerStatus struct {
	Name     string `json:"name"`
	Instance string `json:"instance"` // the id that its runners carry
	// Cycle, CycleAt and DueAt are those of its own loop; CycleAt is zero before its
	// first cycle is done.
	Cycle        uint64        `json:"cycle"`
	CycleAt      time.Time     `json:"cycle_at,omitzero"`
	DueAt        time.Time     `json:"due_at,omitzero"`
	PollEvery    time.Duration `json:"poll_every"` // nanoseconds
	EventsArrive bool          `json:"events_arrive"`
	QueueSize    int           `json:"queue_length"`
	// Working is set while its jobs can be read and its records be written.
	Working bool `json:"working"`
	// Capabilities are what it can do, nil before that was found.
	Capabilities *Capabilities `json:"capabilities,omitempty"`
}

// Part is the status of one of several servers.
type Part struct {
	Server string
	Status Status
}

// Merge puts the status of several servers together, in their order. What is of
// one of them carries its name; what is the same for all of them, since they share
// an engine and a machine, is told once. The cycle is that of the loop that has
// looked longest ago, since what it shows may be as old.
func Merge(parts []Part) Status {
	s := Status{Problems: []Problem{}, Budgets: []Budget{}, Pools: []PoolStatus{}, Runners: []RunnerStatus{}, Queue: []JobDecision{}, EventsArrive: true}
	for i, p := range parts {
		q := p.Status
		if i == 0 {
			s.Version, s.Instance, s.Config = q.Version, q.Instance, q.Config
		}
		s.StartedAt, s.DueAt = earliest(s.StartedAt, q.StartedAt), earliest(s.DueAt, q.DueAt)
		s.CycleAt, s.Cycle = earliest(s.CycleAt, q.CycleAt), s.Cycle+q.Cycle
		s.Shutdown, s.EventsArrive = s.Shutdown || q.Shutdown, s.EventsArrive && q.EventsArrive
		if q.PollEvery > 0 && (s.PollEvery == 0 || q.PollEvery < s.PollEvery) {
			s.PollEvery = q.PollEvery
		}
		if s.Host == nil {
			s.Host = q.Host
		}
		s.QueueSize += q.QueueSize
		s.Peers = mergePeers(s.Peers, q.Peers)
		s.Servers = append(s.Servers, p.serverStatus())
		s.add(p.Server, q)
	}
	slices.SortStableFunc(s.Queue, func(a, b JobDecision) int { return a.QueuedAt.Compare(b.QueuedAt) })
	slices.SortStableFunc(s.Problems, func(a, b Problem) int { return cmp.Compare(a.Subject, b.Subject) })
	return s
}

// add takes in what is of one server.
func (s *Status) add(server string, q Status) {
	for _, p := range q.Problems {
		s.addProblem(server, p)
	}
	for _, b := range q.Budgets {
		b.Server = server
		s.Budgets = append(s.Budgets, b)
	}
	for _, p := range q.Pools {
		p.Server = server
		s.Pools = append(s.Pools, p)
	}
	for _, r := range q.Runners {
		r.Server = server
		s.Runners = append(s.Runners, r)
	}
	for _, c := range q.Corpses {
		c.Server = server
		s.Corpses = append(s.Corpses, c)
	}
	for _, j := range q.Queue {
		j.Server = server
		s.Queue = append(s.Queue, j)
	}
}

// addProblem takes in a problem of one server. What all of them share is told once,
// since it began.
func (s *Status) addProblem(server string, p Problem) {
	switch p.Subject {
	case SubjectDocker, SubjectHost, SubjectReserve, SubjectConfig:
		for i := range s.Problems {
			if known := &s.Problems[i]; known.Subject == p.Subject {
				known.Since = earliest(known.Since, p.Since)
				return
			}
		}
	default:
		p.Server = server
	}
	s.Problems = append(s.Problems, p)
}

// serverStatus says how the server fares.
func (p Part) serverStatus() ServerStatus {
	q := p.Status
	_, gitea, state, _ := q.sorted()
	return ServerStatus{
		Name: p.Server, Instance: q.Instance, Cycle: q.Cycle, CycleAt: q.CycleAt, DueAt: q.DueAt, PollEvery: q.PollEvery,
		EventsArrive: q.EventsArrive, QueueSize: q.QueueSize, Working: !q.CycleAt.IsZero() && len(gitea)+len(state) == 0, Capabilities: q.Capabilities,
	}
}

// mergePeers puts the lists of the daemons together that share the jobs. One of
// them is behind as long as it is for any server.
func mergePeers(a, b []PeerStatus) []PeerStatus {
	if a == nil {
		return slices.Clone(b)
	}
	for _, p := range b {
		if i := slices.IndexFunc(a, func(q PeerStatus) bool { return q.Name == p.Name }); i >= 0 {
			a[i].BehindUntil = later(a[i].BehindUntil, p.BehindUntil)
		}
	}
	return a
}

// earliest is the earlier of two times, of which a zero one is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
