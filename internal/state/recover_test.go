package state

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.etcd.io/bbolt"
)

const instance = "0123456789ab"

var discard = slog.New(slog.DiscardHandler)

func mustRecover(t *testing.T, dir string, log *slog.Logger) *Store {
	t.Helper()
	s, err := OpenOrRecover(dir, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestRecoverKeepsADamagedFileAside(t *testing.T) {
	for name, data := range damagedFiles(t) {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t, map[string][]byte{FileName: data, InstanceFileName: []byte(instance + "\n")})
			var log bytes.Buffer
			s := mustRecover(t, dir, slog.New(slog.NewTextHandler(&log, nil)))
			if all, err := s.Records(); err != nil || len(all) != 0 || s.Instance() != instance {
				t.Errorf("records %v, %v, instance %s; want none, and the instance of before", all, err, s.Instance())
			}
			aside, _ := filepath.Glob(s.Path() + ".damaged-*")
			if len(aside) != 1 {
				t.Fatalf("kept aside: %v, want one file", aside)
			}
			if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, data) {
				t.Errorf("what is kept aside is not what was there: %v", err)
			}
			for _, want := range []string{"level=WARN", aside[0], instance, "adopted again", ErrDamaged.Error()} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("log %q lacks %q", log.String(), want)
				}
			}
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("%d lines are logged, want one", n)
			}

			if err := errors.Join(s.Put(record("a")), s.Close()); err != nil {
				t.Fatal(err)
			}
			s = mustRecover(t, dir, discard)
			if all, err := s.Records(); err != nil || len(all) != 1 {
				t.Errorf("the new file has %d records, %v", len(all), err)
			}
			if n := len(names(t, dir)); n != 3 {
				t.Errorf("the next start left %d files: %v", n, names(t, dir))
			}
		})
	}
}

func TestRecoverRefuses(t *testing.T) {
	damage := []byte("not a database")
	tests := map[string]struct {
		instance []byte // nil for no file
		want     []string
	}{
		"no instance id":      {nil, []string{"no instance-id beside it", "restore a copy, or move it away"}},
		"broken instance id":  {[]byte("0123"), []string{"does not hold an instance id", "restore a copy"}},
		"empty instance id":   {[]byte{}, []string{"does not hold an instance id"}},
		"capital instance id": {[]byte("0123456789AB\n"), []string{"does not hold an instance id"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files := map[string][]byte{FileName: damage}
			if tt.instance != nil {
				files[InstanceFileName] = tt.instance
			}
			dir := stateDir(t, files)
			_, err := OpenOrRecover(dir, discard)
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("error = %v, want ErrDamaged", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			if got, _ := os.ReadFile(filepath.Join(dir, FileName)); !bytes.Equal(got, damage) || len(names(t, dir)) != len(files) {
				t.Errorf("something was changed: %v", names(t, dir))
			}
		})
	}
}

func TestRecoverLeavesWhatIsNotDamaged(t *testing.T) {
	tests := map[string]struct {
		prepare func(t *testing.T, s *Store)
		want    error
	}{
		"locked":           {func(*testing.T, *Store) {}, ErrLocked},
		"later format":     {func(t *testing.T, s *Store) { must(t, setFormat(s, format+1), s.Close()) }, ErrFormat},
		"another instance": {func(t *testing.T, s *Store) { must(t, s.Close(), writeInstance(filepath.Dir(s.Path()), instance)) }, ErrInstance},
	}
	for name, tt := range tests {
		inBubble(t, name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			tt.prepare(t, mustOpen(t, dir))
			if _, err := OpenOrRecover(dir, discard); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
			if got := names(t, dir); len(got) != 2 {
				t.Errorf("files: %v, want none kept aside", got)
			}
		})
	}
}

// inBubble runs a subtest in which waiting for a lock takes no time.
func inBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// TestRecoverAfterACrash has what a crash leaves behind at each step of
// making or recovering state.
func TestRecoverAfterACrash(t *testing.T) {
	whole, err := os.ReadFile(mustOpen(t, filepath.Join(t.TempDir(), "state")).Path())
	if err != nil {
		t.Fatal(err)
	}
	id := []byte(instance + "\n")
	tests := map[string]struct {
		files map[string][]byte
		aside bool
	}{
		"the instance id is half written": {files: map[string][]byte{InstanceFileName + partSuffix: id[:3]}},
		"only the instance id is written": {files: map[string][]byte{InstanceFileName: id}},
		"the file is made and empty":      {files: map[string][]byte{InstanceFileName: id, FileName: {}}, aside: true},
		"the file is half made":           {files: map[string][]byte{InstanceFileName: id, FileName: whole[:100]}, aside: true},
		"the file has no content yet":     {files: map[string][]byte{InstanceFileName: id, FileName: emptyDatabase(t)}},
		"the damaged file is moved": {files: map[string][]byte{InstanceFileName: id, FileName + ".damaged-20260301T120000Z": []byte("x")},
			aside: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t, tt.files)
			s := mustRecover(t, dir, discard)
			if _, known := tt.files[InstanceFileName]; known && s.Instance() != instance {
				t.Errorf("instance is %s, want the one of before", s.Instance())
			}
			if got, err := ReadInstance(dir); err != nil || got != s.Instance() {
				t.Errorf("the file has the instance %q, %v, and the state %s", got, err, s.Instance())
			}
			must(t, s.Put(record("a")), s.Close())
			if aside, _ := filepath.Glob(s.Path() + ".damaged-*"); (len(aside) == 1) != tt.aside {
				t.Errorf("kept aside: %v", aside)
			}
			mustRecover(t, dir, discard)
		})
	}
}

func emptyDatabase(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), FileName)
	s, err := openFile(path, bbolt.Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	must(t, s.Close())
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDamagedFilesDoNotReplaceEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where all happens in the same second
		dir := stateDir(t, map[string][]byte{InstanceFileName: []byte(instance)})
		path := filepath.Join(dir, FileName)
		for _, content := range []string{"first", "second", "third"} {
			must(t, os.WriteFile(path, []byte(content), 0o600))
			s, err := OpenOrRecover(dir, discard)
			must(t, err)
			must(t, s.Close())
		}
		const at = ".damaged-20000101T000000Z"
		for suffix, want := range map[string]string{at: "first", at + "-2": "second", at + "-3": "third"} {
			if got, err := os.ReadFile(path + suffix); string(got) != want {
				t.Errorf("%s holds %q, %v, want %q", suffix, got, err, want)
			}
		}
	})
}

// TestStartsAtTheSameTime has several daemons start in a directory at once:
// one gets the state, the others are refused, and none takes the winner's file
// for a damaged one.
func TestStartsAtTheSameTime(t *testing.T) {
	for name, files := range map[string]map[string][]byte{
		"nothing there": nil,
		"damaged":       {FileName: []byte("x"), InstanceFileName: []byte(instance)},
	} {
		inBubble(t, name, func(t *testing.T) {
			dir := stateDir(t, files)
			var wg sync.WaitGroup
			var mu sync.Mutex
			var won []*Store
			for range 6 {
				wg.Go(func() {
					s, err := OpenOrRecover(dir, discard)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						won = append(won, s)
					} else if !errors.Is(err, ErrLocked) {
						t.Errorf("error = %v, want ErrLocked", err)
					}
				})
			}
			wg.Wait()
			if len(won) != 1 {
				t.Fatalf("%d got the state", len(won))
			}
			defer won[0].Close()
			if aside, _ := filepath.Glob(filepath.Join(dir, FileName+".damaged-*")); len(aside) != len(files)/2 {
				t.Errorf("kept aside: %v", aside)
			}
			if id, err := ReadInstance(dir); err != nil || id != won[0].Instance() {
				t.Errorf("instance %q, %v, want %s", id, err, won[0].Instance())
			}
		})
	}
}
