package main

import (
	"fmt"
	"slices"
	"strings"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/state"
)

// loadFor reads the configuration for one server. Where there are several the name
// says which; the configuration is then as if there were no other, and has the
// state directory of that one.
func loadFor(path, server string) (*config.Config, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	return oneServer(cfg, server)
}

func oneServer(cfg *config.Config, server string) (*config.Config, error) {
	names := cfg.ServerNames()
	switch {
	case server == "" && len(names) > 1:
		return nil, &usageError{"there are several servers: say with --server which is meant: " + strings.Join(names, ", ")}
	case server == "":
		server = names[0]
	case cfg.Gitea != nil:
		return nil, &usageError{"there is one server only, which has no name: leave --server out"}
	case !slices.Contains(names, server):
		return nil, &usageError{fmt.Sprintf("there is no server %q: --server is one of %s", server, strings.Join(names, ", "))}
	}
	view := cfg.ForServer(server)
	if server == "" {
		return view, nil
	}
	owner, err := state.Owner(cfg.StateDir)
	view.StateDir = state.ServerDir(cfg.StateDir, owner, server)
	return view, err
}

// firstServer is the configuration for the first server, by which the daemon
// reaches what is beside the servers.
func firstServer(cfg *config.Config) *config.Config { return cfg.ForServer(cfg.ServerNames()[0]) }
