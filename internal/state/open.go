package state

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// Open opens the state in the directory for writing. It creates what does not
// exist, and migrates a file of an earlier format after it has made a copy of
// it. The directory must be closed to other users, since the file holds the
// runners' own tokens. Errors: ErrLocked, ErrDamaged, ErrFormat, ErrInstance,
// ErrNoSpace, ErrReadOnly, or others of the file system; the file is then left
// as it is.
func Open(dir string) (*Store, error) {
	return opener{dir: dir, log: slog.New(slog.DiscardHandler), steps: migrations()}.open(false)
}

// OpenOrRecover is Open for the daemon. If the file is damaged and the
// instance id is known from the file beside it, the damaged file is kept aside
// under another name, which is logged as a warning, and the state starts
// without records and tokens under the same instance id: whoever owns the
// containers with that id can find all runners again, and the gateway's tokens
// are void. Otherwise ErrDamaged is returned
// and the file left as it is.
func OpenOrRecover(dir string, log *slog.Logger) (*Store, error) {
	return opener{dir: dir, log: log, steps: migrations()}.open(true)
}

// OpenReadOnly opens existing state for reading, beside no writer. It can read
// earlier formats too. If there is none the error wraps fs.ErrNotExist.
func OpenReadOnly(dir string) (*Store, error) {
	path := filepath.Join(dir, FileName)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	s, err := openFile(path, bbolt.Options{ReadOnly: true}, false)
	if err != nil {
		return nil, err
	}
	if err := s.loadOrClose(format); err != nil {
		return nil, err
	}
	return s, nil
}

// opener opens the state of one directory for writing.
type opener struct {
	dir   string
	log   *slog.Logger
	steps []migration
}

// format is the version that the file has when it is open.
func (o opener) format() uint64 { return firstFormat + uint64(len(o.steps)) }

func (o opener) path() string { return filepath.Join(o.dir, FileName) }

func (o opener) open(recovering bool) (*Store, error) {
	if err := prepareDir(o.dir); err != nil {
		return nil, err
	}
	unlock, err := lockDir(o.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := o.openLocked()
	if !recovering || !errors.Is(err, ErrDamaged) {
		return s, err
	}
	if err := o.setAside(err); err != nil {
		return nil, err
	}
	return o.openLocked()
}

// openLocked opens the file. The instance id comes first wherever something
// is made, so that after a crash at any point the next start goes on under
// the same.
func (o opener) openLocked() (*Store, error) {
	_, err := os.Stat(o.path())
	fresh := errors.Is(err, fs.ErrNotExist)
	if fresh {
		if _, err := ensureInstance(o.dir); err != nil {
			return nil, err
		}
	}
	s, err := openFile(o.path(), bbolt.Options{}, fresh)
	if err != nil {
		if fresh && fromSystem(err) {
			_ = os.Remove(o.path()) // else the next start would find it empty
		}
		return nil, err
	}
	if err := s.loadOrClose(o.format()); err != nil {
		return nil, err
	}
	if err := o.bringUp(s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// bringUp makes the content of a file that has none, or brings it to the
// present format.
func (o opener) bringUp(s *Store) error {
	if s.contents.format == 0 {
		id, err := ensureInstance(o.dir)
		if err != nil {
			return err
		}
		return o.initialise(s, id)
	}
	if err := matchInstance(o.dir, s.contents.instance); err != nil {
		return err
	}
	if s.contents.format == o.format() {
		return nil
	}
	return o.migrate(s)
}

// initialise makes the buckets of a new file.
func (o opener) initialise(s *Store, instance string) error {
	err := s.db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket(runnersBucket); err != nil {
			return err
		}
		if err := meta.Put(instanceKey, []byte(instance)); err != nil {
			return err
		}
		return o.upgrade(tx, firstFormat)
	})
	if err != nil {
		return fmt.Errorf("initialise %s: %w", s.path, explain(err))
	}
	return s.load(o.format())
}

// openFile opens the file and checks its structure. Only if create is set may
// it be missing or empty.
func openFile(path string, options bbolt.Options, create bool) (s *Store, err error) {
	how, wait := syscall.LOCK_EX, lockTimeout
	if options.ReadOnly {
		how, wait = syscall.LOCK_SH, 0
	}
	var file *os.File
	options.OpenFile = func(path string, flag int, mode fs.FileMode) (*os.File, error) {
		f, err := os.OpenFile(path, flag, mode)
		if err != nil {
			return nil, err
		}
		if err = flock(f, how, wait); err == nil {
			err = verifyLocked(f, create)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		file = f
		return f, nil
	}
	options.Timeout, options.FreelistType = lockTimeout, bbolt.FreelistMapType
	// bbolt panics on some kinds of damage, and faults where the disk does not
	// give back what it has mapped into memory.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			file.Close() // bbolt has not, and with it goes the lock
			s, err = nil, damaged(path, fmt.Errorf("%v", p))
		}
	}()
	db, err := bbolt.Open(path, 0o600, &options)
	switch {
	case err == nil:
		return &Store{db: db, path: path}, nil
	case errors.Is(err, ErrLocked):
		return nil, fmt.Errorf("open %s: %w: is a scaler running with the same state_dir?", path, err)
	case fromSystem(err):
		return nil, fmt.Errorf("open state: %w", explain(err))
	}
	return nil, damaged(path, err) // all its other errors speak of the content
}

// verifyLocked looks at the content of a file that is locked already: it would
// seem damaged while another process writes it. bbolt locks the same open file
// once more, which changes nothing.
func verifyLocked(f *os.File, create bool) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case info.Size() == 0 && create:
		return nil
	case info.Size() == 0:
		return errors.New("it is empty")
	}
	return verify(f, info.Size())
}

// loadOrClose is load, and closes the store if that fails.
func (s *Store) loadOrClose(latest uint64) error {
	if err := s.load(latest); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// load reads the whole file and checks it. Formats later than the latest are
// refused.
func (s *Store) load(latest uint64) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		var first error
		s.contents = inspect(tx, latest, func(err error) {
			if first == nil {
				first = damaged(s.path, err)
			}
		})
		if v := s.contents.format; v > latest {
			return fmt.Errorf("open %s: %w: it is %d and this scaler knows %d: use the scaler that wrote it, or a later one", s.path, ErrFormat, v, latest)
		}
		return first
	})
}

// setAside renames the damaged file, if it is known which instance it was of.
func (o opener) setAside(damage error) error {
	id, err := ReadInstance(o.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; there is no %s beside it, so nothing tells which runners are ours: restore a copy, or move it away to start anew", damage, InstanceFileName)
	case err != nil:
		return fmt.Errorf("%w; and %w, so nothing tells which runners are ours: restore a copy of %s, or move both away to start anew", damage, err, FileName)
	}
	aside, err := freeName(o.path() + ".damaged-" + stamp(time.Now()))
	if err != nil {
		return errors.Join(damage, err)
	}
	if err := os.Rename(o.path(), aside); err != nil {
		return errors.Join(damage, fmt.Errorf("keep damaged state aside: %w", explain(err)))
	}
	o.log.Warn("damaged state was kept aside; runners are adopted again from the labels of their containers and their .runner files, and the gateway's tokens are void until they are created anew",
		"file", aside, "instance", id, "err", damage)
	if err := syncDir(o.dir); err != nil {
		return fmt.Errorf("keep damaged state aside: %w", explain(err))
	}
	return nil
}

// freeName returns the name, or one with a number behind it if it is taken.
func freeName(name string) (string, error) {
	for n, try := 2, name; ; n++ {
		_, err := os.Lstat(try)
		if errors.Is(err, fs.ErrNotExist) {
			return try, nil
		}
		if err != nil {
			return "", fmt.Errorf("find a name to keep damaged state aside: %w", err)
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}
