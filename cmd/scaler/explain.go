package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/pool"
	"scaler.io/scaler/internal/server"
)

func newExplainCommand() *cobra.Command {
	var flags daemonFlags
	var labels []string
	var repo, of string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain [JOB | --labels LABEL,... [--repo OWNER/NAME]]", Short: "Say what becomes of a job, why and when, pool by pool",
		Long: `Say what becomes of a queued job: which pools fit it and which do not and why,
what is done about it, and what has to happen first.

JOB is the id of a job, as in scaler status, or the address of its page in Gitea.
With --labels the answer is for a job with that runs-on, as if it were queued now
as the youngest. Give --repo if any pool is not for the whole server. Where there
are several servers, each counts its own jobs: --server says which is meant.

A running daemon answers by its last cycle. If there is none, Gitea and Docker are
asked as --config says.`,
		Example: `  scaler explain 4711
  scaler explain --labels linux,gpu --repo acme/app`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("want one job, got %d", len(args))
			}
			return nil
		},
		ValidArgsFunction: completeJobs(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := jobQuery(cmd, args, labels, repo)
			if err != nil {
				return err
			}
			q.Server = of
			e, err := decided(cmd, &flags,
				func(ctx context.Context, c *server.Client) (plan.Explanation, error) { return c.Explain(ctx, q) },
				func(ctx context.Context, fleet *pool.Group) (plan.Explanation, error) {
					return fleet.ExplainOnce(ctx, q)
				})
			if err != nil {
				return err
			}
			return show(cmd, asJSON, e, func(b *bytes.Buffer) { writeExplanation(b, e, time.Now(), textWidth) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	cmd.Flags().StringSliceVarP(&labels, "labels", "l", nil, "the runs-on of a job that might come; empty for a job without one")
	addServerFlag(cmd, &of, "whose job it is")
	cmd.Flags().StringVarP(&repo, "repo", "r", "", "its repository, as OWNER/NAME")
	return cmd
}

// jobQuery reads which job is meant.
func jobQuery(cmd *cobra.Command, args, labels []string, repo string) (plan.Query, error) {
	if hypothetical := cmd.Flags().Changed("labels"); hypothetical == (len(args) > 0) {
		return plan.Query{}, &usageError{"give a job or --labels"}
	} else if hypothetical {
		if owner, name, _ := strings.Cut(repo, "/"); repo != "" && (owner == "" || name == "" || strings.Contains(name, "/")) {
			return plan.Query{}, &usageError{fmt.Sprintf("--repo %q: want OWNER/NAME", repo)}
		}
		return plan.Query{Labels: labels, Repo: repo}, nil
	}
	if repo != "" {
		return plan.Query{}, &usageError{"--repo goes with --labels only"}
	}
	q, err := server.ParseJob(args[0])
	if err != nil {
		return plan.Query{}, &usageError{err.Error()}
	}
	return q, nil
}

// completeJobs offers the ids of the queued jobs to the shell.
func completeJobs(flags *daemonFlags) cobra.CompletionFunc {
	return completeFirst(flags, func(ctx context.Context, c *server.Client) ([]cobra.Completion, error) {
		s, err := c.Status(ctx)
		ids := make([]cobra.Completion, len(s.Queue))
		for i, j := range s.Queue {
			ids[i] = cobra.CompletionWithDesc(jobID(j.ID), clean(j.Repo+" "+j.Name))
		}
		return ids, err
	})
}
