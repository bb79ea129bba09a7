package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
)

// defaultConfig is where the configuration is if nobody says otherwise.
const defaultConfig = "/etc/scaler/scaler.yaml"

func newValidateCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use: "validate", Short: "Check a configuration file and print all its faults", Args: cobra.NoArgs,
		Long: `Check a configuration file, and the files with secrets that it names.

All faults are printed at once, each on a line of its own as
  FILE:LINE: PATH: what is wrong and what would be right
and the exit code is 1. Warnings are printed too but do not change the exit code.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			for _, w := range append(cfg.Warnings(), unmeasurable(cmd.Context(), cfg.Limits.Pressure)...) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", path, w)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %s\n", path, summary(cfg))
			return err
		},
	}
	addConfigFlag(cmd, &path)
	return cmd
}

func addConfigFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", defaultConfig, "configuration file")
}

// summary is a configuration in a few words.
func summary(cfg *config.Config) string {
	most := 0
	names := make([]string, len(cfg.Pools))
	for i, p := range cfg.Pools {
		names[i] = p.Name
		most += p.MostRunners()
	}
	if limit := cfg.Limits.Runners; limit > 0 {
		most = min(most, limit)
	}
	return fmt.Sprintf("%s (%s), %s, at most %s", count(len(names), "pool"), strings.Join(names, ", "),
		count(len(cfg.RegistrationTokens), "registration token"), count(most, "runner"))
}

// count returns "1 pool", "2 pools".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
