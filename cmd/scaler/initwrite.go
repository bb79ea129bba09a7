package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/plan"
)

// output is one file that is written.
type output struct {
	path string
	data []byte
	what string
	keep bool // what is there is the same already
}

// outputs are the files, the configuration last: with it the others count.
func (s *setUp) outputs() ([]output, error) {
	if s.answers.WebhookURL != "" && s.answers.WebhookSecret == "" {
		s.answers.WebhookSecret = plan.Secret(rand.Text())
	}
	text, err := s.answers.render()
	if err != nil {
		return nil, err
	}
	path := absolute(s.flags.config)
	dir := filepath.Dir(path)
	line := func(secret plan.Secret) []byte { return []byte(secret.Reveal() + "\n") }
	list := []output{{path: filepath.Join(dir, apiTokenFile), data: line(s.token), what: "API token"}}
	if s.answers.Registration != "" {
		list = append(list, output{path: filepath.Join(dir, registrationFile), data: line(s.answers.Registration), what: "registration token"})
	}
	if s.answers.WebhookSecret != "" && s.answers.WebhookURL != "" {
		list = append(list, output{path: filepath.Join(dir, webhookSecretFile), data: line(s.answers.WebhookSecret), what: "secret of the webhook"})
	}
	list = append(list, output{path: path, data: text, what: "configuration"})
	for i, o := range list {
		if data, err := os.ReadFile(o.path); err == nil {
			list[i].keep = bytes.Equal(data, o.data)
		}
	}
	return list, nil
}

// write writes all files, each whole or not at all, after it has asked.
func (s *setUp) write(ctx context.Context) error {
	list, err := s.outputs()
	if err != nil {
		return err
	}
	if err := s.announce(list); err != nil {
		return err
	}
	ok, err := s.confirm(ctx, question{text: "Write them", flag: "yes", def: "yes", help: "Until now nothing was written. With no, nothing is."})
	switch {
	case err != nil:
		return err
	case !ok:
		return errors.New("nothing was written")
	}
	staging, err := s.stage(list)
	if staging != "" {
		defer os.RemoveAll(staging)
	}
	if err != nil {
		return err
	}
	return s.place(ctx, staging, list)
}

// announce says what is going to be written where.
func (s *setUp) announce(list []output) error {
	if err := s.heading("Files"); err != nil {
		return err
	}
	for _, o := range list {
		note := ""
		switch _, err := os.Lstat(o.path); {
		case o.keep:
			note = ", as it is there"
		case err == nil && !s.was.exists && !s.flags.force && s.flags.yes:
			return fmt.Errorf("%s is there already: give --force to replace it and keep a copy of it", o.path)
		case err == nil:
			note = ", in the place of the one that is there, of which a copy is kept"
		}
		if err := s.say("  %s: %s, mode %04o%s\n", o.path, o.what, s.mode(), note); err != nil {
			return err
		}
	}
	return nil
}

// mode is that of the files: the service's group reads them, and nobody else
// but their owner.
func (s *setUp) mode() fs.FileMode {
	if s.user != nil {
		return 0o640
	}
	return 0o600
}

// stage makes the files in a directory of their own, and has the configuration
// checked there.
func (s *setUp) stage(list []output) (staging string, err error) {
	dir := filepath.Dir(absolute(s.flags.config))
	if err := s.makeDir(dir); err != nil {
		return "", err
	}
	old, _ := filepath.Glob(filepath.Join(dir, stagingPrefix+"*")) // of runs that were killed
	for _, path := range old {
		if info, err := os.Lstat(path); err == nil && info.IsDir() && time.Since(info.ModTime()) > leftoverAge {
			if err := os.RemoveAll(path); err != nil {
				return "", fmt.Errorf("remove what an earlier run left: %w", err)
			}
		}
	}
	if staging, err = os.MkdirTemp(dir, stagingPrefix+"*"); err != nil { // has mode 0700
		return "", fmt.Errorf("write configuration: %w", err)
	}
	for _, o := range list {
		if err := s.writeWhole(filepath.Join(staging, filepath.Base(o.path)), o.data); err != nil {
			return staging, err
		}
	}
	_, err = config.Load(filepath.Join(staging, filepath.Base(s.flags.config)))
	return staging, notGood(err)
}

// notGood is an error of the configuration that would be written, without the
// place of the file that is about to go.
func notGood(err error) error {
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		return err
	}
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Path+": "+p.Message)
	}
	return errors.New("nothing was written, since it would not be good: " + strings.Join(texts, "; "))
}

// makeDir makes the directory of the configuration, open to the service.
func (s *setUp) makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make directory of the configuration: %w", err)
	}
	return s.give(dir)
}

// give lets the service's group have a file that root has made.
func (s *setUp) give(path string) error {
	if s.user == nil {
		return nil
	}
	if err := os.Chown(path, -1, int(s.user.gid)); err != nil {
		return fmt.Errorf("let user %s read %s: %w", s.user.name, path, err)
	}
	return nil
}

// writeWhole writes a file to its end and to the disk.
func (s *setUp) writeWhole(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := s.give(path); err != nil {
		return err
	}
	if err := os.Chmod(path, s.mode()); err != nil {
		return fmt.Errorf("set mode of %s: %w", path, err)
	}
	return nil
}

// place moves the files to their places, and keeps copies of what was there.
func (s *setUp) place(ctx context.Context, staging string, list []output) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stamp := time.Now().UTC().Format("20060102T150405Z")
	for _, o := range list {
		if _, err := os.Lstat(o.path); err == nil && !o.keep {
			copied, err := s.copy(o.path, o.path+".bak-"+stamp)
			if err != nil {
				return fmt.Errorf("keep a copy of %s: %w", o.path, err)
			}
			if err := s.say("  Kept: %s\n", copied); err != nil {
				return err
			}
		}
		if err := os.Rename(filepath.Join(staging, filepath.Base(o.path)), o.path); err != nil {
			return fmt.Errorf("write %s: %w", o.path, err)
		}
		s.written = true // what was made at Gitea is in use
	}
	return s.say("  Written: %s\n", strings.Join(paths(list), ", "))
}

// copy copies a file, with the mode of those that are written here, to a name
// that is free, and returns that.
func (s *setUp) copy(from, to string) (string, error) {
	data, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		name := to
		if n > 1 {
			name = fmt.Sprintf("%s-%d", to, n)
		}
		if err := s.writeWhole(name, data); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}

func paths(list []output) []string {
	all := make([]string, 0, len(list))
	for _, o := range list {
		all = append(all, o.path)
	}
	return all
}
