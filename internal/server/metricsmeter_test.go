package server

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// series counts those of ours, and returns their names with labels.
func series(exposition string) []string {
	var names []string
	for line := range strings.Lines(exposition) {
		if !strings.HasPrefix(line, "#") {
			names = append(names, line[:strings.LastIndexByte(strings.TrimSpace(line), ' ')])
		}
	}
	return names
}

// crowded is a daemon with many runners and jobs, of which each is different.
func crowded(runners, jobs int) fakeStatus {
	s := busyStatus()
	for i := range runners {
		s.Runners = append(s.Runners, plan.RunnerStatus{Name: fmt.Sprint("scaler-", i), Pool: "linux", Job: int64(i), Note: fmt.Sprint("note ", i)})
		s.Problems = append(s.Problems, plan.Problem{Subject: fmt.Sprint("runner scaler-", i), Message: fmt.Sprint("message ", i)})
	}
	for i := range jobs {
		s.Queue = append(s.Queue, plan.JobDecision{ID: int64(i), Repo: fmt.Sprint("a/", i), Labels: []string{fmt.Sprint("l", i)}, Obstacle: plan.ObstacleLabel, Reason: fmt.Sprint(i)})
	}
	return s
}

func TestSeriesDependOnPoolsOnly(t *testing.T) {
	few, _ := exposition(t, WebConfig{Meter: NewMeter(), Calls: oneCall()}, busyStatus(), nil)
	meter := NewMeter()
	for i := range 1000 {
		meter.Started("linux", plan.CauseJob)
		meter.Stopped("linux", plan.CauseDone)
		meter.Failed("linux", plan.FailedExit)
		meter.Took("linux", plan.SpanWait, time.Duration(i)*time.Second)
		meter.Took("linux", plan.SpanBoot, time.Duration(i)*time.Millisecond)
	}
	many, _ := exposition(t, WebConfig{Meter: meter, Calls: oneCall()}, crowded(1000, 5000), nil)
	if a, b := series(few), series(many); !slices.Equal(a, b) || len(a) > 300 {
		t.Errorf("%d series with few runners and jobs, %d with many", len(a), len(b))
	}
	for _, text := range []string{"scaler-1", "a/1", "note", "message"} {
		if strings.Contains(many, text) {
			t.Errorf("%q is in the metrics", text)
		}
	}
}

func TestSeriesOfARemovedPoolVanish(t *testing.T) {
	meter := oneOfEach()
	meter.Failed("gpu", plan.FailedImage)
	of := func(s fakeStatus, pool string) (n int) {
		ours, _ := exposition(t, WebConfig{Meter: meter}, s, nil)
		for _, name := range series(ours) {
			if strings.Contains(name, `pool="`+pool+`"`) {
				n++
			}
		}
		return n
	}
	before := of(busyStatus(), "gpu")
	if before < 20 || before != of(busyStatus(), "linux") {
		t.Fatalf("%d series of gpu, %d of linux", before, of(busyStatus(), "linux"))
	}
	without := busyStatus()
	without.Pools = without.Pools[:1]
	if n := of(without, "gpu"); n != 0 {
		t.Errorf("%d series of a pool that there is no more", n)
	}
	meter.Failed("gpu", plan.FailedExit) // one of its runners that was left
	if n, linux := of(without, "gpu"), of(without, "linux"); n != 0 || linux != before {
		t.Errorf("%d series of a pool that there is no more, %d of the other one", n, linux)
	}
	if n := of(busyStatus(), "gpu"); n != before {
		t.Errorf("%d series of the pool that has come back, want %d", n, before)
	}
	// Before the first cycle it is not known which pools there are.
	meter.Started("later", plan.CauseMin)
	if ours, _ := exposition(t, WebConfig{Meter: meter}, fakeStatus{}, nil); !strings.Contains(ours, `pool="later"`) {
		t.Error("what was counted before the first cycle is lost")
	}
}

func TestMeterIsSafeForConcurrentUse(t *testing.T) {
	meter, status := NewMeter(), busyStatus()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				meter.Started(fmt.Sprint("p", i), plan.CauseJob)
				meter.Took("linux", plan.SpanWait, time.Second)
				meter.keep(status.Pools)
			}
		})
	}
	all.Wait()
	ours, _ := exposition(t, WebConfig{Meter: meter}, status, nil)
	if !strings.Contains(ours, `scaler_job_wait_seconds_count{pool="linux"} 400`) || strings.Contains(ours, `pool="p`) {
		t.Errorf("got\n%s", ours)
	}
}

// promtool knows more of the conventions than the library's own linter.
func TestPromtoolAcceptsTheMetrics(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed, which would check the metrics")
	}
	ours, _ := exposition(t, WebConfig{GatewayURL: "http://g", Meter: oneOfEach(), Calls: oneCall()}, busyStatus(), tokensOfAllStates())
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(ours)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil || out.Len() > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, &out)
	}
}
