package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/plan"
)

// script answers a watcher's questions one after the other, then ends it.
type script struct {
	answers []func() (plan.Status, error)
	end     context.CancelFunc
}

func (s *script) Status(ctx context.Context) (plan.Status, error) {
	if len(s.answers) == 0 {
		s.end()
		return plan.Status{}, ctx.Err()
	}
	next := s.answers[0]
	s.answers = s.answers[1:]
	return next()
}

func cycle(n uint64, busy int) func() (plan.Status, error) {
	return func() (plan.Status, error) {
		return plan.Status{Version: "v1", Cycle: n, CycleAt: time.Now(), Pools: []plan.PoolStatus{{Name: "linux", Busy: busy}}}, nil
	}
}

func outage() (plan.Status, error) { return plan.Status{}, errors.New("nobody answers") }

func watch(t *testing.T, asJSON bool, answers ...func() (plan.Status, error)) (out, errs string, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr bytes.Buffer
	w := newWatcher(&script{answers: answers, end: cancel}, &stdout, &stderr, asJSON)
	began := time.Now()
	if err := w.run(ctx); err != nil {
		t.Errorf("run = %v, want none when it is ended", err)
	}
	return stdout.String(), stderr.String(), time.Since(began)
}

func TestWatchPrintsChangesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, errs, took := watch(t, false, cycle(1, 0), cycle(2, 0), outage, outage, cycle(3, 0), cycle(4, 1))
		if n := strings.Count(out, "--- "); n != 2 || !strings.Contains(out, "cycle 1 ") || !strings.Contains(out, "cycle 4 ") {
			t.Errorf("%d blocks, want those of cycles 1 and 4:\n%s", n, out)
		}
		if errs != "scaler: nobody answers\n" {
			t.Errorf("stderr %q, want the outage once", errs)
		}
		if took != 6*watchInterval {
			t.Errorf("took %v, want 6 s", took)
		}
	})
}

func TestWatchJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, _, _ := watch(t, true, cycle(1, 0), cycle(2, 0), cycle(3, 1))
		if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[1], `{"version":"v1"`) {
			t.Errorf("got %q, want two lines of JSON", out)
		}
	})
}

func TestWatchNeedsADaemonAtFirst(t *testing.T) {
	w := newWatcher(&script{answers: []func() (plan.Status, error){outage}}, &bytes.Buffer{}, &bytes.Buffer{}, false)
	if err := w.run(t.Context()); err == nil || err.Error() != "nobody answers" {
		t.Errorf("run = %v", err)
	}
}
