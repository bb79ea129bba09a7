//go:build !linux

package host

import (
	"errors"
	"fmt"
)

// Look is for Linux.
func Look(path string) (FileSystem, error) {
	return FileSystem{}, fmt.Errorf("look at the file system of %s: %w", path, errors.ErrUnsupported)
}
