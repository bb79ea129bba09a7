package notify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// singly is how many jobs of a pool are told one by one. More become one event.
const singly = 3

// forgetJob is how long a job is remembered that is not seen waiting any more:
// the list can be short of it for a while, such as when it could not be read.
const forgetJob = time.Hour

// waiting has the jobs that wait. The server says only when a job was made,
// which can be long before it could have been run; so what counts is since when
// it is seen to wait here.
type waiting map[string]seenJob // by jobName

// jobName tells jobs apart. Each of several servers counts its own.
func jobName(j plan.JobDecision) string {
	id := strconv.FormatInt(j.ID, 10)
	if j.Server == "" {
		return id
	}
	return j.Server + "/" + id
}

type seenJob struct{ since, last time.Time }

func newWaiting() waiting { return make(waiting) }

// see takes note of the jobs that wait now.
func (w waiting) see(queue []plan.JobDecision, now time.Time) {
	for _, j := range queue {
		seen, known := w[jobName(j)]
		if !known {
			seen.since = now
		}
		seen.last = now
		w[jobName(j)] = seen
	}
	for id, seen := range w {
		if now.Sub(seen.last) > forgetJob {
			delete(w, id)
		}
	}
}

// overdue tells each target of the jobs that have waited for longer than it
// allows, each once, and the journal of those that some target is told of.
func (n *Notifier) overdue(s plan.Status, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting.see(s.Queue, now)
	var strictest *Target
	for _, t := range n.targets {
		cfg := t.settings()
		if !slices.Contains(cfg.Events, plan.EventJobOverdue) {
			continue
		}
		for _, e := range n.late(cfg, s.Queue, now) {
			if lost := t.add(e, now); lost > 0 {
				n.drop(t, lost)
			}
		}
		if strictest == nil || cfg.OverdueAfter < strictest.OverdueAfter {
			strictest = cfg
		}
	}
	if strictest == nil {
		return
	}
	for _, e := range n.late(&Target{Name: ofJournal, OverdueAfter: strictest.OverdueAfter}, s.Queue, now) {
		n.cfg.Events.Add(e)
	}
}

// ofJournal is under what is remembered what the journal was told. No target
// has this name.
const ofJournal = ""

// late returns the events for the jobs that a target has not been told of.
func (n *Notifier) late(cfg *Target, queue []plan.JobDecision, now time.Time) (events []plan.Event) {
	n.told.keepJobs(cfg.Name, func(job string) bool { _, seen := n.waiting[job]; return seen }, now)
	var pools []string
	byPool := make(map[string][]plan.JobDecision)
	for _, j := range queue {
		if now.Sub(n.waiting[jobName(j)].since) < cfg.OverdueAfter || !cfg.concerns(plan.Event{Pool: j.Pool}) || !n.told.firstJob(cfg.Name, jobName(j), now) {
			continue
		}
		if byPool[j.Pool] == nil {
			pools = append(pools, j.Pool)
		}
		byPool[j.Pool] = append(byPool[j.Pool], j)
	}
	for _, pool := range pools {
		jobs := byPool[pool]
		if len(jobs) > singly {
			events = append(events, n.lateTogether(cfg, pool, jobs, now))
			continue
		}
		for _, j := range jobs {
			events = append(events, plan.Event{
				Kind: plan.EventJobOverdue, Server: j.Server, At: now, Pool: pool, Job: j.ID, Repo: j.Repo,
				Text: fmt.Sprintf("for %s: %s", n.waited(j, now), j.Why()),
			})
		}
	}
	return events
}

// lateTogether says of many jobs what the oldest waits for.
func (n *Notifier) lateTogether(cfg *Target, pool string, jobs []plan.JobDecision, now time.Time) plan.Event {
	oldest := slices.MinFunc(jobs, func(a, b plan.JobDecision) int {
		return n.waiting[jobName(a)].since.Compare(n.waiting[jobName(b)].since)
	})
	return plan.Event{
		Kind: plan.EventJobOverdue, At: now, Pool: pool,
		Text: fmt.Sprintf("%d jobs for more than %s; job %d of %s for %s: %s", len(jobs), short(cfg.OverdueAfter), oldest.ID, oldest.Repo, n.waited(oldest, now), oldest.Why()),
	}
}

func (n *Notifier) waited(j plan.JobDecision, now time.Time) string {
	return short(now.Sub(n.waiting[jobName(j)].since))
}

// short prints a duration without zeros at its end.
func short(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
