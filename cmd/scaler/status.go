package main

import (
	"bytes"
	"time"

	"github.com/spf13/cobra"
)

func newStatusCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show pools, runners, the queue and what is wrong", Args: cobra.NoArgs,
		Long: `Show what the running daemon sees: problems, pools, runners and queued jobs,
with a reason for each.

With --watch a terminal is redrawn each second until Ctrl-C. Elsewhere, and with
--json, the status is printed anew whenever it changes.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			if watch {
				return newWatcher(d.client, cmd.OutOrStdout(), cmd.ErrOrStderr(), asJSON).run(cmd.Context())
			}
			s, err := d.client.Status(cmd.Context())
			if err != nil {
				return err
			}
			return show(cmd, asJSON, s, func(b *bytes.Buffer) { writeStatus(b, s, time.Now(), textWidth) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on until Ctrl-C")
	return cmd
}
