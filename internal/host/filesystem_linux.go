package host

import (
	"fmt"
	"syscall"
)

// networked are the magic numbers of file systems whose locks and syncs depend
// on another machine or program. Source: statfs(2).
var networked = map[uint32]string{
	0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x01021997: "9p", 0x65735546: "FUSE",
	0x00c36400: "Ceph", 0x5346414f: "AFS", 0x0bd00bd0: "Lustre", 0x47504653: "GPFS",
}

// Look says what the file system of a path is. On a dead network mount it does
// not return.
func Look(path string) (FileSystem, error) {
	free, total, err := statfs(path)
	if err != nil {
		return FileSystem{}, fmt.Errorf("look at the file system of %s: %w", path, err)
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return FileSystem{}, fmt.Errorf("look at the file system of %s: %w", path, err)
	}
	f := FileSystem{Free: int64(free), Total: int64(total), Network: networked[uint32(s.Type)]}
	const readOnly = 0x1 // ST_RDONLY
	f.ReadOnly = s.Flags&readOnly != 0
	return f, nil
}
