package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/state"
)

// stateFlags say which state a command looks at.
type stateFlags struct {
	daemonFlags
	dir    string
	server string
}

func (f *stateFlags) add(cmd *cobra.Command) {
	f.daemonFlags.add(cmd)
	addServerFlag(cmd, &f.server, "whose state it is")
	cmd.Flags().StringVar(&f.dir, "state-dir", "", "state directory, instead of the one that the configuration names")
}

// readable is a state directory that may be read, with nobody writing to it.
type readable struct {
	dir string
	// origin is the state directory itself. It is empty if only the daemon
	// that owns it is known.
	origin string
	// source says where the state is from, for people.
	source string
}

func (r readable) file() string { return filepath.Join(r.dir, state.FileName) }

// read calls look with the state directory, or, if a daemon has it open, with
// a copy that the daemon gives out. The copy is gone afterwards.
func (f *stateFlags) read(cmd *cobra.Command, look func(readable) error) error {
	d, err := f.find(cmd)
	if err != nil {
		return err
	}
	if f.dir != "" {
		d.stateDir = f.dir
	}
	if err := f.choose(&d); err != nil {
		return err
	}
	var locked error
	if d.stateDir != "" {
		locked = look(readable{dir: d.stateDir, origin: d.stateDir, source: filepath.Join(d.stateDir, state.FileName)})
		if !errors.Is(locked, state.ErrLocked) {
			return locked
		}
	}
	dir, err := fetchState(cmd.Context(), d.client, f.server)
	if err != nil {
		if locked != nil {
			err = fmt.Errorf("%w (and %w)", err, locked)
		}
		return err
	}
	defer os.RemoveAll(dir)
	if err := sameState(dir, d); err != nil {
		return err
	}
	return look(readable{dir: dir, origin: d.stateDir, source: "state of the daemon at " + d.client.Path()})
}

// choose finds the directory of the server that is meant.
func (f *stateFlags) choose(d *place) error {
	switch {
	case len(d.servers) > 1 && f.server == "" && f.dir == "":
		return &usageError{"there are several servers: say with --server whose state is meant: " + strings.Join(d.servers, ", ")}
	case f.server != "" && len(d.servers) > 0 && !slices.Contains(d.servers, f.server):
		return &usageError{fmt.Sprintf("there is no server %q: --server is one of %s", f.server, strings.Join(d.servers, ", "))}
	case f.server == "" || d.stateDir == "":
		return nil
	}
	owner, err := state.Owner(d.stateDir)
	d.stateDir = state.ServerDir(d.stateDir, owner, f.server)
	return err
}

// fetchState gets a copy of the daemon's state into a directory of its own,
// closed to others.
func fetchState(ctx context.Context, client *server.Client, server string) (dir string, err error) {
	data, err := client.Backup(ctx, server)
	if err != nil {
		return "", err
	}
	dir, err = os.MkdirTemp("", "scaler-state-*") // has mode 0700
	if err != nil {
		return "", fmt.Errorf("keep a copy of the state: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, state.FileName), data, 0o600); err != nil {
		return "", errors.Join(fmt.Errorf("keep a copy of the state: %w", err), os.RemoveAll(dir))
	}
	return dir, nil
}

// sameState makes sure that the daemon which gave the copy is the one that has
// the state directory open.
func sameState(dir string, d place) error {
	if d.stateDir == "" {
		return nil
	}
	want, err := state.ReadInstance(d.stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Check says so
	}
	if err != nil {
		return err
	}
	s, err := state.OpenReadOnly(dir)
	if err != nil {
		return nil // Check says why
	}
	defer s.Close()
	if s.Instance() != want {
		return fmt.Errorf("%s belongs to instance %s and is in use, but the daemon at %s is instance %s: name the right one with --socket",
			d.stateDir, want, d.client.Path(), s.Instance())
	}
	return nil
}
