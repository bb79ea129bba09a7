package gateway

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// wrongPerMinute is how many wrong secrets an address may send in a
	// minute, and at once, before it is told to wait.
	wrongPerMinute = 10
	// tellEvery is how often one reason of refusals from one address is
	// logged and audited.
	tellEvery = time.Minute
	// tellPerMinute and tellAtOnce bound the same over all addresses, so that
	// nobody can push what happened out of the audit log.
	tellPerMinute, tellAtOnce = 10, 60
	// most bounds each of the guard's tables.
	most = 4096
)

// guard counts what is refused. It never refuses a good secret: many runners
// can stand behind one address, and one of them may be misconfigured.
type guard struct {
	perToken int

	mu     sync.Mutex
	wrongs map[netip.Prefix]*rate.Limiter
	uses   map[string]*rate.Limiter // by token ID
	told   map[telling]*told
	pace   *rate.Limiter // of telling
}

// telling is what refusals are counted by.
type telling struct {
	from   netip.Prefix
	reason string
}

type told struct {
	at     time.Time
	silent int // refusals since then of which nothing was told
}

func newGuard(perToken int) *guard {
	return &guard{
		perToken: perToken,
		wrongs:   make(map[netip.Prefix]*rate.Limiter), uses: make(map[string]*rate.Limiter), told: make(map[telling]*told),
		pace: rate.NewLimiter(rate.Limit(tellPerMinute)/60, tellAtOnce),
	}
}

// sender is what counts as one address: in IPv6 a whole network, since
// everybody has one.
func sender(addr netip.Addr) netip.Prefix {
	bits := 64
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // the zero Prefix for an address that is not known
	return p
}

// wrong counts a wrong secret of an address. It returns how long the address
// is to wait before it tries again, 0 while it has been few.
func (g *guard) wrong(addr netip.Addr) time.Duration {
	now, from := time.Now(), sender(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	limiter := g.wrongs[from]
	if limiter == nil {
		for other, l := range g.wrongs {
			if len(g.wrongs) < most {
				break
			}
			if l.TokensAt(now) >= wrongPerMinute {
				delete(g.wrongs, other)
			}
		}
		if len(g.wrongs) >= most {
			return time.Minute
		}
		limiter = rate.NewLimiter(rate.Limit(wrongPerMinute)/60, wrongPerMinute)
		g.wrongs[from] = limiter
	}
	return take(limiter, now)
}

// use counts a registration by a token. It returns how long the token has to
// rest, 0 if the registration may go on.
func (g *guard) use(token string) time.Duration {
	if g.perToken <= 0 {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	limiter := g.uses[token]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Limit(g.perToken)/60, g.perToken)
		g.uses[token] = limiter
	}
	return take(limiter, time.Now())
}

// forget drops what was counted for a token that is no more.
func (g *guard) forget(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.uses, token)
}

// take takes a place, or returns when there will be one.
func take(l *rate.Limiter, now time.Time) time.Duration {
	r := l.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// tell reports whether a refusal is to be logged and audited, and how many
// like it were not since the last that was.
func (g *guard) tell(addr netip.Addr, reason string) (suppressed int, ok bool) {
	now, key := time.Now(), telling{sender(addr), reason}
	g.mu.Lock()
	defer g.mu.Unlock()
	last := g.told[key]
	if last == nil {
		for other, t := range g.told {
			if len(g.told) < most {
				break
			}
			if now.Sub(t.at) >= tellEvery {
				delete(g.told, other)
			}
		}
		if len(g.told) >= most {
			return 0, false
		}
		last = &told{at: now.Add(-tellEvery)}
		g.told[key] = last
	}
	if now.Sub(last.at) < tellEvery || !g.pace.AllowN(now, 1) {
		last.silent++
		return 0, false
	}
	suppressed, last.at, last.silent = last.silent, now, 0
	return suppressed, true
}
