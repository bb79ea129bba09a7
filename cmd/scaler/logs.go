package main

import (
	"io"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/server"
)

// shownLogLines is how many lines of a log are shown if nothing is said.
const shownLogLines = 100

func newLogsCommand() *cobra.Command {
	var flags daemonFlags
	var follow, asJSON bool
	var lines uint32
	cmd := &cobra.Command{
		Use: "logs RUNNER", Short: "Show what a runner's container has written", Args: oneRunner, ValidArgsFunction: completeRunners(&flags),
		Long: `Show the last lines that a runner's container has written, without control
characters. It is the log of the runner program; those of the jobs are in Gitea.

With --follow it goes on until the container has ended, or Ctrl-C. With --json each
line is one object with "line".`,
		Example: `  scaler logs scaler-3f2a9c0b71de-linux-k2jq7xwd --follow`,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			err = d.client.Logs(cmd.Context(), args[0], int(lines), follow, logPrinter(cmd.OutOrStdout(), asJSON))
			if follow && cmd.Context().Err() != nil {
				return nil // Ctrl-C
			}
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the container has ended")
	cmd.Flags().Uint32VarP(&lines, "lines", "n", shownLogLines, "how many `LINES` of what there is already")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// logPrinter prints a log line by line.
func logPrinter(out io.Writer, asJSON bool) func(string) error {
	return func(line string) error {
		if asJSON {
			return printLine(out, server.LogLine{Line: line})
		}
		return printTo(out, []byte(line+"\n"))
	}
}
