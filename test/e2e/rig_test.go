// Package e2e drives the whole of it: the scaler binary as its users run it,
// a real Gitea, the real runner, and a real Docker engine.
//
// It needs SCALER_GITEA_BIN (a Gitea), SCALER_RUNNER_BIN (a static runner) and
// an engine on this machine, and skips without one of them.
package e2e

import (
	"context"
	"crypto/rand"
	"debug/elf"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
)

// testLabel marks all that the test makes in the engine: the image carries it,
// and containers take over what their image carries.
const testLabel = "io.scaler.test"

// Bounds of what belongs to the test itself.
const (
	buildTimeout  = 5 * time.Minute
	dockerTimeout = time.Minute
)

// rig is what the checks share: a server, a runner image and the binary.
type rig struct {
	gitea   *realgitea.Server
	scaler  string // path of the binary
	image   string
	id      string // value of testLabel, and name of the runners' network
	address string // of this machine in that network
	repos   int
}

// newRig builds and starts everything, and sees to it that nothing is left
// after the test. It skips the test if something is missing that it needs.
func newRig(t *testing.T) *rig {
	t.Helper()
	b := realgitea.Default(t)
	return newEngineRig(t).on(t, b)
}

// on is the rig with a server of its own.
func (r *rig) on(t *testing.T, b realgitea.Binary) *rig {
	t.Helper()
	c := *r
	c.repos = 0
	c.gitea = realgitea.StartBinary(t, b, r.address, "e2e-registration-token-"+rand.Text())
	return &c
}

// newEngineRig is newRig without a server.
func newEngineRig(t *testing.T) *rig {
	t.Helper()
	runner := os.Getenv("SCALER_RUNNER_BIN")
	if runner == "" {
		t.Skip("SCALER_RUNNER_BIN does not name a runner binary")
	}
	needsEngine(t)
	id := "e2e-" + strings.ToLower(rand.Text())[:12]
	r := &rig{id: id, image: "scaler-" + id + ":latest", scaler: filepath.Join(t.TempDir(), "scaler")}
	t.Cleanup(func() { r.clean(t) })
	r.address = r.makeNetwork(t)
	mustBuild(t, r.scaler, "../../cmd/scaler")
	r.importImage(t, runner)
	return r
}

// needsEngine skips the test without the docker command and an engine, or
// fails it if SCALER_REQUIRE_ENGINE=1 says that there must be one.
func needsEngine(t *testing.T) {
	t.Helper()
	version, err := docker(t.Context(), "version", "--format", "{{.Server.Version}}")
	switch {
	case err == nil:
		t.Logf("engine %s", strings.TrimSpace(version))
	case os.Getenv("SCALER_REQUIRE_ENGINE") == "1" && !errors.Is(err, exec.ErrNotFound):
		t.Fatalf("SCALER_REQUIRE_ENGINE=1: %v", err)
	default:
		t.Skipf("needs docker and its engine: %v", err)
	}
}

// makeNetwork makes a network for the runners and returns the address under
// which both this machine and its containers reach this machine. Nobody else
// reaches the server there.
func (r *rig) makeNetwork(t *testing.T) string {
	t.Helper()
	if _, err := docker(t.Context(), "network", "create", "--label", testLabel+"="+r.id, r.id); err != nil {
		t.Fatal(err)
	}
	out, err := docker(t.Context(), "network", "inspect", r.id, "--format", "{{(index .IPAM.Config 0).Gateway}}")
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSpace(out)
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Skipf("needs an engine on this machine: listen at the gateway of its network: %v", err)
	}
	_ = l.Close()
	return address
}

// mustBuild builds a static program.
func mustBuild(t *testing.T, path, pkg string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), buildTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
}

// needsStatic fails the test if a program cannot run in an empty image.
func needsStatic(t *testing.T, path string) {
	t.Helper()
	program, err := elf.Open(path)
	if err != nil {
		t.Fatalf("look at %s: %v", path, err)
	}
	defer func() { _ = program.Close() }()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Fatalf("%s is not static: build the runner with CGO_ENABLED=0", path)
		}
	}
}

// docker runs a docker command to its end and returns what it printed.
func docker(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dockerTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		err = fmt.Errorf("docker %s: %w", args[0], err)
	}
	return string(out), err
}

// containers returns the ids of the test's containers, in whatever state.
func (r *rig) containers(ctx context.Context) ([]string, error) {
	out, err := docker(ctx, "ps", "-aq", "--no-trunc", "--filter", "label="+testLabel+"="+r.id)
	return strings.Fields(out), err
}

// sweep removes what a failed check has left in the engine and on the server,
// so that the next one begins with nothing.
func (r *rig) sweep(t *testing.T) {
	r.remove(t, []string{"ps", "-aq"}, "rm", "-f", "-v")
	ctx := context.WithoutCancel(t.Context())
	runners, err := r.gitea.Runners(ctx)
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, runner := range runners {
		if err := r.gitea.DeleteRunner(ctx, runner.ID); err != nil {
			t.Logf("clean up: %v", err) // it may have gone by itself
		}
	}
}

// clean removes all that is the test's in the engine.
func (r *rig) clean(t *testing.T) {
	r.remove(t, []string{"ps", "-aq"}, "rm", "-f", "-v")
	r.remove(t, []string{"images", "-q"}, "rmi", "-f")
	r.remove(t, []string{"network", "ls", "-q"}, "network", "rm")
}

// remove removes what a listing command finds of the test's.
func (r *rig) remove(t *testing.T, list []string, remove ...string) {
	ctx := context.WithoutCancel(t.Context())
	out, err := docker(ctx, append(list, "--no-trunc", "--filter", "label="+testLabel+"="+r.id)...)
	if ids := strings.Fields(out); err == nil && len(ids) > 0 {
		_, err = docker(ctx, append(remove, ids...)...)
	}
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
}
