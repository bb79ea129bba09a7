package notify

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

func TestMessageIsTriedAgain(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops", func(t *Target) { t.Secret = text("0123456789abcdef") }))
		r.post.answer = func(n int, _ *http.Request) (int, error) {
			switch n {
			case 1:
				return 0, errRefused
			case 2:
				return http.StatusServiceUnavailable, nil
			}
			return http.StatusNoContent, nil
		}
		r.diary.add(opened("linux"))
		r.pass(time.Hour)
		r.wantTold("breaker_opened linux", "breaker_opened linux", "breaker_opened linux")
		l := r.post.letters()
		for i := range l {
			if l[i].notice.ID != l[0].notice.ID || l[i].header.Get(headerID) != l[0].notice.ID {
				t.Errorf("try %d has id %s and header %s", i, l[i].notice.ID, l[i].header.Get(headerID))
			}
			checkSignature(t, l[i], "0123456789abcdef", l[i].at)
		}
		if r.tally.of("ops true") != 1 || r.tally.of("ops false") != 0 || len(r.noted()) > 0 {
			t.Errorf("counted %v, problems %q", r.tally.counts, r.noted())
		}
	})
}

func TestTargetThatFailsIsAProblem(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops"), simple("other"))
		r.post.answer = func(_ int, req *http.Request) (int, error) {
			if req.URL.Host == "ops.example.com" {
				return 0, errRefused
			}
			return 200, nil
		}
		began := time.Now()
		r.diary.add(opened("linux"))
		r.pass(time.Minute)
		if r.tally.of("other true") != 1 {
			t.Error("the other target has to wait")
		}
		r.pass(giveUpAfter)
		if tries := len(r.post.letters()) - 1; tries != maxTries {
			t.Errorf("%d tries, want %d", tries, maxTries)
		}
		want := []string{"notification ops: send notification to ops.example.com: connection refused: the events are lost; scaler notify test ops tries it; this is over with the next notification that arrives"}
		if got := r.noted(); !slices.Equal(got, want) {
			t.Errorf("problems %q, want %q", got, want)
		}
		last := r.post.letters()[maxTries]
		if took := last.at.Sub(began); took > giveUpAfter {
			t.Errorf("the last try came after %s", took)
		}
		r.post.mu.Lock()
		r.post.answer = nil
		r.post.mu.Unlock()
		r.diary.add(closed("linux"))
		r.pass(time.Minute)
		if got := r.noted(); len(got) != 2 || got[1] != "notification ops: " {
			t.Errorf("problems %q, want that it is over", got)
		}
		for _, l := range r.post.letters()[maxTries+1:] {
			if ops := strings.Contains(l.url, "ops"); ops && l.notice.Dropped != 1 || !ops && l.notice.Dropped != 0 {
				t.Errorf("%s says that %d events were dropped", l.url, l.notice.Dropped)
			}
		}
	})
}

func TestRefusedMessageIsNotTriedAgain(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops"))
		r.post.answer = func(int, *http.Request) (int, error) { return http.StatusNotFound, nil }
		r.diary.add(opened("linux"))
		r.pass(time.Hour)
		if n := len(r.post.letters()); n != 1 {
			t.Errorf("%d tries, want 1", n)
		}
		if got := r.noted(); len(got) != 1 || !strings.Contains(got[0], "it answers 404 Not Found: the answer") {
			t.Errorf("problems %q", got)
		}
	})
}

// Whoever adds an event never waits for a target, and memory has a bound.
func TestTargetThatHangsHoldsNothingUp(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("slow"))
		r.post.answer = func(_ int, req *http.Request) (int, error) {
			<-req.Context().Done()
			return 0, req.Context().Err()
		}
		for i := range 10_000 {
			r.diary.add(corpse(fmt.Sprint(i)))
		}
		r.pass(time.Minute)
		if n := r.n.targets["slow"].pending(); n > maxQueue {
			t.Errorf("%d events are kept", n)
		}
	})
}

func TestEndSendsWhatIsLeft(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops", func(t *Target) { t.Events = append(t.Events, plan.EventDaemonStops) }))
		r.pass(time.Second)
		r.diary.add(plan.Event{Kind: plan.EventDaemonStops})
		began := time.Now()
		r.stop()
		r.wantTold("daemon_stops")
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %s", took)
		}
	})
}

func TestEndIsBounded(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops"), simple("slow"))
		r.post.answer = func(_ int, req *http.Request) (int, error) {
			if req.URL.Host == "ops.example.com" {
				return 0, errRefused
			}
			<-req.Context().Done()
			return 0, req.Context().Err()
		}
		r.diary.add(opened("linux"))
		r.pass(3 * time.Second)
		began := time.Now()
		r.stop()
		if took := time.Since(began); took > flushTime {
			t.Errorf("it took %s, want at most %s", took, flushTime)
		}
	})
}

func TestTemplateThatGivesNothingSendsNothing(t *testing.T) {
	inTime(t, func(t *testing.T) {
		tmpl, err := plan.ParseNoticeTemplate(`{{with index .Events 0}}{{if eq .Pool "gpu"}}{{json .Line}}{{end}}{{end}}`)
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, "", simple("ops", func(t *Target) { t.Template = tmpl }))
		r.diary.add(opened("linux"))
		r.pass(time.Minute)
		r.diary.add(opened("gpu"))
		r.pass(time.Minute)
		if l := r.post.letters(); len(l) != 1 || l[0].body != `"the runners of a pool fail (pool gpu): no image"` {
			t.Errorf("sent %+v", l)
		}
	})
}
