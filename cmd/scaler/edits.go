package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"scaler.io/scaler/internal/config"
)

// Pace of the look at the configuration file.
const (
	editsPoll   = 5 * time.Second        // where no change is reported, as through some mounts
	editsSettle = 100 * time.Millisecond // an editor writes in several steps
)

// edits follows the configuration file while the daemon runs. What takes
// effect at once is whether a registration token is enabled; for the rest it
// says that a restart is needed.
type edits struct {
	path    string
	log     *slog.Logger
	applied *config.Config // what the daemon runs with
	enable  func(token string, enabled bool) (changed bool)
	trigger func()
}

// follow looks at the file each time it changes, until ctx ends.
func (e *edits) follow(ctx context.Context) {
	changes, stop := e.watch()
	defer stop()
	ticker := time.NewTicker(editsPoll)
	defer ticker.Stop()
	var seen fileStamp // none: it may have changed since the daemon read it
	for {
		if now := stamp(e.path); now != seen {
			seen = now
			e.look()
		}
		select {
		case <-ctx.Done():
			return
		case <-changes:
			select {
			case <-time.After(editsSettle):
			case <-ctx.Done():
				return
			}
		case <-ticker.C:
		}
	}
}

// watch reports events in the file's directory, since editors put another file
// in its place. Without it the file is polled all the same.
func (e *edits) watch() (<-chan fsnotify.Event, func()) {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		if err = w.Add(filepath.Dir(e.path)); err == nil {
			return w.Events, func() { _ = w.Close() }
		}
		_ = w.Close()
	}
	e.log.Debug("configuration is not watched, but polled", "err", err)
	return nil, func() {}
}

// fileStamp tells one version of a file from another.
type fileStamp struct {
	at   time.Time
	size int64
}

func stamp(path string) fileStamp {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info.ModTime(), info.Size()}
}

// look reads the file and takes over what it can.
func (e *edits) look() {
	cfg, err := config.Load(e.path)
	if err != nil {
		e.log.Warn("configuration has changed and is not good: the old one holds", "err", err)
		return
	}
	for _, t := range cfg.RegistrationTokens {
		if e.enable(t.Name, t.Enabled) {
			e.log.Info("registration token changed", "token", t.Name, "enabled", t.Enabled)
			e.trigger()
		}
	}
	if !reflect.DeepEqual(withoutEnabled(cfg), withoutEnabled(e.applied)) {
		e.log.Warn("configuration has changed: restart scaler to take it over")
	}
}

// withoutEnabled returns the configuration with all tokens enabled.
func withoutEnabled(cfg *config.Config) *config.Config {
	c := *cfg
	c.RegistrationTokens = slices.Clone(c.RegistrationTokens)
	for i := range c.RegistrationTokens {
		c.RegistrationTokens[i].Enabled = true
	}
	return &c
}
