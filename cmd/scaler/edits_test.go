package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"scaler.io/scaler/internal/server"
)

// following follows a file and returns what was taken over, in turn.
func following(t *testing.T, path string) <-chan string {
	t.Helper()
	taken := make(chan string, 10)
	e := &edits{path: path, poll: time.Hour, log: slog.New(slog.DiscardHandler), hangups: catchHangups(),
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

// What was wrong may be mended elsewhere: a secret that was missing, a loop that
// had no time.
func TestRefusedEditsAreTriedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scaler.yaml")
	write(t, path, "one")
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		e := &edits{path: path, poll: time.Minute, log: slog.New(slog.DiscardHandler),
			take: func(context.Context, []byte) (server.Reloaded, error) {
				if tries++; tries < 3 {
					return server.Reloaded{}, errors.New("no such secret")
				}
				return server.Reloaded{}, nil
			}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		e.followWith(ctx, &fileWatch{log: e.log})
		if tries != 3 {
			t.Errorf("tried %d times, want 3: until it is taken over", tries)
		}
	})
}

// hangupConfig has the name of the configuration in the environment of a daemon
// that TestHangupsDoNotEndTheDaemon runs.
const hangupConfig = "SCALER_TEST_HANGUP_CONFIG"

// A daemon that is hung up on while it starts, and after it was told to end,
// goes on.
func TestHangupsDoNotEndTheDaemon(t *testing.T) {
	if path := os.Getenv(hangupConfig); path != "" {
		hangUp(t, path)
		return
	}
	path, dir := writeConfig(t)
	text, err := os.ReadFile(path)
	must(t, err)
	write(t, path, string(text)+"docker: {host: unix://"+dir+"/no-docker.sock}\n")
	cmd := exec.Command(os.Args[0], "-test.run=^TestHangupsDoNotEndTheDaemon$")
	cmd.Env = append(os.Environ(), hangupConfig+"="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// hangUp runs a daemon and hangs up on it, in a process that ends by that if
// nobody catches the signal.
func hangUp(t *testing.T, path string) {
	lines := make(lineWriter, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"run", "--config", path}, io.Discard, lines) }()
	for line := range lines {
		if strings.Contains(line, "scaler starts") {
			break
		}
	}
	must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	cancel()
	must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	for {
		select {
		case <-lines:
		case code := <-ended:
			must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
			if code != exitOK {
				t.Errorf("exit code %d", code)
			}
			return
		}
	}
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
