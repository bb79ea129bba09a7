package server

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
)

// maxAccounts is the size that the password file may have, in bytes.
const maxAccounts = 1 << 20

// accounts is the file of those who may log in.
type accounts struct {
	path string // empty: there is none
}

// accountList is what the file held at one moment.
type accountList struct {
	hashes map[string][]byte // bcrypt, by name
	bad    []int             // numbers of the lines that are no account
}

// read reads the file. One that does not exist has no accounts. A file that
// everybody may write is an error.
func (a accounts) read() (accountList, error) {
	list := accountList{hashes: make(map[string][]byte)}
	if a.path == "" {
		return list, nil
	}
	f, err := os.Open(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	if err != nil {
		return list, fmt.Errorf("open password file: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return list, fmt.Errorf("look at password file: %w", err)
	case !info.Mode().IsRegular():
		return list, fmt.Errorf("read password file %s: it is not a regular file", a.path)
	case info.Mode().Perm()&0o002 != 0:
		return list, fmt.Errorf("read password file %s: everybody may write it: run chmod o= %s", a.path, a.path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxAccounts+1))
	switch {
	case err != nil:
		return list, fmt.Errorf("read password file: %w", err)
	case len(data) > maxAccounts:
		return list, fmt.Errorf("read password file %s: it is larger than %d bytes", a.path, maxAccounts)
	}
	list.parse(data)
	return list, nil
}

// parse reads lines NAME:HASH. Empty lines and those that begin with # are
// comments. Of two lines with one name the first counts, as for htpasswd.
func (l *accountList) parse(data []byte) {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		name, hash, _ := bytes.Cut(line, []byte(":"))
		if _, err := bcrypt.Cost(hash); err != nil || len(name) == 0 || !utf8.Valid(name) {
			l.bad = append(l.bad, n)
			continue
		}
		if _, twice := l.hashes[string(name)]; !twice {
			l.hashes[string(name)] = hash
		}
	}
}

// check reports whether the password is that of the account. It takes its time
// for an unknown name too, so that the time does not tell which names there
// are.
func (l accountList) check(name, password string) bool {
	hash, known := l.hashes[name]
	if !known {
		names := slices.Sorted(maps.Keys(l.hashes))
		if len(names) == 0 {
			return false
		}
		hash = l.hashes[names[0]]
	}
	return bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil && known
}

// proof returns what changes with the account's password; zero for no account.
func (l accountList) proof(name string) [sha256.Size]byte {
	hash, known := l.hashes[name]
	if !known {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(hash)
}

// known returns the name if it is that of an account.
func (l accountList) known(name string) string {
	if _, known := l.hashes[name]; known {
		return name
	}
	return "unknown"
}
