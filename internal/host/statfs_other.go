//go:build !linux

package host

import (
	"errors"
	"io/fs"
)

func statfs(path string) (free, total float64, err error) {
	return 0, 0, &fs.PathError{Op: "statfs", Path: path, Err: errors.ErrUnsupported}
}
