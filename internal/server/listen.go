package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	socketMode = 0o600
	dirMode    = 0o750
	// probeTimeout bounds the attempt to reach another daemon.
	probeTimeout = time.Second
)

// maxPath is the length of the longest path that a Unix socket can have, in
// bytes; the kernel wants a zero after it.
const maxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// Listen makes the socket, with mode 0600, and its directory with mode 0750 if
// there is none. A socket on which nobody answers is what a daemon that was
// killed leaves behind, and is replaced. A socket on which somebody answers,
// and anything that is no socket, is an error and left alone. Closing the
// listener removes the socket.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("create control socket %s: the path has %d bytes and a socket's can have %d: set a shorter control_socket", path, len(path), maxPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return nil, fmt.Errorf("create directory of control socket: %w", err)
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	// Linux gives the file the mode that the unbound socket has, so that at no
	// moment it is open to others. Elsewhere that mode cannot be set, and the
	// chmod below does it a moment later.
	early := func(_, _ string, conn syscall.RawConn) error {
		return conn.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), socketMode) })
	}
	lc := net.ListenConfig{Control: early}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("create control socket: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("protect control socket: %w", err), ln.Close())
	}
	return ln, nil
}

// clearStale removes a socket on which nobody listens. The error says what
// stands in the way.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("create control socket %s: there is something else than a socket: move it away or set another control_socket", path)
	}
	conn, err := net.DialTimeout("unix", path, probeTimeout)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("create control socket %s: another scaler is running on it: stop it or set another control_socket", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("find out whether another scaler is running on %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stale control socket: %w", err)
	}
	return nil
}
