package host

import (
	"io/fs"
	"syscall"
)

// statfs returns the bytes that the path's file system has for users who are
// not root, and in all. On a dead network mount it does not return.
func statfs(path string) (free, total float64, err error) {
	var s syscall.Statfs_t
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Statfs(path, &s)
	}
	if err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	block := float64(s.Frsize)
	if block == 0 { // as from a file system that does not tell the two apart
		block = float64(s.Bsize)
	}
	return float64(s.Bavail) * block, float64(s.Blocks) * block, nil
}
