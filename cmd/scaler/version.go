package main

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version string

// buildInfo says which scaler this is.
type buildInfo struct {
	Version string `json:"version"`
	// Commit is empty in what make builds: there the version tells it. It ends
	// in "-dirty" if files were changed.
	Commit string `json:"commit,omitempty"`
	Go     string `json:"go"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
}

// readBuildInfo returns what the linker and the go command have left in the
// binary.
func readBuildInfo() buildInfo {
	b := buildInfo{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	if !ok {
		return b
	}
	settings := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	b.Commit = settings["vcs.revision"]
	if b.Commit != "" && settings["vcs.modified"] == "true" {
		b.Commit += "-dirty"
	}
	return b
}

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version of this binary", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := readBuildInfo()
			return show(cmd, asJSON, b, func(text *bytes.Buffer) {
				fmt.Fprintf(text, "scaler %s\n", b.Version)
				if b.Commit != "" {
					fmt.Fprintf(text, "commit %s\n", b.Commit)
				}
				fmt.Fprintf(text, "%s %s/%s\n", b.Go, b.OS, b.Arch)
			})
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}
