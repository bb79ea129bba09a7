// Package doctor runs checks side by side, each within its own deadline, and
// keeps what they found in the order in which they were given.
//
// The invariant that it protects: each check has an answer. One that does not
// come to its end in time has failed, one whose ground has failed is left out,
// and both say so; none is ever silently missing.
package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Result is what was found of one thing.
type Result string

// The results. Only ResultFailed means that something does not work.
const (
	ResultOK      Result = "ok"
	ResultWarning Result = "warning" // it works, and something is to be known of it
	ResultFailed  Result = "failed"
	ResultSkipped Result = "skipped" // it could not be tried, or there is nothing to try
)

// Finding is what was found of one thing.
type Finding struct {
	Check   string        `json:"check"`   // id of the check that found it
	Group   string        `json:"group"`   // heading that it belongs under
	Subject string        `json:"subject"` // what it is about
	Result  Result        `json:"result"`
	Detail  string        `json:"detail"`
	Remedy  string        `json:"remedy,omitempty"` // what the reader can do
	Took    time.Duration `json:"-"`
	TookMS  int64         `json:"took_ms"`
}

// Check is one thing to be looked at. It may find several things.
type Check struct {
	ID      string
	Group   string
	Subject string // for when it does not come to say anything
	// Needs are ids of checks that come before it. If one of them has failed,
	// or was left out for such a reason, this one is left out.
	Needs   []string
	Timeout time.Duration
	Run     func(ctx context.Context, r *Report)
}

// parallel is how many checks run at the same time.
const parallel = 8

// grace is how much longer than its deadline a check may take to say what the
// deadline has cut short.
const grace = time.Second

// Run runs the checks and returns what they found, in their order. It calls
// show, if not nil, with the findings of each check once those of all before
// it are known. A check whose Needs are not among those before it is a fault
// of the program.
func Run(ctx context.Context, checks []Check, show func([]Finding)) []Finding {
	turns := make(chan struct{}, parallel)
	course := make(map[string]*outcome, len(checks))
	for _, c := range checks {
		o := &outcome{done: make(chan struct{})}
		needs := make([]*outcome, len(c.Needs))
		for i, id := range c.Needs {
			if needs[i] = course[id]; needs[i] == nil {
				panic(fmt.Sprintf("check %s needs %s, which is not before it", c.ID, id))
			}
		}
		course[c.ID] = o
		go func() {
			defer close(o.done)
			o.findings, o.broken = c.answer(ctx, needs, turns)
		}()
	}
	var all []Finding
	for _, c := range checks {
		o := course[c.ID]
		<-o.done
		if show != nil {
			show(o.findings)
		}
		all = append(all, o.findings...)
	}
	return all
}

// outcome is what has become of a check.
type outcome struct {
	done     chan struct{}
	findings []Finding
	broken   string // why what needs it is left out; empty if it is not
}

// answer waits for what the check needs and runs it.
func (c Check) answer(ctx context.Context, needs []*outcome, turns chan struct{}) (found []Finding, broken string) {
	for _, n := range needs {
		<-n.done
	}
	for _, n := range needs {
		if n.broken != "" {
			r := c.report()
			r.Skip(c.Subject, "%s", n.broken)
			return r.take(), n.broken
		}
	}
	turns <- struct{}{}
	defer func() { <-turns }()
	found = c.run(ctx)
	for _, f := range found {
		if f.Result == ResultFailed {
			return found, "not tried, since this has failed: " + f.Subject
		}
	}
	return found, ""
}

// run runs the check. One that does not heed its deadline is left to itself.
func (c Check) run(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	r := c.report()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run(ctx, r)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		select {
		case <-ended:
		case <-time.After(grace):
			r.late(ctx, c)
		}
	}
	return r.take()
}

func (c Check) report() *Report {
	return &Report{check: c.ID, group: c.Group, last: time.Now()}
}

// Report takes what a check finds. Its methods may be called concurrently;
// after the check's time is up they do nothing.
type Report struct {
	check, group string

	mu       sync.Mutex
	last     time.Time // when the thing before was found
	closed   bool
	findings []Finding
}

// OK says that the subject is as it should be.
func (r *Report) OK(subject, format string, args ...any) {
	r.add(subject, ResultOK, fmt.Sprintf(format, args...), "")
}

// Warn says what is to be known of a subject that works, and what can be done.
func (r *Report) Warn(subject, detail, remedy string) { r.add(subject, ResultWarning, detail, remedy) }

// Fail says what is wrong, and what the reader can do.
func (r *Report) Fail(subject, detail, remedy string) { r.add(subject, ResultFailed, detail, remedy) }

// Skip says why the subject was not tried.
func (r *Report) Skip(subject, format string, args ...any) {
	r.add(subject, ResultSkipped, fmt.Sprintf(format, args...), "")
}

// Failed reports whether something has failed so far.
func (r *Report) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.has(ResultFailed)
}

func (r *Report) has(result Result) bool {
	for _, f := range r.findings {
		if f.Result == result {
			return true
		}
	}
	return false
}

func (r *Report) add(subject string, result Result, detail, remedy string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	now := time.Now()
	took := now.Sub(r.last)
	r.last = now
	r.findings = append(r.findings, Finding{
		Check: r.check, Group: r.group, Subject: subject, Result: result, Detail: detail, Remedy: remedy, Took: took, TookMS: took.Milliseconds(),
	})
}

// late notes that a check has not come to its end.
func (r *Report) late(ctx context.Context, c Check) {
	if context.Cause(ctx) == context.DeadlineExceeded {
		r.Fail(c.Subject, fmt.Sprintf("no answer within %s", c.Timeout), "find out what holds it up, such as a file system or a host that does not answer, and repeat this")
		return
	}
	r.Skip(c.Subject, "interrupted")
}

// take ends the report.
func (r *Report) take() []Finding {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.findings
}

// Count returns how many findings have the result.
func Count(list []Finding, result Result) (n int) {
	for _, f := range list {
		if f.Result == result {
			n++
		}
	}
	return n
}
