package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"go.etcd.io/bbolt"

	"scaler.io/scaler/internal/plan"
)

func TestCheck(t *testing.T) {
	corrupt := func(change func(*bbolt.Tx) error) func(*testing.T, *Store) {
		return func(t *testing.T, s *Store) { must(t, s.db.Update(change)) }
	}
	tests := map[string]struct {
		prepare func(t *testing.T, s *Store)
		records int
		faults  []string // in order, parts of them
	}{
		"good": {func(*testing.T, *Store) {}, 2, nil},
		"two broken records": {corrupt(func(tx *bbolt.Tx) error {
			b := tx.Bucket(runnersBucket)
			return errors.Join(b.Put([]byte("c"), []byte("{")), b.Put([]byte("d"), []byte(`{"name":"d","scope":"galaxy"}`)))
		}), 2, []string{`decode runner "c"`, `decode runner "d"`}},
		"record under another name": {corrupt(func(tx *bbolt.Tx) error {
			b := tx.Bucket(runnersBucket)
			return b.Put([]byte("z"), bytes.Clone(b.Get([]byte("a"))))
		}), 3, []string{`the record of runner "z" has the name "a"`}},
		"no time of creation": {corrupt(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(createdKey) }), 2, []string{"no time of creation"}},
		"later format":        {func(t *testing.T, s *Store) { must(t, setFormat(s, format+1)) }, 0, []string{"it is 5 and this scaler knows 4"}},
		"format 0":            {func(t *testing.T, s *Store) { must(t, setFormat(s, 0)) }, 2, []string{"impossible format 0"}},
		"no runners":          {corrupt(func(tx *bbolt.Tx) error { return tx.DeleteBucket(runnersBucket) }), 0, []string{"no instance id"}},
		"broken tokens": {corrupt(func(tx *bbolt.Tx) error {
			b := tx.Bucket(tokensBucket)
			return errors.Join(b.Put([]byte("t3"), []byte("{")), b.Put([]byte("t4"), []byte(`{"id":"t4","name":"x","scope":"galaxy"}`)),
				b.Put([]byte("t5"), []byte(`{"id":"t5","name":"x","scope":"instance"}`)), b.Put([]byte("t6"), []byte(`{"id":"t6","name":"","scope":"instance"}`)))
		}), 2, []string{`token "t3"`, `token "t4"`, `token "t5": its hash has 0 bytes`, `token "t6": it has no name`}},
		"token under another ID": {corrupt(func(tx *bbolt.Tx) error {
			b := tx.Bucket(tokensBucket)
			return errors.Join(b.Put([]byte("z"), bytes.Clone(b.Get([]byte("t2")))), b.Delete([]byte("t2")))
		}), 2, []string{`token "z": it says that it is "t2"`}},
		"two tokens of one name": {corrupt(func(tx *bbolt.Tx) error {
			b := tx.Bucket(tokensBucket)
			return b.Put([]byte("t2"), bytes.Replace(b.Get([]byte("t2")), []byte(`"name":"two"`), []byte(`"name":"one"`), 1))
		}), 2, []string{`tokens "t1" and "t2" have the same name "one"`}},
		"enrolment under another UUID": {corrupt(func(tx *bbolt.Tx) error {
			b := tx.Bucket(enrolmentsBucket)
			return errors.Join(b.Put([]byte("z"), bytes.Clone(b.Get([]byte("u1")))), b.Put([]byte("y"), []byte("[]")), b.Delete([]byte("u1")))
		}), 2, []string{`enrolment "y"`, `enrolment "z": it says that it is "u1"`}},
		"broken audit log": {corrupt(func(tx *bbolt.Tx) error {
			b := tx.Bucket(auditBucket)
			return errors.Join(b.Put(seqKey(2), bytes.Clone(b.Get(seqKey(1)))), b.Put(seqKey(3), []byte(`{"seq":3}`)), b.Put([]byte("last"), []byte(`{"seq":4}`)), b.Delete(seqKey(1)))
		}), 2, []string{"audit entry 0000000000000002: it says that it is 1", "audit entry 0000000000000003: it has no time", "audit entry 6c617374: it says that it is 4"}},
		"no buckets of the gateway": {corrupt(func(tx *bbolt.Tx) error {
			return errors.Join(tx.DeleteBucket(tokensBucket), tx.DeleteBucket(enrolmentsBucket), tx.DeleteBucket(auditBucket))
		}), 2, []string{"no tokens", "no enrolments", "no audit"}},
		"another instance": {func(t *testing.T, s *Store) { must(t, writeInstance(filepath.Dir(s.Path()), instance)) }, 2,
			[]string{instance}},
		"no instance file": {func(t *testing.T, s *Store) {
			must(t, os.Remove(filepath.Join(filepath.Dir(s.Path()), InstanceFileName)))
		}, 2,
			[]string{"is missing: the next start of the daemon writes it again"}},
		"more than one wants to read": {corrupt(func(tx *bbolt.Tx) error {
			for i := range maxFaults + 5 {
				if err := tx.Bucket(runnersBucket).Put(fmt.Appendf(nil, "x%02d", i), nil); err != nil {
					return err
				}
			}
			return nil
		}), 2, append(strings.Split(strings.Repeat("decode runner,", maxFaults), ",")[:maxFaults], "and 5 more")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			s := mustOpen(t, dir)
			must(t, s.Put(record("a")), s.Put(record("b")))
			must(t, s.Commit(TokenChanges{PutTokens: []TokenRecord{token("t1", "one"), token("t2", "two")},
				PutEnrolments: []EnrolmentRecord{enrolment("u1", now)}, Audit: entries("register")}))
			tt.prepare(t, s)
			must(t, s.Close())
			before, _ := os.ReadFile(s.Path())
			r, err := Check(s.Path(), dir)
			if err != nil || len(r.Records) != tt.records || r.Size == 0 || r.Path != s.Path() {
				t.Errorf("report %+v, %v, want %d records", r, err, tt.records)
			}
			if len(r.Faults) != len(tt.faults) {
				t.Fatalf("faults %v, want %d", r.Faults, len(tt.faults))
			}
			for i, want := range tt.faults {
				if !strings.Contains(r.Faults[i].Error(), want) {
					t.Errorf("fault %d is %q, want %q in it", i, r.Faults[i], want)
				}
			}
			if whole := [3]int{2, 1, 1}; len(tt.faults) == 0 && [3]int{r.Tokens, r.Enrolments, r.AuditEntries} != whole {
				t.Errorf("%d tokens, %d enrolments and %d audit entries, want %v", r.Tokens, r.Enrolments, r.AuditEntries, whole)
			}
			if after, _ := os.ReadFile(s.Path()); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
			// What has a fault is not opened for work.
			opened, err := OpenReadOnly(dir)
			if err == nil {
				opened.Close()
			}
			if outside := strings.Contains(name, "instance"); !outside && (err == nil) != (len(tt.faults) == 0) {
				t.Errorf("open: %v", err)
			}
		})
	}
}

func TestCheckFindsEveryDamage(t *testing.T) {
	for name, data := range damagedFiles(t) {
		dir := stateDir(t, map[string][]byte{FileName: data})
		if r, err := Check(filepath.Join(dir, FileName), ""); err != nil || len(r.Faults) == 0 {
			t.Errorf("%s: faults %v, %v", name, r.Faults, err)
		}
	}
}

func TestCheckCannotLook(t *testing.T) {
	synctest.Test(t, testCheckCannotLook)
}

func testCheckCannotLook(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := Check(filepath.Join(dir, FileName), dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want not exist", err)
	}
	s := mustOpen(t, dir)
	if _, err := Check(s.Path(), dir); !errors.Is(err, ErrLocked) {
		t.Errorf("error = %v, want ErrLocked", err)
	}
}

func TestWriteToIsACopyOfThatMoment(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"))
	must(t, s.Put(record("a")), s.Commit(TokenChanges{PutTokens: []TokenRecord{token("t1", "one")}}))
	var copied bytes.Buffer
	n, err := s.WriteTo(&copied)
	if err != nil || n != int64(copied.Len()) {
		t.Fatalf("wrote %d of %d bytes, %v", n, copied.Len(), err)
	}
	must(t, s.Put(record("b")), s.Commit(TokenChanges{DeleteTokens: []string{"t1"}}))
	dir := stateDir(t, map[string][]byte{FileName: copied.Bytes()})
	r, err := Check(filepath.Join(dir, FileName), "")
	if err != nil || len(r.Faults) != 0 || len(r.Records) != 1 || r.Tokens != 1 || r.Instance != s.Instance() {
		t.Errorf("copy: %+v, %v", r, err)
	}
}

func TestRecordAsJSONHasNoToken(t *testing.T) {
	r := record("a")
	data, err := json.Marshal([]Record{r})
	must(t, err)
	if strings.Contains(string(data), "runner-secret") || strings.Contains(string(data), "redacted") {
		t.Errorf("the token is shown: %s", data)
	}
	var shown []map[string]any
	must(t, json.Unmarshal(data, &shown))
	identity, _ := shown[0]["identity"].(map[string]any)
	if shown[0]["phase"] != string(plan.PhaseBusy) || shown[0]["scope"] != "repo:a/b" || identity["uuid"] != "u-7" || identity["id"] != 7.0 {
		t.Errorf("it lacks what it should show: %s", data)
	}
	// Whatever else is stored is shown too.
	var stored map[string]any
	raw, err := r.encode()
	must(t, err, json.Unmarshal(raw, &stored))
	if len(stored) != len(shown[0]) {
		t.Errorf("%d keys are stored and %d shown", len(stored), len(shown[0]))
	}
	r.Identity = nil
	if data, err := json.Marshal(r); err != nil || strings.Contains(string(data), "identity") {
		t.Errorf("%s, %v", data, err)
	}
}
