package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
)

func newReapCommand() *cobra.Command {
	var flags daemonFlags
	var dryRun, asJSON bool
	cmd := &cobra.Command{
		Use: "reap", Short: "Clear away what has nobody behind it, now", Args: cobra.NoArgs,
		Long: `Have the daemon look at once for what has nobody, or nothing, behind it, and
clear it away: runners in Gitea that are ours and have neither record nor
container, records without a container, and containers without a record.

The daemon does the same by itself every half minute. A runner in Gitea is
deleted only after it has been found so, and offline, for a minute; what is not
due yet is listed with its time.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			findings, err := d.client.Reap(cmd.Context(), dryRun)
			if err != nil {
				return err
			}
			return show(cmd, asJSON, findings, func(b *bytes.Buffer) { writeFindings(b, findings, dryRun, time.Now()) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only list it")
	return cmd
}

// writeFindings writes for people what was found, and what becomes of it.
func writeFindings(b *bytes.Buffer, findings []plan.Finding, dryRun bool, now time.Time) {
	if len(findings) == 0 {
		fmt.Fprintln(b, "Nothing found: each runner in Gitea, each container and each record has its others.")
		return
	}
	rows := [][]string{{"WHAT", "NAME", "WHEN", "WHY"}}
	for _, f := range findings {
		when := "now"
		switch {
		case f.Due.After(now):
			when = "in " + age(f.Due.Sub(now))
		case dryRun:
			when = "due"
		}
		rows = append(rows, []string{f.Kind, f.Name, when, clean(f.Reason)})
	}
	table(b, withServers(rows, 1, func(i int) string { return findings[i].Server }))
}
