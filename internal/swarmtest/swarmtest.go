// Package swarmtest makes a Swarm of one node of this machine's engine for a
// test, and takes the engine out of it again.
//
// The invariant that it protects: an engine that is in a Swarm is left alone,
// one that was in none is in none after the test, and no two tests make one at
// the same time.
package swarmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// commandTimeout bounds one call of the docker command.
	commandTimeout = time.Minute
	// address is where the node listens: nobody else can join.
	address = "127.0.0.1"
	// bridge is a network that docker swarm init makes and leave forgets.
	bridge = "docker_gwbridge"
)

// Init makes a Swarm of one node until the test ends. It skips the test unless
// SCALER_TEST_SWARM=1 allows it, and fails it if the engine is in a Swarm.
func Init(t testing.TB) {
	t.Helper()
	if os.Getenv("SCALER_TEST_SWARM") != "1" {
		t.Skip("makes a Swarm of this machine's engine for as long as it takes: set SCALER_TEST_SWARM=1")
	}
	lock(t)
	state, err := docker(t.Context(), "info", "--format", "{{.Swarm.LocalNodeState}}")
	if err != nil {
		t.Fatal(err)
	}
	if state != "inactive" {
		t.Fatalf("the engine is in a Swarm (%s) and is left alone; if a test that was killed has left it there, run docker swarm leave --force", state)
	}
	_, bridgeErr := docker(t.Context(), "network", "inspect", bridge)
	t.Cleanup(func() { leave(t, bridgeErr != nil) })
	if _, err := docker(t.Context(), "swarm", "init", "--advertise-addr", address, "--listen-addr", address); err != nil {
		t.Fatal(err)
	}
}

// leave takes the engine out of the Swarm. The bridge goes if it was not there.
func leave(t testing.TB, withBridge bool) {
	ctx := context.WithoutCancel(t.Context())
	if _, err := docker(ctx, "swarm", "leave", "--force"); err != nil {
		t.Errorf("leave the Swarm: %v", err)
	}
	if !withBridge {
		return
	}
	var err error
	for range 50 { // the last containers may be on their way out
		if _, err = docker(ctx, "network", "rm", bridge); err == nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Errorf("remove what the Swarm has left: %v", err)
}

// lock waits until no other test has a Swarm on this machine.
func lock(t testing.TB) {
	t.Helper()
	unlock, err := Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
}

// Lock waits until nobody else has a Swarm for tests on this machine, or ctx ends.
// Until unlock is called nobody else gets one.
func Lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "scaler-swarm-test.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("wait for the Swarms of others to go: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		return nil, errors.Join(fmt.Errorf("wait for the Swarms of others to go: %w", err), f.Close())
	}
}

func docker(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		err = errors.New("docker " + strings.Join(args, " ") + ": " + text)
	}
	return text, err
}
