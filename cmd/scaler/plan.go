package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/pool"
	"scaler.io/scaler/internal/server"
)

func newPlanCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "plan", Short: "Show what would be done now and why, and change nothing", Args: cobra.NoArgs,
		Long: `Show what the next cycle would do and why, and change nothing.

A running daemon is asked, and answers by the configuration that it runs with.
If there is none, Gitea and Docker are asked as --config says.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := planned(cmd, &flags)
			if err != nil {
				return err
			}
			return show(cmd, asJSON, p, func(b *bytes.Buffer) { writePlan(b, p, time.Now()) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// planned gets a plan from the daemon or makes one.
func planned(cmd *cobra.Command, flags *daemonFlags) (server.Plan, error) {
	fromDaemon := func(ctx context.Context, c *server.Client) (server.Plan, error) { return c.Plan(ctx) }
	return decided(cmd, flags, fromDaemon, func(ctx context.Context, fleet *pool.Group) (server.Plan, error) {
		p, err := fleet.PreviewOnce(ctx)
		return server.NewPlan(p), err
	})
}

// decided asks the daemon for a decision or, if none is running, makes it from
// what the daemon would see, and says so.
func decided[T any](cmd *cobra.Command, flags *daemonFlags, ask func(context.Context, *server.Client) (T, error), decide func(context.Context, *pool.Group) (T, error)) (T, error) {
	d, err := flags.find(cmd)
	if err != nil {
		return *new(T), err
	}
	answer, err := ask(cmd.Context(), d.client)
	if !notRunning(err) || flags.socket != "" {
		return answer, err
	}
	cfg, err := config.Load(flags.config)
	if err != nil {
		return *new(T), err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "scaler: no daemon answers at %s: this was made from %s\n", d.client.Path(), flags.config)
	fleet, end, err := offline(cmd.Context(), cfg, newLogger(cfg.Log, cmd.ErrOrStderr()))
	if err != nil {
		return *new(T), err
	}
	defer end()
	return decide(cmd.Context(), fleet)
}

// writePlan writes a plan for people.
func writePlan(b *bytes.Buffer, p server.Plan, now time.Time) {
	if len(p.Actions) == 0 {
		fmt.Fprintln(b, "Nothing to do.")
	} else {
		fmt.Fprintf(b, "TO DO (%d)\n", len(p.Actions))
		rows := [][]string{{"ACTION", "POOL", "RUNNER", "JOB", "WHY"}}
		for _, a := range p.Actions {
			rows = append(rows, []string{string(a.Kind), a.Pool, orDash(a.Runner), jobID(a.Job), clean(a.Reason)})
		}
		table(b, withServers(rows, 1, func(i int) string { return p.Actions[i].Server }))
	}
	writeQueue(b, p.Queue, len(p.Queue), now, unlimited)
}
