package notify

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

func TestEventsTogetherMakeOneMessage(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops"))
		r.pass(time.Minute)
		began := time.Now()
		r.diary.add(opened("linux"))
		r.pass(time.Second)
		r.diary.add(plan.Event{Kind: plan.EventRunner, Pool: "linux"}, closed("linux"))
		r.pass(time.Minute)
		r.wantTold("breaker_opened linux, breaker_closed linux")
		l := r.post.letters()[0]
		if took := l.at.Sub(began); took != collectFor {
			t.Errorf("sent after %s, want %s", took, collectFor)
		}
		n := l.notice
		if n.Host != "build-1" || n.Instance != "3f2a9c0b71de" || n.Version != "v1" || n.ID == "" || n.Test || n.Events[0].Text != "no image" {
			t.Errorf("notice %+v", n)
		}
		if r.tally.of("ops true") != 1 {
			t.Errorf("counted %v", r.tally.counts)
		}
	})
}

func TestFullMessageIsSentAtOnce(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops", func(t *Target) { t.Batch = 2 }))
		r.diary.add(corpse("a"), corpse("b"), corpse("c"))
		synctest.Wait()
		r.wantTold("corpse_reaped a, corpse_reaped b")
		r.pass(time.Minute)
		r.wantTold("corpse_reaped a, corpse_reaped b", "corpse_reaped c")
	})
}

func TestPoolsAndEventsAreChosen(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops", func(t *Target) { t.Pools = []string{"gpu"} }))
		r.diary.add(opened("linux"), opened("gpu"), plan.Event{Kind: plan.EventProblem, Text: "docker: down"}, plan.Event{Kind: plan.EventPaused, Pool: "gpu"})
		r.pass(time.Minute)
		r.wantTold("breaker_opened gpu, problem")
	})
}

func TestProblemThatRepeatsAnEventIsLeftOut(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops"))
		r.diary.add(opened("linux"), plan.Event{Kind: plan.EventProblem, Pool: "linux", Text: "pool linux: no image"}, plan.Event{Kind: plan.EventProblem, Text: "docker: down"})
		r.pass(time.Minute)
		r.wantTold("breaker_opened linux, problem")
		if text := r.post.letters()[0].notice.Events[1].Text; text != "docker: down" {
			t.Errorf("the problem is %q", text)
		}
	})
}

func TestRateIsKept(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops", func(t *Target) { t.Rate, t.Batch = Rate{2, 10 * time.Minute}, 3 }))
		for i := range 8 {
			r.diary.add(corpse(fmt.Sprint("p", i)))
			r.pass(time.Minute)
		}
		r.wantTold("corpse_reaped p0", "corpse_reaped p1")
		r.pass(10 * time.Minute)
		// What waited comes in as few messages as there may be.
		r.wantTold("corpse_reaped p0", "corpse_reaped p1", "corpse_reaped p2, corpse_reaped p3, corpse_reaped p4", "corpse_reaped p5, corpse_reaped p6, corpse_reaped p7")
		for i, l := range r.post.letters()[2:] {
			if first := r.post.letters()[i]; l.at.Sub(first.at) < 10*time.Minute {
				t.Errorf("message %d came %s after message %d", i+2, l.at.Sub(first.at), i)
			}
		}
	})
}

// What nobody can read any more is dropped, and the next message says so.
func TestTooManyAndTooOldAreDropped(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops", func(t *Target) { t.Rate, t.Batch = Rate{1, 2 * time.Hour}, 1 }))
		r.diary.add(corpse("first"))
		r.pass(time.Minute)
		for i := range maxQueue + 5 {
			r.diary.add(corpse(fmt.Sprint("p", i)))
		}
		r.pass(time.Minute)
		if got := r.tally.of("ops dropped"); got != 5 {
			t.Errorf("%d dropped, want 5", got)
		}
		r.pass(2 * time.Hour) // all of them are old by now
		r.diary.add(corpse("last"))
		r.pass(time.Minute)
		r.wantTold("corpse_reaped first", fmt.Sprintf("corpse_reaped last, dropped %d", maxQueue+5))
		if got := r.tally.of("ops dropped"); got != maxQueue+5 {
			t.Errorf("%d dropped, want %d", got, maxQueue+5)
		}
	})
}

func TestMissedEventsAreCounted(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops"))
		r.diary.mu.Lock()
		r.diary.missed = 7
		r.diary.mu.Unlock()
		r.diary.add(opened("linux"))
		r.pass(time.Minute)
		r.wantTold("breaker_opened linux, dropped 7")
	})
}

func TestReload(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops"), simple("gone"))
		release := make(chan struct{})
		r.post.answer = func(int, *http.Request) (int, error) { <-release; return 200, nil }
		r.diary.add(opened("linux"))
		r.pass(5 * time.Second) // both are on their way
		r.diary.add(opened("gpu"))
		r.pass(time.Second)
		r.n.SetTargets([]Target{simple("ops", func(t *Target) { t.URL = text("https://new.example.com/") }), simple("more")})
		close(release)
		r.pass(time.Minute)
		r.diary.add(closed("gpu"))
		r.pass(time.Minute)
		var got []string
		for i, l := range r.post.letters() {
			got = append(got, strings.TrimPrefix(strings.TrimPrefix(l.url, "https://"), "www.")+" "+r.told()[i])
		}
		slices.Sort(got)
		want := []string{
			"gone.example.com/hook breaker_opened linux", "more.example.com/hook breaker_closed gpu", "new.example.com/ breaker_closed gpu",
			"new.example.com/ breaker_opened gpu", "ops.example.com/hook breaker_opened linux",
		}
		if !slices.Equal(got, want) {
			t.Errorf("sent\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
		if r.tally.of("gone forgotten") != 1 {
			t.Errorf("counted %v", r.tally.counts)
		}
	})
}
