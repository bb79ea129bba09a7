package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
)

func newConfigSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the configuration file, for editors", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), config.Schema)
			return err
		},
	}
}

func newConfigReferenceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reference", Short: "Print the meaning of all settings, in Markdown", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), config.Reference())
			return err
		},
	}
}
