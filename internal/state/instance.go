package state

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// InstanceFileName is the name of the file in the state directory that holds
// the instance id once more. With it, a daemon whose records are lost or
// damaged still knows which containers and runners are its own.
const InstanceFileName = "instance-id"

// instanceBytes is the length of an instance id before it is written in
// hexadecimal digits.
const instanceBytes = 6

// ReadInstance returns the instance id in the file beside the state file. The
// error wraps fs.ErrNotExist if there is no such file, which is so in a
// directory that only scalers of format 1 have used, and ErrInstance if it
// holds something else.
func ReadInstance(dir string) (string, error) {
	path := filepath.Join(dir, InstanceFileName)
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read instance id: %w", err)
	}
	id := strings.TrimSuffix(string(data), "\n")
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != instanceBytes || strings.ToLower(id) != id {
		return "", fmt.Errorf("%w: %s does not hold an instance id of %d lower-case hexadecimal digits", ErrInstance, path, 2*instanceBytes)
	}
	return id, nil
}

// UseInstance has a directory that has no instance id yet take this one, as it
// is configured. One that has another id belongs to another daemon, or to this
// one under another name: that is ErrInstance. A missing directory is made.
func UseInstance(dir, id string) error {
	if err := prepareDir(dir); err != nil {
		return err
	}
	has, err := ReadInstance(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Join(dir, FileName)); err == nil {
			return nil // its records have one, and are compared with the file as they are opened
		}
		return writeInstance(dir, id)
	case err != nil:
		return err
	case has != id:
		return fmt.Errorf("%w: %s says %s, and instance in the configuration says %s: what was made under the first would have no owner; "+
			"correct instance, or choose another state_dir", ErrInstance, filepath.Join(dir, InstanceFileName), has, id)
	}
	return nil
}

// ensureInstance returns the instance id of a directory that has no records
// yet: the one in the file, or a new one that it writes there.
func ensureInstance(dir string) (string, error) {
	id, err := ReadInstance(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	id = newInstance()
	return id, writeInstance(dir, id)
}

// newInstance makes up an instance id. Its first digit is a letter, so that YAML
// reads it as a text where people write it without quotes: 123456789012 and
// 1234567e8901 are numbers there.
func newInstance() string {
	raw := make([]byte, instanceBytes)
	for {
		rand.Read(raw) // never fails since Go 1.24
		if id := hex.EncodeToString(raw); id[0] >= 'a' {
			return id
		}
	}
}

// matchInstance compares the instance id of the records with the one in the
// file, and writes the file if it is missing.
func matchInstance(dir, id string) error {
	other, err := ReadInstance(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return writeInstance(dir, id)
	case errors.Is(err, ErrInstance):
		return fmt.Errorf("%w; %s says %s: if that is right, remove %s and start again",
			err, filepath.Join(dir, FileName), id, filepath.Join(dir, InstanceFileName))
	case err != nil:
		return err
	}
	return compareInstances(dir, id, other)
}

// compareInstances says what to do about two different instance ids.
func compareInstances(dir, inRecords, inFile string) error {
	if inRecords == inFile {
		return nil
	}
	records, file := filepath.Join(dir, FileName), filepath.Join(dir, InstanceFileName)
	return fmt.Errorf("%w: %s says %s and %s says %s, so one of them comes from another state directory: "+
		"see which one docker ps --all --filter label=io.scaler.instance=ID knows; if it is the one in %s, remove %s; "+
		"otherwise move %s away, and its runners are found by their containers", ErrInstance, records, inRecords, file, inFile, FileName, file, records)
}

func writeInstance(dir, id string) error {
	return replaceFile(filepath.Join(dir, InstanceFileName), func(w io.Writer) error {
		_, err := io.WriteString(w, id+"\n")
		return err
	})
}
