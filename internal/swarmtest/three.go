package swarmtest

import (
	"context"
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
	// netnsPrefix begins the names of the network namespaces: the one with the
	// bridge is number 0.
	netnsPrefix = "scaler-swarm-"
	// subnet is reserved for documentation, so nobody's.
	subnet = "198.51.100."
	// engineWait bounds the start and the end of an engine.
	engineWait = time.Minute
)

// Node is an engine with a network of its own.
type Node struct {
	Host   string // of its socket, unix:///PATH
	number int
	t      testing.TB
}

// Three makes a Swarm of three engines of the test's own until the test ends: a
// manager, which comes first, and two workers, each in a network namespace. The
// machine's engine and its firewall are not touched. It skips the test unless
// SCALER_TEST_SWARM=1 allows it, and without root, dockerd or the program ip.
func Three(t testing.TB) []Node {
	t.Helper()
	if os.Getenv("SCALER_TEST_SWARM") != "1" {
		t.Skip("makes three engines in network namespaces: set SCALER_TEST_SWARM=1")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can start an engine")
	}
	for _, program := range []string{"dockerd", "ip", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
	lock(t)
	dir, err := os.MkdirTemp("", "sw") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clear(t, dir) })
	bridge := netnsPrefix + "0"
	ip(t, "netns", "add", bridge)
	t.Cleanup(func() { ip(t, "netns", "del", bridge) })
	ip(t, "-n", bridge, "link", "add", "br0", "type", "bridge")
	ip(t, "-n", bridge, "link", "set", "br0", "up")
	var nodes []Node
	for i := 1; i <= 3; i++ {
		nodes = append(nodes, startNode(t, dir, i))
	}
	nodes[0].docker("swarm", "init", "--advertise-addr", nodes[0].address())
	token := nodes[0].docker("swarm", "join-token", "-q", "worker")
	for _, n := range nodes[1:] {
		n.docker("swarm", "join", "--advertise-addr", n.address(), "--token", token, nodes[0].address()+":2377")
	}
	return nodes
}

// startNode starts an engine in a network of its own.
func startNode(t testing.TB, dir string, number int) Node {
	t.Helper()
	n := Node{number: number, t: t}
	bridge, own, wire := netnsPrefix+"0", fmt.Sprint(netnsPrefix, number), n.wire()
	ip(t, "netns", "add", own)
	t.Cleanup(func() { ip(t, "netns", "del", own) })
	ip(t, "-n", bridge, "link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", own)
	ip(t, "-n", bridge, "link", "set", wire, "master", "br0", "up")
	ip(t, "-n", own, "addr", "add", n.address()+"/24", "dev", "eth0")
	ip(t, "-n", own, "link", "set", "eth0", "up")
	ip(t, "-n", own, "link", "set", "lo", "up")
	ip(t, "-n", own, "route", "add", "default", "via", subnet+"1") // the engine wants one
	in := func(name string) string { return filepath.Join(dir, fmt.Sprint("n", number), name) }
	if err := os.Mkdir(in(""), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("daemon.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(in("log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	n.Host = "unix://" + in("s")
	// Not by ip netns exec, which would hide the control groups.
	cmd := exec.Command("nsenter", "--net=/var/run/netns/"+own, "dockerd", "--config-file", in("daemon.json"), "--host", n.Host,
		"--data-root", in("data"), "--exec-root", in("exec"), "--pidfile", in("pid"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, cmd) })
	for late := time.Now().Add(engineWait); ; time.Sleep(100 * time.Millisecond) {
		if _, err = docker(t.Context(), "-H", n.Host, "version"); err == nil {
			return n
		}
		if time.Now().After(late) {
			text, _ := os.ReadFile(in("log"))
			t.Fatalf("engine %d: %v\n%s", number, err, text[max(0, len(text)-2000):])
		}
	}
}

// end ends an engine, which ends its containers.
func end(t testing.TB, cmd *exec.Cmd) {
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(engineWait):
		_ = cmd.Process.Kill()
		t.Error("an engine did not end and was killed")
	}
}

// clear removes what the engines have left in their directory, mounts first.
func clear(t testing.TB, dir string) {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Error(err)
	}
	lines := strings.Split(string(mounts), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if fields := strings.Fields(lines[i]); len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			_ = syscall.Unmount(fields[1], syscall.MNT_DETACH)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Errorf("clean up: %v", err)
	}
}

func (n Node) address() string { return fmt.Sprint(subnet, 10+n.number) }

func (n Node) wire() string { return fmt.Sprint("v", n.number) }

// Cut cuts the node off from the others.
func (n Node) Cut() { ip(n.t, "-n", netnsPrefix+"0", "link", "set", n.wire(), "down") }

// Mend connects it again.
func (n Node) Mend() { ip(n.t, "-n", netnsPrefix+"0", "link", "set", n.wire(), "up") }

// docker runs a docker command on the node.
func (n Node) docker(args ...string) string {
	n.t.Helper()
	out, err := docker(n.t.Context(), append([]string{"-H", n.Host}, args...)...)
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

func ip(t testing.TB, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), commandTimeout)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		t.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
