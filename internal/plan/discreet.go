package plan

import "strings"

// LogMark stands in a text before lines of a container's log. What comes after
// it may all be from there.
const LogMark = ", last log lines: "

// WithoutLog is a text for those who may not read logs, in which a job's output
// may be.
func WithoutLog(text string) string {
	before, _, has := strings.Cut(text, LogMark)
	if !has {
		return text
	}
	return before + " (its log is for those who are logged in)"
}

// WithoutLog is the explanation for those who may not read logs. It shares what
// is the same in both.
func (e Explanation) WithoutLog() Explanation {
	e.Job.Reason = WithoutLog(e.Job.Reason)
	summary, pools := make([]string, len(e.Summary)), make([]PoolAnswer, len(e.Pools))
	for i, line := range e.Summary {
		summary[i] = WithoutLog(line)
	}
	for i, p := range e.Pools {
		p.Obstacles = append([]Obstacle{}, p.Obstacles...)
		for k := range p.Obstacles {
			p.Obstacles[k].Reason = WithoutLog(p.Obstacles[k].Reason)
		}
		pools[i] = p
	}
	e.Summary, e.Pools = summary, pools
	return e
}

// WithoutLog is the state for those who may not read logs. It shares what is the
// same in both.
func (s Status) WithoutLog() Status {
	held := false
	pools, problems := make([]PoolStatus, len(s.Pools)), make([]Problem, len(s.Problems))
	for i, p := range s.Pools {
		held = held || strings.Contains(p.Hold, LogMark)
		p.Hold = WithoutLog(p.Hold)
		pools[i] = p
	}
	for i, p := range s.Problems {
		p.Message = WithoutLog(p.Message)
		problems[i] = p
	}
	s.Pools, s.Problems = pools, problems
	runners := make([]RunnerStatus, len(s.Runners))
	for i, r := range s.Runners {
		r.Note = WithoutLog(r.Note)
		runners[i] = r
		for k, step := range r.History {
			if strings.Contains(step.Note, LogMark) {
				history := append([]Step{}, runners[i].History...)
				history[k].Note = WithoutLog(step.Note)
				runners[i].History = history
			}
		}
	}
	s.Runners = runners
	if !held { // jobs wait for what holds the pools
		return s
	}
	queue := make([]JobDecision, len(s.Queue))
	for i, j := range s.Queue {
		j.Reason = WithoutLog(j.Reason)
		queue[i] = j
	}
	s.Queue = queue
	return s
}
