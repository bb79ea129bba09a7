package runner_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/giteatest/runner"
)

func TestFaults(t *testing.T) {
	tests := []struct {
		name  string
		fault giteatest.Fault
	}{
		{"fetch fails", giteatest.Fault{Kind: "FetchTask", Status: 500, Times: 5}},
		{"fetch hangs", giteatest.Fault{Kind: "FetchTask", Latency: time.Minute, Times: 2}},
		{"reports dropped", giteatest.Fault{Kind: "UpdateTask", Drop: true, Times: 9}},
		{"reports are 503", giteatest.Fault{Kind: "UpdateTask", Status: 503, Times: 9}},
		{"reports hang", giteatest.Fault{Kind: "UpdateTask", Latency: time.Minute, Times: 9}},
		{"answers to reports lost", giteatest.Fault{Kind: "UpdateTask", DropAfter: true}},
		{"logs fail", giteatest.Fault{Kind: "UpdateLog", Status: 500}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, true)
				if err := b.server.SetFault(tt.fault); err != nil {
					t.Fatal(err)
				}
				ids := b.server.AddJobs(giteatest.JobSpec{Labels: []string{"linux"}, Duration: time.Second})
				if code := <-b.start(t.Context()); code != runner.ExitOK {
					t.Errorf("exit code %d: %s", code, b.log)
				}
				if s := b.status(t, ids[0]); s != giteatest.StatusSuccess {
					t.Errorf("job is %s: %s", s, b.log)
				}
			})
		})
	}
}

func TestBadRegistration(t *testing.T) {
	tests := []struct {
		name    string
		content any
		problem string
	}{
		{"none", nil, "no such file"},
		{"no object", "text", "cannot unmarshal"},
		{"incomplete", map[string]any{"uuid": "u"}, "uuid, token and address are required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.content != nil {
				writeRegistration(t, dir, tt.content)
			}
			var log lines
			code := runner.Run(t.Context(), runner.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if code != runner.ExitFailed || !strings.Contains(log.String(), tt.problem) {
				t.Errorf("exit code %d: %s", code, &log)
			}
		})
	}
}

func TestShutdownTimeoutFromEnvironment(t *testing.T) {
	t.Setenv(runner.ShutdownTimeoutEnv, "soon")
	var log lines
	code := runner.Run(t.Context(), runner.Options{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if code != runner.ExitFailed || !strings.Contains(log.String(), runner.ShutdownTimeoutEnv) {
		t.Errorf("exit code %d: %s", code, &log)
	}
	t.Setenv(runner.ShutdownTimeoutEnv, "10m")
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, false)
		ids := b.server.AddJobs(giteatest.JobSpec{Labels: []string{"linux"}, Duration: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		exit := b.start(ctx)
		time.Sleep(time.Minute)
		start := time.Now()
		cancel()
		if <-exit; time.Since(start) != 10*time.Minute {
			t.Errorf("exit after %s", time.Since(start))
		}
		if s := b.status(t, ids[0]); s != giteatest.StatusCancelled {
			t.Errorf("job is %s", s)
		}
	})
}
