package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// eventful is a daemon with a few events, of which some are not kept any more.
func eventful() *fakeOperated {
	f := operated()
	for range 9 {
		f.journal.Add(plan.Event{At: noon.Add(-time.Hour), Kind: plan.EventJobQueued, Job: 1, Repo: "acme/app", Pool: "linux", Text: "build"})
	}
	f.journal.Add(plan.Event{At: noon, Kind: plan.EventRunner, Phase: plan.PhaseBusy, Pool: "linux", Runner: "linux-busy", Job: 41, Repo: "acme/app", Text: "has\x1b job 41"})
	f.journal.Add(plan.Event{At: time.Now(), Kind: plan.EventPaused, Pool: "windows", Actor: "alice", Text: "new disks"})
	return f
}

func TestEvents(t *testing.T) {
	socket := eventful().start(t)
	busy := "2026-03-01 12:00:00  runner           busy  linux-busy  job 41  acme/app  has? job 41\n"
	for args, want := range map[string]string{
		"--kind runner":            "… 1 events are not kept any more\n" + busy,
		"--runner linux-busy":      "… 1 events are not kept any more\n" + busy,
		"--since 9 --pool linux":   busy,
		"--since 10 --json":        `{"seq":11,"at":"TIME","kind":"paused","pool":"windows","actor":"alice","text":"new disks"}` + "\n",
		"--json --kind problem":    `{"missed":1}` + "\n",
		"--since 5m --kind paused": "… 1 events are not kept any more\nTIME  paused           windows  by alice  new disks\n",
	} {
		out := mustRun(t, append([]string{"events", "--socket", socket}, strings.Fields(args)...)...)
		year := time.Now().Format("2006")
		out = regexp.MustCompile(`"at":"`+year+`[^"]*"`).ReplaceAllString(out, `"at":"TIME"`)
		out = regexp.MustCompile(`(?m)^`+year+`-..-.. ..:..:..  paused`).ReplaceAllString(out, `TIME  paused`)
		if out != want {
			t.Errorf("%s: %q, want %q", args, out, want)
		}
	}
	for args, want := range map[string]string{
		"--kind luck":       `--kind "luck": there is no such kind; the kinds are job_queued, job_unserved`,
		"--since yesterday": `--since "yesterday": want the number of an event, or how long ago, as in 15m`,
		"--since=-1h":       "want the number of an event",
	} {
		_, errs, code := runCommand(t, append([]string{"events", "--socket", socket}, strings.Fields(args)...)...)
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %q", args, code, errs)
		}
	}
}

// The kinds that can be asked for are all that there are.
func TestEventKindsAreComplete(t *testing.T) {
	code, err := os.ReadFile("../../internal/plan/event.go")
	must(t, err)
	found := regexp.MustCompile(`EventKind = "([a-z_]+)"`).FindAllStringSubmatch(string(code), -1)
	if len(found) != len(eventKinds) {
		t.Errorf("%d kinds are listed, there are %d", len(eventKinds), len(found))
	}
	document, err := os.ReadFile("../../docs/cli.md")
	must(t, err)
	for _, kind := range found {
		if !strings.Contains(strings.Join(kindNames(), " "), kind[1]) {
			t.Errorf("%s is not listed", kind[1])
		}
		if !strings.Contains(string(document), "`"+kind[1]+"`") {
			t.Errorf("docs/cli.md does not tell of %s", kind[1])
		}
	}
}

// restarting is a daemon that ends and comes back.
type restarting struct {
	answers []func(since uint64, each func(server.EventLine) error) error
	end     context.CancelFunc
	since   []uint64
}

func (r *restarting) Events(_ context.Context, since uint64, _ bool, each func(server.EventLine) error) error {
	r.since = append(r.since, since)
	if len(r.answers) == 0 {
		r.end()
		return nil
	}
	next := r.answers[0]
	r.answers = r.answers[1:]
	return next(since, each)
}

func TestEventsAreFollowedOverARestart(t *testing.T) {
	event := func(text string) func(uint64, func(server.EventLine) error) error {
		return func(_ uint64, each func(server.EventLine) error) error {
			return each(server.EventLine{Event: plan.Event{At: noon, Kind: plan.EventProblem, Text: text}})
		}
	}
	fails := func(uint64, func(server.EventLine) error) error { return errors.New("nobody answers") }
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := &restarting{end: cancel, answers: []func(uint64, func(server.EventLine) error) error{event("one"), fails, fails, event("two")}}
		var out, errs bytes.Buffer
		p := eventPrinter{out: &out, wanted: func(plan.Event) bool { return true }}
		if err := followEvents(ctx, r, 7, &p, &errs); err != nil {
			t.Errorf("followEvents = %v", err)
		}
		if strings.Count(out.String(), "\n") != 2 || strings.Count(errs.String(), "nobody answers; waiting for it\n") != 1 || !strings.HasPrefix(errs.String(), "scaler: the daemon has ended; waiting for it\n") {
			t.Errorf("out %q, stderr %q", out.String(), errs.String())
		}
		if r.since[0] != 7 || r.since[1] != 0 {
			t.Errorf("asked from %v on", r.since)
		}
	})
	r := &restarting{answers: []func(uint64, func(server.EventLine) error) error{fails}}
	if err := followEvents(t.Context(), r, 0, &eventPrinter{}, &bytes.Buffer{}); err == nil || err.Error() != "nobody answers" {
		t.Errorf("without a daemon: %v", err)
	}
	r = &restarting{answers: []func(uint64, func(server.EventLine) error) error{event("one")}}
	p := eventPrinter{out: brokenWriter{}, wanted: func(plan.Event) bool { return true }}
	if err := followEvents(t.Context(), r, 0, &p, &bytes.Buffer{}); err == nil {
		t.Error("a closed pipe does not end it")
	}
}
