package main

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"scaler.io/scaler/internal/server"
)

// Pace of the look at the configuration file.
const (
	editsPoll   = 5 * time.Second        // where no change is reported, as through some mounts
	editsSettle = 100 * time.Millisecond // an editor writes in several steps
	// reloadTimeout bounds one reload, most of which is waiting for a cycle to end.
	reloadTimeout = time.Minute
)

// edits follows the configuration file and has each new content taken over, once.
type edits struct {
	path string
	poll time.Duration // between looks at the file where no change is reported
	log  *slog.Logger
	// hangups has a signal each time that somebody asks for a reload.
	hangups <-chan os.Signal
	take    func(ctx context.Context, data []byte) (server.Reloaded, error)
	// reload takes it over also if it is as it was: SIGHUP asks for that.
	reload func(ctx context.Context) (server.Reloaded, error)
}

// catchHangups has SIGHUP ask for a reload for the rest of the process. Before
// it is called, and if it were undone, the signal would end the daemon: also one
// that is starting, or has its runners drain.
func catchHangups() <-chan os.Signal {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	return hangups
}

// follow looks at the file each time it changes, until ctx ends. What it finds
// wrong is for take to tell. What was not taken over is tried again: it may be a
// secret that was not there yet, or a loop that had no time.
func (e *edits) follow(ctx context.Context) {
	w := newFileWatch(e.log)
	defer w.close()
	e.followWith(ctx, w)
}

func (e *edits) followWith(ctx context.Context, w *fileWatch) {
	var seen [sha256.Size]byte // none: it may have changed since the daemon read it
	ticker := time.NewTicker(e.poll)
	defer ticker.Stop()
	for {
		w.follow(e.path)
		if data, err := os.ReadFile(e.path); err == nil && sha256.Sum256(data) != seen {
			seen = sha256.Sum256(data)
			if !e.try(ctx, func(ctx context.Context) (server.Reloaded, error) { return e.take(ctx, data) }) {
				seen = [sha256.Size]byte{}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-e.hangups:
			e.log.Info("told to read the configuration again", "path", e.path)
			e.try(ctx, e.reload)
		case <-w.changes():
			select {
			case <-time.After(editsSettle):
			case <-ctx.Done():
				return
			}
			w.drain()
		case <-ticker.C:
		}
	}
}

// try reloads within its time, and reports whether that was possible. The error
// is shown and logged by the reload.
func (e *edits) try(ctx context.Context, reload func(context.Context) (server.Reloaded, error)) bool {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	_, err := reload(ctx)
	return err == nil
}

// fileWatch reports changes in the directories in which a file, or one of the links
// that lead to it, is put in place.
type fileWatch struct {
	log  *slog.Logger
	w    *fsnotify.Watcher // nil where it cannot be had: the file is polled then
	dirs []string
}

func newFileWatch(log *slog.Logger) *fileWatch {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Debug("configuration is not watched, but polled", "err", err)
		return &fileWatch{log: log}
	}
	return &fileWatch{log: log, w: w}
}

// follow watches what the path leads through now.
func (w *fileWatch) follow(path string) {
	if w.w == nil {
		return
	}
	dirs := linkDirs(path)
	if slices.Equal(dirs, w.dirs) {
		return
	}
	for _, dir := range w.dirs {
		if !slices.Contains(dirs, dir) {
			_ = w.w.Remove(dir) // it may be gone, and its watch with it
		}
	}
	w.dirs = w.dirs[:0]
	for _, dir := range dirs {
		if err := w.w.Add(dir); err != nil {
			w.log.Debug("directory of the configuration is not watched, but polled", "dir", dir, "err", err)
			continue
		}
		w.dirs = append(w.dirs, dir)
	}
}

func (w *fileWatch) changes() <-chan fsnotify.Event {
	if w.w == nil {
		return nil
	}
	return w.w.Events
}

// drain forgets the events that have come.
func (w *fileWatch) drain() {
	for {
		select {
		case <-w.w.Events:
		default:
			return
		}
	}
}

func (w *fileWatch) close() {
	if w.w != nil {
		_ = w.w.Close()
	}
}

// manyLinks is how many links a path may lead through, as for the system.
const manyLinks = 40

// linkDirs returns the directories in which something can be put in place that
// changes what the path leads to: its own, and those of each link on the way.
// That is how a mounted secret changes, and a release that is switched over.
func linkDirs(path string) []string {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	var dirs []string
	add := func(dir string) {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for range manyLinks {
		link, target := firstLink(path)
		if link == "" {
			add(filepath.Dir(path))
			break
		}
		add(filepath.Dir(link))
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		path = filepath.Join(target, strings.TrimPrefix(path, link))
	}
	slices.Sort(dirs)
	return dirs
}

// firstLink returns the first part of an absolute path that is a link, and where
// it leads to.
func firstLink(path string) (link, target string) {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != filepath.Separator {
			continue
		}
		if target, err := os.Readlink(path[:i]); err == nil {
			return path[:i], target
		}
	}
	return "", ""
}
