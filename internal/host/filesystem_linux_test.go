package host

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func TestLook(t *testing.T) {
	f, err := Look(t.TempDir())
	if err != nil || f.Free <= 0 || f.Total < f.Free || f.ReadOnly {
		t.Errorf("a directory of this machine is %+v, %v", f, err)
	}
	if _, err := Look("/nonexistent/path"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "look at the file system of /nonexistent/path") {
		t.Errorf("nothing gives %v", err)
	}
	if networked[0x6969] != "NFS" || networked[0xef53] != "" {
		t.Error("NFS is taken for local, or ext4 for NFS")
	}
}
