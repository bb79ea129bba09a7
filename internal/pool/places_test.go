package pool

import (
	"context"
	"testing"
	"testing/synctest"
)

// enterAll takes all places that are free and returns how many they were.
func enterAll(t *testing.T, p *places) (n int) {
	t.Helper()
	for p.free.TryAcquire(1) {
		n++
	}
	return n
}

func TestPlacesFollowTheEngine(t *testing.T) {
	p := newPlaces(8)
	if n := enterAll(t, p); n != 8 {
		t.Fatalf("%d places, want 8", n)
	}
	for range 8 { // one cause: all that were under way are slow
		p.leave(false)
	}
	if n := enterAll(t, p); n != 4 || p.bound() != 4 {
		t.Fatalf("%d places after an overload, bound %d, want 4", n, p.bound())
	}
	p.leave(false)
	for range 3 {
		p.leave(true)
	}
	if n := enterAll(t, p); n > 4 || n != p.bound() {
		t.Fatalf("%d places, bound %d", n, p.bound())
	}
	for range p.bound() {
		p.leave(true)
	}
	for steps := 0; p.bound() < 8; steps++ {
		if steps > 100 {
			t.Fatalf("the bound stays at %d though the engine keeps up", p.bound())
		}
		if err := p.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.leave(true)
	}
	if n := enterAll(t, p); n != 8 {
		t.Errorf("%d places after it has recovered, want 8", n)
	}
}

func TestPlacesNeverFallBelowOne(t *testing.T) {
	p := newPlaces(0)
	for range 50 {
		if err := p.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.leave(false)
	}
	if p.bound() != 1 {
		t.Errorf("bound %d, want 1", p.bound())
	}
}

func TestPlacesAreGivenInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(1)
		if err := p.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		order := make(chan int, 3)
		for i := range 3 {
			go func() {
				if err := p.enter(t.Context()); err == nil {
					order <- i
					p.leave(true)
				}
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.enter(ctx); err == nil {
			t.Error("a place was given to one who had given up")
		}
		p.leave(true)
		for want := range 3 {
			if got := <-order; got != want {
				t.Errorf("place %d went to %d", want, got)
			}
		}
	})
}

func TestPlacesCanBeMadeMoreOrFewer(t *testing.T) {
	p := newPlaces(4)
	enterAll(t, p)
	p.setMost(2)
	for range 4 {
		p.leave(true)
	}
	if n := enterAll(t, p); n != 2 {
		t.Errorf("%d places, want 2", n)
	}
	p.setMost(6)
	if n := enterAll(t, p); n != 4 {
		t.Errorf("%d more places, want 4", n)
	}
}
