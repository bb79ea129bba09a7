// Package state keeps what neither Docker nor Gitea can tell: the instance id
// under which everything of ours is labelled, for each runner its intents and
// the identity that the server gave it, the identities that no runner has and
// that the server cannot delete, what people have ordered, the gateway's
// registration tokens, the runners that came by them, and the audit log.
//
// The invariant that it protects: what Put or Commit has returned from is on
// disk, whatever happens next; and a file that cannot be read whole is never
// written to and never deleted. One process at a time has the file open.
//
// The directory holds
//
//	scaler.db                     the records, corpses, orders, tokens, audit log and arrivals
//	instance-id                   the instance id once more, to survive the loss of scaler.db
//	server                        the name of the server whose records these are, where there are several
//	servers/NAME                  the same of each other server
//	scaler.db.backup-formatN-TIME what scaler.db was before it was migrated from format N
//	scaler.db.damaged-TIME        a file that was damaged and kept aside
package state

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// FileName is the name of the file in the state directory.
const FileName = "scaler.db"

// Store is an open state file. Its methods may be called concurrently. The
// zero value is state that does not exist yet: it can be read, and is empty.
type Store struct {
	db       *bbolt.DB
	path     string
	contents contents
	writer   writer
	company  company
}

// Instance is the id under which everything that this daemon makes is
// labelled: twelve hexadecimal digits, made once. It is empty for read-only
// state that no daemon has used yet.
func (s *Store) Instance() string { return s.contents.instance }

// CreatedAt is when the file was made or, if it was made before files noted
// that, when it was migrated. It is zero for read-only state of that age.
func (s *Store) CreatedAt() time.Time { return s.contents.created }

// Format is the version of the file's layout.
func (s *Store) Format() uint64 { return s.contents.format }

// Path is the path of the state file.
func (s *Store) Path() string { return s.path }

// Put writes records, all or none, and returns once they are on disk. An identity
// that one of them has is no corpse any more. Calls that
// come at one time share the time that this takes. The error wraps ErrNoSpace or
// ErrReadOnly if that is the cause; the records are then as they were before,
// and the store can be used further.
func (s *Store) Put(records ...Record) error {
	data := make([][]byte, len(records))
	for i, r := range records {
		var err error
		if data[i], err = r.encode(); err != nil {
			return fmt.Errorf("encode runner %s: %w", r.Name, err)
		}
	}
	err := s.write(func(tx *bbolt.Tx) error {
		for i, r := range records {
			if err := putRecord(tx, r, data[i]); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err == nil:
		return nil
	case len(records) == 1:
		return fmt.Errorf("store runner %s in %s: %w", records[0].Name, s.path, explain(err))
	}
	return fmt.Errorf("store %d runners in %s: %w", len(records), s.path, explain(err))
}

// Delete removes a record, with what was ordered of its runner, and returns once
// that is on disk. Of several that come within patience of each other all but the
// first wait so long for more, to be written together. A record that does not
// exist is no error. Errors are as those of Put.
func (s *Store) Delete(name string, patience time.Duration) error {
	err := s.writeInCompany(patience, func(tx *bbolt.Tx) error {
		return errors.Join(tx.Bucket(runnersBucket).Delete([]byte(name)), forgetOrder(tx, name))
	})
	if err != nil {
		return fmt.Errorf("delete runner %s from %s: %w", name, s.path, explain(err))
	}
	return nil
}

// Records returns all records in the order of their names.
func (s *Store) Records() ([]Record, error) {
	if s.db == nil {
		return nil, nil
	}
	var all []Record
	err := s.db.View(func(tx *bbolt.Tx) error {
		return eachRecord(tx, func(name []byte, r Record, err error) error {
			if err != nil {
				return fmt.Errorf("decode runner %q: %w", name, err)
			}
			all = append(all, r)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read runners from %s: %w", s.path, err)
	}
	return all, nil
}

// WriteTo writes a copy of the whole file as it is at this moment, with the
// runners' own tokens and the hashes of the gateway's. A change that makes the
// file larger waits until the copy is written, so w should be quick: memory or
// a file.
func (s *Store) WriteTo(w io.Writer) (n int64, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		n, err = tx.WriteTo(w)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("copy %s: %w", s.path, explain(err))
	}
	return n, nil
}

// Close lets go of the file.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// eachRecord calls fn for each record, or with the error for one that cannot
// be decoded. It ends with the error of fn.
func eachRecord(tx *bbolt.Tx, fn func(name []byte, r Record, err error) error) error {
	bucket := tx.Bucket(runnersBucket)
	if bucket == nil {
		return nil
	}
	return bucket.ForEach(func(name, data []byte) error {
		r, err := decode(slices.Clone(data))
		return fn(name, r, err)
	})
}
