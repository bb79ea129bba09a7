package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/config"
)

// follower returns edits of a fresh configuration file, with the file's text
// and what it did, one line each.
func follower(t *testing.T) (e *edits, text string, done chan string, log *bytes.Buffer) {
	t.Helper()
	path, _ := writeConfig(t)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	done, log = make(chan string, 10), &bytes.Buffer{}
	enabled := map[string]bool{}
	for _, tok := range cfg.RegistrationTokens {
		enabled[tok.Name] = tok.Enabled
	}
	e = &edits{path: path, log: slog.New(slog.NewTextHandler(log, nil)), applied: cfg, trigger: func() { done <- "trigger" },
		enable: func(name string, on bool) bool {
			if enabled[name] == on {
				return false
			}
			enabled[name] = on
			done <- fmt.Sprintf("%s %t", name, on)
			return true
		}}
	return e, string(data), done, log
}

func TestEditsTakeEffectAtOnce(t *testing.T) {
	e, text, done, _ := follower(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); e.follow(ctx) }()
	defer func() { cancel(); <-ended }()
	want := func(lines ...string) {
		t.Helper()
		for _, line := range lines {
			select {
			case got := <-done:
				if got != line {
					t.Errorf("did %q, want %q", got, line)
				}
			case <-time.After(4 * editsPoll): // a limit, not a pace
				t.Fatalf("nothing was done, want %q", line)
			}
		}
	}
	off := strings.Replace(text, "scope: instance", "scope: instance, enabled: false", 1)
	if off == text {
		t.Fatalf("the configuration has no token to disable:\n%s", text)
	}
	write(t, e.path, off)
	want("instance false", "trigger")
	// As editors do it: another file in its place.
	write(t, e.path+".new", text)
	if err := os.Rename(e.path+".new", e.path); err != nil {
		t.Fatal(err)
	}
	want("instance true", "trigger")
}

func TestEditsThatAreNotTaken(t *testing.T) {
	tests := map[string]struct {
		edit func(string) string
		want string
	}{
		"broken":       {func(s string) string { return s + "\nnonsense: [" }, "level=WARN msg=\"configuration has changed and is not good: the old one holds\""},
		"another pool": {func(s string) string { return s + "\npoll_interval: 7s\n" }, "level=WARN msg=\"configuration has changed: restart scaler to take it over\""},
		"a comment":    {func(s string) string { return s + "\n# hello\n" }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e, text, done, log := follower(t)
			write(t, e.path, tt.edit(text))
			e.look()
			if len(done) != 0 {
				t.Errorf("it did %q", <-done)
			}
			if got := log.String(); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("log %q, want %q", got, tt.want)
			}
		})
	}
}
