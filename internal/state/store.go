// Package state keeps what neither Docker nor Gitea can tell: the instance id
// under which everything of ours is labelled, and for each runner its
// intents and the identity that the server gave it.
//
// The invariant that it protects: what Put has returned from is on disk,
// whatever happens next; and a file that cannot be read whole is never
// written to. One process at a time has the file open.
package state

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// FileName is the name of the file in the state directory.
const FileName = "scaler.db"

// format is the version of the layout of the file. A file with a higher one
// was written by a later scaler and is refused.
const format = 1

var (
	// ErrLocked: another process has the state open.
	ErrLocked = errors.New("state is in use by another process")
	// ErrDamaged: the file is not, or no longer, a state file.
	ErrDamaged = errors.New("state file is damaged")
)

var (
	metaBucket    = []byte("meta")
	runnersBucket = []byte("runners")
	formatKey     = []byte("format")
	instanceKey   = []byte("instance")
)

// lockTimeout bounds the wait for another process to let go of the file.
const lockTimeout = time.Second

// Store is an open state file. Its methods may be called concurrently. The
// zero value is state that does not exist yet: it can be read, and is empty.
type Store struct {
	db       *bbolt.DB
	path     string
	instance string
}

// Open opens the state in the directory for writing, and creates both if they
// do not exist. The directory must be closed to other users, since the file
// holds the runners' own tokens. Errors: ErrLocked, ErrDamaged, or those of
// the file system; the file is then left as it is.
func Open(dir string) (*Store, error) {
	if err := prepareDir(dir); err != nil {
		return nil, err
	}
	s, err := open(dir, false)
	if err != nil {
		return nil, err
	}
	if err := s.initialise(); err != nil {
		s.db.Close()
		return nil, fmt.Errorf("initialise %s: %w", s.path, err)
	}
	return s, nil
}

// OpenReadOnly opens existing state for reading, beside no writer. If there is
// none the error wraps fs.ErrNotExist.
func OpenReadOnly(dir string) (*Store, error) {
	if _, err := os.Stat(filepath.Join(dir, FileName)); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	s, err := open(dir, true)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// prepareDir makes the directory, or checks the one that is there. It never
// changes the mode of an existing directory, which may not be ours alone.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create state directory %s (does the user of the daemon own its parent?): %w", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("read state directory: %w", err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return fmt.Errorf("state directory %s has mode %04o and would show the runners' tokens to other users: run chmod 700 %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

func open(dir string, readOnly bool) (s *Store, err error) {
	path := filepath.Join(dir, FileName)
	switch info, err := os.Stat(path); {
	case err == nil && info.Size() == 0:
		// bbolt would take it for a new file; ours is never empty.
		return nil, fmt.Errorf("open %s: %w: it is empty; restore a copy, or move it away to start anew", path, ErrDamaged)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open state: %w", err)
	}
	// bbolt panics on some kinds of damage, and faults on a file that was cut
	// short, since it maps it into memory.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, damaged(path, fmt.Errorf("%v", p))
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, ReadOnly: readOnly, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open %s: %w: is a scaler running with the same state_dir?", path, ErrLocked)
	case err != nil && errors.As(err, new(syscall.Errno)):
		return nil, fmt.Errorf("open state for writing (is the file system read-only or full?): %w", err)
	case err != nil:
		return nil, damaged(path, err) // all its other errors speak of the content
	}
	s = &Store{db: db, path: path}
	if err := s.load(); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

func damaged(path string, err error) error {
	return fmt.Errorf("open %s: %w: %w; restore a copy, or move it away to start anew", path, ErrDamaged, err)
}

// load checks the whole file and reads the instance id, if there is one.
func (s *Store) load() error {
	return s.db.View(func(tx *bbolt.Tx) error {
		if info, err := os.Stat(s.path); err != nil {
			return fmt.Errorf("read size of state: %w", err)
		} else if info.Size() < tx.Size() {
			return damaged(s.path, fmt.Errorf("it has %d bytes of %d", info.Size(), tx.Size()))
		}
		for err := range tx.Check() {
			return damaged(s.path, err)
		}
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			return nil // new
		}
		version := meta.Get(formatKey)
		if len(version) != 8 {
			return damaged(s.path, errors.New("it has no format version"))
		}
		if v := binary.BigEndian.Uint64(version); v != format {
			return fmt.Errorf("open %s: it has format %d and this scaler knows %d: use the scaler that wrote it, or a later one", s.path, v, format)
		}
		s.instance = string(meta.Get(instanceKey))
		if s.instance == "" || tx.Bucket(runnersBucket) == nil {
			return damaged(s.path, errors.New("it has no instance id"))
		}
		_, err := records(tx)
		if err != nil {
			return damaged(s.path, err)
		}
		return nil
	})
}

// initialise makes the buckets and the instance id of a new file.
func (s *Store) initialise() error {
	if s.instance != "" {
		return nil
	}
	id := make([]byte, 6)
	rand.Read(id) // never fails since Go 1.24
	instance := hex.EncodeToString(id)
	err := s.db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(runnersBucket); err != nil {
			return err
		}
		if err := meta.Put(formatKey, binary.BigEndian.AppendUint64(nil, format)); err != nil {
			return err
		}
		return meta.Put(instanceKey, []byte(instance))
	})
	if err == nil {
		s.instance = instance
	}
	return err
}

// Instance is the id under which everything that this daemon makes is
// labelled: twelve hexadecimal digits, made once. It is empty for read-only
// state that no daemon has used yet.
func (s *Store) Instance() string { return s.instance }

// Path is the path of the state file.
func (s *Store) Path() string { return s.path }

// Put writes a record and returns once it is on disk.
func (s *Store) Put(r Record) error {
	data, err := r.encode()
	if err != nil {
		return fmt.Errorf("encode runner %s: %w", r.Name, err)
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(runnersBucket).Put([]byte(r.Name), data)
	})
	if err != nil {
		return fmt.Errorf("store runner %s in %s: %w", r.Name, s.path, err)
	}
	return nil
}

// Delete removes a record and returns once that is on disk. A record that
// does not exist is no error.
func (s *Store) Delete(name string) error {
	err := s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(runnersBucket).Delete([]byte(name))
	})
	if err != nil {
		return fmt.Errorf("delete runner %s from %s: %w", name, s.path, err)
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
		var err error
		all, err = records(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read runners from %s: %w", s.path, err)
	}
	return all, nil
}

func records(tx *bbolt.Tx) ([]Record, error) {
	bucket := tx.Bucket(runnersBucket)
	if bucket == nil {
		return nil, nil
	}
	var all []Record
	err := bucket.ForEach(func(name, data []byte) error {
		r, err := decode(slices.Clone(data))
		if err != nil {
			return fmt.Errorf("decode runner %q: %w", name, err)
		}
		all = append(all, r)
		return nil
	})
	return all, err
}

// Close lets go of the file.
func (s *Store) Close() error { return s.db.Close() }
