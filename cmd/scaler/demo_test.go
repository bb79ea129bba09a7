package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/docker"
)

// testDir holds what is made once for all tests.
var testDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "scaler-test")
	if err != nil {
		panic(err)
	}
	testDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// buildStatic builds the program as make build does, once for all tests.
var buildStatic = sync.OnceValues(func() (string, error) {
	path := filepath.Join(testDir, "scaler")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// demoCommand prepares a run of the demo as a user would start it.
func demoCommand(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	path, err := buildStatic()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	output := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	return cmd, output
}

// needEngine skips the test where no Docker Engine answers.
func needEngine(t *testing.T) {
	t.Helper()
	engine, err := docker.New(docker.Config{Instance: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	if _, err := engine.Ping(t.Context()); err != nil {
		if os.Getenv("SCALER_REQUIRE_ENGINE") != "" {
			t.Fatal(err)
		}
		t.Skipf("no Docker Engine: %v", err)
	}
}

// debris lists what demos have left on the engine.
func debris(t *testing.T) string {
	t.Helper()
	var all string
	for _, args := range [][]string{{"ps", "-aq"}, {"images", "-q"}} {
		out, err := exec.Command("docker", append(args, "--filter", "label=io.scaler.demo")...).Output()
		if err != nil {
			t.Skipf("no docker command to look for debris: %v", err)
		}
		all += string(out)
	}
	return all
}

// TestDemoOfReleases plays against releases that lack different things.
func TestDemoOfReleases(t *testing.T) {
	needEngine(t)
	for profile, keeps := range map[string]bool{"gitea-1.22": true, "gitea-1.24": false, "forgejo-15": false} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			cmd, output := demoCommand(t, "--jobs", "4", "--profile", profile)
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			text := output.String()
			if !strings.Contains(text, "4 of 4 jobs completed") || !strings.Contains(text, profile) || strings.Contains(text, "are kept to be used again") != keeps {
				t.Errorf("output:\n%s", text)
			}
		})
	}
}

func TestDemo(t *testing.T) {
	needEngine(t)
	file := filepath.Join(t.TempDir(), "figures.json")
	cmd, output := demoCommand(t, "--jobs", "6", "--json", file)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"jobs": 6.0, "completed": 6.0, "registered": 6.0, "deregistered": 6.0, "left_in_gitea": 0.0, "left_containers": 0.0}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s = %v, want %v", key, got[key], value)
		}
	}
	for _, key := range []string{"wait_ms", "cold_start_ms"} {
		p, _ := got[key].(map[string]any)
		if p50, _ := p["p50"].(float64); p50 <= 0 {
			t.Errorf("%s = %v, want a time", key, got[key])
		}
	}
	if text := output.String(); !strings.Contains(text, "6 of 6 jobs completed") || strings.Contains(text, "\x1b") {
		t.Errorf("output:\n%s", text)
	}
	if left := debris(t); left != "" {
		t.Errorf("left on the engine: %s", left)
	}
}

func TestDemoCleansUpWhenInterrupted(t *testing.T) {
	needEngine(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) { interruptDemo(t, signal) })
	}
}

func interruptDemo(t *testing.T, signal os.Signal) {
	cmd, output := demoCommand(t, "--jobs", "200")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	cmd.Stdout = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	// Interrupt it while jobs run.
	text, buf := "", make([]byte, 4096)
	for !strings.Contains(text, " 1 running") {
		n, err := reader.Read(buf)
		if err != nil {
			t.Fatalf("the demo ended: %v\n%s\n%s", err, text, output)
		}
		text += string(buf[:n])
	}
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := reader.Read(buf)
		text += string(buf[:n])
		if err != nil {
			break
		}
	}
	exit, _ := errors.AsType[*exec.ExitError](cmd.Wait())
	if exit == nil || exit.ExitCode() != exitFailure || !strings.Contains(text, "nothing is left") {
		t.Errorf("exit %v\n%s\n%s", exit, text, output)
	}
	if left := debris(t); left != "" {
		t.Errorf("left on the engine: %s", left)
	}
	if files, _ := filepath.Glob(filepath.Join(strings.TrimPrefix(cmd.Env[len(cmd.Env)-1], "TMPDIR="), "*")); len(files) > 0 {
		t.Errorf("left in the temporary directory: %v", files)
	}
}

func TestDemoWithoutAnEngineSaysWhatToDo(t *testing.T) {
	cmd, output := demoCommand(t)
	cmd.Env = append(cmd.Env, "DOCKER_HOST=unix:///nonexistent/docker.sock")
	exit, _ := errors.AsType[*exec.ExitError](cmd.Run())
	text := output.String()
	if exit == nil || exit.ExitCode() != exitFailure || !strings.Contains(text, "needs a Docker Engine") || !strings.Contains(text, "make demo") ||
		strings.Count(text, "\n") != 1 {
		t.Errorf("exit %v, output %q, want one sentence", exit, text)
	}
}

func TestPercentiles(t *testing.T) {
	ms := func(n ...int) []time.Duration {
		var d []time.Duration
		for _, x := range n {
			d = append(d, time.Duration(x)*time.Millisecond)
		}
		return d
	}
	tests := []struct {
		in   []time.Duration
		want percentiles
	}{
		{nil, percentiles{}},
		{ms(7), percentiles{7, 7, 7}},
		{ms(4, 1, 3, 2), percentiles{2, 4, 4}},
		{ms(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20), percentiles{10, 19, 20}},
	}
	for _, tt := range tests {
		if got := percentilesOf(tt.in); got != tt.want {
			t.Errorf("percentilesOf(%v) = %v, want %v", tt.in, got, tt.want)
		}
	}
}
