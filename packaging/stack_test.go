package packaging

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/swarmtest"
)

// stackConfig is what docker makes of the stack file.
func stackConfig(t *testing.T) string {
	t.Helper()
	return mustRun(t, root, []string{"DOCKER_GID=999"}, needs(t, "docker"), "stack", "config", "-c", "configs/stack.yaml")
}

func TestStackFileIsValid(t *testing.T) {
	out := stackConfig(t)
	for _, want := range []string{"replicas: 1", "order: stop-first", "node.role == manager", "target: /var/lib/scaler", "user: 65532:999", "source: scaler_api_token", "target: /etc/scaler/scaler.yaml"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if text, err := run(t, root, []string{"DOCKER_GID="}, "docker", "stack", "config", "-c", "configs/stack.yaml"); err == nil || !strings.Contains(text, "DOCKER_GID") {
		t.Errorf("without DOCKER_GID: %v, %s", err, text)
	}
}

// The daemon runs as a service, and is the same one after the loss of its
// volume: the instance id is in its configuration.
func TestStackKeepsItsInstance(t *testing.T) {
	swarmtest.Init(t)
	image := makeImage(t)
	name := "scaler-stack-test"
	t.Cleanup(func() {
		for _, args := range [][]string{{"stack", "rm", name}, {"secret", "rm", "scaler_api_token"}} {
			_, _ = run(t, root, nil, "docker", args...)
		}
		// The volume is free once the task has gone.
		for range 50 {
			if _, err := run(t, root, nil, "docker", "volume", "rm", "-f", name+"_state"); err == nil {
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
		t.Error("the volume is left")
	})
	mustRun(t, root, nil, "sh", "-c", "printf 0123456789 | docker secret create scaler_api_token -")
	info, err := os.Stat("/var/run/docker.sock")
	if err != nil {
		t.Skipf("needs an engine on this machine: %v", err)
	}
	env := []string{fmt.Sprintf("DOCKER_GID=%d", info.Sys().(*syscall.Stat_t).Gid), "SCALER_IMAGE=" + image}
	for round := range 2 {
		mustRun(t, root, env, "docker", "stack", "deploy", "-c", "configs/stack.yaml", name)
		starts(t, name+"_scaler")
		if round == 0 {
			mustRun(t, root, nil, "docker", "service", "rm", name+"_scaler")
			removeVolume(t, name+"_state")
		}
	}
}

// starts waits until the daemon has said that it starts, under the instance id
// of the example.
func starts(t *testing.T, service string) {
	t.Helper()
	instance := regexp.MustCompile(`(?m)^instance: (\S+)`).FindStringSubmatch(read(t, "configs/stack/scaler.yaml"))
	if instance == nil {
		t.Fatal("the example has no instance")
	}
	var out string
	for range 300 {
		out, _ = run(t, root, nil, "docker", "service", "logs", "--raw", service)
		if strings.Contains(out, "scaler starts") && strings.Contains(out, "instance="+instance[1]) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("the daemon does not start:\n%s\n%s", out, mustRun(t, root, nil, "docker", "service", "ps", "--no-trunc", service))
}

// removeVolume removes a volume as soon as no container has it.
func removeVolume(t *testing.T, name string) {
	t.Helper()
	var err error
	for range 150 {
		if _, err = run(t, root, nil, "docker", "volume", "rm", name); err == nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal(err)
}
