package runner_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/giteatest/runner"
)

// handles returns the handles of the jobs, by their ids.
func (b *bench) handles(t *testing.T) map[int64]string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, giteatest.BaseURL+"/api/v1/admin/actions/runners/jobs", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token api-token")
	resp, err := b.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var jobs []struct {
		ID     int64  `json:"id"`
		Handle string `json:"handle"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&jobs); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("HTTP %d, %v", resp.StatusCode, err)
	}
	by := make(map[int64]string)
	for _, j := range jobs {
		by[j.ID] = j.Handle
	}
	return by
}

// asForgejo makes the server of a bench a Forgejo 15.
func (b *bench) asForgejo(t *testing.T) {
	t.Helper()
	p, err := giteatest.ParseProfile("forgejo-15")
	if err != nil {
		t.Fatal(err)
	}
	b.server.SetProfile(p)
}

// A runner that is bound to a job takes no other, and waits for none.
func TestBoundToAHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, true)
		b.asForgejo(t)
		ids := b.server.AddJobs(giteatest.JobSpec{Labels: []string{"linux"}, Duration: 42 * time.Second, Count: 2})
		b.opts.OneJob, b.opts.Handle = true, b.handles(t)[ids[1]]
		start := time.Now()
		if code := <-b.start(t.Context()); code != runner.ExitOK || time.Since(start) != 42*time.Second {
			t.Errorf("exit code %d after %s: %s", code, time.Since(start), b.log)
		}
		if first, second := b.status(t, ids[0]), b.status(t, ids[1]); first != giteatest.StatusQueued || second != giteatest.StatusSuccess {
			t.Errorf("jobs are %s and %s", first, second)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, true)
		b.asForgejo(t)
		b.server.AddJobs(giteatest.JobSpec{Labels: []string{"linux"}, Duration: time.Second})
		b.opts.OneJob, b.opts.Handle = true, "6f6f6f6f-0000-4000-8000-000000000000"
		start := time.Now()
		if code := <-b.start(t.Context()); code != runner.ExitNoTask || time.Since(start) > time.Second {
			t.Errorf("of a job that is gone: exit code %d after %s", code, time.Since(start))
		}
	})
}

func TestOneJob(t *testing.T) {
	for name, wait := range map[string]bool{"waits": true, "does not wait": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, false)
				b.asForgejo(t)
				b.opts.OneJob, b.opts.Wait = true, wait
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				exit := b.start(ctx)
				time.Sleep(time.Minute)
				ids := b.server.AddJobs(giteatest.JobSpec{Labels: []string{"linux"}, Duration: time.Second, Count: 2})
				want, status := runner.ExitNoTask, giteatest.StatusQueued
				if wait {
					want, status = runner.ExitOK, giteatest.StatusSuccess
				}
				if code := <-exit; code != want || b.status(t, ids[0]) != status || b.status(t, ids[1]) != giteatest.StatusQueued {
					t.Errorf("exit code %d, jobs are %s and %s", code, b.status(t, ids[0]), b.status(t, ids[1]))
				}
			})
		})
	}
}
