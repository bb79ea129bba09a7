package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"scaler.io/scaler/internal/giteatest"
)

// standIn puts a systemctl into the place of the machine's own, which says that
// there is a unit, writes down what it is told, and ends with the code. It
// returns what it has written.
func standIn(t *testing.T, user, code string) (said func() string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	script := "#!/bin/sh\n[ \"$1\" = show ] && { printf 'LoadState=loaded\\nActiveState=inactive\\nUser=" + strings.ReplaceAll(user, "\n", "\\n") + "\\nType=notify\\n'; exit 0; }\necho \"$@\" >> " + log + "\nexit " + code + "\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() string {
		text, err := os.ReadFile(log)
		if err != nil {
			return ""
		}
		return string(text)
	}
}

// TestInitStartsTheService only when it is asked to.
func TestInitStartsTheService(t *testing.T) {
	for name, tt := range map[string]struct {
		answer, code string // no answer: by flags
		flags        []string
		started      bool
		parts        []string
		fails        string
	}{
		"asked, and no":     {answer: "", code: "0", parts: []string{"sudo systemctl enable --now scaler-a.service"}},
		"asked, and yes":    {answer: "yes", code: "0", started: true, parts: []string{"scaler-a.service runs."}},
		"by flag":           {flags: []string{"--enable", "--yes"}, code: "0", started: true, parts: []string{"scaler-a.service runs."}},
		"not by flag":       {flags: []string{"--yes"}, code: "0", parts: []string{"sudo systemctl enable --now scaler-a.service"}},
		"it does not start": {flags: []string{"--enable", "--yes"}, code: "1", started: true, fails: "journalctl -u scaler-a.service"},
	} {
		t.Run(name, func(t *testing.T) {
			said := standIn(t, "root", tt.code)
			w := newInitWard(t, giteatest.Options{})
			write(t, filepath.Join(w.dir, "token"), doctorToken)
			p := &person{}
			flags := append([]string{"--unit", "scaler-a.service", "--url", w.url, "--token-file", w.dir + "/token"}, tt.flags...)
			if tt.flags == nil {
				p.answers = []string{"", "", "", "", "", "", "", "", tt.answer}
			}
			screen, err := w.setUp(t, p, flags...)
			if (err != nil) != (tt.fails != "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("%v\n%s", err, screen)
			}
			wantText(t, screen, tt.parts...)
			if got := said(); (got == "enable --now scaler-a.service\n") != tt.started || !tt.started && got != "" {
				t.Errorf("systemctl was told %q", got)
			}
		})
	}
}

// TestInitNeedsTheServicesUser and a place to write to, before it asks.
func TestInitNeedsTheServicesUser(t *testing.T) {
	w := newInitWard(t, giteatest.Options{})
	_, err := w.setUp(t, &person{}, "-c", "/proc/scaler/scaler.yaml")
	if err == nil || !strings.Contains(err.Error(), "cannot write to /proc") && os.Geteuid() != 0 {
		t.Errorf("where nothing can be written: %v", err)
	}
	if _, err := w.setUp(t, &person{}, "--enable"); err == nil || !strings.Contains(err.Error(), "there is no unit none.service that runs with") {
		t.Errorf("without a unit: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root sets up for another user")
	}
	standIn(t, "nobody-of-that-name", "0")
	_, err = w.setUp(t, &person{}, "--unit", "scaler-a.service")
	if err == nil || !strings.Contains(err.Error(), "useradd --system") {
		t.Errorf("without the user: %v", err)
	}
}
