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

With --watch it fills the terminal and is asked for every second, until q or Ctrl-C:
tab and the digits change what is shown, the arrows scroll. Elsewhere, and with
--json, the status is printed anew whenever it changes.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			if out, ok := terminal(cmd.OutOrStdout()); ok && watch && !asJSON {
				return fullScreen(cmd.Context(), cmd.InOrStdin(), out, &statusScreen{source: d.client})
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
