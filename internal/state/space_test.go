package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mount mounts a file system of its own until the test ends.
func mount(t *testing.T, options string) (dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no mounts here: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
	return dir
}

// fill uses up the space, down to the last byte, and returns what gives it
// back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	must(t, err)
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("fill the file system: %v", err)
		}
	}
	must(t, f.Close())
	return func() { must(t, os.Remove(path)) }
}

func TestFullFileSystemLosesNothing(t *testing.T) {
	dir := mount(t, "size=1m,mode=0700")
	s, err := Open(dir)
	must(t, err)
	defer func() { s.Close() }()
	stored := make(map[string]bool)
	put := func(name string) error {
		err := s.Put(record(name))
		if err == nil {
			stored[name] = true
		}
		return err
	}
	for i := range 10 {
		must(t, put(fmt.Sprintf("before-%d", i)))
	}
	free := fill(t, dir)

	var failed error
	for i := 0; failed == nil && i < 2000; i++ {
		failed = put(fmt.Sprintf("full-%d", i))
	}
	if !errors.Is(failed, ErrNoSpace) || !errors.Is(failed, syscall.ENOSPC) || !strings.Contains(failed.Error(), "make room") {
		t.Fatalf("error = %v, want ErrNoSpace with what to do", failed)
	}
	for i := range 20 { // it goes on being used
		if err := put(fmt.Sprintf("more-%d", i)); err != nil && !errors.Is(err, ErrNoSpace) {
			t.Errorf("error = %v, want ErrNoSpace", err)
		}
		name := fmt.Sprintf("before-%d", i%10)
		switch err := s.Delete(name, 0); {
		case err == nil:
			delete(stored, name)
		case !errors.Is(err, ErrNoSpace):
			t.Errorf("delete: error = %v, want ErrNoSpace", err)
		}
		holds(t, s, stored)
	}

	free()
	for i := range 200 {
		must(t, put(fmt.Sprintf("after-%d", i)))
	}
	must(t, s.Delete("after-7", 0))
	delete(stored, "after-7")
	holds(t, s, stored)
	must(t, s.Close())
	if r, err := Check(s.Path(), dir); err != nil || len(r.Faults) != 0 {
		t.Errorf("check: %v, %v", r.Faults, err)
	}
	s, err = Open(dir)
	must(t, err)
	holds(t, s, stored)
}

func TestFullFileSystemCommitsAllOrNothing(t *testing.T) {
	dir := mount(t, "size=1m,mode=0700")
	s, err := Open(dir)
	must(t, err)
	defer func() { s.Close() }()
	var tokens []TokenRecord // in the order of their names
	var enrolments []EnrolmentRecord
	var actions []string
	check := func() {
		t.Helper()
		holdsTokens(t, s, tokens, enrolments, actions)
	}
	commit := func() error { // one of each, and one less of the first
		id := fmt.Sprintf("%04d", len(actions)+1)
		r, e := token(id, id), enrolment(id, now)
		c := TokenChanges{PutTokens: []TokenRecord{r}, PutEnrolments: []EnrolmentRecord{e}, Audit: entries(id)}
		if len(tokens) > 300 {
			c.DeleteTokens, c.DeleteEnrolments = []string{tokens[0].ID}, []string{enrolments[0].UUID}
		}
		if err := s.Commit(c); err != nil {
			return err
		}
		tokens, enrolments, actions = append(tokens[len(c.DeleteTokens):], r), append(enrolments[len(c.DeleteEnrolments):], e), append(actions, id)
		return nil
	}
	for range 10 {
		must(t, commit())
	}
	free := fill(t, dir)
	var failed error
	for i := 0; failed == nil && i < 2000; i++ {
		failed = commit()
	}
	if !errors.Is(failed, ErrNoSpace) || !errors.Is(failed, syscall.ENOSPC) || !strings.Contains(failed.Error(), "make room") {
		t.Fatalf("error = %v, want ErrNoSpace with what to do", failed)
	}
	check()
	for range 20 { // it goes on being used
		if err := commit(); err != nil && !errors.Is(err, ErrNoSpace) {
			t.Errorf("error = %v, want ErrNoSpace", err)
		}
		check()
	}

	free()
	for range 50 {
		must(t, commit())
	}
	check()
	must(t, s.Close())
	if r, err := Check(s.Path(), dir); err != nil || len(r.Faults) != 0 || r.AuditEntries != len(actions) {
		t.Errorf("check: %+v, %v", r, err)
	}
	s, err = Open(dir)
	must(t, err)
	check()
}

// holds demands that the store has exactly the records that it has accepted.
func holds(t *testing.T, s *Store, stored map[string]bool) {
	t.Helper()
	all, err := s.Records()
	must(t, err)
	if len(all) != len(stored) {
		t.Errorf("%d records, want %d", len(all), len(stored))
	}
	for _, r := range all {
		if !stored[r.Name] {
			t.Errorf("record %s is there, and should not", r.Name)
		}
	}
}

func TestFirstStartOnAFullFileSystem(t *testing.T) {
	dir := mount(t, "size=64k,mode=0700")
	free := fill(t, dir)
	if _, err := Open(dir); !errors.Is(err, ErrNoSpace) {
		t.Errorf("error = %v, want ErrNoSpace", err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("files: %v, want nothing half made", got)
	}
	free()
	// Enough for the instance id, but not for the records.
	must(t, os.WriteFile(filepath.Join(dir, "big"), make([]byte, 56<<10), 0o600))
	if _, err := Open(dir); !errors.Is(err, ErrNoSpace) {
		t.Errorf("error = %v, want ErrNoSpace", err)
	}
	must(t, os.Remove(filepath.Join(dir, "big")))
	s, err := Open(dir)
	must(t, err)
	must(t, s.Close())
}

func TestMigrationWithoutRoomForABackup(t *testing.T) {
	dir := mount(t, "size=128k,mode=0700")
	old, err := os.ReadFile(filepath.Join(formatOne(t), FileName))
	must(t, err)
	path := filepath.Join(dir, FileName)
	must(t, os.WriteFile(path, old, 0o600), writeInstance(dir, instance))
	free := fill(t, dir)
	if _, err := OpenOrRecover(dir, discard); !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "back up state") {
		t.Errorf("error = %v, want ErrNoSpace", err)
	}
	if got, _ := os.ReadFile(path); string(got) != string(old) || len(names(t, dir)) != 3 {
		t.Errorf("something was changed: %v", names(t, dir))
	}
	free()
	s, err := Open(dir)
	must(t, err)
	must(t, s.Close())
}

func TestReadOnlyFileSystem(t *testing.T) {
	dir := mount(t, "mode=0700")
	s, err := Open(dir)
	must(t, err, s.Put(record("a")), s.Commit(TokenChanges{PutTokens: []TokenRecord{token("t1", "one")}}), s.Close())
	remount := func(how string) {
		if out, err := exec.Command("mount", "-o", "remount,"+how, dir).CombinedOutput(); err != nil {
			t.Fatalf("remount: %s", out)
		}
	}
	remount("ro")
	defer remount("rw")
	if _, err := OpenOrRecover(dir, discard); !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "mount it writable") {
		t.Errorf("error = %v, want ErrReadOnly with what to do", err)
	}
	r, err := OpenReadOnly(dir)
	must(t, err)
	defer r.Close()
	if all, err := r.Records(); err != nil || len(all) != 1 {
		t.Errorf("%d records, %v", len(all), err)
	}
	holdsTokens(t, r, []TokenRecord{token("t1", "one")}, nil, nil)
}

func TestFirstStartOnAReadOnlyFileSystem(t *testing.T) {
	dir := mount(t, "ro,mode=0700")
	for _, at := range []string{dir, filepath.Join(dir, "state")} {
		if _, err := Open(at); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: error = %v, want ErrReadOnly", at, err)
		}
	}
}

func TestExplain(t *testing.T) {
	tests := map[string]struct {
		err  error
		want error // nil for the error as it was
	}{
		"full":               {&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, ErrNoSpace},
		"quota":              {fmt.Errorf("put: %w", syscall.EDQUOT), ErrNoSpace},
		"full while growing": {fmt.Errorf("file resize error: %s", syscall.ENOSPC), ErrNoSpace},
		"read-only":          {&os.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, ErrReadOnly},
		"another":            {io.ErrUnexpectedEOF, nil},
		"none":               {nil, nil},
	}
	for name, tt := range tests {
		got := explain(tt.err)
		if !errors.Is(got, tt.err) || tt.want != nil && !errors.Is(got, tt.want) || tt.want == nil && got != tt.err {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
