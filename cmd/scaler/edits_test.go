package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/server"
)

// following follows a file and returns what was taken over, in turn.
func following(t *testing.T, path string) <-chan string {
	t.Helper()
	taken := make(chan string, 10)
	e := &edits{path: path, poll: time.Hour, log: slog.New(slog.DiscardHandler),
		take: func(_ context.Context, data []byte) (server.Reloaded, error) {
			taken <- string(data)
			return server.Reloaded{}, nil
		},
		reload: func(context.Context) (server.Reloaded, error) {
			taken <- "reload"
			return server.Reloaded{}, nil
		}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); e.follow(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return taken
}

// wantTaken waits until the file was taken over as it is wanted. What lies
// between two looks may be passed over.
func wantTaken(t *testing.T, taken <-chan string, want string) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		select {
		case got := <-taken:
			if got == want {
				return
			}
		case <-limit.C:
			t.Fatalf("%q was not taken over", want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEditsAreSeen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "scaler.yaml")
	write(t, path, "one")
	taken := following(t, path)
	wantTaken(t, taken, "one")
	write(t, path, "two")
	wantTaken(t, taken, "two")
	// As editors do it: another file in its place.
	write(t, path+".new", "three")
	must(t, os.Rename(path+".new", path))
	wantTaken(t, taken, "three")
	must(t, os.Remove(path))
	write(t, path, "four")
	wantTaken(t, taken, "four")
	must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	wantTaken(t, taken, "reload")
}

// Mounted secrets are a link to a file in a directory behind a second link, which
// is switched over.
func TestEditsThroughLinks(t *testing.T) {
	dir := t.TempDir()
	for version, content := range map[string]string{"v1": "one", "v2": "two", "v3": "three"} {
		must(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "scaler.yaml"), content)
	}
	path := filepath.Join(dir, "etc", "scaler.yaml")
	must(t, os.Mkdir(filepath.Dir(path), 0o700))
	must(t, os.Symlink("v1", filepath.Join(dir, "current")))
	must(t, os.Symlink(filepath.Join("..", "current", "scaler.yaml"), path))
	if got, want := linkDirs(path), []string{dir, filepath.Join(dir, "etc"), filepath.Join(dir, "v1")}; !slices.Equal(got, want) {
		t.Errorf("linkDirs() = %q, want %q", got, want)
	}
	taken := following(t, path)
	wantTaken(t, taken, "one")
	for version, content := range map[string]string{"v2": "two", "v3": "three"} {
		must(t, os.Symlink(version, filepath.Join(dir, "next")))
		must(t, os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "current")))
		wantTaken(t, taken, content)
	}
}

func TestLinkDirsOfALoop(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	must(t, os.Symlink("b", path))
	must(t, os.Symlink("a", filepath.Join(dir, "b")))
	if got := linkDirs(path); !slices.Equal(got, []string{dir}) {
		t.Errorf("linkDirs() = %q, want only %q", got, dir)
	}
}
