package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDebugProfile(t *testing.T) {
	socket := startDaemon(t, &fakeDaemon{})
	t.Chdir(t.TempDir())
	out := mustRun(t, "debug", "profile", "--socket", socket, "--kind", "heap")
	if !strings.HasPrefix(out, "heap.pprof: ") || !strings.HasSuffix(out, "go tool pprof heap.pprof\n") {
		t.Errorf("prints %q", out)
	}
	profile, err := os.ReadFile("heap.pprof")
	if err != nil || !bytes.HasPrefix(profile, []byte("\x1f\x8b")) {
		t.Errorf("file of %d bytes, %v; want it gzipped", len(profile), err)
	}
	if info, err := os.Stat("heap.pprof"); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, errs, code := runCommand(t, "debug", "profile", "--socket", socket, "--kind", "heap"); code != exitFailure || !strings.Contains(errs, "file exists: give another file with --out") {
		t.Errorf("a second time: exit code %d, %s", code, errs)
	}
	if again, err := os.ReadFile("heap.pprof"); err != nil || !bytes.Equal(again, profile) {
		t.Errorf("the first profile was changed: %v", err)
	}
	var taken takenProfile
	out = mustRun(t, "debug", "profile", "--socket", socket, "--kind", "heap", "--out", "second.pprof", "--json")
	info, err := os.Stat("second.pprof")
	if err != nil || json.Unmarshal([]byte(out), &taken) != nil || taken != (takenProfile{File: "second.pprof", Kind: "heap", Size: int(info.Size())}) {
		t.Errorf("as JSON it prints %s, of a file %v", out, err)
	}
	if out := mustRun(t, "debug", "profile", "--socket", socket, "--seconds", "1", "--out", "-"); !strings.HasPrefix(out, "\x1f\x8b") {
		t.Errorf("standard output gets %.20q", out)
	}
}

func TestDebugProfileRefuses(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	nobody := filepath.Join(dir, "none.sock")
	for _, tc := range []struct {
		args string
		code int
		want string
	}{
		{"--kind cups", exitUsage, `unknown kind "cups": write one of cpu, mutex, block, heap, allocs, goroutine`},
		{"--kind heap --seconds 3", exitUsage, "a profile of kind heap is of one moment: leave out --seconds"},
		{"--seconds 0", exitUsage, "--seconds is 0: it must be from 1 to 300"},
		{"--seconds 301", exitUsage, "it must be from 1 to 300"},
		{"--json --out -", exitUsage, "leave out --json, or name a file with --out"},
		{"extra", exitUsage, "unknown command"},
		{"--out none/x.pprof", exitFailure, "write profile: open none/x.pprof: no such file or directory"},
		{"", exitUnreachable, nobody},
		{"--out -", exitUnreachable, nobody},
	} {
		t.Run(tc.args, func(t *testing.T) {
			args := append([]string{"debug", "profile", "--socket", nobody}, strings.Fields(tc.args)...)
			out, errs, code := runCommand(t, args...)
			if code != tc.code || !strings.Contains(errs, tc.want) || out != "" {
				t.Errorf("exit code %d, %s; want %d, %q", code, errs, tc.code, tc.want)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
