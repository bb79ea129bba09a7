package realgitea

import (
	"context"
	"testing"
	"time"
)

// TestStart starts each server that SCALER_SERVER_BINS names and uses of it
// what tests use.
func TestStart(t *testing.T) {
	for _, b := range Binaries(t) {
		t.Run(b.Profile, func(t *testing.T) {
			s := StartBinary(t, b, "127.0.0.1", "registration-token-of-the-start-test")
			t.Logf("version %s", s.Version)
			if s.RegistrationToken == "" {
				t.Error("no registration token")
			}
			if runners, err := s.Runners(t.Context()); err != nil || len(runners) != 0 {
				t.Errorf("runners %v, %v", runners, err)
			}
			repo := Admin + "/start"
			s.CreateRepo(t, repo)
			s.AddWorkflow(t, repo, "test.yaml", "on: push\njobs:\n  job:\n    runs-on: nowhere\n    steps: [{run: echo}]\n")
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			poll := time.NewTicker(50 * time.Millisecond)
			defer poll.Stop()
			for {
				jobs, err := s.HeadJobs(ctx, repo)
				if err == nil && len(jobs) == 1 && jobs[0].Status == "queued" {
					return
				}
				select {
				case <-poll.C:
				case <-ctx.Done():
					t.Fatalf("jobs %v, %v: want one that is queued", jobs, err)
				}
			}
		})
	}
}
