package state

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// What can be wrong with state. Test for them with errors.Is; the message says
// which file it is about and what to do.
var (
	// ErrLocked: another process has the state open.
	ErrLocked = errors.New("state is in use by another process")
	// ErrDamaged: the file is not, or no longer, a state file.
	ErrDamaged = errors.New("state file is damaged")
	// ErrFormat: the file was written by a later scaler.
	ErrFormat = errors.New("state file has a later format")
	// ErrInstance: the state file and the file beside it that holds the
	// instance id do not belong together.
	ErrInstance = errors.New("instance id is in doubt")
	// ErrNoSpace: the file system is full, or a quota is used up.
	ErrNoSpace = errors.New("no space for the state: make room on its file system, or raise its quota")
	// ErrReadOnly: the file system cannot be written to.
	ErrReadOnly = errors.New("the file system of the state is read-only: look at the kernel's log for disk errors, and mount it writable")
)

// explain adds ErrNoSpace or ErrReadOnly to an error that has such a cause.
func explain(err error) error {
	switch {
	case causedBy(err, syscall.ENOSPC), causedBy(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case causedBy(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}

// causedBy reports whether the error comes from the system's errno. Where the
// file grows, bbolt passes on only the text of the system's error.
func causedBy(err error, errno syscall.Errno) bool {
	return errors.Is(err, errno) || err != nil && strings.HasSuffix(err.Error(), errno.Error())
}

// fromSystem reports whether the system refused something, which says nothing
// about the content of a file.
func fromSystem(err error) bool {
	_, ok := errors.AsType[syscall.Errno](err)
	return ok
}

// damaged says of what kind the damage is.
func damaged(path string, err error) error {
	return fmt.Errorf("open %s: %w: %w", path, ErrDamaged, err)
}
