//go:build manual

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/config"
)

// manual writes all pages and returns them by file name.
func manual(t *testing.T) map[string]string {
	t.Helper()
	t.Setenv("SOURCE_DATE_EPOCH", "1772366400")
	dir := filepath.Join(t.TempDir(), "man")
	mustRun(t, "man", dir)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	pages := make(map[string]string, len(files))
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		pages[f.Name()] = string(data)
	}
	return pages
}

func TestManualHasAPageForEachCommand(t *testing.T) {
	pages := manual(t)
	want := []string{"scaler.yaml.5", "scaler-completion.1", "scaler-completion-bash.1",
		"scaler-completion-fish.1", "scaler-completion-powershell.1", "scaler-completion-zsh.1"}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Hidden {
			return
		}
		want = append(want, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit(newRootCommand())
	var have []string
	for name := range pages {
		have = append(have, name)
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("pages\n%v\nwant\n%v", have, want)
	}
	reference := regexp.MustCompile(`(scaler[a-z.\\-]*)\(([15])\)`)
	for name, page := range pages {
		for _, m := range reference.FindAllStringSubmatch(page, -1) {
			if other := strings.ReplaceAll(m[1], `\`, "") + "." + m[2]; pages[other] == "" {
				t.Errorf("%s refers to %s, which is not there", name, other)
			}
		}
	}
}

// The same sources have to give the same bytes.
func TestManualGoesByTheSourceDate(t *testing.T) {
	page := manual(t)["scaler-run.1"]
	if again := manual(t)["scaler-run.1"]; again != page {
		t.Errorf("two pages differ:\n%s\n%s", page, again)
	}
	if !strings.Contains(page, "Mar 2026") {
		t.Errorf("the page is not of the date that was given:\n%s", page)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if _, errs, code := runCommand(t, "man", t.TempDir()); code != exitFailure || !strings.Contains(errs, `SOURCE_DATE_EPOCH: "yesterday"`) {
		t.Errorf("a date that is none: exit code %d, %s", code, errs)
	}
}

// text is what a reader sees of a page. It skips the test where it cannot be
// told.
func text(t *testing.T, page string) string {
	t.Helper()
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("needs groff, which is not installed")
	}
	cmd := exec.CommandContext(t.Context(), groff, "-t", "-man", "-Tascii", "-P-cbou", "-ww", "-rLL=100n")
	cmd.Stdin = strings.NewReader(page)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Errorf("groff: %v\n%s", err, errs.String())
	}
	return out.String()
}

func TestManualReadsLikeTheHelp(t *testing.T) {
	pages := manual(t)
	for name := range pages {
		text(t, pages[name]) // for its warnings
	}
	root := text(t, pages["scaler.1"])
	for _, want := range []string{"0  done\n", "2  wrong usage: an unknown command or flag", "scaler-run(1)"} {
		if !strings.Contains(root, want) {
			t.Errorf("no %q in\n%s", want, root)
		}
	}
	if run := text(t, pages["scaler-run.1"]); !strings.Contains(run, "on_shutdown: drain") || !strings.Contains(run, "--config") {
		t.Errorf("scaler-run(1) lacks text or options:\n%s", run)
	}
	if fake := text(t, pages["scaler-fake-gitea.1"]); !strings.Contains(fake, `'{"count": 3, "labels": ["linux"], "duration_ms": 500}'`) {
		t.Errorf("scaler-fake-gitea(1) changes an example:\n%s", fake)
	}
}

func TestManualOfTheConfigurationHasEachKey(t *testing.T) {
	page := strings.Join(strings.Fields(text(t, manual(t)["scaler.yaml.5"])), " ")
	for _, s := range append(config.Settings(), config.SecretSettings()...) {
		if want := s.Path + " (" + s.Kind; !strings.Contains(page, want) {
			t.Errorf("scaler.yaml(5) has no %q", want)
		}
	}
	for _, want := range []string{"whole number, default 10", "(URL, required)", "Example: https://git.example.com", "30s or 1h30m"} {
		if !strings.Contains(page, want) {
			t.Errorf("scaler.yaml(5) has no %q", want)
		}
	}
}
