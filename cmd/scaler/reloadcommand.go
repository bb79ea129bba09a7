package main

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"
)

func newReloadCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "reload", Short: "Have the daemon read its configuration again, now", Args: cobra.NoArgs,
		Long: `Have the daemon read its configuration file again and take over what has
changed, and print that. The daemon does the same by itself when the file
changes, and on SIGHUP.

If the file is not good nothing changes, the last good one holds, and what is
wrong is printed with its place. Runners of a pool that was removed finish their
jobs and go. Some changes take effect after a restart only; they are listed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			out, err := d.client.Reload(cmd.Context())
			if err != nil {
				return err
			}
			return show(cmd, asJSON, out, func(b *bytes.Buffer) {
				for _, c := range out.Changes {
					fmt.Fprintln(b, clean(c))
				}
				for _, c := range out.Restart {
					fmt.Fprintf(b, "%s (restart scaler to take this over)\n", clean(c))
				}
				if b.Len() == 0 {
					b.WriteString("Nothing has changed.\n")
				}
			})
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}
