package notify

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
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

func TestRepeatedIsToldOnce(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops", func(t *Target) { t.RepeatAfter = time.Hour }))
		for range 3 {
			r.diary.add(opened("linux"), plan.Event{Kind: plan.EventProblem, Text: "docker: attempt " + time.Now().String()})
			r.pass(time.Minute)
			r.diary.add(plan.Event{Kind: plan.EventProblemOver, Text: "docker: after 1m"})
			r.pass(10 * time.Minute)
		}
		r.diary.add(opened("gpu"), plan.Event{Kind: plan.EventProblem, Text: "gitea: 503"}) // others
		r.pass(time.Hour)
		r.diary.add(opened("linux"))
		r.pass(time.Minute)
		r.wantTold("breaker_opened linux, problem", "problem_over", "breaker_opened gpu, problem", "breaker_opened linux")
	})
}

// A restart finds again what went on before. It is not told twice.
func TestRestartTellsNothingTwice(t *testing.T) {
	inTime(t, func(t *testing.T) {
		memory := filepath.Join(t.TempDir(), "notified.json")
		docker := plan.Event{Kind: plan.EventProblem, Text: "docker: no answer"}
		r := newRig(t, memory, simple("ops"))
		r.diary.add(opened("linux"), opened("gpu"), docker)
		r.wait(plan.JobDecision{ID: 7, Repo: "acme/app", Pool: "linux"})
		r.pass(15 * time.Minute)
		r.diary.add(closed("gpu"))
		r.pass(time.Minute)
		r.wantTold("breaker_opened linux, breaker_opened gpu, problem", "job_overdue linux 7", "breaker_closed gpu")
		r.stop()

		r = newRig(t, memory, simple("ops"))
		r.diary.add(opened("linux"), docker, opened("gpu")) // gpu had worked in between
		r.wait(plan.JobDecision{ID: 7, Repo: "acme/app", Pool: "linux"}, plan.JobDecision{ID: 8, Repo: "acme/app", Pool: "linux"})
		r.pass(30 * time.Minute)
		r.wantTold("breaker_opened gpu", "job_overdue linux 8")
		r.stop()

		r = newRig(t, memory, simple("ops"))
		r.pass(time.Hour)
		r.diary.add(opened("linux"), docker) // long after the start: anew
		r.pass(time.Minute)
		r.wantTold("breaker_opened linux, problem")
	})
}

func TestMemoryThatCannotBeReadIsWrittenAnew(t *testing.T) {
	inTime(t, func(t *testing.T) {
		memory := filepath.Join(t.TempDir(), "notified.json")
		if err := os.WriteFile(memory, []byte("{nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, memory, simple("ops"))
		r.diary.add(opened("linux"))
		r.pass(time.Minute)
		r.stop()
		r.wantTold("breaker_opened linux")
		if data, err := os.ReadFile(memory); err != nil || !strings.Contains(string(data), "breaker_opened|linux") {
			t.Errorf("memory %s, %v", data, err)
		}
		if !strings.Contains(r.log.String(), "notifications not remembered") {
			t.Errorf("log %s", r.log)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m := newTold("")
	now := time.Now()
	for i := range maxTold + 100 {
		m.firstJob("ops", int64(i), now.Add(time.Duration(i)*time.Second))
	}
	if got := len(m.marks["ops"]); got != maxTold {
		t.Errorf("%d things are remembered, want %d", got, maxTold)
	}
	if m.firstJob("ops", maxTold+99, now) {
		t.Error("the newest was forgotten")
	}
}

func TestOverdueJobs(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops"), simple("late", func(t *Target) { t.OverdueAfter = time.Hour; t.Pools = []string{"linux"} }))
		old := plan.JobDecision{ID: 1, Repo: "acme/app", Pool: "linux", Reason: "pool linux is full", QueuedAt: time.Now().Add(-24 * time.Hour)}
		r.wait(old, plan.JobDecision{ID: 2, Repo: "acme/app", Reason: "no pool has all of runs-on"})
		r.pass(9 * time.Minute)
		r.wantTold() // whatever the server says of when it was made
		r.wait()     // could not be read for a moment
		r.pass(time.Minute / 2)
		r.wait(old, plan.JobDecision{ID: 2, Repo: "acme/app", Reason: "no pool has all of runs-on"})
		r.pass(20 * time.Minute)
		r.wantTold("job_overdue linux 1, job_overdue 2")
		if text := r.post.letters()[0].notice.Events[0].Text; text != "for 10m: pool linux is full" {
			t.Errorf("text %q", text)
		}
		r.pass(time.Hour)
		r.wantTold("job_overdue linux 1, job_overdue 2", "job_overdue linux 1, job_overdue 2")
		if url := r.post.letters()[1].url; url != "https://late.example.com/hook" {
			t.Errorf("the second message went to %s", url)
		}
	})
}

func TestManyOverdueJobsMakeOneEvent(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r := newRig(t, "", simple("ops"))
		first := plan.JobDecision{ID: 1, Repo: "acme/app", Pool: "linux", Reason: "pool linux is full"}
		r.wait(first)
		r.pass(time.Minute)
		jobs := []plan.JobDecision{first}
		for id := range int64(500) {
			jobs = append(jobs, plan.JobDecision{ID: id + 2, Repo: "acme/app", Pool: "linux"})
		}
		jobs[0], jobs[400] = jobs[400], jobs[0]
		r.wait(jobs...)
		r.pass(time.Hour)
		r.wantTold("job_overdue linux 1", "job_overdue linux")
		if text := r.post.letters()[1].notice.Events[0].Text; !strings.HasPrefix(text, "500 jobs for more than 10m; job ") {
			t.Errorf("text %q", text)
		}
		r.wait()
		r.pass(2 * time.Hour)
		r.n.mu.Lock()
		defer r.n.mu.Unlock()
		if len(r.n.waiting) > 0 || len(r.n.told.marks["ops"]) > 0 {
			t.Errorf("%d jobs and %d marks are still remembered", len(r.n.waiting), len(r.n.told.marks["ops"]))
		}
	})
}

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
