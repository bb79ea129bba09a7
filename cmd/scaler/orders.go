package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// ordered is what an order has come to, as JSON.
type ordered struct {
	Order   string   `json:"order"`             // "pause", "resume", "drain" or "start"
	Pools   []string `json:"pools,omitempty"`   // that it was given to
	Runners []string `json:"runners,omitempty"` // likewise, or the one that is started
	// Done is set once nothing is left of what was drained; without --wait it is
	// not waited for.
	Done bool `json:"done,omitempty"`
}

func newPauseCommand() *cobra.Command {
	var flags daemonFlags
	var reason string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "pause POOL...", Short: "Have pools start nothing until they are resumed", Args: somePools, ValidArgsFunction: completePools(&flags, nil),
		Long: `Have pools start nothing, neither for jobs nor to be ready, until scaler resume.
What runs goes on: busy runners finish their jobs, and idle ones still take jobs.

The daemon keeps it over restarts and edits of the configuration. Who did it, when
and the reason are shown wherever a job waits for the pool.`,
		Example: `  scaler pause linux --reason "new disks"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return order(cmd, &flags, asJSON, &ordered{Order: "pause", Pools: args}, func(ctx context.Context, c *server.Client) error {
				return eachOf(args, func(pool string) error { return c.Pause(ctx, pool, reason) })
			}, "paused")
		},
	}
	flags.add(cmd)
	addReasonFlag(cmd, &reason)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func newResumeCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON, all bool
	cmd := &cobra.Command{
		Use: "resume [POOL... | --all]", Short: "End what scaler pause or drain has ordered of pools", DisableFlagsInUseLine: true,
		ValidArgsFunction: completePools(&flags, func(p plan.PoolStatus) bool { return p.Paused != nil }),
		Long: `Have pools go on that were paused or drained. One that is neither stays as it is. A
runner that was drained is not taken back.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return &usageError{"give the names of pools or --all"}
			}
			o := ordered{Order: "resume", Pools: args}
			return order(cmd, &flags, asJSON, &o, func(ctx context.Context, c *server.Client) (err error) {
				if all {
					if o.Pools, err = pausedPools(ctx, c); err != nil {
						return err
					}
				}
				return eachOf(o.Pools, func(pool string) error { return c.Resume(ctx, pool) })
			}, "resumed")
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all pools that are paused or drained")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func newStartCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "start POOL", Short: "Start one runner of a pool beyond what the queue asks for", ValidArgsFunction: completePools(&flags, nil),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("want the name of one pool, got %d", len(args))
			}
			return nil
		},
		Long: `Start one runner of a pool now, and print its name. It takes a job as any other, and
without one it goes after the pool's idle_timeout. The pool's max, its ramp and the
limits over all pools hold for it, too.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			name, err := d.client.StartOne(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return show(cmd, asJSON, ordered{Order: "start", Pools: args, Runners: []string{name}}, func(b *bytes.Buffer) { fmt.Fprintln(b, name) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func addReasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVarP(reason, "reason", "r", "", "what people are told, in one line")
}

// order gives an order and prints what it has come to.
func order(cmd *cobra.Command, flags *daemonFlags, asJSON bool, o *ordered, give func(context.Context, *server.Client) error, done string) error {
	d, err := flags.find(cmd)
	if err != nil {
		return err
	}
	if err := give(cmd.Context(), d.client); err != nil {
		return err
	}
	return showOrdered(cmd, asJSON, *o, done)
}

// showOrdered prints what an order has come to.
func showOrdered(cmd *cobra.Command, asJSON bool, o ordered, done string) error {
	return show(cmd, asJSON, o, func(b *bytes.Buffer) {
		for _, name := range o.Pools {
			fmt.Fprintf(b, "pool %s is %s\n", name, done)
		}
		for _, name := range o.Runners {
			fmt.Fprintf(b, "runner %s is %s\n", name, done)
		}
		if len(o.Pools)+len(o.Runners) == 0 {
			fmt.Fprintf(b, "no pool had to be %s\n", done)
		}
	})
}

// eachOf gives an order for each target, also after one of them has failed.
func eachOf[T any](targets []T, give func(T) error) error {
	var errs []error
	for _, t := range targets {
		errs = append(errs, give(t))
	}
	return errors.Join(errs...)
}

// pausedPools lists the pools that are paused or drained.
func pausedPools(ctx context.Context, c *server.Client) ([]string, error) {
	s, err := c.Status(ctx)
	var names []string
	for _, p := range s.Pools {
		if p.Paused != nil {
			names = append(names, p.Name)
		}
	}
	return names, err
}

// somePools checks that pools are named.
func somePools(_ *cobra.Command, args []string) error {
	if len(args) == 0 || slices.Contains(args, "") {
		return errors.New("want the names of pools")
	}
	return nil
}

// completePools offers the names of pools to the shell that are not given yet,
// those that are wanted if that is set.
func completePools(flags *daemonFlags, wanted func(plan.PoolStatus) bool) cobra.CompletionFunc {
	return completeStatus(flags, func(s plan.Status) (list []cobra.Completion) {
		for _, p := range s.Pools {
			if wanted == nil || wanted(p) {
				list = append(list, cobra.CompletionWithDesc(p.Name, fmt.Sprintf("%d busy, %d idle", p.Busy, p.Idle)))
			}
		}
		return list
	})
}

// completeStatus offers what a running daemon's status has to the shell, but for
// what is given already.
func completeStatus(flags *daemonFlags, list func(plan.Status) []cobra.Completion) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, part string) ([]cobra.Completion, cobra.ShellCompDirective) {
		offer := completeFirst(flags, func(ctx context.Context, c *server.Client) ([]cobra.Completion, error) {
			s, err := c.Status(ctx)
			return slices.DeleteFunc(list(s), func(c cobra.Completion) bool {
				name, _, _ := strings.Cut(c, "\t")
				return slices.Contains(args, name)
			}), err
		})
		return offer(cmd, nil, part)
	}
}
