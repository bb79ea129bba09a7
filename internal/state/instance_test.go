package state

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestInstanceFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := ReadInstance(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want not exist", err)
	}
	s := mustOpen(t, dir)
	must(t, s.Close())
	file := filepath.Join(dir, InstanceFileName)
	if data, err := os.ReadFile(file); err != nil || string(data) != s.Instance()+"\n" {
		t.Errorf("file holds %q, %v, want %s", data, err, s.Instance())
	}

	must(t, os.Remove(file))
	must(t, mustOpen(t, dir).Close())
	if id, err := ReadInstance(dir); err != nil || id != s.Instance() {
		t.Errorf("after its loss the file has %q, %v, want %s again", id, err, s.Instance())
	}

	for name, other := range map[string]string{"another": "ba9876543210\n", "none": "hello\n"} {
		must(t, os.WriteFile(file, []byte(other), 0o600))
		_, err := Open(dir)
		if !errors.Is(err, ErrInstance) {
			t.Fatalf("%s: error = %v, want ErrInstance", name, err)
		}
		for _, want := range []string{file, s.Path(), s.Instance(), "remove " + file} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q lacks %q", name, err, want)
			}
		}
		if data, _ := os.ReadFile(file); string(data) != other {
			t.Errorf("%s: the file was changed to %q", name, data)
		}
	}
}

// TestInstanceIsThereBeforeTheRecords: else a crash while scaler.db is made for
// the first time would leave damage that nothing recovers from.
func TestInstanceIsThereBeforeTheRecords(t *testing.T) {
	dir := stateDir(t, nil)
	must(t, os.Symlink(filepath.Join(dir, "nowhere", "x"), filepath.Join(dir, FileName))) // cannot be made
	if _, err := Open(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v", err)
	}
	if _, err := ReadInstance(dir); err != nil {
		t.Error(err)
	}
}

// TestLostRecordsKeepTheInstance: scaler.db alone can be moved away.
func TestLostRecordsKeepTheInstance(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := mustOpen(t, dir)
	must(t, s.Close(), os.Remove(s.Path()))
	if again := mustOpen(t, dir); again.Instance() != s.Instance() {
		t.Errorf("instance changed from %s to %s", s.Instance(), again.Instance())
	}
}

// People write instances into the configuration, with and without quotes.
func TestNewInstanceIsNoNumberToYAML(t *testing.T) {
	for range 1000 {
		id := newInstance()
		var v any
		if err := yaml.Unmarshal([]byte(id), &v); err != nil || v != id {
			t.Fatalf("YAML reads %s as %T %v (%v), want the text", id, v, v, err)
		}
		if raw, err := hex.DecodeString(id); err != nil || len(raw) != instanceBytes {
			t.Fatalf("%s is not %d bytes in hexadecimal digits: %v", id, instanceBytes, err)
		}
	}
}
