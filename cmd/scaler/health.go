package main

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
)

func newHealthCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON, ready bool
	cmd := &cobra.Command{
		Use: "health", Short: "Tell whether the daemon lives, for health checks", Args: cobra.NoArgs,
		Long: `Ask the daemon on its control socket whether its loop turns, and print one line.
The exit code is 0 if it does and else 1, also if no daemon answers.

With --ready it is 1 also while the daemon cannot do all of its work, as when
Docker or Gitea cannot be asked. That is nothing that a restart would mend.`,
		Example: `  scaler health
  scaler health --ready --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			h, err := d.client.Health(cmd.Context())
			if err != nil {
				h = plan.Health{Summary: "unknown: " + err.Error(), Checks: []plan.Check{}}
			}
			good := h.Alive && (h.Ready || !ready)
			err = show(cmd, asJSON, h, func(b *bytes.Buffer) { b.Write(healthLine(h, good)) })
			if err == nil && !good {
				err = &exitError{exitFailure}
			}
			return err
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&ready, "ready", false, "also demand that the daemon can do all of its work")
	return cmd
}

// healthLine is the health in one line.
func healthLine(h plan.Health, good bool) []byte {
	word := "good"
	if !good {
		word = "bad"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s\n", word, clean(h.Line()))
	return b.Bytes()
}
