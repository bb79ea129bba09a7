package pool

import "time"

// Announce tells that an event of the server has named a job, 0 for none, and
// asks for a cycle now. Any number of calls before it begins make one.
func (m *Manager) Announce(job int64) {
	m.announced.mu.Lock()
	m.announced.jobs = append(m.announced.jobs, job)
	m.announced.mu.Unlock()
	m.Trigger()
}

// hear takes note of what a trigger means for the pace.
func (m *Manager) hear(now time.Time) {
	m.announced.mu.Lock()
	jobs := m.announced.jobs
	m.announced.jobs = nil
	m.announced.mu.Unlock()
	m.pace.happens(now)
	for _, job := range jobs {
		m.pace.announced(job, now)
	}
}
