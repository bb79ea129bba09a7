//go:build !manual

package main

import "github.com/spf13/cobra"

// packagersCommands has none: what writes the manual would be a fiftieth of the
// program, on each host.
func packagersCommands() []*cobra.Command { return nil }
