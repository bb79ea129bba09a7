package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// Each wrong password costs more time than the one before, and attempts that
// come together do not get round it.
func TestWrongPasswordsCostTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrowser(t, NewWeb(gatewayConfig(t), fakeStatus{}, newFakeTokens(), slog.New(slog.DiscardHandler)))
		for i, wait := range []time.Duration{0, 0, 1, 2, 4, 8} {
			if w := b.login("alice", "wrong"); w.Code != http.StatusUnauthorized {
				t.Fatalf("attempt %d: %d", i, w.Code)
			}
			if wait == 0 {
				continue
			}
			w := b.login("alice", "right")
			if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != fmt.Sprint(int(wait)) {
				t.Errorf("after attempt %d: %d, Retry-After %q, want %d", i, w.Code, w.Header().Get("Retry-After"), wait)
			}
			other := *b
			other.from = "198.51.100.7:1"
			if w := other.login("alice", "right"); w.Code != http.StatusSeeOther {
				t.Errorf("another address has to wait too: %d", w.Code)
			}
			time.Sleep(wait * time.Second)
		}
		if w := b.login("alice", "right"); w.Code != http.StatusSeeOther {
			t.Errorf("the right password after the wait: %d", w.Code)
		}
		if w := b.login("alice", "wrong"); w.Code != http.StatusUnauthorized || b.login("alice", "right").Code != http.StatusSeeOther {
			t.Errorf("the right password did not clear the count: %d", w.Code)
		}
	})
}

func TestLoginGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newLoginGuard()
		a := netip.MustParseAddr("2001:db8::1")
		for range 30 {
			time.Sleep(g.begin(a))
			g.begin(a)
		}
		if wait := g.begin(netip.MustParseAddr("2001:db8::2")); wait != maxDelay {
			t.Errorf("a neighbour in the same /64 waits %v, want %v", wait, maxDelay)
		}
		if wait := g.begin(netip.MustParseAddr("2001:db8:0:1::1")); wait != 0 {
			t.Errorf("another /64 waits %v", wait)
		}
		time.Sleep(forgetAfter)
		for range freeAttempts {
			if wait := g.begin(a); wait != 0 {
				t.Errorf("after an hour it waits %v", wait)
			}
		}
		for i := range maxAddresses * 2 {
			g.begin(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		if len(g.strikes) > maxAddresses {
			t.Errorf("%d addresses are remembered", len(g.strikes))
		}
		time.Sleep(time.Second)
		g.begin(a)
		if _, kept := g.strikes[neighbourhood(a)]; !kept {
			t.Error("with a full memory nothing new is counted")
		}
	})
}

func TestHashingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWeb(gatewayConfig(t), fakeStatus{}, newFakeTokens(), slog.New(slog.DiscardHandler))
		for range parallelHashing {
			web.hashing <- struct{}{}
		}
		b := newBrowser(t, web)
		if w := b.login("alice", "right"); w.Code != http.StatusServiceUnavailable || len(b.cookies) != 0 {
			t.Errorf("got %d with %d cookies", w.Code, len(b.cookies))
		}
		<-web.hashing
		if w := b.login("alice", "right"); w.Code != http.StatusSeeOther {
			t.Errorf("with a free place: %d", w.Code)
		}
	})
}
