package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"scaler.io/scaler/internal/plan"
)

// oldRecord is a record as scalers of format 1 wrote it.
const oldRecord = `{"name":"linux-1","pool":"linux","registration_token":"instance","scope":"repo:a/b","phase":"busy",` +
	`"since":"2026-03-01T12:00:01Z","created_at":"2026-03-01T12:00:00Z","ephemeral":true,"container_id":"abc",` +
	`"identity":{"id":7,"uuid":"u-7","name":"linux-1","token":"runner-secret","address":"http://git.example","labels":["linux:host"],"ephemeral":true},` +
	`"job":1,"reason":"job 1 waits","history":[{"at":"2026-03-01T12:00:00Z","phase":"starting","note":"registering"},{"at":"2026-03-01T12:00:01Z","phase":"busy"}]}`

// formatOne makes a state directory as a scaler of format 1 left it.
func formatOne(t *testing.T) string {
	t.Helper()
	dir := stateDir(t, nil)
	writeOld(t, dir, 1, func(*bbolt.Bucket) error { return nil })
	return dir
}

// formatTwo makes a state directory as a scaler of format 2 left it.
func formatTwo(t *testing.T) string {
	t.Helper()
	dir := stateDir(t, map[string][]byte{"instance-id": []byte(instance + "\n")})
	writeOld(t, dir, 2, func(meta *bbolt.Bucket) error {
		return meta.Put([]byte("created_at"), []byte("2026-02-01T08:00:00.5Z"))
	})
	return dir
}

// formatThree makes a state directory as a scaler of format 3 left it.
func formatThree(t *testing.T) string {
	t.Helper()
	dir := formatTwo(t)
	db, err := bbolt.Open(filepath.Join(dir, "scaler.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(makeTokens(tx, now), tx.Bucket([]byte("meta")).Put([]byte("format"), binary.BigEndian.AppendUint64(nil, 3)))
	}), db.Close())
	return dir
}

// writeOld writes a state file of an earlier format with one runner.
func writeOld(t *testing.T, dir string, format uint64, more func(meta *bbolt.Bucket) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "scaler.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket([]byte("meta"))
		if err != nil {
			return err
		}
		runners, err := tx.CreateBucket([]byte("runners"))
		if err != nil {
			return err
		}
		return errors.Join(
			meta.Put([]byte("format"), binary.BigEndian.AppendUint64(nil, format)),
			meta.Put([]byte("instance"), []byte(instance)),
			runners.Put([]byte("linux-1"), []byte(oldRecord)),
			more(meta))
	})
	must(t, err, db.Close())
}

func TestFormatIsThatOfTheLastMigration(t *testing.T) {
	if got := (opener{steps: migrations()}).format(); got != format {
		t.Errorf("the migrations lead to format %d, want %d", got, format)
	}
}

func TestMigration(t *testing.T) {
	noted := time.Date(2026, 2, 1, 8, 0, 0, 500_000_000, time.UTC)
	for name, tt := range map[string]struct {
		format  uint64
		make    func(*testing.T) string
		created time.Time // zero for the time of the migration
	}{
		"from format 1": {1, formatOne, time.Time{}},
		"from format 2": {2, formatTwo, noted},
		"from format 3": {3, formatThree, noted},
	} {
		inBubble(t, name, func(t *testing.T) { // where the time is known
			if tt.created.IsZero() {
				tt.created = time.Now()
			}
			testMigration(t, tt.make(t), tt.format, tt.created)
		})
	}
}

func testMigration(t *testing.T, dir string, from uint64, created time.Time) {
	path := filepath.Join(dir, FileName)
	old, err := os.ReadFile(path)
	must(t, err)
	var log bytes.Buffer
	s, err := OpenOrRecover(dir, slog.New(slog.NewTextHandler(&log, nil)))
	must(t, err)
	defer s.Close()

	if s.Format() != 4 || s.Instance() != instance || !s.CreatedAt().Equal(created) {
		t.Errorf("format %d, instance %s, created %s, want %s", s.Format(), s.Instance(), s.CreatedAt(), created)
	}
	want := record("linux-1")
	want.History[0].At, want.Since = now, now.Add(time.Second)
	if all, err := s.Records(); err != nil || len(all) != 1 || !reflect.DeepEqual(all[0], want) {
		t.Errorf("records %+v, %v\nwant %+v", all, err, want)
	}
	holdsTokens(t, s, nil, nil, nil)
	if id, err := ReadInstance(dir); err != nil || id != instance {
		t.Errorf("instance file has %q, %v", id, err)
	}
	backup := fmt.Sprintf("%s.backup-format%d-20000101T000000Z", path, from)
	if want := fmt.Sprintf(`msg="state migrated" from=%d to=4 backup=%s`, from, backup); !strings.Contains(log.String(), want) {
		t.Errorf("log = %s", log.String())
	}
	info, err := os.Stat(backup)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("backup: %v, %v, want mode 0600", info, err)
	}
	r, err := Check(backup, "")
	if err != nil || r.Format != from || r.Instance != instance || len(r.Records) != 1 || len(r.Faults) != 0 {
		t.Errorf("backup: %+v, %v", r, err)
	}

	// The new buckets can be used, and the file is good.
	must(t, s.Commit(TokenChanges{PutTokens: []TokenRecord{token("t1", "stacks")}}), s.PutArrivals(map[string][]byte{"linux": {1}}), s.Close())
	if r, err := Check(path, dir); err != nil || r.Format != 4 || r.Tokens != 1 || len(r.Faults) != 0 {
		t.Errorf("migrated file: %+v, %v", r, err)
	}

	// The way back is to copy the backup over the file.
	must(t, os.Rename(backup, path))
	again, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(again[2*os.Getpagesize():], old[2*os.Getpagesize():len(again)]) {
		t.Errorf("the backup differs from what was migrated: %v", err)
	}
	holdsTokens(t, mustOpen(t, dir), nil, nil, nil)
}

func TestMigrationHappensOnce(t *testing.T) {
	dir := formatOne(t)
	s := mustOpen(t, dir)
	created := s.CreatedAt()
	must(t, s.Close())
	s = mustOpen(t, dir)
	if !s.CreatedAt().Equal(created) || created.IsZero() {
		t.Errorf("created %s, before %s", s.CreatedAt(), created)
	}
	if got := names(t, dir); len(got) != 3 {
		t.Errorf("files: %v, want one backup", got)
	}
}

func TestReadersDoNotMigrate(t *testing.T) {
	for format, dir := range map[uint64]string{1: formatOne(t), 2: formatTwo(t), 3: formatThree(t)} {
		old, _ := os.ReadFile(filepath.Join(dir, FileName))
		files := names(t, dir)
		s, err := OpenReadOnly(dir)
		must(t, err)
		defer s.Close()
		if all, err := s.Records(); err != nil || len(all) != 1 || s.Format() != format || s.CreatedAt().IsZero() != (format == 1) {
			t.Errorf("%d records, %v, format %d, want %d", len(all), err, s.Format(), format)
		}
		holdsTokens(t, s, nil, nil, nil)
		if err := s.Commit(TokenChanges{DeleteTokens: []string{"t1"}}); err == nil {
			t.Errorf("format %d: a read-only store was written to", format)
		}
		if data, _ := os.ReadFile(s.Path()); !bytes.Equal(data, old) || !slices.Equal(names(t, dir), files) {
			t.Errorf("something was written: %v", names(t, dir))
		}
	}
}

func TestMigrationRefusesTheWrongInstance(t *testing.T) {
	dir := formatOne(t)
	must(t, writeInstance(dir, "ba9876543210"))
	old, _ := os.ReadFile(filepath.Join(dir, FileName))
	if _, err := Open(dir); !errors.Is(err, ErrInstance) {
		t.Errorf("error = %v, want ErrInstance", err)
	}
	if data, _ := os.ReadFile(filepath.Join(dir, FileName)); !bytes.Equal(data, old) || len(names(t, dir)) != 2 {
		t.Errorf("something was written: %v", names(t, dir))
	}
}

// failing is a next format whose migration has written when it fails.
func failing(dir string, fail func() error) opener {
	return opener{dir: dir, log: discard, steps: append(migrations(), func(tx *bbolt.Tx, _ time.Time) error {
		return errors.Join(tx.DeleteBucket(runnersBucket), fail())
	})}
}

func TestMigrationThatFailsChangesNothing(t *testing.T) {
	synctest.Test(t, testMigrationThatFails)
}

func testMigrationThatFails(t *testing.T) {
	dir := formatOne(t)
	for range 3 { // a service manager starts it again and again
		time.Sleep(5 * time.Second)
		_, err := failing(dir, func() error { return errors.New("no such luck") }).open(true)
		if err == nil || !strings.Contains(err.Error(), "from format 4: no such luck") || !strings.Contains(err.Error(), "backup-format1-") {
			t.Fatalf("error = %v", err)
		}
	}
	if got := names(t, dir); len(got) != 3 {
		t.Errorf("files: %v, want one backup", got)
	}
	r, err := Check(filepath.Join(dir, FileName), dir)
	if err != nil || r.Format != 1 || len(r.Records) != 1 || len(r.Faults) != 0 {
		t.Errorf("file: %+v, %v", r, err)
	}
	must(t, mustOpen(t, dir).Close())
}

// crashVariable names the directory in which the test is to be killed in the
// middle of a migration.
const crashVariable = "SCALER_TEST_CRASH_DIR"

func TestMigrationIsKilled(t *testing.T) {
	if dir := os.Getenv(crashVariable); dir != "" {
		_, err := failing(dir, func() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }).open(true)
		t.Fatalf("not killed: %v", err)
	}
	dir := formatOne(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestMigrationIsKilled$")
	cmd.Env = append(os.Environ(), crashVariable+"="+dir)
	out, err := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the child was not killed: %v\n%s", err, out)
	}
	if r, err := Check(filepath.Join(dir, FileName), ""); err != nil || r.Format != 1 || len(r.Faults) != 0 {
		t.Errorf("after the kill: %+v, %v", r, err)
	}
	s := mustOpen(t, dir)
	if all, err := s.Records(); err != nil || len(all) != 1 || s.Format() != format || s.Instance() != instance {
		t.Errorf("%d records, %v, format %d", len(all), err, s.Format())
	}
	if got := names(t, dir); len(got) != 3 {
		t.Errorf("files: %v, want the backup of before the kill and no other", got)
	}
}

func TestBackupsArePruned(t *testing.T) {
	dir := formatOne(t)
	var kept []string
	for i := range 7 {
		name := fmt.Sprintf("%s%d-2025010%dT000000Z", backupPrefix, 9-i, i+1) // a lower format can be newer
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o600))
		if i >= 3 {
			kept = append(kept, name)
		}
	}
	others := []string{FileName + ".damaged-20240101T000000Z", "notes"}
	for _, name := range append(others, backupPrefix+"1-20250101T000000Z"+partSuffix) {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	must(t, mustOpen(t, dir).Close())
	got := names(t, dir)
	for _, want := range append(append(kept, others...), FileName, InstanceFileName) {
		if !slices.Contains(got, want) {
			t.Errorf("%s is gone", want)
		}
	}
	if want := len(kept) + 1 + len(others) + 2; len(got) != want {
		t.Errorf("%d files, want %d: %v", len(got), want, got)
	}
}

func TestRecordsOfTodayReadAsThoseOfFormat1(t *testing.T) {
	r, err := decode([]byte(oldRecord))
	if err != nil || r.Phase != plan.PhaseBusy || r.Identity.Token.Reveal() != "runner-secret" {
		t.Errorf("record %+v, %v", r, err)
	}
}
