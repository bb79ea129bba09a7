// Package host measures how loaded the machine is that the daemon runs on, and
// says when nothing new should start on it.
//
// Each value is read beside the caller, by a goroutine of its own, since a file
// system that does not answer blocks who asks it for its free space. The
// invariant that the package protects: Look never blocks, and what cannot be
// measured holds, with the reason, and is never taken for a good value.
package host

import (
	"context"
	"strings"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
)

// The pace of the readings. The kernel renews its averages every 2 s.
const (
	readEvery = time.Second
	// staleAfter is how old the last good reading may be.
	staleAfter = 10 * time.Second
	// firstWait is how long Start waits for what answers at all.
	firstWait = time.Second
)

// Limits are the values beyond which nothing new starts. 0 is no limit.
type Limits struct {
	// CPU, Memory and IO are percent of the last 10 s in which some task waited
	// for it: the line "some" of the kernel's pressure stall information.
	CPU, Memory, IO float64
	FreeMemory      int64 // bytes that are available without swapping
	// FreeDisk, in bytes, or FreeDiskPercent has to be free in the file system
	// of each of DiskPaths.
	FreeDisk        int64
	FreeDiskPercent float64
	DiskPaths       []string
}

// Config says what is measured.
type Config struct {
	Limits
	// Opened, if not nil, is called when a gate that held does not any more.
	Opened func()
}

// Monitor measures. Its methods are safe for concurrent use.
type Monitor struct {
	opened func()
	gates  []*gate
	mu     sync.Mutex // for the states of the gates
}

// New returns a Monitor that has measured nothing yet, or nil if there is no
// limit. It does no I/O.
func New(cfg Config) *Monitor { return newMonitor(cfg, system{proc: "/proc", statfs: statfs}) }

func newMonitor(cfg Config, s system) *Monitor {
	m := &Monitor{opened: cfg.Opened, gates: gatesOf(cfg.Limits, s)}
	if len(m.gates) == 0 {
		return nil
	}
	if m.opened == nil {
		m.opened = func() {}
	}
	return m
}

// Start begins to measure, until ctx ends, and waits a second at most for the
// first values.
func (m *Monitor) Start(ctx context.Context) {
	first := make(chan struct{}, len(m.gates))
	for _, g := range m.gates {
		go m.follow(ctx, g, first)
	}
	timer := time.NewTimer(firstWait)
	defer timer.Stop()
	for range m.gates {
		select {
		case <-first:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// follow reads one value again and again.
func (m *Monitor) follow(ctx context.Context, g *gate, first chan<- struct{}) {
	ticker := time.NewTicker(readEvery)
	defer ticker.Stop()
	m.measure(g)
	first <- struct{}{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.measure(g)
		}
	}
}

// measure reads one value and takes it over.
func (m *Monitor) measure(g *gate) {
	r, err := g.read()
	now := time.Now()
	m.mu.Lock()
	held := g.asked && g.why(now) != ""
	g.take(r, err, now)
	opened := held && g.why(now) == ""
	m.mu.Unlock()
	if opened {
		m.opened()
	}
}

// Look returns what is known at the moment. It does no I/O.
func (m *Monitor) Look(now time.Time) plan.HostStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := plan.HostStatus{Gates: make([]plan.HostGate, 0, len(m.gates))}
	var reasons []string
	for _, g := range m.gates {
		why := g.why(now)
		if why != "" {
			reasons = append(reasons, why)
		}
		status := plan.HostGate{Kind: g.kind, Path: g.path, Holds: why != ""}
		if g.known(now) {
			status.Known, status.Value, status.Limit = true, g.last.value, g.last.limit
		}
		s.Gates = append(s.Gates, status)
	}
	s.Hold = strings.Join(reasons, "; ")
	return s
}

// Unmeasurable says of each value that cannot be measured why, and what to do.
func (m *Monitor) Unmeasurable(now time.Time) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var reasons []string
	for _, g := range m.gates {
		if !g.known(now) {
			reasons = append(reasons, g.why(now))
		}
	}
	return reasons
}
