package docker

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"

	"scaler.io/scaler/internal/enginetest/conformance"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/swarmtest"
)

func TestSwarm(t *testing.T) {
	r := newRig(t)
	swarmtest.Init(t)
	for name, test := range map[string]func(*testing.T, *rig){
		"conformance":        testSwarmConformance,
		"no suitable node":   testNoSuitableNode,
		"image without node": testRejected,
		"interrupted start":  testInterruptedStart,
		"abandoned files":    testAbandonedFiles,
		"drain":              testNodeDrain,
		"no container stays": testNoContainerStays,
		"overlay network":    testOverlay,
	} {
		t.Run(name, func(t *testing.T) { test(t, r) })
	}
}

func testSwarmConformance(t *testing.T, r *rig) {
	pools := map[string]Options{
		conformance.Pool:       {Image: r.image("plain"), Pull: PullNever, Command: []string{"conform"}},
		conformance.BrokenPool: {Image: r.repo + ":none"},
	}
	base := r.newSwarm(t, pools)
	conformance.Run(t, conformance.Rig{
		Serial: "an engine that starts containers with secrets side by side fails to make one's secrets read-only now and then",
		Prefix: r.instance + "-",
		Lacks: map[conformance.Ability]string{
			conformance.Files:    "a Swarm does not reach the files of a container on another node",
			conformance.StopCode: "Swarm forgets a task that it has ended on demand",
		},
		Adapter: func(t *testing.T) conformance.Engine { return r.newSwarm(t, pools) },
		Other: func(t *testing.T) conformance.Engine {
			return newTestSwarm(t, Config{Instance: r.instance + "-other", Pools: pools})
		},
		Vanish: func(t *testing.T, id string) {
			if err := base.client.ServiceRemove(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		},
		Cut: func(t *testing.T) (e conformance.Engine, cut, mend func()) {
			w := newWire(t, r.base.client.DaemonHost())
			return newTestSwarm(t, Config{Instance: r.instance, Pools: pools, Host: "unix://" + w.socket, Timeout: 5 * time.Second}), w.cut, w.mend
		},
		Patience: time.Minute,
	})
}

// newSwarm returns a Swarm of the rig's instance with these pools.
func (r *rig) newSwarm(t *testing.T, pools map[string]Options) *Swarm {
	t.Helper()
	return newTestSwarm(t, Config{Instance: r.instance, Pools: pools})
}

func newTestSwarm(t *testing.T, cfg Config) *Swarm {
	t.Helper()
	s, err := NewSwarm(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// one returns a Swarm with the pool "p", whose runners run the command.
func (r *rig) one(t *testing.T, o Options, command ...string) *Swarm {
	t.Helper()
	o.Image, o.Pull, o.Command = r.image("plain"), PullNever, command
	return r.newSwarm(t, map[string]Options{"p": o})
}

// launch creates and starts a runner that is removed after the test.
func (s *Swarm) launch(t *testing.T, runner string, files ...plan.File) (id string) {
	t.Helper()
	id, err := s.Create(t.Context(), "p", runner, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Remove(context.WithoutCancel(t.Context()), id, true); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(t.Context(), id, files); err != nil {
		t.Fatal(err)
	}
	return id
}

// until waits until the service is as it is to be.
func (s *Swarm) until(t *testing.T, id, what string, so func(plan.Container) bool) plan.Container {
	t.Helper()
	late := time.Now().Add(time.Minute)
	for {
		c, err := s.Inspect(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if so(c) {
			return c
		}
		if time.Now().After(late) {
			t.Fatalf("it is %+v and never %s", c, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func testNoSuitableNode(t *testing.T, r *rig) {
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"cpus":       {Options{CPUs: 1000}, "insufficient resources"},
		"memory":     {Options{Memory: 1 << 30, Swarm: SwarmOptions{ReserveMemory: 1 << 50}}, "insufficient resources"},
		"gpu":        {Options{Swarm: SwarmOptions{Generic: map[string]int64{"gpu": 1}}}, "insufficient resources"},
		"constraint": {Options{Swarm: SwarmOptions{Constraints: []string{"node.labels.nowhere==yes"}}}, "constraints not satisfied"},
		"platform":   {Options{Swarm: SwarmOptions{Platforms: []string{"linux/riscv64"}}}, "unsupported platform"},
	} {
		s := r.one(t, test.options, "sleep")
		id := s.launch(t, r.instance+"-"+name)
		c := s.until(t, id, "told why it waits", func(c plan.Container) bool { return c.Reason != "" })
		if c.State != plan.ContainerRunning || !strings.Contains(c.Reason, "no suitable node") || !strings.Contains(c.Reason, test.want) {
			t.Errorf("%s: it is %+v, want it to wait for %s", name, c, test.want)
		}
		if err := s.Signal(t.Context(), id, "SIGTERM"); err != nil {
			t.Error(err)
		}
		if c := s.until(t, id, "ended", func(c plan.Container) bool { return c.State == plan.ContainerExited }); c.Ended {
			t.Errorf("%s: it has an exit code and never ran: %+v", name, c)
		}
		if err := s.Remove(t.Context(), id, false); err != nil {
			t.Error(err)
		}
	}
}

// A node that cannot have the image says so.
func testRejected(t *testing.T, r *rig) {
	s := r.newSwarm(t, map[string]Options{"p": {Image: r.repo + ":none", Pull: PullNever}})
	id := s.launch(t, r.instance+"-rejected")
	c := s.until(t, id, "ended", func(c plan.Container) bool { return c.State == plan.ContainerExited })
	if c.Withdrawn || c.Ended || !strings.Contains(c.Reason, "No such image") {
		t.Errorf("it is %+v, want it to say that there is no image", c)
	}
}

// A daemon that died while it started a runner leaves secrets of that name.
func testInterruptedStart(t *testing.T, r *rig) {
	s := r.one(t, Options{}, "conform")
	id, err := s.Create(t.Context(), "p", r.instance+"-interrupted", nil)
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.service(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	files := []plan.File{
		{Path: "/data/greeting", Mode: 0o600, Data: []byte("hello\n")},
		{Path: "/data/exit", Mode: 0o644, Data: []byte("3")},
	}
	if _, _, err := s.putSecrets(t.Context(), found, files); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), id, files); err != nil {
		t.Fatal(err)
	}
	c := s.until(t, id, "ended", func(c plan.Container) bool { return c.State == plan.ContainerExited })
	if c.ExitCode != 3 {
		t.Errorf("it is %+v, want the exit code 3", c)
	}
	if err := s.Remove(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	s.wantFiles(t, 0)
}

// wantFiles checks how many secrets and configs of ours there are.
func (s *Swarm) wantFiles(t *testing.T, want int) {
	t.Helper()
	left, err := s.files(t.Context(), LabelRunner, "")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(left.secrets) + len(left.configs); n != want {
		t.Errorf("%d secrets and configs, want %d: %+v", n, want, left)
	}
}

// Secrets whose service somebody has removed are found, and swept; those of one
// that is there stay, as do those of others.
func testAbandonedFiles(t *testing.T, r *rig) {
	s, other := r.one(t, Options{}, "conform"), newTestSwarm(t, Config{Instance: r.instance + "-other"})
	files := []plan.File{{Path: "/data/greeting", Mode: 0o600, Data: []byte("x")}, {Path: "/data/other", Mode: 0o644, Data: []byte("x")}}
	gone, kept := r.instance+"-gone", r.instance+"-kept"
	id := s.launch(t, gone, files...)
	s.launch(t, kept, files...)
	if err := s.client.ServiceRemove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if found, err := other.JobContainers(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("another instance finds %v, %v", found, err)
	}
	want := []string{"config of " + gone, "secret of " + gone}
	if found, err := s.JobContainers(t.Context()); err != nil || !slices.Equal(found[gone], want) || len(found[kept]) > 0 {
		t.Errorf("found %v, %v, want %v", found, err, want)
	}
	removed, err := s.Sweep(t.Context(), gone, nil)
	if slices.Sort(removed); err != nil || !slices.Equal(removed, want) {
		t.Errorf("removed %v, %v, want %v", removed, err, want)
	}
	if removed, err := s.Sweep(t.Context(), kept, nil); err != nil || len(removed) > 0 {
		t.Errorf("removed %v, %v of one that is there", removed, err)
	}
	s.wantFiles(t, 2)
}

// On a node that is drained Swarm tells the runners to stop, and starts none
// elsewhere by itself.
func testNodeDrain(t *testing.T, r *rig) {
	s := r.one(t, Options{}, "sleep")
	s.lost = 0 // no list of the nodes serves twice
	id := s.launch(t, r.instance+"-drained")
	s.until(t, id, "running", func(plan.Container) bool {
		lines, err := s.Logs(t.Context(), id, 1)
		return err == nil && slices.Contains(lines, "ready")
	})
	setAvailability(t, s, swarm.NodeAvailabilityDrain)
	t.Cleanup(func() { setAvailability(t, s, swarm.NodeAvailabilityActive) })
	c := s.until(t, id, "ended", func(c plan.Container) bool { return c.State == plan.ContainerExited })
	if !c.Withdrawn || c.Lost() || c.ExitCode != 0 || !strings.Contains(c.Reason, "is being drained") {
		t.Errorf("it is %+v, want it to have ended well, and by no fault of its own", c)
	}
	if _, err := s.Size(t.Context()); err == nil {
		t.Error("a Swarm whose only node is drained has a size")
	}
	next := s.launch(t, r.instance+"-next")
	s.until(t, next, "without a node", func(c plan.Container) bool { return strings.Contains(c.Reason, "no suitable node") })
	setAvailability(t, s, swarm.NodeAvailabilityActive)
	s.until(t, next, "running", func(c plan.Container) bool { return c.State == plan.ContainerRunning && c.Reason == "" })
	if c, err := s.Inspect(t.Context(), id); err != nil || c.State != plan.ContainerExited {
		t.Errorf("the one that had ended is %+v, %v", c, err)
	}
}

// Of a service that is removed no container stays on its node, whether it had
// ended or runs.
func testNoContainerStays(t *testing.T, r *rig) {
	s := r.one(t, Options{}, "conform")
	ended := s.launch(t, r.instance+"-ended", plan.File{Path: "/data/exit", Mode: 0o600, Data: []byte("0")})
	s.until(t, ended, "ended", func(c plan.Container) bool { return c.State == plan.ContainerExited })
	runs := s.launch(t, r.instance+"-runs")
	s.until(t, runs, "running", func(plan.Container) bool {
		lines, err := s.Logs(t.Context(), runs, 1)
		return err == nil && len(lines) > 0
	})
	if here, err := s.Engine.List(t.Context()); err != nil || len(here) < 2 {
		t.Fatalf("the engine has %v, %v, want both", here, err)
	}
	for id, force := range map[string]bool{ended: false, runs: true} {
		if err := s.Remove(t.Context(), id, force); err != nil {
			t.Fatal(err)
		}
	}
	late := time.Now().Add(30 * time.Second)
	for {
		here, err := s.Engine.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(here, func(c plan.Container) bool {
			return strings.HasSuffix(c.Runner, "-ended") || strings.HasSuffix(c.Runner, "-runs")
		}) {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("the engine still has %v", here)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A runner on an overlay network that is attachable reaches by name what else is
// attached to it. A network of one machine is refused, with what to do.
func testOverlay(t *testing.T, r *rig) {
	peer := r.instance + "-peer"
	for driver, name := range map[string]string{"overlay": r.instance + "-overlay", "bridge": r.instance + "-bridge"} {
		made, err := r.base.client.NetworkCreate(t.Context(), name, network.CreateOptions{Driver: driver, Attachable: driver == "overlay", Labels: map[string]string{testLabel: "1"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { removeNetwork(t, r.base, made.ID) })
	}
	for name, want := range map[string]string{
		"-bridge":  "it is on one machine only: run docker network create --driver overlay",
		"-missing": "there is none: run docker network create --driver overlay",
	} {
		err := r.one(t, Options{Network: r.instance + name}).CheckNetworks(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	made, err := r.base.client.ContainerCreate(t.Context(), &container.Config{Image: r.image("plain"), Cmd: []string{"listen", ":7000"}},
		&container.HostConfig{NetworkMode: container.NetworkMode(r.instance + "-overlay")}, nil, nil, peer)
	if err == nil {
		err = r.base.client.ContainerStart(t.Context(), made.ID, container.StartOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	s := r.one(t, Options{Network: r.instance + "-overlay"}, "dial", peer+":7000")
	if err := s.CheckNetworks(t.Context()); err != nil {
		t.Error(err)
	}
	id := s.launch(t, r.instance+"-attached")
	c := s.until(t, id, "ended", func(c plan.Container) bool { return c.State == plan.ContainerExited })
	if lines, err := s.Logs(t.Context(), id, 5); err != nil || c.ExitCode != 0 || !slices.Contains(lines, "connected") {
		t.Errorf("it is %+v and says %q, %v, want it connected", c, lines, err)
	}
	if err := r.base.client.ContainerRemove(t.Context(), made.ID, container.RemoveOptions{Force: true}); err != nil {
		t.Error(err)
	}
}

// removeNetwork removes a network as soon as no task has it.
func removeNetwork(t *testing.T, e *Engine, id string) {
	var err error
	for range 150 {
		if err = e.client.NetworkRemove(context.WithoutCancel(t.Context()), id); err == nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Errorf("a network is left: %v", err)
}

// setAvailability changes the one node.
func setAvailability(t *testing.T, s *Swarm, to swarm.NodeAvailability) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	nodes, err := s.client.NodeList(ctx, swarm.NodeListOptions{})
	if err != nil || len(nodes) != 1 {
		t.Fatalf("%d nodes, %v", len(nodes), err)
	}
	nodes[0].Spec.Availability = to
	if err := s.client.NodeUpdate(ctx, nodes[0].ID, nodes[0].Version, nodes[0].Spec); err != nil {
		t.Fatal(err)
	}
}
