package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/server"
)

// Where a daemon has its socket and its state by default, for when there is
// no configuration to ask.
const (
	defaultSocket   = "/run/scaler/scaler.sock"
	defaultStateDir = "/var/lib/scaler"
)

// daemonFlags say which daemon a command talks to.
type daemonFlags struct {
	config string
	socket string
}

func (f *daemonFlags) add(cmd *cobra.Command) {
	addConfigFlag(cmd, &f.config)
	cmd.Flags().StringVarP(&f.socket, "socket", "s", "", "control socket of the daemon; no configuration is read then")
}

// place is where a daemon is to be found.
type place struct {
	client   *server.Client
	stateDir string // empty if only the socket is known
	servers  []string
}

// addServerFlag adds the flag that says which of several servers is meant.
func addServerFlag(cmd *cobra.Command, server *string, what string) {
	cmd.Flags().StringVar(server, "server", "", "`NAME` of the server "+what+", where there are several")
}

// find works out where the daemon is. Someone who looks at a running daemon
// must not be kept from it by a file that was broken since it was started or
// whose secrets only the service sees; so the file is not validated, and
// without --config, a file that is missing or not YAML means the default
// places.
func (f *daemonFlags) find(cmd *cobra.Command) (place, error) {
	if f.socket != "" {
		if cmd.Flags().Changed("config") {
			return place{}, &usageError{"give --config or --socket, not both"}
		}
		return place{client: server.NewClient(f.socket)}, nil
	}
	places, err := config.FindPlaces(f.config)
	switch {
	case err == nil:
		return place{client: server.NewClient(places.ControlSocket), stateDir: places.StateDir, servers: places.Servers}, nil
	case cmd.Flags().Changed("config"):
		return place{}, err
	case !errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(cmd.ErrOrStderr(), "scaler: %s cannot be used (see scaler validate): asking %s instead\n", f.config, defaultSocket)
	}
	return place{client: server.NewClient(defaultSocket), stateDir: defaultStateDir}, nil
}

// notRunning reports whether the error of a call means that there is no
// daemon, and not that one is hanging or closed to us.
func notRunning(err error) bool {
	return errors.Is(err, server.ErrUnreachable) && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED))
}
