package giteatest

import "time"

// Gitea's defaults, from its [actions] section and cron.stop_zombie_tasks.
// Endless and abandoned jobs have sweeps of their own there, each half an hour
// and each six hours; here one sweep does all.
const (
	zombieAfter    = 10 * time.Minute // running, without a report
	endlessAfter   = 3 * time.Hour    // running, with reports
	abandonedAfter = 24 * time.Hour   // queued or waiting
	sweepEvery     = 5 * time.Minute

	offlineAfter = time.Minute      // without a call of any kind
	idleAfter    = 10 * time.Second // without UpdateTask or UpdateLog

	// How old a contact must be to be replaced by a new one where they are
	// debounced.
	heartbeatInterval = 30 * time.Second
	activeInterval    = 5 * time.Second
)

// Sweep fails the jobs whose runner has not reported for ten minutes or that
// run for three hours, and cancels those that were queued or waiting for a
// day. None is ever queued again. The server sweeps by itself each five
// minutes.
func (s *Server) Sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
}

// sweepDue sweeps if it is time. The caller holds s.mu.
func (s *Server) sweepDue() {
	if s.opts.Now().Sub(s.swept) >= sweepEvery {
		s.sweep()
	}
}

// sweep does the work of Sweep. The caller holds s.mu.
func (s *Server) sweep() {
	now := s.opts.Now()
	s.swept = now
	for _, j := range s.db.jobs {
		switch {
		case j.done():
		case j.status == StatusInProgress:
			if now.Sub(j.reported) > zombieAfter || now.Sub(j.started) > endlessAfter {
				s.finish(j, StatusFailure)
			}
		case now.Sub(j.updated) > abandonedAfter:
			s.finish(j, StatusCancelled)
		}
	}
}

// online reports whether the runner has called within the last minute. A new
// runner is offline until its first call.
func (r *registered) online(now time.Time) bool {
	return now.Sub(r.lastOnline) <= offlineAfter
}

// busy is Gitea's own guess: the runner has reported on a task within the last
// ten seconds. It is false between the pick and the first report.
func (r *registered) busy(now time.Time) bool {
	return r.online(now) && now.Sub(r.lastActive) <= idleAfter
}
