package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A daemon for several servers keeps the records of each in a directory of its
// own: of one of them in the state directory itself, where a daemon for one server
// has them, and of each other one below.
const (
	// OwnerFileName is the name of the file in the state directory that holds the
	// name of the server whose records are there.
	OwnerFileName = "server"
	// serversDir has the directories of the others, by name.
	serversDir = "servers"
)

// Owner returns the name of the server whose records are in the state directory
// itself, empty where no daemon for several servers has used it.
func Owner(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, OwnerFileName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read whose the state is: %w", err)
	}
	return strings.TrimSuffix(string(data), "\n"), nil
}

// Own notes durably that the records in the state directory itself are those of a
// server. A missing directory is made.
func Own(dir, server string) error {
	if err := prepareDir(dir); err != nil {
		return err
	}
	err := replaceFile(filepath.Join(dir, OwnerFileName), func(w io.Writer) error {
		_, err := io.WriteString(w, server+"\n")
		return err
	})
	if err != nil {
		return fmt.Errorf("note whose the state in %s is: %w", dir, explain(err))
	}
	return nil
}

// ServerDir is the directory of one server's records, if those in the state
// directory itself are the owner's. The one server of a daemon that has no other
// is called "".
func ServerDir(dir, owner, server string) string {
	if server == "" || server == owner {
		return dir
	}
	return filepath.Join(dir, serversDir, server)
}

// Strays names the servers that there are records of and that are none of those
// that are configured.
func Strays(dir string, configured []string) ([]string, error) {
	owner, err := Owner(dir)
	if err != nil {
		return nil, err
	}
	var strays []string
	if owner != "" && !slices.Contains(configured, owner) && !slices.Contains(configured, "") {
		strays = append(strays, owner)
	}
	entries, err := os.ReadDir(filepath.Join(dir, serversDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read whose state there is: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(configured, e.Name()) {
			strays = append(strays, e.Name())
		}
	}
	return strays, nil
}
