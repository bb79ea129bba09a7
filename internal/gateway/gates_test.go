package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHoldWaitsForWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first, _ := w.g.beginFetch("u-1")
		second, allowed := w.g.beginFetch("U-1")
		other, _ := w.g.beginFetch("u-2")
		if !allowed {
			t.Fatal("a runner that nobody holds may not ask")
		}
		held := make(chan error, 1)
		go func() { held <- w.g.hold(t.Context(), "u-1") }()
		synctest.Wait()
		if _, allowed := w.g.beginFetch("u-1"); allowed {
			t.Error("it may ask while somebody waits for its hold")
		}
		first()
		first() // counts once
		synctest.Wait()
		select {
		case <-held:
			t.Fatal("held with a request under way")
		default:
		}
		second()
		if err := <-held; err != nil {
			t.Fatal(err)
		}
		if _, allowed := w.g.beginFetch("u-1"); allowed {
			t.Error("it may ask while it is held")
		}
		if done, allowed := w.g.beginFetch("u-2"); !allowed {
			t.Error("another may not ask")
		} else {
			done()
		}
		w.g.release("u-1")
		if done, allowed := w.g.beginFetch("u-1"); !allowed {
			t.Error("it may not ask after it was released")
		} else {
			done()
		}
		other()
		if n := len(w.g.gates.open); n != 0 {
			t.Errorf("%d gates are left", n)
		}
	})
}

func TestHoldGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		done, _ := w.g.beginFetch("u-1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.g.hold(ctx, "u-1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v", err)
		}
		if again, allowed := w.g.beginFetch("u-1"); !allowed {
			t.Error("it is held by one who gave up")
		} else {
			again()
		}
		done()
		if n := len(w.g.gates.open); n != 0 {
			t.Errorf("%d gates are left", n)
		}
	})
}

func TestHoldHasOneHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		holders, most, done := 0, 0, make(chan bool)
		for range 5 {
			go func() {
				defer func() { done <- true }()
				if err := w.g.hold(t.Context(), "u-1"); err != nil {
					t.Error(err)
					return
				}
				holders++ // the hold itself is what guards it
				most = max(most, holders)
				time.Sleep(time.Second)
				holders--
				w.g.release("u-1")
			}()
		}
		start := time.Now()
		for range 5 {
			<-done
		}
		if most != 1 || time.Since(start) != 5*time.Second {
			t.Errorf("%d at once, in %s", most, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.g.hold(t.Context(), "u-1"); err != nil {
			t.Fatal(err)
		}
		if err := w.g.hold(ctx, "u-1"); err == nil {
			t.Error("held twice")
		}
		if _, allowed := w.g.beginFetch("u-1"); allowed {
			t.Error("one who gave up has released another's hold")
		}
		w.g.release("u-1")
		if n := len(w.g.gates.open); n != 0 {
			t.Errorf("%d gates are left", n)
		}
	})
}

func TestFetchUnderAnImpossibleUUID(t *testing.T) {
	w := newWorld(t)
	for _, uuid := range []string{"ｕ-1", "u_1", "u'1", strings.Repeat("é", 9)} {
		done, allowed := w.g.beginFetch(uuid)
		done()
		if allowed {
			t.Errorf("%q may ask", uuid)
		}
	}
}
