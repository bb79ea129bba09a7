package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// lockTimeout bounds a writer's wait for others to let go of a lock. A
	// reader does not wait: whoever keeps it out is a daemon, and stays.
	lockTimeout = time.Second
	lockRetry   = 50 * time.Millisecond
	// partSuffix marks a file that is not yet written whole.
	partSuffix = ".part"
	// stampLayout is how a moment, in UTC, stands in the name of a file. Names
	// sort by it.
	stampLayout = "20060102T150405Z"
)

func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

// prepareDir makes the directory, or checks the one that is there. It never
// changes the mode of an existing directory, which may not be ours alone.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create state directory %s (does the user of the daemon own its parent?): %w", dir, explain(err))
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("read state directory: %w", err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return fmt.Errorf("state directory %s has mode %04o and would show the runners' tokens to other users: run chmod 700 %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// lockDir keeps every other start in the directory waiting while files are
// made, migrated or moved aside there. The lock of the state file cannot do
// that, since it goes along with a file that is moved. Where directories
// cannot be locked, as on NFS, two starts at the same instant are not kept
// apart.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	if err := flock(f, syscall.LOCK_EX, lockTimeout); errors.Is(err, ErrLocked) {
		f.Close()
		return nil, fmt.Errorf("lock state directory %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

// flock locks a file, for which it waits a while if it has to. The lock is
// gone when the file is closed. The error is ErrLocked or the system's.
func flock(f *os.File, how int, wait time.Duration) error {
	for deadline := time.Now().Add(wait); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		case !time.Now().Before(deadline):
			return ErrLocked
		}
	}
}

// replaceFile makes a file with mode 0600, or replaces it. It is there whole
// and on disk, or not at all: a crash in between leaves a file with
// partSuffix, which the next call replaces.
func replaceFile(path string, fill func(io.Writer) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, explain(err))
		}
	}()
	part := path + partSuffix
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir brings the names in a directory to disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
