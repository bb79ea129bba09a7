package server

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// socketPath returns a path that is short enough whatever TMPDIR is.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "scaler")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "run", "s.sock")
}

func mustListen(t *testing.T, path string) net.Listener {
	t.Helper()
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestListenProtectsTheSocket(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0)) // the worst that a service manager may set
	path := socketPath(t)
	ln := mustListen(t, path)
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o750} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v, want %v", p, info.Mode().Perm(), err, want)
		}
	}
	ln.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("after Close the socket is there: %v", err)
	}
}

func TestListenReplacesAStaleSocket(t *testing.T) {
	path := socketPath(t)
	old := mustListen(t, path).(*net.UnixListener)
	old.SetUnlinkOnClose(false)
	old.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("the test left no stale socket: %v", err)
	}
	mustListen(t, path)
	if conn, err := net.Dial("unix", path); err != nil {
		t.Errorf("dial the new socket: %v", err)
	} else {
		conn.Close()
	}
}

func TestListenRefuses(t *testing.T) {
	tests := []struct {
		name  string
		there func(t *testing.T, path string) // makes what is in the way
		long  bool
		want  string
	}{
		{name: "a live socket", want: "another scaler is running on it", there: func(t *testing.T, path string) { mustListen(t, path) }},
		{name: "a file", want: "something else than a socket", there: func(t *testing.T, path string) { writeFile(t, path) }},
		{name: "a directory", want: "something else than a socket", there: func(t *testing.T, path string) {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "a link to a file", want: "something else than a socket", there: func(t *testing.T, path string) {
			writeFile(t, path+".target")
			if err := os.Symlink(path+".target", path); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "a file where the directory should be", want: "create directory", there: func(t *testing.T, path string) { writeFile(t, filepath.Dir(path)) }},
		{name: "a path that is too long", want: "set a shorter control_socket", long: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := socketPath(t)
			if tt.long {
				path = filepath.Join(path, strings.Repeat("x", maxPath))
			} else {
				tt.there(t, path)
			}
			before, _ := os.Lstat(path)
			ln, err := Listen(path)
			if err == nil {
				ln.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
			if after, _ := os.Lstat(path); before != nil && (after == nil || !os.SameFile(before, after)) {
				t.Error("what was there has been touched")
			}
		})
	}
}

func writeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
}
