package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/giteatest/runner"
)

// newDemoRunnerCommand is what the demo's containers run. It understands the
// command that Forgejo's runner is given, which comes behind its own.
func newDemoRunnerCommand() *cobra.Command {
	var opts runner.Options
	var config string
	cmd := &cobra.Command{
		Use: "demo-runner [forgejo-runner] [daemon | one-job]", Short: "Run the demo's runner", Args: demoRunnerArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			opts.OneJob = slices.Contains(args, "one-job")
			if code := runner.Run(cmd.Context(), opts); code != runner.ExitOK {
				return &exitError{code}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&opts.Dir, "dir", "/data", "directory with .runner")
	cmd.Flags().StringVar(&config, "config", "", "the runner's configuration, of which it needs nothing")
	cmd.Flags().BoolVar(&opts.Wait, "wait", false, "with one-job: wait for a job")
	cmd.Flags().StringVar(&opts.Handle, "handle", "", "with one-job: take the job attempt with this handle only")
	return cmd
}

func demoRunnerArgs(_ *cobra.Command, args []string) error {
	if rest := strings.TrimSpace(strings.TrimPrefix(strings.Join(args, " "), "forgejo-runner")); rest != "" && rest != "daemon" && rest != "one-job" {
		return fmt.Errorf("want daemon or one-job, got %s", rest)
	}
	return nil
}
