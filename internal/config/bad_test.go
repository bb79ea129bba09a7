package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected messages in testdata/bad")

// badEnv is the environment in which the files of testdata/bad are loaded.
func badEnv(t *testing.T) {
	t.Helper()
	t.Setenv("SCALER_TEST_TOKEN", "t0ken")
	t.Setenv("SCALER_TEST_SECRET", "0123456789abcdef")
	t.Setenv("SCALER_TEST_URL", "https://hooks.example.com/services/hunter2")
	t.Setenv("SCALER_TEST_BAD_URL", "ftp://hunter2@example.com/")
	t.Setenv("SCALER_TEST_EMPTY", "\n")
	t.Setenv("SCALER_TEST_LINES", "hunter2\nhunter2")
	t.Setenv(credentialsDir, "")
}

// TestBadFiles loads each file of testdata/bad, which are named after their
// faults, and compares all messages with those in the file beside it.
func TestBadFiles(t *testing.T) {
	badEnv(t)
	t.Chdir(filepath.Join("testdata", "bad"))
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			c, err := Load(file)
			var problems Problems
			if !errors.As(err, &problems) || c != nil {
				t.Fatalf("Load = %v, %v; want Problems", c, err)
			}
			if !slices.IsSortedFunc(problems, func(a, b Problem) int { return a.Line - b.Line }) {
				t.Error("problems are not ordered by line")
			}
			got := strings.ReplaceAll(err.Error(), dir, "DIR") + "\n"
			if strings.Contains(got, "hunter2") {
				t.Errorf("a secret is repeated:\n%s", got)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}
