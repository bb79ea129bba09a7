package server

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// freeAttempts is how many wrong passwords cost no time.
	freeAttempts = 2
	firstDelay   = time.Second
	maxDelay     = 5 * time.Minute
	// forgetAfter is how long wrong passwords of an address are remembered.
	forgetAfter = time.Hour
	// maxAddresses bounds how many addresses are remembered.
	maxAddresses = 4096
	// parallelHashing is how many passwords are checked at once: it is work
	// that anybody can cause, and the daemon has other.
	parallelHashing = 2
)

// loginGuard makes whoever gives wrong passwords wait longer each time.
type loginGuard struct {
	mu      sync.Mutex
	strikes map[netip.Prefix]strike
}

// strike is what is remembered of an address.
type strike struct {
	count int
	last  time.Time
	until time.Time // nothing is accepted before
}

func newLoginGuard() *loginGuard {
	return &loginGuard{strikes: make(map[netip.Prefix]strike)}
}

// begin counts an attempt as failed and returns 0, or returns how long the
// address has to wait, and then counts nothing.
func (g *loginGuard) begin(addr netip.Addr) time.Duration {
	key, now := neighbourhood(addr), time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.strikes[key]
	if wait := s.until.Sub(now); wait > 0 {
		return wait
	}
	if now.Sub(s.last) >= forgetAfter {
		s = strike{}
	}
	g.makeRoom(key, now)
	s.count++
	s.last, s.until = now, now.Add(delay(s.count))
	g.strikes[key] = s
	return 0
}

// passed forgets what was counted against an address.
func (g *loginGuard) passed(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.strikes, neighbourhood(addr))
}

// makeRoom drops what has been forgotten and, if that is not enough, the
// address that was heard of the longest ago.
func (g *loginGuard) makeRoom(key netip.Prefix, now time.Time) {
	if _, known := g.strikes[key]; known || len(g.strikes) < maxAddresses {
		return
	}
	var oldest netip.Prefix
	var last time.Time
	for k, s := range g.strikes {
		switch {
		case now.Sub(s.last) >= forgetAfter:
			delete(g.strikes, k)
		case last.IsZero() || s.last.Before(last):
			oldest, last = k, s.last
		}
	}
	if len(g.strikes) >= maxAddresses {
		delete(g.strikes, oldest)
	}
}

// delay is the time to wait after so many wrong passwords.
func delay(count int) time.Duration {
	if count <= freeAttempts {
		return 0
	}
	return min(firstDelay<<min(count-freeAttempts-1, 20), maxDelay)
}

// neighbourhood is what counts as one address: of IPv6 a /64, of which one
// machine can have all.
func neighbourhood(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // zero for an address that is none
	return p
}
