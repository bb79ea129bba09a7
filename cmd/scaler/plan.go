package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
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
			if asJSON {
				return printJSON(cmd.OutOrStdout(), p)
			}
			var b bytes.Buffer
			writePlan(&b, p, time.Now())
			return printTo(cmd.OutOrStdout(), b.Bytes())
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// planned gets a plan from the daemon or makes one.
func planned(cmd *cobra.Command, flags *daemonFlags) (server.Plan, error) {
	d, err := flags.find(cmd)
	if err != nil {
		return server.Plan{}, err
	}
	p, err := d.client.Plan(cmd.Context())
	if !notRunning(err) || flags.socket != "" {
		return p, err
	}
	cfg, err := config.Load(flags.config)
	if err != nil {
		return server.Plan{}, err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "scaler: no daemon answers at %s: this plan was made from %s\n", d.client.Path(), flags.config)
	made, err := previewOffline(cmd.Context(), cfg, newLogger(cfg.Log, cmd.ErrOrStderr()))
	if err != nil {
		return server.Plan{}, err
	}
	return server.NewPlan(made), nil
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
		table(b, rows)
	}
	writeQueue(b, p.Queue, len(p.Queue), now)
}
