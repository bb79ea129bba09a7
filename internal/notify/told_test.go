package notify

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

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
		m.firstJob("ops", strconv.Itoa(i), now.Add(time.Duration(i)*time.Second))
	}
	if got := len(m.marks["ops"]); got != maxTold {
		t.Errorf("%d things are remembered, want %d", got, maxTold)
	}
	if m.firstJob("ops", strconv.Itoa(maxTold+99), now) {
		t.Error("the newest was forgotten")
	}
}

// TestServersAreToldApart has two servers with a job of the same number, and with
// the same problem.
func TestServersAreToldApart(t *testing.T) {
	a, b := plan.JobDecision{ID: 7, Server: "acme"}, plan.JobDecision{ID: 7, Server: "lab"}
	w := newWaiting()
	w.see([]plan.JobDecision{a, b}, time.Now())
	if len(w) != 2 || jobName(plan.JobDecision{ID: 7}) != "7" {
		t.Errorf("jobs that wait: %v", w)
	}
	down := plan.Event{Kind: plan.EventProblem, Text: "gitea instance: it is down"}
	first, alone := down, thing(down.Kind, down)
	first.Server, down.Server = "acme", "lab"
	if thing(first.Kind, first) == thing(down.Kind, down) || alone != "problem|gitea instance" {
		t.Errorf("problems %q, %q and %q", thing(first.Kind, first), thing(down.Kind, down), alone)
	}
}
