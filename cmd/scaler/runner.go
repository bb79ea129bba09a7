package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
)

func newRunnerListCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the runners", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runners, err := ask(cmd, &flags, func(ctx context.Context, r runnerSource) ([]plan.RunnerStatus, error) { return r.Runners(ctx) })
			if err != nil {
				return err
			}
			return show(cmd, asJSON, runners, func(b *bytes.Buffer) {
				fmt.Fprintf(b, "RUNNERS (%d)\n", len(runners))
				writeRunners(b, runners, time.Now(), unlimited)
			})
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func newRunnerShowCommand() *cobra.Command {
	var flags daemonFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show one runner with its history", Args: oneRunner,
		ValidArgsFunction: completeRunners(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := ask(cmd, &flags, func(ctx context.Context, r runnerSource) (plan.RunnerStatus, error) { return r.Runner(ctx, args[0]) })
			if err != nil {
				return err
			}
			return show(cmd, asJSON, r, func(b *bytes.Buffer) { writeRunner(b, r, time.Now()) })
		},
	}
	flags.add(cmd)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func newRunnerExportCommand() *cobra.Command {
	var flags daemonFlags
	var output string
	cmd := &cobra.Command{
		Use: "export NAME", Short: "Print the .runner file of a runner, which holds its token", Args: oneRunner,
		Long: `Print the .runner file with which the runner proves to Gitea who it is.

It holds the runner's own token. With --output it is written to a file that
nobody else can read; a file of that name is replaced.`,
		ValidArgsFunction: completeRunners(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := ask(cmd, &flags, func(ctx context.Context, r runnerSource) ([]byte, error) { return r.DotRunner(ctx, args[0]) })
			if err != nil {
				return err
			}
			if output == "" || output == "-" {
				return printTo(cmd.OutOrStdout(), data)
			}
			return writePrivate(output, data)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write, with mode 0600, instead of standard output")
	return cmd
}

// oneRunner checks that exactly one runner is named.
func oneRunner(_ *cobra.Command, args []string) error {
	switch {
	case len(args) != 1:
		return fmt.Errorf("want the name of one runner, got %d", len(args))
	case args[0] == "":
		return errors.New("want the name of one runner, got an empty one")
	}
	return nil
}

// writeRunner writes all that may be shown of a runner.
func writeRunner(b *bytes.Buffer, r plan.RunnerStatus, now time.Time) {
	rows := [][]string{
		{"Name", r.Name},
		{"Pool", r.Pool},
		{"Scope", r.Scope},
		{"Phase", fmt.Sprintf("%s for %s", r.Phase, age(now.Sub(r.Since)))},
		{"Because", orDash(clean(r.Note))},
		{"Created", fmt.Sprintf("%s, %s ago", clock(r.CreatedAt), age(now.Sub(r.CreatedAt)))},
		{"Created for", orDash(clean(r.Reason))},
		{"Jobs", map[bool]string{true: "one (ephemeral)", false: "any number"}[r.Ephemeral]},
		{"Last job", jobID(r.Job)},
		{"Jobs so far", strconv.Itoa(r.Jobs)},
		{"Outdated", orDash(clean(r.Outdated))},
		{"Id in Gitea", atServer(r)},
		{"Container", orDash(r.Container)},
	}
	table(b, rows)
	if len(r.History) == 0 {
		return
	}
	section(b, "HISTORY")
	rows = [][]string{{"AT", "PHASE", "WHY"}}
	for _, step := range r.History {
		rows = append(rows, []string{clock(step.At), string(step.Phase), orDash(clean(step.Note))})
	}
	table(b, rows)
}

// atServer is the server's id of a runner, with the name if that is another there.
func atServer(r plan.RunnerStatus) string {
	if r.ServerName == "" {
		return jobID(r.ServerID)
	}
	return fmt.Sprintf("%d, there with the name of an earlier runner: %s", r.ServerID, clean(r.ServerName))
}

// writePrivate writes a file with mode 0600, whole or not at all, and whatever
// the mode of a file that it replaces.
func writePrivate(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".scaler-export-*") // has mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
