package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// drainPoll is how often it is looked whether a drain is done.
const drainPoll = time.Second

func newDrainCommand() *cobra.Command {
	var flags daemonFlags
	var d drain
	cmd := &cobra.Command{
		Use: "drain [POOL... | RUNNER... | --all]", Short: "Have pools, or runners, finish their jobs and go", DisableFlagsInUseLine: true,
		ValidArgsFunction: completeStatus(&flags, drainable),
		Long: `Have what is named finish its jobs and go. No job is cut off.

A pool is paused, as by scaler pause, and its idle runners go: each is disabled in
Gitea first, and looked at once more. It stays like that, over restarts too, until
scaler resume.

A runner goes by itself, and its pool may start another one in its place. A busy one
finishes its job and gets no other.

With --wait the command ends when nothing is left. Jobs take as long as they take:
give a --timeout, after which the exit code is 1 and the drain goes on.`,
		Example: `  scaler drain linux --wait --reason "new disks"
  scaler drain --all --wait --timeout 30m
  scaler drain scaler-3f2a9c0b71de-linux-k2jq7xwd`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if d.all == (len(args) > 0) {
				return &usageError{"give the names of pools or runners, or --all"}
			}
			if d.timeout != 0 && !d.wait {
				return &usageError{"--timeout goes with --wait only"}
			}
			place, err := flags.find(cmd)
			if err != nil {
				return err
			}
			d.client = place.client
			return d.run(cmd, args)
		},
	}
	flags.add(cmd)
	addReasonFlag(cmd, &d.reason)
	cmd.Flags().BoolVarP(&d.all, "all", "a", false, "all pools")
	cmd.Flags().BoolVarP(&d.wait, "wait", "w", false, "wait until nothing is left")
	cmd.Flags().DurationVar(&d.timeout, "timeout", 0, "with --wait, how long at most; 0 is as long as it takes")
	addJSONFlag(cmd, &d.json)
	return cmd
}

// drain is one order to drain.
type drain struct {
	client    *server.Client
	all, wait bool
	json      bool
	timeout   time.Duration
	reason    string
}

func (d *drain) run(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	s, err := d.client.Status(ctx)
	if err != nil {
		return err
	}
	o, targets, err := d.targets(s, args)
	if err != nil {
		return err
	}
	began := time.Now()
	err = eachOf(targets, func(t plan.DrainTarget) error { return d.client.Drain(ctx, t) })
	if err != nil {
		return err
	}
	if d.wait {
		if err := d.await(cmd, o, began); err != nil {
			return err
		}
		o.Done = true
	}
	done := "draining"
	if o.Done {
		done = "drained"
	}
	return showOrdered(cmd, d.json, o, done)
}

// targets finds out what is meant by names. A pool's comes first.
func (d *drain) targets(s plan.Status, names []string) (o ordered, list []plan.DrainTarget, err error) {
	o.Order = "drain"
	if d.all {
		for _, p := range s.Pools {
			o.Pools = append(o.Pools, p.Name)
		}
		return o, []plan.DrainTarget{{All: true, Reason: d.reason}}, nil
	}
	for _, name := range names {
		switch {
		case slices.ContainsFunc(s.Pools, func(p plan.PoolStatus) bool { return p.Name == name }):
			o.Pools = append(o.Pools, name)
			list = append(list, plan.DrainTarget{Pool: name, Reason: d.reason})
		case slices.ContainsFunc(s.Runners, func(r plan.RunnerStatus) bool { return r.Name == name }):
			o.Runners = append(o.Runners, name)
			list = append(list, plan.DrainTarget{Runner: name, Reason: d.reason})
		default:
			return o, nil, fmt.Errorf("drain %s: %w: neither a pool nor a runner is called so; scaler status lists both", name, plan.ErrNotFound)
		}
	}
	return o, list, nil
}

// await returns once nothing is left of what was drained. It says on standard
// error what is, when that changes.
func (d *drain) await(cmd *cobra.Command, o ordered, began time.Time) error {
	ctx := cmd.Context()
	if d.timeout > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, d.timeout, fmt.Errorf("not done after %s; the drain goes on", d.timeout))
		defer cancel()
		ctx = limited
	}
	ticker := time.NewTicker(drainPoll)
	defer ticker.Stop()
	told := ""
	for {
		s, err := d.client.Status(ctx)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("wait for the drain, which goes on: %w", err)
		}
		if err == nil && s.CycleAt.After(began) {
			left, resumed := leftOf(o, s)
			switch {
			case resumed != "":
				return fmt.Errorf("wait for the drain: pool %s was resumed", resumed)
			case left == "":
				return nil
			case left != told:
				fmt.Fprintf(cmd.ErrOrStderr(), "scaler: waiting for %s\n", left)
				told = left
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the drain: %w", context.Cause(ctx))
		}
	}
}

// leftOf says what there is of pools and runners that are drained, and which of
// the pools is so no more.
func leftOf(o ordered, s plan.Status) (left, resumed string) {
	var list []string
	for _, p := range s.Pools {
		switch n := population(p); {
		case !slices.Contains(o.Pools, p.Name):
		case p.Paused == nil || !p.Paused.Drain:
			return "", p.Name
		case n > 0:
			list = append(list, fmt.Sprintf("pool %s (%d busy, %d others)", p.Name, p.Busy, n-p.Busy))
		}
	}
	for _, r := range s.Runners {
		if slices.Contains(o.Runners, r.Name) {
			list = append(list, fmt.Sprintf("runner %s (%s)", r.Name, r.Phase))
		}
	}
	return strings.Join(list, ", "), ""
}

// drainable offers to the shell what can be drained.
func drainable(s plan.Status) (list []cobra.Completion) {
	for _, p := range s.Pools {
		list = append(list, cobra.CompletionWithDesc(p.Name, fmt.Sprintf("pool, %d runners", population(p))))
	}
	for _, r := range s.Runners {
		list = append(list, cobra.CompletionWithDesc(r.Name, "runner, "+string(r.Phase)))
	}
	return list
}

// population is how many runners a pool has, in whatever phase.
func population(p plan.PoolStatus) int { return p.Standby + p.Starting + p.Idle + p.Busy + p.Leaving }
