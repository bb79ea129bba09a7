package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/giteatest/runner"
)

// newDemoRunnerCommand is what the demo's containers run.
func newDemoRunnerCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "demo-runner", Short: "Run the demo's runner", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if code := runner.Run(cmd.Context(), runner.Options{Dir: dir, Logger: log}); code != runner.ExitOK {
				return &exitError{code}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "/data", "directory with .runner")
	return cmd
}
