package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/gitea"
)

// probeTimeoutInside bounds the way to one URL from inside a container.
const probeTimeoutInside = 8 * time.Second

// newDoctorProbeCommand is what the doctor runs inside a container.
func newDoctorProbeCommand() *cobra.Command {
	var insecure bool
	cmd := &cobra.Command{
		Use: "doctor-probe URL...", Short: "Say how far the way to each URL leads", Args: cobra.ArbitraryArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, urls []string) error {
			transport, err := gitea.NewTransport(gitea.Options{InsecureSkipVerify: insecure})
			if err != nil {
				return err
			}
			defer transport.CloseIdleConnections()
			for _, u := range urls {
				ctx, cancel := context.WithTimeout(cmd.Context(), probeTimeoutInside)
				found := tryWay(ctx, transport, u)
				cancel()
				line, err := json.Marshal(found)
				if err != nil {
					return fmt.Errorf("print JSON: %w", err)
				}
				if err := printTo(cmd.OutOrStdout(), append(line, '\n')); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&insecure, "insecure", false, "accept any certificate")
	return cmd
}
