package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
)

// defaultConfig is where the configuration is if nobody says otherwise.
const defaultConfig = "/etc/scaler/scaler.yaml"

func newValidateCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "validate", Short: "Check a configuration file and print all its faults", Args: cobra.NoArgs,
		Long: `Check a configuration file, and the files with secrets that it names.

All faults are printed at once, each on a line of its own as
  FILE:LINE: PATH: what is wrong and what would be right
and the exit code is 1. Warnings are printed too but do not change the exit code.
With --json all of it is one document on standard output.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if asJSON {
				return printValidation(cmd, cfg, err)
			}
			if err != nil {
				return err
			}
			for _, w := range warnings(cmd.Context(), cfg) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", path, w)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %s\n", path, summary(cfg))
			return err
		},
	}
	addConfigFlag(cmd, &path)
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// validation is what was found of a configuration file, as JSON.
type validation struct {
	Good     bool     `json:"good"`
	Summary  string   `json:"summary,omitempty"` // of a good one
	Faults   []fault  `json:"faults"`
	Warnings []string `json:"warnings"`
}

// fault is one fault of a configuration file.
type fault struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Path    string `json:"path,omitempty"` // as in pools[1].labels[0]
	Message string `json:"message"`
}

// printValidation prints what was found as JSON. That a file cannot be read is no
// finding.
func printValidation(cmd *cobra.Command, cfg *config.Config, err error) error {
	problems, faulty := errors.AsType[config.Problems](err)
	if err != nil && !faulty {
		return err
	}
	v := validation{Good: !faulty, Faults: []fault{}, Warnings: []string{}}
	for _, p := range problems {
		v.Faults = append(v.Faults, fault(p))
	}
	if v.Good {
		v.Summary, v.Warnings = summary(cfg), append(v.Warnings, warnings(cmd.Context(), cfg)...)
	}
	if err := printJSON(cmd.OutOrStdout(), v); err != nil || v.Good {
		return err
	}
	return &exitError{exitFailure}
}

// warnings lists what is allowed in a configuration and may not be meant.
func warnings(ctx context.Context, cfg *config.Config) []string {
	return append(cfg.Warnings(), unmeasurable(ctx, cfg.Limits.Pressure)...)
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
