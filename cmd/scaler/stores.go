package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/state"
)

// stores are the records of the servers, in their order.
type stores []*state.Store

func (s stores) close() error {
	var errs []error
	for _, store := range s {
		errs = append(errs, store.Close())
	}
	return errors.Join(errs...)
}

// openStores opens the records of all servers for the daemon. Each has a state
// directory and an instance id of its own, so that what belongs to one of them is
// foreign to the others.
func openStores(cfg *config.Config, log *slog.Logger) (opened stores, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, opened.close())
			opened = nil
		}
	}()
	owner, err := stateOwner(cfg)
	if err != nil {
		return nil, err
	}
	if err := useInstance(cfg, owner); err != nil {
		return nil, err
	}
	for _, name := range cfg.ServerNames() {
		store, err := state.OpenOrRecover(state.ServerDir(cfg.StateDir, owner, name), log)
		if err != nil {
			return opened, err
		}
		opened = append(opened, store)
	}
	strays, err := state.Strays(cfg.StateDir, cfg.ServerNames())
	for _, name := range strays {
		log.Warn("a server is not configured any more, and its runners are left alone", "server", name, "state", state.ServerDir(cfg.StateDir, owner, name))
	}
	return opened, err
}

// stateOwner says whose the records in the state directory itself are: of a daemon
// for one server, that one's. It is the server that they were made for, so that
// whoever had one server before keeps its runners; if nothing was made yet, the
// first one.
func stateOwner(cfg *config.Config) (string, error) {
	owner, err := state.Owner(cfg.StateDir)
	if err != nil || owner != "" && cfg.Gitea == nil {
		return owner, err
	}
	if owner == "" && cfg.Gitea != nil {
		return "", nil
	}
	urls, err := recordedURLs(cfg.StateDir)
	if err != nil {
		return "", err
	}
	for _, name := range cfg.ServerNames() {
		view := cfg.ForServer(name)
		known := []string{view.Gitea.URL}
		if view.Gateway != nil {
			known = append(known, view.Gateway.PublicURL)
		}
		if len(urls) == 0 || slices.ContainsFunc(urls, func(url string) bool { return slices.Contains(known, url) }) {
			return name, nil
		}
	}
	return "", fmt.Errorf("the runners in %s are of %s, and no configured server has this url: configure it, have its runners go with scaler drain --all, or set another state_dir",
		cfg.StateDir, strings.Join(urls, " and "))
}

// recordedURLs are the addresses that the recorded runners have of their server.
func recordedURLs(dir string) ([]string, error) {
	store, err := state.OpenReadOnly(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil: // also if it is damaged: whose runners these are is not known then
		return nil, fmt.Errorf("find out which server the state is of: %w", err)
	}
	defer store.Close()
	records, err := store.Records()
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, r := range records {
		if r.Identity != nil && r.Identity.Address != "" && !slices.Contains(urls, r.Identity.Address) {
			urls = append(urls, r.Identity.Address)
		}
	}
	return urls, nil
}

// useInstance has the state directories take the instance id that is configured.
// Of several servers the owner of the state directory itself takes that one, and
// each other one an id that follows from it.
func useInstance(cfg *config.Config, owner string) error {
	if cfg.Instance != "" {
		if err := state.UseInstance(cfg.StateDir, cfg.Instance); err != nil {
			return err
		}
	}
	if cfg.Gitea != nil {
		return nil
	}
	if err := state.Own(cfg.StateDir, owner); err != nil {
		return err
	}
	if cfg.Instance == "" {
		return nil
	}
	for _, name := range cfg.ServerNames() {
		dir := state.ServerDir(cfg.StateDir, owner, name)
		if dir == cfg.StateDir {
			continue
		}
		if _, err := state.ReadInstance(dir); errors.Is(err, fs.ErrNotExist) {
			if err := state.UseInstance(dir, instanceFor(cfg.Instance, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// instanceFor is the instance id that follows from the configured one for one of
// several servers: the same each time, so that it can be found again where the
// state was lost.
func instanceFor(instance, server string) string {
	sum := sha256.Sum256([]byte(instance + " " + server))
	return hex.EncodeToString(sum[:len(instance)/2])
}

// readStores opens the records of all servers for reading, beside no daemon. Those
// of a server that no daemon has worked for yet are empty.
func readStores(cfg *config.Config) (opened stores, err error) {
	owner, err := stateOwner(cfg)
	if err != nil {
		return nil, err
	}
	for _, name := range cfg.ServerNames() {
		store, err := state.OpenReadOnly(state.ServerDir(cfg.StateDir, owner, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			store = &state.Store{}
		case err != nil:
			return nil, errors.Join(err, opened.close())
		}
		opened = append(opened, store)
	}
	return opened, nil
}
