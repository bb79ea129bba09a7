package plan

import (
	"fmt"
	"strings"
	"time"
)

// LoopBound is how much later than it is due the loop may turn. A cycle looks
// around for half a minute at most and clears up for two, however slow all that
// it asks is; what takes longer hangs.
const LoopBound = 3 * time.Minute

// staleAfter is how late the loop must be for something to be wrong: no request of
// a cycle may take that long.
const staleAfter = time.Minute

// Stale reports whether what the status says is old. Where cycles are rare by the
// configuration, an old one alone does not mean that.
func (s Status) Stale(now time.Time) bool {
	return !s.CycleAt.IsZero() && now.Sub(later(s.CycleAt, s.DueAt)) > staleAfter
}

// Health is whether the daemon lives, and whether it can do its work. It says
// neither names nor what a server has answered, so that anybody may read it.
type Health struct {
	// Alive is false if the loop does not turn any more, which a restart may
	// mend.
	Alive bool `json:"alive"`
	// Summary says in one line what goes on.
	Summary string `json:"summary"`
	// Ready is true if all of the checks are good; with several servers, also if
	// all of the work can be done for some of them, and not for others. Degraded
	// says that it is so.
	Ready    bool    `json:"ready"`
	Degraded bool    `json:"degraded,omitempty"`
	Checks   []Check `json:"checks"`
	// Others is how many problems there are that no check is about. They keep
	// some of the work from being done.
	Others int `json:"other_problems"`
}

// Check is one thing that is needed for all of the work.
type Check struct {
	Name   string `json:"name"` // loop, first_cycle, docker, gitea, state or running
	Good   bool   `json:"good"`
	Reason string `json:"reason,omitempty"` // what is wrong
}

// Health is what the status means at a moment. That the configuration file is
// faulty keeps no work from being done, since the last good one holds.
func (s Status) Health(now time.Time) Health {
	late := ""
	if over := now.Sub(s.DueAt); !s.DueAt.IsZero() && over >= LoopBound {
		late = "the loop was to turn " + short(over) + " ago and has not"
	}
	starting, running := "", ""
	if s.CycleAt.IsZero() {
		starting = "the first cycle is not done yet"
	}
	if s.Shutdown {
		running = "the daemon drains to end and starts nothing"
	}
	if waits := s.count(func(q ServerStatus) bool { return q.CycleAt.IsZero() }); waits > 0 && starting == "" {
		starting = fmt.Sprintf("the first cycle is not done yet for %d of %d servers", waits, len(s.Servers))
	}
	docker, gitea, state, others := s.sorted()
	h := Health{Summary: s.summary(), Others: others, Ready: true, Checks: []Check{
		{Name: "loop", Reason: late},
		{Name: "first_cycle", Reason: starting},
		{Name: "docker", Reason: trouble(docker, "Docker cannot be asked")},
		{Name: "gitea", Reason: trouble(gitea, "Gitea cannot be asked for "+scopes(len(gitea))+s.ofServers(gitea))},
		{Name: "state", Reason: trouble(state, "the state cannot be written")},
		{Name: "running", Reason: running},
	}}
	for i := range h.Checks {
		h.Checks[i].Good = h.Checks[i].Reason == ""
		h.Ready = h.Ready && h.Checks[i].Good
	}
	h.Alive = h.Checks[0].Good
	works := s.count(func(q ServerStatus) bool { return q.Working }) > 0
	h.Degraded = !h.Ready && works && h.Alive && len(docker) == 0 && running == ""
	h.Ready = h.Ready || h.Degraded
	return h
}

// count counts servers, where there are several.
func (s Status) count(is func(ServerStatus) bool) int {
	n := 0
	for _, q := range s.Servers {
		if is(q) {
			n++
		}
	}
	return n
}

// ofServers says of how many servers problems are, where there are several.
func (s Status) ofServers(problems []Problem) string {
	if len(s.Servers) == 0 {
		return ""
	}
	servers := make(map[string]bool)
	for _, p := range problems {
		servers[p.Server] = true
	}
	return fmt.Sprintf(" at %d of %d servers", len(servers), len(s.Servers))
}

// Line says in one line what goes on and what is wrong.
func (h Health) Line() string {
	line := h.Summary
	if wrong := h.Reasons(); wrong != "" {
		line += "; " + wrong
	}
	if h.Others > 0 {
		line += "; " + plural(h.Others, "other problem", "other problems") + ", see scaler status"
	}
	return line
}

// Reasons joins what is wrong, empty if all is well.
func (h Health) Reasons() string {
	var all []string
	for _, c := range h.Checks {
		if !c.Good {
			all = append(all, c.Reason)
		}
	}
	return strings.Join(all, "; ")
}

// sorted has the problems by what they keep from being done. Before the first
// cycle there is one that says just that.
func (s Status) sorted() (docker, gitea, state []Problem, others int) {
	for _, p := range s.Problems {
		switch {
		case p.Subject == SubjectDocker:
			docker = append(docker, p)
		case strings.HasPrefix(p.Subject, SubjectGitea):
			gitea = append(gitea, p)
		case p.Subject == SubjectState:
			state = append(state, p)
		case !s.CycleAt.IsZero():
			others++
		}
	}
	return docker, gitea, state, others
}

// trouble says what cannot be done, and since when.
func trouble(problems []Problem, what string) string {
	if len(problems) == 0 {
		return ""
	}
	since := problems[0].Since
	for _, p := range problems[1:] {
		if p.Since.Before(since) {
			since = p.Since
		}
	}
	return what + ", since " + since.UTC().Format("15:04:05 MST")
}

func scopes(n int) string {
	if n == 1 {
		return "the jobs of one scope"
	}
	return fmt.Sprintf("the jobs of %d scopes", n)
}

func (s Status) summary() string {
	if s.CycleAt.IsZero() {
		return "starting"
	}
	busy, all := 0, 0
	for _, p := range s.Pools {
		busy += p.Busy
		all += p.Starting + p.Idle + p.Busy + p.Leaving
	}
	return fmt.Sprintf("%s, %d of %s busy", plural(s.QueueSize, "job waits", "jobs wait"), busy, plural(all, "runner", "runners"))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
