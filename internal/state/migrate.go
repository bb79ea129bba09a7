package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// keptBackups is how many copies from before migrations are kept.
const keptBackups = 5

// backupPrefix is how the names of such copies begin; the format and the time
// follow.
const backupPrefix = FileName + ".backup-format"

// migration brings the content of the file from one format to the next.
type migration func(tx *bbolt.Tx, now time.Time) error

// migrations are the ways from the first format to the present one, in order.
// A new format needs one more here and the next number in const format; what
// an older file lacks must still be readable by OpenReadOnly.
func migrations() []migration {
	return []migration{noteCreation, makeTokens, makeArrivals}
}

// noteCreation leads from format 1 to 2. The instance id has been written to
// its file before: see bringUp.
func noteCreation(tx *bbolt.Tx, now time.Time) error {
	return tx.Bucket(metaBucket).Put(createdKey, []byte(now.UTC().Format(time.RFC3339Nano)))
}

// makeTokens leads from format 2 to 3.
func makeTokens(tx *bbolt.Tx, _ time.Time) error {
	for _, name := range [][]byte{tokensBucket, enrolmentsBucket, auditBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return fmt.Errorf("create bucket %s: %w", name, err)
		}
	}
	return nil
}

// makeArrivals leads from format 3 to 4.
func makeArrivals(tx *bbolt.Tx, _ time.Time) error {
	if _, err := tx.CreateBucket(arrivalsBucket); err != nil {
		return fmt.Errorf("create bucket %s: %w", arrivalsBucket, err)
	}
	return nil
}

// upgrade applies all migrations from a format on.
func (o opener) upgrade(tx *bbolt.Tx, from uint64) error {
	now := time.Now()
	for v := from; v < o.format(); v++ {
		if err := o.steps[v-firstFormat](tx, now); err != nil {
			return fmt.Errorf("from format %d: %w", v, err)
		}
	}
	return tx.Bucket(metaBucket).Put(formatKey, binary.BigEndian.AppendUint64(nil, o.format()))
}

// migrate brings an older file to the present format: first a copy, then all
// steps in one transaction. After a crash in between, the next start finds the
// old format and does it again.
func (o opener) migrate(s *Store) error {
	from := s.contents.format
	backup, err := o.backUp(s)
	if err != nil {
		return fmt.Errorf("back up state before its migration: %w", err)
	}
	err = s.db.Update(func(tx *bbolt.Tx) error { return o.upgrade(tx, from) })
	if err == nil {
		err = s.load(o.format())
	}
	if err != nil {
		return fmt.Errorf("migrate %s to format %d (a copy of it is %s): %w", s.path, o.format(), backup, explain(err))
	}
	o.log.Info("state migrated", "from", from, "to", o.format(), "backup", backup)
	if err := o.prune(); err != nil {
		o.log.Warn("old backups of the state not removed", "err", err)
	}
	return nil
}

// backUp copies the file and returns the name of the copy. If the last copy is
// the same, as in a loop of failing starts, no other is made.
func (o opener) backUp(s *Store) (string, error) {
	var now bytes.Buffer
	if _, err := s.WriteTo(&now); err != nil {
		return "", err
	}
	old, err := o.backups()
	if err != nil {
		return "", err
	}
	if len(old) > 0 {
		last := old[len(old)-1]
		if data, err := os.ReadFile(last); err == nil && bytes.Equal(data, now.Bytes()) {
			return last, nil
		}
	}
	path := filepath.Join(o.dir, fmt.Sprintf("%s%d-%s", backupPrefix, s.contents.format, stamp(time.Now())))
	return path, replaceFile(path, func(w io.Writer) error {
		_, err := now.WriteTo(w)
		return err
	})
}

// backups lists the copies from before migrations, oldest first.
func (o opener) backups() ([]string, error) {
	paths, err := o.list(func(name string) bool {
		return strings.HasPrefix(name, backupPrefix) && !strings.HasSuffix(name, partSuffix)
	})
	age := func(path string) string { return path[strings.LastIndexByte(path, '-'):] }
	slices.SortFunc(paths, func(a, b string) int { return strings.Compare(age(a), age(b)) })
	return paths, err
}

// prune removes all backups but the last few, and what crashes have left of
// others.
func (o opener) prune() error {
	old, err := o.backups()
	old = old[:max(0, len(old)-keptBackups)]
	parts, partsErr := o.list(func(name string) bool {
		return strings.HasPrefix(name, backupPrefix) && strings.HasSuffix(name, partSuffix)
	})
	err = errors.Join(err, partsErr)
	for _, path := range append(old, parts...) {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// list returns the paths of the files in the directory whose names are wanted.
func (o opener) list(wanted func(name string) bool) ([]string, error) {
	entries, err := os.ReadDir(o.dir)
	if err != nil {
		return nil, fmt.Errorf("list state directory: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if wanted(e.Name()) {
			paths = append(paths, filepath.Join(o.dir, e.Name()))
		}
	}
	return paths, nil
}
