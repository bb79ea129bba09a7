package pool

import (
	"regexp"
	"strconv"
	"time"
)

// What runners write into their logs at level info, the same in all releases of
// Gitea's runner since 0.2.6 and in Forgejo's up to 12 but for one letter:
// internal/app/cmd/daemon.go once the server has taken its labels, and
// internal/app/run/runner.go when it begins a task, which is a turn at a job.
var (
	onlineLine = regexp.MustCompile(`\brunner: .*, declared? successfully`)
	taskLine   = regexp.MustCompile(`\btask (\d+) repo is ([^\s"/]+/[^\s"]+)`)
	timeMark   = regexp.MustCompile(`\btime="([^"]+)"`)
)

// heard is what a runner has said in its log.
type heard struct {
	online bool // it said that it is
	task   task // the last one that it began; it has one at a time
}

// task is a runner's turn at a job.
type task struct {
	id   int64  // the server's number of it, 0 for none
	repo string // "owner/name"
	at   time.Time
}

// take takes a line of the log, read at some time, and reports whether it says
// something new. Lines may come again.
func (h *heard) take(line string, now time.Time) bool {
	if !h.online && onlineLine.MatchString(line) {
		h.online = true
		return true
	}
	found := taskLine.FindStringSubmatch(line)
	if found == nil {
		return false
	}
	id, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil || id <= h.task.id { // the server counts upwards
		return false
	}
	h.online, h.task = true, task{id: id, repo: found[2], at: writtenAt(line, now)}
	return true
}

// writtenAt is when a line was written, if it says so, and else when it was read.
func writtenAt(line string, read time.Time) time.Time {
	if mark := timeMark.FindStringSubmatch(line); mark != nil {
		if at, err := time.Parse(time.RFC3339, mark[1]); err == nil && at.Before(read) {
			return at
		}
	}
	return read
}
