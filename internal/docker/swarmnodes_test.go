package docker

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/swarmtest"
)

// nodesInstance is the instance of the tests on several nodes.
const nodesInstance = "nodes-test"

// fleet is a Swarm of a manager and two workers, which alone run containers.
type fleet struct {
	*Swarm
	nodes   []swarmtest.Node
	engines []*Engine // of the nodes
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{nodes: swarmtest.Three(t)}
	probe := filepath.Join(t.TempDir(), "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", probe, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build probe: %v\n%s", err, out)
	}
	for _, n := range f.nodes {
		e, err := New(Config{Instance: nodesInstance, Host: n.Host})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		if err := e.ImportImage(t.Context(), "probe:1", probe, []string{"/probe"}, nil); err != nil {
			t.Fatal(err)
		}
		f.engines = append(f.engines, e)
	}
	o := Options{Image: "probe:1", Pull: PullNever, Command: []string{"conform"}, Swarm: SwarmOptions{Constraints: []string{"node.role!=manager"}}}
	f.Swarm = newTestSwarm(t, Config{Instance: nodesInstance, Host: f.nodes[0].Host, Pools: map[string]Options{"p": o}})
	f.lost = time.Second
	return f
}

// runs starts a runner and returns on which node it runs.
func (f *fleet) runs(t *testing.T, runner string) (id string, node int) {
	t.Helper()
	id = f.launch(t, runner, plan.File{Path: "/data/greeting", Mode: 0o600, Data: []byte("hello\n")})
	f.until(t, id, "running", func(plan.Container) bool {
		lines, err := f.Logs(t.Context(), id, 50)
		return err == nil && slices.Contains(lines, "hello")
	})
	for i := range f.engines {
		if f.has(t, i, runner) {
			return id, i
		}
	}
	t.Fatalf("%s runs nowhere", runner)
	return "", 0
}

// has reports whether a node has the container of a runner.
func (f *fleet) has(t *testing.T, node int, runner string) bool {
	t.Helper()
	all, err := f.engines[node].List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(all, func(c plan.Container) bool { return c.Runner == runner })
}

// gone waits until a node has no container of the runner any more.
func (f *fleet) gone(t *testing.T, node int, runner string) {
	t.Helper()
	for late := time.Now().Add(time.Minute); f.has(t, node, runner); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("node %d still has the container of %s", node, runner)
		}
	}
}

func TestSwarmOfThreeNodes(t *testing.T) {
	f := newFleet(t)
	t.Run("a runner on another node", func(t *testing.T) { testRemoteRunner(t, f) })
	t.Run("a node is drained", func(t *testing.T) { testDrainedWorker(t, f) })
	t.Run("a node is lost", func(t *testing.T) { testLostNode(t, f) })
	f.wantFiles(t, 0)
}

// All that there is of a runner goes through the manager.
func testRemoteRunner(t *testing.T, f *fleet) {
	ended := f.launch(t, "ended", plan.File{Path: "/data/exit", Mode: 0o600, Data: []byte("7")})
	if c := f.until(t, ended, "ended", func(c plan.Container) bool { return c.State == plan.ContainerExited }); c.ExitCode != 7 || !c.Ended {
		t.Errorf("it is %+v, want the exit code 7", c)
	}
	id, node := f.runs(t, "remote")
	if node == 0 {
		t.Error("it runs on the manager")
	}
	if err := f.Remove(t.Context(), id, false); err == nil {
		t.Error("it was removed while it runs")
	}
	if err := f.Signal(t.Context(), id, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	f.until(t, id, "ended", func(c plan.Container) bool { return c.State == plan.ContainerExited })
	for _, id := range []string{id, ended} {
		if err := f.Remove(t.Context(), id, false); err != nil {
			t.Fatal(err)
		}
	}
	for i := range f.engines {
		f.gone(t, i, "remote")
		f.gone(t, i, "ended")
	}
}

// available changes a node, which is named by one of its tasks.
func (f *fleet) available(t *testing.T, service string, to swarm.NodeAvailability) {
	t.Helper()
	tasks, err := f.tasks(t.Context(), filters.NewArgs(filters.Arg("service", service)))
	if err != nil || len(tasks[service]) == 0 {
		t.Fatalf("tasks %v, %v", tasks, err)
	}
	n, _, err := f.client.NodeInspectWithRaw(t.Context(), tasks[service][0].NodeID)
	if err != nil {
		t.Fatal(err)
	}
	n.Spec.Availability = to
	if err := f.client.NodeUpdate(t.Context(), n.ID, n.Version, n.Spec); err != nil {
		t.Fatal(err)
	}
}

func testDrainedWorker(t *testing.T, f *fleet) {
	id, node := f.runs(t, "drained")
	f.available(t, id, swarm.NodeAvailabilityDrain)
	c := f.until(t, id, "ended", func(c plan.Container) bool { return c.State == plan.ContainerExited })
	if !c.Withdrawn || c.Lost() || !strings.Contains(c.Reason, "drained") {
		t.Errorf("it is %+v, want it to have ended by no fault of its own", c)
	}
	if _, other := f.runs(t, "elsewhere"); other == node {
		t.Errorf("the next one runs on the drained node %d", other)
	}
	if f.has(t, 3-node, "drained") {
		t.Error("Swarm has started it a second time")
	}
	f.available(t, id, swarm.NodeAvailabilityActive)
}

// A runner that was given up with its node is ended by that node when it is back.
func testLostNode(t *testing.T, f *fleet) {
	id, node := f.runs(t, "lost")
	f.nodes[node].Cut()
	mended := false
	defer func() {
		if !mended {
			f.nodes[node].Mend()
		}
	}()
	c := f.until(t, id, "lost", func(c plan.Container) bool { return c.State == plan.ContainerExited })
	if !c.Lost() || !strings.Contains(c.Reason, "is lost") {
		t.Errorf("it is %+v, want it to be lost", c)
	}
	if !f.has(t, node, "lost") || f.has(t, 3-node, "lost") {
		t.Error("it must run where it was, and nowhere else")
	}
	if err := f.Remove(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	if _, other := f.runs(t, "next"); other == node {
		t.Errorf("the next one runs on the lost node %d", other)
	}
	f.nodes[node].Mend()
	mended = true
	f.gone(t, node, "lost")
}
