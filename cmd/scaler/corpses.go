package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// corpseList is what scaler corpses prints as JSON: the list, or what was taken out
// of it.
type corpseList struct {
	Corpses   []plan.CorpseStatus `json:"corpses,omitempty"`
	Forgotten []string            `json:"forgotten,omitempty"`
}

func newCorpsesCommand() *cobra.Command {
	var flags daemonFlags
	var forget, all, asJSON bool
	cmd := &cobra.Command{
		Use: "corpses [--forget NAME... | --forget --all]", Short: "List the runners that the server cannot be told to delete", DisableFlagsInUseLine: true,
		ValidArgsFunction: completeStatus(&flags, func(s plan.Status) (list []cobra.Completion) {
			for _, c := range s.Corpses {
				list = append(list, cobra.CompletionWithDesc(c.Name, c.Why))
			}
			return list
		}),
		Long: `List the runners that the server lists, or may list, with nothing of ours behind
them, and that it cannot be told to delete: Gitea before 1.24 and Forgejo before 15.
Each comes with the page on which an administrator can delete it.

A spare one is given to the next runner of its scope, so that the server lists no
more of them than ran at a time. There is no need to delete any. Once a person has,
--forget takes it out of the list. After an upgrade of the server, the daemon
deletes all of them by itself.`,
		Example: `  scaler corpses
  scaler corpses --forget scaler-3f2a91c07d5e-linux-k7q2m4xz`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case !forget && (all || len(args) > 0):
				return &usageError{"names and --all go with --forget"}
			case forget && all == (len(args) > 0):
				return &usageError{"give the names of corpses or --all"}
			case forget:
				return forgetCorpses(cmd, &flags, asJSON, args)
			}
			d, err := flags.find(cmd)
			if err != nil {
				return err
			}
			list, err := d.client.Corpses(cmd.Context())
			if err != nil {
				return err
			}
			return show(cmd, asJSON, corpseList{Corpses: list}, func(b *bytes.Buffer) { writeCorpses(b, list, time.Now()) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&forget, "forget", false, "take those out of the list that somebody has deleted at the server")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "with --forget, all of them")
	return cmd
}

// forgetCorpses takes those that are named out of the list, or all.
func forgetCorpses(cmd *cobra.Command, flags *daemonFlags, asJSON bool, names []string) error {
	d, err := flags.find(cmd)
	if err != nil {
		return err
	}
	if err := forgetEach(cmd.Context(), d.client, &names); err != nil {
		return err
	}
	return show(cmd, asJSON, corpseList{Forgotten: names}, func(b *bytes.Buffer) {
		for _, name := range names {
			fmt.Fprintf(b, "corpse %s is forgotten\n", name)
		}
		if len(names) == 0 {
			fmt.Fprintln(b, "there was no corpse to forget")
		}
	})
}

// forgetEach forgets the corpses that are named. Without any it forgets all, and
// sets the names.
func forgetEach(ctx context.Context, c *server.Client, names *[]string) (err error) {
	if len(*names) == 0 {
		*names, err = c.ForgetCorpses(ctx)
		return err
	}
	return eachOf(*names, func(name string) error { return c.ForgetCorpse(ctx, name) })
}

// writeCorpses writes for people what the server cannot delete.
func writeCorpses(b *bytes.Buffer, list []plan.CorpseStatus, now time.Time) {
	if len(list) == 0 {
		fmt.Fprintln(b, "None: the server has no runner of ours that it cannot be told to delete.")
		return
	}
	rows := [][]string{{"NAME", "ID", "SCOPE", "SPARE", "FOR", "WHY"}}
	for _, c := range list {
		spare := "no"
		if c.Spare {
			spare = "yes"
		}
		rows = append(rows, []string{clean(c.Name), jobID(c.ID), c.Scope, spare, age(now.Sub(c.Since)), clean(c.Why)})
	}
	table(b, rows)
	if slices.ContainsFunc(list, func(c plan.CorpseStatus) bool { return c.URL != "" }) {
		fmt.Fprintln(b, "\nWhere an administrator can delete them:")
		for _, c := range list {
			if c.URL != "" {
				fmt.Fprintln(b, "  "+clean(c.URL))
			}
		}
	}
}
