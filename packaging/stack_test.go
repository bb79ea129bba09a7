package packaging

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"scaler.io/scaler/internal/realgitea"
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

// stackLabel is what the jobs ask for.
const stackLabel = "linux"

// The daemon runs as a service of the stack. It is killed while its runners have
// jobs, and started again by the Swarm with an empty volume, as on another manager:
// by the instance in its configuration it finds the runners, and loses none.
func TestStackKeepsItsRunners(t *testing.T) {
	swarmtest.Init(t)
	const name, jobs = "scaler-stack-test", 3
	s := newSwarmStack(t, name)
	s.deploy(t)
	for range jobs {
		s.gitea.queue(t, stackLabel, 30*time.Second)
	}
	var before []string
	eventually(t, "all runners have jobs", func() (bool, string) {
		before = s.gitea.state(t).busy()
		return len(before) == jobs, fmt.Sprintf("%v; %s", before, s.log(t))
	})

	killed := s.container(t)
	mustRun(t, root, nil, "docker", "kill", "-s", "KILL", killed)
	mustRun(t, root, nil, "docker", "service", "update", "-d", "--mount-rm", "/var/lib/scaler",
		"--mount-add", "type=volume,source="+name+"_other,target=/var/lib/scaler", name+"_scaler")
	eventually(t, "another daemon has the runners", func() (bool, string) {
		log := s.log(t)
		return s.container(t) != killed && strings.Count(log, "container adopted") == jobs, log
	})
	if got := strings.Count(s.log(t), "scaler starts"); got != 2 {
		t.Errorf("the daemon has started %d times, want 2", got)
	}
	if after := s.gitea.state(t).busy(); !slices.Equal(after, before) {
		t.Errorf("busy are %v, before %v", after, before)
	}
	s.gitea.succeeded(t, jobs)
	s.gone(t)
	if made := s.gitea.state(t).Counts.Registrations; made != jobs {
		t.Errorf("%d runners were registered for %d jobs", made, jobs)
	}
}

// swarmStack is the stack that is handed out, with a Gitea and runners that are
// here.
type swarmStack struct {
	name, dir, instance string
	env                 []string
	gitea               fakeGitea
}

// newSwarmStack prepares the stack in a Swarm, and removes it after the test.
func newSwarmStack(t *testing.T, name string) *swarmStack {
	t.Helper()
	info, err := os.Stat("/var/run/docker.sock")
	if err != nil {
		t.Skipf("needs an engine on this machine: %v", err)
	}
	s := &swarmStack{name: name, dir: t.TempDir()}
	s.env = []string{fmt.Sprintf("DOCKER_GID=%d", info.Sys().(*syscall.Stat_t).Gid), "SCALER_IMAGE=" + makeImage(t)}
	binary := program(t)
	s.startGitea(t, binary)
	runner := scratchImage(t, binary, "runner", `["/program", "demo-runner"]`)
	example := read(t, "configs/stack/scaler.yaml")
	s.instance = regexp.MustCompile(`(?m)^instance: "(\S+)"`).FindStringSubmatch(example)[1]
	text := strings.NewReplacer("https://git.example.com", s.gitea.url, "gitea/runner:latest", runner, "cpus: 2", "pull: never",
		"memory: 4g", "memory: 64m", `"node.role!=manager"`, `"node.role==manager"`).Replace(example)
	for file, text := range map[string]string{"stack.yaml": read(t, "configs/stack.yaml"), "stack/scaler.yaml": text} {
		path := filepath.Join(s.dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, root, nil, "sh", "-c", "printf api-secret | docker secret create scaler_api_token -")
	t.Cleanup(func() { s.remove(t) })
	return s
}

// startGitea runs a Gitea on this machine, at an address that the containers of
// all networks reach.
func (s *swarmStack) startGitea(t *testing.T, binary string) {
	t.Helper()
	bridge, err := net.InterfaceByName("docker0")
	if err != nil {
		t.Skipf("needs the usual network of an engine on this machine: %v", err)
	}
	addresses, err := bridge.Addrs()
	if err != nil || len(addresses) == 0 {
		t.Fatalf("addresses of docker0: %v, %v", addresses, err)
	}
	address := realgitea.FreeAddress(t, addresses[0].(*net.IPNet).IP.String())
	cmd := exec.Command(binary, "fake-gitea", "--listen", address, "--registration-token", "registration-secret", "--api-token", "api-secret")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	s.gitea.url = "http://" + address
}

func (s *swarmStack) deploy(t *testing.T) {
	t.Helper()
	mustRun(t, root, s.env, "docker", "stack", "deploy", "-c", filepath.Join(s.dir, "stack.yaml"), s.name)
}

// log is what all daemons of the service have said.
func (s *swarmStack) log(t *testing.T) string {
	t.Helper()
	out, err := run(t, root, nil, "docker", "service", "logs", "--raw", s.name+"_scaler")
	if err != nil {
		return fmt.Sprint(err, out)
	}
	return out
}

// container returns the id of the daemon's container, if it has one.
func (s *swarmStack) container(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(mustRun(t, root, nil, "docker", "ps", "-q", "--filter", "label=com.docker.swarm.service.name="+s.name+"_scaler"))
}

// left returns what the daemon has in the Swarm.
func (s *swarmStack) left(t *testing.T) (all string) {
	t.Helper()
	for _, kind := range []string{"service", "secret", "config"} {
		all += mustRun(t, root, nil, "docker", kind, "ls", "-q", "--filter", "label=io.scaler.instance="+s.instance)
	}
	return all
}

// gone waits until nothing is left of the runners.
func (s *swarmStack) gone(t *testing.T) {
	t.Helper()
	eventually(t, "nothing is left of the runners", func() (bool, string) {
		left, runners := s.left(t), s.gitea.state(t).Runners
		return left == "" && len(runners) == 0, fmt.Sprint(left, runners)
	})
}

// remove removes the stack and what a failed test has left of the runners.
func (s *swarmStack) remove(t *testing.T) {
	if t.Failed() {
		t.Log(s.log(t))
	}
	_, _ = run(t, root, nil, "docker", "stack", "rm", s.name)
	_, _ = run(t, root, nil, "docker", "secret", "rm", "scaler_api_token")
	for _, volume := range []string{s.name + "_state", s.name + "_other"} {
		removeVolume(t, volume)
	}
	for _, kind := range []string{"service", "secret", "config"} {
		if ids := strings.Fields(mustRun(t, root, nil, "docker", kind, "ls", "-q", "--filter", "label=io.scaler.instance="+s.instance)); len(ids) > 0 {
			mustRun(t, root, nil, "docker", append([]string{kind, "rm"}, ids...)...)
		}
	}
}

// removeVolume removes a volume as soon as no container has it.
func removeVolume(t *testing.T, name string) {
	t.Helper()
	var err error
	for range 150 {
		if _, err = run(t, root, nil, "docker", "volume", "rm", "-f", name); err == nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Errorf("the volume %s is left: %v", name, err)
}
