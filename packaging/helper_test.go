package packaging

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// root is the directory of the module.
const root = ".."

// read returns a file of the project.
func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// documents returns the names of the project's documents.
func documents(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			names = append(names, strings.TrimPrefix(f, root+"/"))
		}
	}
	if len(names) < 6 {
		t.Fatalf("only %d documents found: %v", len(names), names)
	}
	return names
}

// needs returns the path of a program and skips the test where it is missing.
func needs(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("needs %s, which is not installed", program)
	}
	return path
}

// needsEngine skips the test without the docker command and an engine, or
// fails it if SCALER_REQUIRE_ENGINE=1 says that there must be one.
func needsEngine(t *testing.T) {
	t.Helper()
	out, err := run(t, root, nil, "docker", "version", "--format", "{{.Server.Version}}")
	switch {
	case err == nil:
	case os.Getenv("SCALER_REQUIRE_ENGINE") == "1" && !errors.Is(err, exec.ErrNotFound):
		t.Fatalf("SCALER_REQUIRE_ENGINE=1: %v\n%s", err, out)
	default:
		t.Skipf("needs docker and its engine: %v\n%s", err, out)
	}
}

// run runs a program in a directory, with variables added to the environment,
// and returns all that it printed.
func run(t *testing.T, dir string, env []string, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute) // clean-ups use it too
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(outsideMake(os.Environ()), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mustRun is run for a program that must succeed.
func mustRun(t *testing.T, dir string, env []string, program string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, env, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

// outsideMake takes out what make tells the makes below it, since a test may
// run as part of one.
func outsideMake(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=")
	})
}
