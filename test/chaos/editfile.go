package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// begin writes the file for the first time.
func (e *editor) begin() error { return e.replace([]byte(e.stage.text(e.full))) }

// put spoils the file.
func (e *editor) put(b badEdit, text string) error {
	if b.gone {
		return os.Remove(e.stage.configFile())
	}
	if e.random.IntN(ways) == inPlace {
		// No half of it: that may be good.
		return e.overwrite("", text)
	}
	_, err := e.writeAs(e.random.IntN(inPlace), text)
	return err
}

// The ways to write a file.
const (
	byRename = iota
	byLink
	inPlace
	ways // how many there are
)

// write writes the file in a random way, and returns the daemon that runs
// then. A daemon that may not have read it yet sees no half of it.
func (e *editor) write(text string) (how string, p *process, err error) {
	e.daemon.steady.Lock()
	defer e.daemon.steady.Unlock()
	p = e.daemon.running()
	way := e.random.IntN(ways)
	if p != nil && !p.isReady() && way == inPlace {
		way = byRename
	}
	how, err = e.writeAs(way, text)
	return how, p, err
}

// writeAs writes the file in one of the ways.
func (e *editor) writeAs(way int, text string) (how string, err error) {
	switch way {
	case inPlace:
		half := e.random.IntN(len(text) + 1)
		if e.random.IntN(2) == 0 {
			half = 0
		}
		return "in place", e.overwrite(text[:half], text[half:])
	case byLink:
		return "by a link", e.relink(text)
	}
	return "by a rename", e.replace([]byte(text))
}

func (e *editor) replace(data []byte) error { return replaceFile(e.stage.configFile(), data) }

// overwrite writes the file in two steps, as editors do it that keep the file.
func (e *editor) overwrite(first, second string) (err error) {
	f, err := os.OpenFile(e.stage.configFile(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write configuration of the daemon: %w", err)
	}
	if _, err = f.WriteString(first); err == nil && first != "" {
		time.Sleep(time.Duration(e.random.IntN(20)) * time.Millisecond)
	}
	if err == nil {
		_, err = f.WriteString(second)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// relink has the file be a link into a directory behind another link, which is
// switched over: that is how mounted secrets change.
func (e *editor) relink(text string) error {
	e.version++
	at := func(version int) string { return filepath.Join(e.stage.dir, fmt.Sprintf("v%d", version)) }
	if err := replaceFile(filepath.Join(at(e.version), "scaler.yaml"), []byte(text)); err != nil {
		return err
	}
	current := filepath.Join(e.stage.dir, "current")
	if err := replaceLink(filepath.Base(at(e.version)), current); err != nil {
		return err
	}
	if to, err := os.Readlink(e.stage.configFile()); err != nil || to != filepath.Join("current", "scaler.yaml") {
		if err := replaceLink(filepath.Join("current", "scaler.yaml"), e.stage.configFile()); err != nil {
			return err
		}
	}
	return os.RemoveAll(at(e.version - 1))
}

func replaceLink(to, path string) error {
	if err := os.Symlink(to, path+".new"); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
