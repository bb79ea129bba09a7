package state

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"scaler.io/scaler/internal/plan"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func record(name string) Record {
	r := Record{
		Name: name, Pool: "linux", Token: "instance", Scope: plan.Scope{Kind: plan.ScopeRepo, Owner: "a", Repo: "b"},
		CreatedAt: now, Ephemeral: true, ContainerID: "abc", Reason: "job 1 waits", Job: 1,
		Identity: &plan.Identity{ID: 7, UUID: "u-7", Name: name, Token: "runner-secret", Address: "http://git.example", Labels: []string{"linux:host"}, Ephemeral: true},
	}
	r.Enter(plan.PhaseStarting, "registering", now)
	r.Enter(plan.PhaseBusy, "", now.Add(time.Second))
	return r
}

func mustOpen(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStoreKeepsRecordsAcrossReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "state")
	s := mustOpen(t, dir)
	instance := s.Instance()
	if len(instance) != 12 {
		t.Errorf("instance id %q, want twelve digits", instance)
	}
	for _, name := range []string{"b", "a", "c"} {
		if err := s.Put(record(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Delete("c", 0), s.Delete("never there", 0), s.Close()); err != nil {
		t.Fatal(err)
	}

	s = mustOpen(t, dir)
	if s.Instance() != instance {
		t.Errorf("instance id changed from %s to %s", instance, s.Instance())
	}
	got, err := s.Records()
	if err != nil {
		t.Fatal(err)
	}
	if want := []Record{record("a"), record("b")}; !reflect.DeepEqual(got, want) {
		t.Errorf("records = %+v\nwant %+v", got, want)
	}
}

func TestStoreModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := mustOpen(t, dir)
	for path, want := range map[string]fs.FileMode{dir: 0o700, s.Path(): 0o600, filepath.Join(dir, InstanceFileName): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

func TestOpenRefusesADirectoryOpenToOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir)
	if err == nil || !strings.Contains(err.Error(), "chmod 700 "+dir) {
		t.Errorf("error = %v, want advice to chmod", err)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o755 {
		t.Error("the directory's mode was changed")
	}
}

func TestOpenRefusesASecondWriter(t *testing.T) {
	synctest.Test(t, testOpenRefusesASecondWriter) // in which waiting takes no time
}

func testOpenRefusesASecondWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	mustOpen(t, dir)
	for name, open := range map[string]func(string) (*Store, error){"writer": Open, "reader": OpenReadOnly} {
		if _, err := open(dir); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: error = %v, want ErrLocked", name, err)
		}
	}
}

// damagedFiles are files that are no state, by what happened to them.
func damagedFiles(t *testing.T) map[string][]byte {
	t.Helper()
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	for _, n := range []string{"a", "b", "c"} {
		if err := s.Put(record(n)); err != nil {
			t.Fatal(err)
		}
	}
	changes := TokenChanges{PutTokens: []TokenRecord{token("t1", "one")}, PutEnrolments: []EnrolmentRecord{enrolment("u1", now)}, Audit: entries("register")}
	if err := errors.Join(s.Commit(changes), s.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	size := os.Getpagesize()
	pages := bytes.Clone(whole)
	copy(pages[2*size:], bytes.Repeat([]byte{0xff}, 2*size))
	return map[string][]byte{
		"empty":           {},
		"not a database":  bytes.Repeat([]byte("hello "), 4000),
		"cut short":       whole[:3*size+100],
		"broken records":  bytes.ReplaceAll(whole, []byte(`{"name"`), []byte(`{!name!`)),
		"renamed record":  bytes.ReplaceAll(whole, []byte(`{"name":"b"`), []byte(`{"name":"x"`)),
		"broken token":    bytes.ReplaceAll(whole, []byte(`{"id":"t1"`), []byte(`{!id!:"t1"`)),
		"renamed token":   bytes.ReplaceAll(whole, []byte(`{"id":"t1"`), []byte(`{"id":"t2"`)),
		"renamed runner":  bytes.ReplaceAll(whole, []byte(`"uuid":"u1"`), []byte(`"uuid":"u2"`)),
		"renumbered log":  bytes.ReplaceAll(whole, []byte(`{"seq":1`), []byte(`{"seq":7`)),
		"broken pages":    pages,
		"a few bytes":     []byte("x"),
		"one page of two": whole[:size],
		"another program": otherDatabase(t),
	}
}

// otherDatabase is a sound bbolt file that no scaler has written.
func otherDatabase(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("mails"))
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// stateDir is a directory closed to others, with the files in it.
func stateDir(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// names lists the files in a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestOpenRefusesDamageAndLeavesTheFileAlone(t *testing.T) {
	for name, data := range damagedFiles(t) {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t, map[string][]byte{FileName: data, InstanceFileName: []byte("0123456789ab\n")})
			path := filepath.Join(dir, FileName)
			for name, open := range map[string]func(string) (*Store, error){"writer": Open, "reader": OpenReadOnly} {
				s, err := open(dir)
				if err == nil {
					s.Close()
					t.Fatalf("%s: opened", name)
				}
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: error = %v, want ErrDamaged with the path", name, err)
				}
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, data) {
				t.Error("the file was written to")
			}
		})
	}
}

func TestOpenRefusesALaterFormat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := mustOpen(t, dir)
	if err := setFormat(s, format+1); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for name, open := range map[string]func(string) (*Store, error){"writer": Open, "reader": OpenReadOnly} {
		if _, err := open(dir); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "it is 5 and this scaler knows 4") {
			t.Errorf("%s: error = %v, want one that names the formats", name, err)
		}
	}
}

func TestOpenReadOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := OpenReadOnly(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want not exist", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the directory was made")
	}
	s := mustOpen(t, dir)
	if err := errors.Join(s.Put(record("a")), s.Close()); err != nil {
		t.Fatal(err)
	}
	reader, err := OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if all, err := reader.Records(); err != nil || len(all) != 1 || reader.Instance() != s.Instance() {
		t.Errorf("records = %v, %v, instance %q", all, err, reader.Instance())
	}
	if err := reader.Put(record("b")); err == nil {
		t.Error("a read-only store was written to")
	}
}

func TestEnterKeepsHistoriesApart(t *testing.T) {
	a := record("a")
	b := a
	a.Enter(plan.PhaseExited, "x", now)
	b.Enter(plan.PhaseDraining, "y", now)
	if got := a.History[len(a.History)-1].Phase; got != plan.PhaseExited {
		t.Errorf("a copy of the record changed its history to %s", got)
	}
	n := len(a.History)
	a.Enter(plan.PhaseExited, "again", now.Add(time.Hour))
	if len(a.History) != n || a.Since != now {
		t.Error("entering the same phase again changed the record")
	}
}
