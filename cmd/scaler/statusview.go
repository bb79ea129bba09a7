package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

const (
	// maxQueueRows is how many queued jobs are shown to people.
	maxQueueRows = 20
	// maxName is how many characters of a job's name are shown.
	maxName = 32
	// maxHold is how many characters of the reason for a hold are shown; the
	// problem that is behind it is shown in full.
	maxHold = 60
	// maxWhy is the same for what becomes of a job.
	maxWhy = 160
	// ownNumbers stands for a pool outside all of its windows.
	ownNumbers = "the pool's own numbers"
	// textWidth is the width of lines of text where that of the reader's
	// window is unknown.
	textWidth = 100
)

// writeStatus writes a status for people, what is wrong first. Text is wrapped
// at the width, tables are not.
func writeStatus(b *bytes.Buffer, s plan.Status, now time.Time, width int) {
	writeHead(b, s, now)
	writeServers(b, s, width)
	writeProblems(b, s, now, width)
	writeHost(b, s.Host)
	writeServerLoops(b, s, now)
	writeBudgets(b, s.Budgets)
	writePeers(b, s.Peers, now)
	writePools(b, s.Pools, unlimited)
	writePauses(b, s)
	writeSchedules(b, s.Pools, now)
	writeReady(b, s.Pools)
	section(b, "RUNNERS (%d)", len(s.Runners))
	writeRunners(b, s.Runners, now, unlimited)
	writeOutdated(b, s.Runners)
	writeQueue(b, s.Queue, max(s.QueueSize, len(s.Queue)), now, unlimited)
}

// writeHead says which daemon it is.
func writeHead(b *bytes.Buffer, s plan.Status, now time.Time) {
	fmt.Fprintf(b, "scaler %s, instance %s", s.Version, s.Instance)
	if !s.StartedAt.IsZero() {
		fmt.Fprintf(b, ", up %s", age(now.Sub(s.StartedAt)))
	}
	if s.CycleAt.IsZero() {
		fmt.Fprintln(b, ", no cycle yet")
	} else {
		fmt.Fprintf(b, ", cycle %d %s ago\n", s.Cycle, age(now.Sub(s.CycleAt)))
	}
	if s.Shutdown {
		fmt.Fprintln(b, "It is shutting down and starts no more runners.")
	}
}

// writeServers says which server it works for, and what that lacks.
func writeServers(b *bytes.Buffer, s plan.Status, width int) {
	for _, k := range s.KnownServers() {
		head := "Server: "
		if k.Name != "" {
			head = "Server " + k.Name + ": "
		}
		wrap(b, head, clean(k.Summary()), width)
	}
}

func writeProblems(b *bytes.Buffer, s plan.Status, now time.Time, width int) {
	var lines []string
	if s.Stale(now) {
		lines = append(lines, fmt.Sprintf("scaler: no cycle for %s, so what follows is old: look at the daemon's log", age(now.Sub(s.CycleAt))))
	}
	for _, p := range s.Problems {
		lines = append(lines, fmt.Sprintf("%s%s, for %s: %s", ofServer(p.Server), clean(p.Subject), age(now.Sub(p.Since)), clean(p.Message)))
	}
	if len(lines) == 0 {
		section(b, "No problems.")
		return
	}
	section(b, "PROBLEMS (%d)", len(lines))
	for _, line := range lines {
		wrap(b, "  ! ", line, width)
	}
}

// writePools writes a table of pools, without what the width has no room for.
func writePools(b *bytes.Buffer, pools []plan.PoolStatus, width int) {
	section(b, "POOLS (%d)", len(pools))
	standby := slices.ContainsFunc(pools, func(p plan.PoolStatus) bool { return p.Standby > 0 })
	rows := [][]string{{"NAME", "SCOPE", "WAITING", "STARTING", "IDLE", "BUSY", "LEAVING", "MAX", "ON HOLD"}}
	for _, p := range pools {
		rows = append(rows, []string{p.Name, p.Scope, strconv.Itoa(p.Waiting), strconv.Itoa(p.Starting), strconv.Itoa(p.Idle),
			strconv.Itoa(p.Busy), strconv.Itoa(p.Leaving), strconv.Itoa(p.Max), orDash(cut(clean(p.Hold), maxHold))})
	}
	if standby {
		rows[0] = slices.Insert(rows[0], 3, "STANDBY")
		for i, p := range pools {
			rows[i+1] = slices.Insert(rows[i+1], 3, strconv.Itoa(p.Standby))
		}
	}
	rows = withServers(rows, 1, func(i int) string { return pools[i].Server })
	fitTable(b, rows, width, "SCOPE", "LEAVING", "MAX", "STARTING", "STANDBY", "IDLE", "SERVER")
}

// writePauses writes what people have paused or drained. It writes nothing if there
// is none.
func writePauses(b *bytes.Buffer, s plan.Status) {
	rows := [][]string{{"WHAT", "NAME", "BY", "SINCE", "REASON"}}
	add := func(what, name string, p *plan.Pause) {
		if p != nil {
			rows = append(rows, []string{what, name, clean(p.By), clock(p.Since), orDash(clean(p.Reason))})
		}
	}
	for _, p := range s.Pools {
		what := "paused pool"
		if p.Paused != nil && p.Paused.Drain {
			what = "drained pool"
		}
		add(what, p.Name, p.Paused)
	}
	for _, r := range s.Runners {
		add("drained runner", r.Name, r.Leave)
	}
	if len(rows) > 1 {
		section(b, "PAUSED AND DRAINED (%d)", len(rows)-1)
		table(b, rows)
	}
}

// writeReady writes how many runners the pools keep ready that choose that by
// themselves, and why. It writes nothing where there are none.
func writeReady(b *bytes.Buffer, pools []plan.PoolStatus) {
	rows := [][]string{{"POOL", "KEEPS", "HAS", "WHY"}}
	for _, p := range pools {
		if p.IdleWhy != "" {
			rows = append(rows, []string{p.Name, strconv.Itoa(p.IdleWant), strconv.Itoa(p.Idle), clean(p.IdleWhy)})
		}
	}
	if len(rows) > 1 {
		section(b, "READY RUNNERS (%d)", len(rows)-1)
		table(b, rows)
	}
}

// writeSchedules writes which window holds in each pool that has any, and what
// comes next. It writes nothing where there are none.
func writeSchedules(b *bytes.Buffer, pools []plan.PoolStatus, now time.Time) {
	rows := [][]string{{"POOL", "NOW", "UNTIL", "IN", "THEN"}}
	for _, p := range pools {
		if p.Window == "" && p.NextChange.IsZero() {
			continue
		}
		until, in, then := "", "", ""
		if !p.NextChange.IsZero() {
			until, in = p.NextChange.Format("2006-01-02 15:04 MST"), age(p.NextChange.Sub(now))
			then = cmp.Or(p.NextWindow, ownNumbers)
		}
		rows = append(rows, []string{p.Name, clean(cmp.Or(p.Window, ownNumbers)), orDash(until), orDash(in), orDash(clean(then))})
	}
	if len(rows) > 1 {
		section(b, "SCHEDULES (%d)", len(rows)-1)
		table(b, rows)
	}
}

// writeRunners writes a table of runners, without what the width has no room for.
// The last column says what led to the phase, or else why the runner was made.
func writeRunners(b *bytes.Buffer, runners []plan.RunnerStatus, now time.Time, width int) {
	if len(runners) == 0 {
		return
	}
	rows := [][]string{{"NAME", "POOL", "PHASE", "FOR", "JOB", "WHY"}}
	for _, r := range runners {
		rows = append(rows, []string{shortName(r.Name, width), r.Pool, string(r.Phase), age(now.Sub(r.Since)), jobID(r.Job),
			orDash(clean(cmp.Or(r.Note, r.Reason)))})
	}
	rows = withServers(rows, 1, func(i int) string { return runners[i].Server })
	fitTable(b, rows, width, "SERVER", "POOL", "JOB", "WHY")
}

// writeOutdated writes which runners are to be replaced, and why. It writes
// nothing if there are none.
func writeOutdated(b *bytes.Buffer, runners []plan.RunnerStatus) {
	rows := [][]string{{"NAME", "POOL", "WHY"}}
	for _, r := range runners {
		if r.Outdated != "" {
			rows = append(rows, []string{r.Name, r.Pool, clean(r.Outdated)})
		}
	}
	if len(rows) > 1 {
		section(b, "TO BE REPLACED (%d)", len(rows)-1)
		table(b, rows)
	}
}

// writeQueue writes the queued jobs, those that no pool serves first. The
// server has total jobs, of which some may not have been read.
func writeQueue(b *bytes.Buffer, queue []plan.JobDecision, total int, now time.Time, width int) {
	sorted := slices.Clone(queue)
	slices.SortStableFunc(sorted, func(x, y plan.JobDecision) int { return cmp.Compare(served(x), served(y)) })
	unserved := 0
	for unserved < len(sorted) && served(sorted[unserved]) == 0 {
		unserved++
	}
	title := fmt.Sprintf("QUEUE (%d", total)
	if unserved > 0 {
		title += fmt.Sprintf(", %d unserved", unserved)
	}
	section(b, "%s)", title)
	shown := sorted[:min(len(sorted), maxQueueRows)]
	rows := [][]string{{"JOB", "REPO", "NAME", "RUNS-ON", "WAITS", "POOL", "WHY"}}
	first := make(map[string]string) // the job at which a reason is shown
	for _, j := range shown {
		whole := j.Why()
		why := cut(clean(whole), maxWhy)
		if id, known := first[whole]; known && len(whole) > maxName {
			why = "as for job " + id
		} else {
			first[whole] = jobID(j.ID)
			if j.Server != "" {
				first[whole] += " of " + j.Server
			}
		}
		rows = append(rows, []string{jobID(j.ID), clean(j.Repo), orDash(cut(clean(j.Name), maxName)), orDash(clean(strings.Join(j.Labels, ", "))),
			age(now.Sub(j.QueuedAt)), orDash(j.Pool), why})
	}
	if len(shown) > 0 {
		rows = withServers(rows, 1, func(i int) string { return shown[i].Server })
		fitTable(b, rows, width, "NAME", "RUNS-ON", "POOL", "REPO", "SERVER")
	}
	if more := total - len(shown); more > 0 {
		fmt.Fprintf(b, "  … and %d more\n", more)
	}
	if unserved > 0 {
		fmt.Fprintf(b, "scaler explain JOB says more, pool by pool.\n")
	}
}

// served is 1 for a job for which there is or will be a runner, else 0.
func served(j plan.JobDecision) int { return min(len(j.Pool), 1) }

func jobID(id int64) string {
	if id == 0 {
		return "-"
	}
	return strconv.FormatInt(id, 10)
}
