package gateway

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestGuardSlowsWrongSecretsOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(0)
		for i := range wrongPerMinute {
			if wait := g.wrong(somehost); wait != 0 {
				t.Fatalf("wrong secret %d has to wait %s", i+1, wait)
			}
		}
		if wait := g.wrong(somehost); wait <= 0 || wait > 6*time.Second {
			t.Errorf("one too many has to wait %s, want up to 6s", wait)
		}
		if wait := g.wrong(netip.MustParseAddr("10.1.2.4")); wait != 0 {
			t.Errorf("another address has to wait %s", wait)
		}
		if g.wrong(netip.MustParseAddr("::ffff:10.1.2.3")) == 0 {
			t.Error("the same address within IPv6 counts as another")
		}
		wait(time.Minute)
		if wait := g.wrong(somehost); wait != 0 {
			t.Errorf("a minute later it has to wait %s", wait)
		}
		for range wrongPerMinute {
			g.wrong(netip.MustParseAddr("2001:db8::1"))
		}
		if g.wrong(netip.MustParseAddr("2001:db8::ffff:1")) == 0 {
			t.Error("an IPv6 network can go on from another of its addresses")
		}
	})
}

// addresses returns as many different IPv4 addresses.
func addresses(n int) []netip.Addr {
	out := make([]netip.Addr, n)
	for i := range out {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(i)+1<<28)
		out[i] = netip.AddrFrom4(b)
	}
	return out
}

func TestGuardIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(0)
		for _, addr := range addresses(3 * most) {
			g.wrong(addr)
			g.tell(addr, "unknown")
		}
		if len(g.wrongs) > most || len(g.told) > most {
			t.Errorf("%d addresses and %d reasons are kept, want at most %d", len(g.wrongs), len(g.told), most)
		}
		wait(2 * time.Minute)
		if wait := g.wrong(netip.MustParseAddr("198.51.100.1")); wait != 0 {
			t.Errorf("after the flood a new address has to wait %s", wait)
		}
	})
}

func TestGuardTellsOneReasonOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(0)
		if n, ok := g.tell(somehost, "unknown"); !ok || n != 0 {
			t.Errorf("the first: %d, %v", n, ok)
		}
		for range 7 {
			if _, ok := g.tell(somehost, "unknown"); ok {
				t.Error("told twice in a minute")
			}
			wait(time.Second)
		}
		if _, ok := g.tell(somehost, "disabled"); !ok {
			t.Error("another reason was not told")
		}
		wait(time.Minute)
		if n, ok := g.tell(somehost, "unknown"); !ok || n != 7 {
			t.Errorf("a minute later: %d suppressed, %v; want 7", n, ok)
		}
	})
}

// Many addresses together must not push the audit log's entries out.
func TestGuardBoundsWhatIsToldOverAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(0)
		told := 0
		for _, addr := range addresses(6000) {
			if _, ok := g.tell(addr, "unknown"); ok {
				told++
			}
			wait(100 * time.Millisecond)
		}
		if most := tellAtOnce + 10*tellPerMinute + 1; told > most || told < tellAtOnce {
			t.Errorf("%d told in ten minutes, want at most %d", told, most)
		}
	})
}

func TestGuardLimitsATokensUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(3)
		for i := range 3 {
			if wait := g.use("a"); wait != 0 {
				t.Errorf("use %d has to wait %s", i+1, wait)
			}
		}
		if wait := g.use("a"); wait != 20*time.Second {
			t.Errorf("use 4 has to wait %s, want 20s", wait)
		}
		if g.use("b") != 0 {
			t.Error("another token has to wait")
		}
		wait(20 * time.Second)
		if g.use("a") != 0 || g.use("a") == 0 {
			t.Error("20 s later there is not one use")
		}
		g.forget("a")
		if len(g.uses) != 1 {
			t.Errorf("%d tokens are remembered, want 1", len(g.uses))
		}
		if newGuard(0).use("a") != 0 {
			t.Error("no limit limits")
		}
	})
}
