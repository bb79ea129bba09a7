package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
)

// auditRows is how many entries of the audit log are shown to people.
const auditRows = 50

func newTokenAuditCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	var after uint64
	var limit uint32
	var server string
	cmd := &cobra.Command{
		Use: "audit", Short: "Show who did what with tokens, runners and pools", Args: cobra.NoArgs,
		Long: `Show the audit log of tokens, of the runners that registered with them, and of
orders to pools and runners (scaler pause, resume, drain, start): the newest
entries, oldest first. It holds no secret.

With --json each entry is one line of JSON, and unless --limit is given there is
no limit. An export that goes on where the last one ended takes the number of the
last entry that it has: --json --after SEQ.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !asJSON && !cmd.Flags().Changed("limit") {
				limit = auditRows
			}
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			entries, err := d.client.Audit(cmd.Context(), server, after, int(limit))
			if err != nil {
				return err
			}
			if asJSON {
				for _, e := range entries {
					if err := printLine(cmd.OutOrStdout(), e); err != nil {
						return err
					}
				}
				return nil
			}
			var b bytes.Buffer
			writeAudit(&b, entries, after, int(limit))
			return printTo(cmd.OutOrStdout(), b.Bytes())
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	addServerFlag(cmd, &server, "whose log it is (default the first one)")
	cmd.Flags().Uint64Var(&after, "after", 0, "only entries after this `SEQ`, from the oldest on")
	cmd.Flags().Uint32Var(&limit, "limit", 0, "at most this `NUMBER` of entries; 0 is all (default 50, with --json all)")
	return cmd
}

// writeAudit writes entries of the audit log for people. Where the limit may
// have cut them off it says how to see more.
func writeAudit(b *bytes.Buffer, entries []plan.AuditEntry, after uint64, limit int) {
	switch {
	case len(entries) == 0 && after > 0:
		fmt.Fprintf(b, "The audit log has nothing after entry %d.\n", after)
		return
	case len(entries) == 0:
		fmt.Fprintln(b, "The audit log is empty.")
		return
	}
	fmt.Fprintf(b, "AUDIT LOG (%d)\n", len(entries))
	pools := slices.ContainsFunc(entries, func(e plan.AuditEntry) bool { return e.Pool != "" })
	rows := [][]string{{"SEQ", "AT", "ACTION", "TOKEN", "RUNNER", "FROM", "BY", "DETAIL"}}
	for _, e := range entries {
		runner := clean(e.Runner)
		if e.RunnerID != 0 {
			runner = strings.TrimSpace(fmt.Sprintf("%s #%d", runner, e.RunnerID))
		}
		rows = append(rows, []string{strconv.FormatUint(e.Seq, 10), clock(e.At), clean(e.Action), orDash(clean(e.Token)), orDash(runner),
			orDash(clean(e.Source)), orDash(clean(e.Actor)), orDash(clean(e.Detail))})
	}
	if pools {
		rows[0] = slices.Insert(rows[0], 3, "POOL")
		for i, e := range entries {
			rows[i+1] = slices.Insert(rows[i+1], 3, orDash(clean(e.Pool)))
		}
	}
	table(b, rows)
	switch first, last := entries[0].Seq, entries[len(entries)-1].Seq; {
	case limit == 0 || len(entries) < limit:
	case after > 0:
		fmt.Fprintf(b, "  Newer ones: --after %d\n", last)
	case first > 1:
		fmt.Fprintln(b, "  Older ones: --limit 0")
	}
}
