package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// maxFaults bounds how many faults of a file are told.
const maxFaults = 20

// Report is what Check found in a state file.
type Report struct {
	Path      string
	Size      int64 // bytes
	Format    uint64
	Instance  string
	CreatedAt time.Time
	Records   []Record // those that can be read
	// How many of what the gateway keeps can be read.
	Tokens, Enrolments, AuditEntries int
	// Corpses is how many of those that the server cannot delete can be read.
	Corpses int
	// Faults are empty if the file can be trusted.
	Faults []error
}

// Check reads a state file, its whole structure and every record, corpse,
// token, enrolment and audit entry, changes nothing, and says everything that is wrong
// with it. If instanceDir is not empty, the instance id is compared with the
// file in that directory. The error is for a file that cannot be looked at:
// ErrLocked, fs.ErrNotExist, or others of the file system.
func Check(path, instanceDir string) (Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Report{}, fmt.Errorf("check state: %w", err)
	}
	r := Report{Path: path, Size: info.Size()}
	s, err := openFile(path, bbolt.Options{ReadOnly: true}, false)
	switch {
	case errors.Is(err, ErrDamaged):
		r.Faults = []error{err}
		return r, nil
	case err != nil:
		return Report{}, err
	}
	defer s.Close()
	if err := s.db.View(r.inspect); err != nil {
		return Report{}, fmt.Errorf("check %s: %w", path, err)
	}
	if instanceDir != "" && r.Format != 0 {
		r.checkInstance(instanceDir)
	}
	return r, nil
}

// inspect adds what the content says, and its faults.
func (r *Report) inspect(tx *bbolt.Tx) error {
	var more int
	c := inspect(tx, format, func(err error) {
		if len(r.Faults) == maxFaults {
			more++
			return
		}
		r.Faults = append(r.Faults, err)
	})
	if more > 0 {
		r.Faults = append(r.Faults, fmt.Errorf("and %d more", more))
	}
	r.Format, r.Instance, r.CreatedAt = c.format, c.instance, c.created
	r.Tokens, r.Enrolments, r.AuditEntries = c.tokens, c.enrolments, c.audit
	r.Corpses = c.corpses
	if c.format > format {
		r.Faults = append(r.Faults, fmt.Errorf("%w: it is %d and this scaler knows %d", ErrFormat, c.format, format))
		return nil
	}
	return eachRecord(tx, func(_ []byte, rec Record, err error) error {
		if err == nil {
			r.Records = append(r.Records, rec)
		}
		return nil
	})
}

// checkInstance compares with the instance id outside the file, which files of
// the first format have none of.
func (r *Report) checkInstance(dir string) {
	other, err := ReadInstance(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && r.Format == firstFormat:
		return
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w: %s is missing: the next start of the daemon writes it again", ErrInstance, filepath.Join(dir, InstanceFileName))
	case err == nil:
		err = compareInstances(dir, r.Instance, other)
	}
	if err != nil {
		r.Faults = append(r.Faults, err)
	}
}
