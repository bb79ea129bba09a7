package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/simulate"
)

// parseAge reads how long ago, as in 7d, 36h or 90m.
func parseAge(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, isDays := strings.CutSuffix(s, "d"); isDays {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d <= 0 || d > 10*366*24*time.Hour {
		return 0, &usageError{fmt.Sprintf("--from-gitea %q is not a time like 7d or 36h", s)}
	}
	return d, nil
}

// fetch makes a trace of the jobs that the server has run lately, in the scopes
// of the pools.
func (s *simulateFlags) fetch(cmd *cobra.Command, cfg *config.Config) (simulate.Trace, error) {
	age, err := parseAge(s.fromGitea)
	if err != nil {
		return simulate.Trace{}, err
	}
	client, err := gitea.New(giteaOptions(cfg, newLogger(cfg.Log, cmd.ErrOrStderr())))
	if err != nil {
		return simulate.Trace{}, err
	}
	since := time.Now().Add(-age).UTC()
	start := since.Truncate(24 * time.Hour) // midnight
	var jobs []simulate.Job
	known := make(map[int64]bool)
	for _, scope := range poolScopes(cfg) {
		finished, complete, err := client.FinishedJobs(cmd.Context(), scope, since)
		if err != nil {
			return simulate.Trace{}, err
		}
		if !complete {
			fmt.Fprintf(cmd.ErrOrStderr(), "scaler: the server has more jobs of %s than can be read: some are missing\n", scope)
		}
		for _, j := range finished {
			if known[j.Job.ID] {
				continue
			}
			known[j.Job.ID] = true
			jobs = append(jobs, simulate.Job{
				Arrival: j.Job.QueuedAt.Sub(start), Duration: j.EndedAt.Sub(j.StartedAt), Labels: j.Job.Labels, Repo: j.Job.Repo,
			})
		}
	}
	return simulate.NewTrace(start, jobs), nil
}
