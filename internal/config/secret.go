package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// maxSecret bounds what is read as a secret, in bytes, against a path that
// was mixed up.
const maxSecret = 64 << 10

// credentialsDir is the variable in which systemd tells a service where its
// credentials are (systemd.exec(5), LoadCredential=).
const credentialsDir = "CREDENTIALS_DIRECTORY"

// SecretRef says where a secret is kept. The secret itself is never part of
// a configuration.
type SecretRef struct {
	kind secretKind
	name string // absolute path, variable or credential
}

type secretKind string

const (
	secretFile       secretKind = "file"
	secretEnv        secretKind = "env"
	secretCredential secretKind = "credential"
)

// secretKeys is a SecretRef as it stands in the file.
type secretKeys struct {
	File       string `yaml:"file" format:"file" example:"/etc/scaler/api-token" doc:"File whose content is the secret; others than its owner and group must have no access. A relative path starts at the directory of this file."`
	Env        string `yaml:"env" pattern:"^[A-Za-z_][A-Za-z0-9_]*$" rule:"the name of a variable, of letters, digits and underscores" example:"SCALER_API_TOKEN" doc:"Environment variable whose value is the secret."`
	Credential string `yaml:"credential" pattern:"^[A-Za-z0-9_.-]+$" rule:"the name of a credential, of letters, digits, dots, dashes and underscores" example:"api-token" doc:"Name of a systemd credential (LoadCredential=)."`
}

// ref returns the one reference among the keys; ok is false if there is none
// or more than one.
func (k secretKeys) ref() (ref SecretRef, ok bool) {
	var found []SecretRef
	for _, r := range []SecretRef{{secretFile, k.File}, {secretEnv, k.Env}, {secretCredential, k.Credential}} {
		if r.name != "" {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return SecretRef{}, false
	}
	return found[0], true
}

// String says where the secret is kept, as in "file /etc/scaler/api-token".
func (r SecretRef) String() string { return string(r.kind) + " " + r.name }

// Read reads the secret anew, so that a replaced file takes effect at once,
// without the newlines at its end. An empty secret, and one of more than one
// line, is an error. Errors say which source is meant and what to do, and
// never show content.
func (r SecretRef) Read() (plan.Secret, error) {
	raw, err := r.raw()
	if err != nil {
		return "", fmt.Errorf("read secret from %s: %w", r, err)
	}
	secret := strings.TrimRight(raw, "\r\n")
	switch {
	case strings.TrimSpace(secret) == "":
		return "", fmt.Errorf("read secret from %s: it is empty: put the secret there", r)
	case strings.ContainsAny(secret, "\r\n\x00"):
		return "", fmt.Errorf("read secret from %s: it must be one line of text", r)
	}
	return plan.Secret(secret), nil
}

func (r SecretRef) raw() (string, error) {
	switch r.kind {
	case secretFile:
		return readSecretFile(r.name)
	case secretEnv:
		value, ok := os.LookupEnv(r.name)
		if !ok {
			return "", errors.New("the variable is not set: set it in the daemon's environment")
		}
		return value, nil
	case secretCredential:
		dir := os.Getenv(credentialsDir)
		if dir == "" {
			return "", fmt.Errorf("%s is not set: add LoadCredential=%s:/path to the systemd unit, or use {file: PATH}", credentialsDir, r.name)
		}
		return readSecretFile(filepath.Join(dir, r.name))
	}
	return "", errors.New("no source is set")
}

func readSecretFile(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", secretFileError(name, err)
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return "", secretFileError(name, err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("it is larger than %d bytes, which no token is", maxSecret)
	}
	return string(data), nil
}

// secretFileError adds what to do about a file that cannot be opened.
func secretFileError(name string, err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err // the name is in the message already
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: create it with mode 0600", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: let the daemon's user (uid %d) read it: chown %d %s", err, os.Getuid(), os.Getuid(), name)
	}
	return err
}

// check is Read with what matters only when a configuration is loaded: that
// others cannot get at the file.
func (r SecretRef) check() error {
	if _, err := r.Read(); err != nil {
		return err
	}
	if r.kind != secretFile {
		return nil
	}
	info, err := os.Stat(r.name)
	if err != nil {
		return secretFileError(r.name, err)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return fmt.Errorf("%s: others have access to it (mode %04o): run chmod o= %s", r, mode, r.name)
	}
	return nil
}

// inlineSecret is what a value that is no reference is answered with. It
// never repeats the value, which may be a secret.
const inlineSecret = "a secret is never written here: put it into a file and write {file: PATH}, or write {env: NAME} or {credential: NAME}"
