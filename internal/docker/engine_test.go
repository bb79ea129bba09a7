package docker

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"scaler.io/scaler/internal/plan"
)

// TestRealEngine runs against the engine at hand. Its parts share the images.
func TestRealEngine(t *testing.T) {
	r := newRig(t)
	for name, part := range map[string]func(*testing.T, *rig){
		"lifecycle":            testLifecycle,
		"create twice":         testCreateTwice,
		"signal":               testSignal,
		"remove running":       testRemoveRunning,
		"anonymous volumes":    testVolumes,
		"foreign containers":   testForeign,
		"files and users":      testFiles,
		"one file":             testWriteFile,
		"addresses":            testAddresses,
		"own environment":      testOwnEnvironment,
		"named user":           testNamedUser,
		"read file":            testReadFile,
		"logs":                 testLogs,
		"log size":             testLogSize,
		"follow logs":          testFollowLogs,
		"usage":                testUsage,
		"options are accepted": testOptions,
		"environment":          testEnvironment,
		"watch":                testWatch,
		"missing image":        testMissingImage,
		"image vanishes":       testImageVanishes,
		"imported image":       testImportedImage,
		"gateway":              testGateway,
		"cancelled":            testCancelled,
		"missing network":      testMissingNetwork,
		"prepare":              testPrepare,
		"dind":                 testDind,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, r)
		})
	}
}

func testLifecycle(t *testing.T, r *rig) {
	e := r.pool(t, "plain", "exit", "7")
	id, err := e.Create(t.Context(), "p", r.instance+"-life", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := plan.Container{ID: id, Runner: r.instance + "-life", Pool: "p", State: plan.ContainerCreated}
	list, err := e.List(t.Context())
	if err != nil || !slices.Contains(list, want) {
		t.Fatalf("List() = %+v, %v; want it to hold %+v", list, err, want)
	}
	if err := e.Start(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	want.State, want.ExitCode, want.Ended = plan.ContainerExited, 7, true
	if got := ended(t, e, id); got != want {
		t.Errorf("after the end: %+v, want %+v", got, want)
	}
	if list, err := e.List(t.Context()); err != nil || !slices.Contains(list, want) {
		t.Errorf("after the end List() = %+v, %v; want it to hold %+v", list, err, want)
	}
	for range 2 { // the second finds nothing, which is success
		if err := e.Remove(t.Context(), id, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Inspect(t.Context(), id); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("Inspect after Remove: %v, want ErrNotFound", err)
	}
	if err := e.Signal(t.Context(), id, "SIGKILL"); err != nil {
		t.Errorf("Signal after Remove: %v", err)
	}
}

func testCreateTwice(t *testing.T, r *rig) {
	e := r.pool(t, "plain")
	first, err := e.Create(t.Context(), "p", r.instance+"-twice", nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := e.Create(t.Context(), "p", r.instance+"-twice", nil)
	if err != nil || second != first {
		t.Errorf("second Create = %q, %v; want %q", second, err, first)
	}
	if _, err := e.Create(t.Context(), "q", "x", nil); err == nil || !strings.Contains(err.Error(), `unknown pool "q"`) {
		t.Errorf("Create in an unknown pool: %v", err)
	}
}

func testSignal(t *testing.T, r *rig) {
	e := r.pool(t, "plain", "sleep")
	id := start(t, e, r.instance+"-signal")
	ready(t, e, id)
	if err := e.Signal(t.Context(), id, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	if c := ended(t, e, id); c.ExitCode != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", c.ExitCode)
	}
	if err := e.Signal(t.Context(), id, "SIGTERM"); err != nil {
		t.Errorf("Signal to an exited container: %v", err)
	}
}

func testRemoveRunning(t *testing.T, r *rig) {
	e := r.pool(t, "plain", "sleep")
	id := start(t, e, r.instance+"-running")
	if err := e.Remove(t.Context(), id, false); err == nil {
		t.Fatal("Remove of a running container without force succeeded")
	}
	if c, err := e.Inspect(t.Context(), id); err != nil || c.State != plan.ContainerRunning {
		t.Fatalf("after the refusal: %+v, %v", c, err)
	}
	if err := e.Remove(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Inspect(t.Context(), id); !errors.Is(err, plan.ErrNotFound) {
		t.Errorf("after Remove with force: %v, want ErrNotFound", err)
	}
}

func testVolumes(t *testing.T, r *rig) {
	named := r.instance + "-cache"
	e := r.engine(t, map[string]Options{"p": {
		Image: r.image("volume"), Command: []string{"exit", "0"},
		Volumes: []string{"/scratch", named + ":/cache"},
	}})
	t.Cleanup(func() { _ = e.client.VolumeRemove(context.WithoutCancel(t.Context()), named, true) })
	id := start(t, e, r.instance+"-volumes")
	found, err := e.client.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Mounts) != 3 {
		t.Fatalf("mounts %+v, want /data, /scratch and /cache", found.Mounts)
	}
	ended(t, e, id)
	if err := e.Remove(t.Context(), id, false); err != nil {
		t.Fatal(err)
	}
	for _, m := range found.Mounts {
		_, err := e.client.VolumeInspect(t.Context(), m.Name)
		if kept := err == nil; kept != (m.Name == named) {
			t.Errorf("volume %s at %s: kept %v (%v)", m.Name, m.Destination, kept, err)
		}
	}
}

// testForeign holds every method to its promise with containers of another
// instance, of nobody, and one made by hand from an image of ours.
func testForeign(t *testing.T, r *rig) {
	e := r.pool(t, "plain", "sleep")
	for kind, labels := range map[string]map[string]string{
		"other": {LabelInstance: "another", LabelRunner: "x", LabelPool: "p"},
		"hand":  {"com.example": "1"}, // inherits our instance id from its image
		"empty": {LabelInstance: ""},
	} {
		t.Run(kind, func(t *testing.T) {
			containerName := r.instance + "-foreign-" + kind
			created, err := e.client.ContainerCreate(t.Context(), &container.Config{Image: r.image("plain"), Labels: labels},
				nil, nil, nil, containerName)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = e.client.ContainerRemove(context.WithoutCancel(t.Context()), created.ID, container.RemoveOptions{Force: true})
			})
			if err := e.client.ContainerStart(t.Context(), created.ID, container.StartOptions{}); err != nil {
				t.Fatal(err)
			}
			for name, err := range touch(t, e, created.ID, containerName) {
				if !errors.Is(err, ErrForeign) {
					t.Errorf("%s: %v, want ErrForeign", name, err)
				}
			}
			list, err := e.List(t.Context())
			if err != nil || slices.ContainsFunc(list, func(c plan.Container) bool { return c.ID == created.ID }) {
				t.Errorf("List() holds the foreign container: %+v, %v", list, err)
			}
			found, err := e.client.ContainerInspect(t.Context(), created.ID)
			if err != nil || !found.State.Running {
				t.Errorf("the foreign container was touched: %+v, %v", found.State, err)
			}
			if _, err := e.client.ContainerStatPath(t.Context(), created.ID, "/data/f"); err == nil {
				t.Error("a file was put into the foreign container")
			}
		})
	}
}

// touch calls everything that could change or read the container.
func touch(t *testing.T, e *Engine, id, name string) map[string]error {
	ctx := t.Context()
	_, createErr := e.Create(ctx, "p", name, nil)
	_, inspectErr := e.Inspect(ctx, id)
	_, readErr := e.ReadFile(ctx, id, "/probe")
	_, logsErr := e.Logs(ctx, id, 10)
	return map[string]error{
		"create":         createErr,
		"inspect":        inspectErr,
		"read":           readErr,
		"logs":           logsErr,
		"start":          e.Start(ctx, id, []plan.File{{Path: "/data/f", Mode: 0o600}}),
		"signal":         e.Signal(ctx, id, "SIGKILL"),
		"remove":         e.Remove(ctx, id, true),
		"remove by name": e.Remove(ctx, name, true),
	}
}

func testGateway(t *testing.T, r *rig) {
	gateway, err := r.base.Gateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if ip := net.ParseIP(gateway); ip == nil || ip.To4() == nil {
		t.Errorf("Gateway() = %q, want an IPv4 address", gateway)
	}
}

func testCancelled(t *testing.T, r *rig) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.base.List(ctx)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("List with a cancelled context: %v", err)
	}
}

// testMissingNetwork: the engine answers 404, which must not be taken for a
// container that is gone.
func testMissingNetwork(t *testing.T, r *rig) {
	e := r.engine(t, map[string]Options{"p": {Image: r.image("plain"), Network: r.instance + "-none"}})
	id, err := e.Create(t.Context(), "p", r.instance+"-network", nil)
	if err == nil {
		err = e.Start(t.Context(), id, nil)
	}
	if err == nil || errors.Is(err, plan.ErrNotFound) || errors.Is(err, plan.ErrImage) || !strings.Contains(err.Error(), r.instance+"-none not found") {
		t.Errorf("start in a missing network: %v", err)
	}
}

// BenchmarkColdStart is a runner's way from nothing to running, on an engine
// that has the image.
func BenchmarkColdStart(b *testing.B) {
	r := newRig(b)
	e := r.engine(b, map[string]Options{"p": {Image: r.image("plain")}})
	files := []plan.File{
		{Path: "/data/.runner", Mode: 0o600, Data: make([]byte, 500)},
		{Path: "/data/config.yaml", Mode: 0o600, Data: make([]byte, 500)},
	}
	var create, begin time.Duration
	for i := 0; b.Loop(); i++ {
		t0 := time.Now()
		id, err := e.Create(b.Context(), "p", r.instance+"-"+strconv.Itoa(i), nil)
		if err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		if err := e.Start(b.Context(), id, files); err != nil {
			b.Fatal(err)
		}
		create, begin = create+t1.Sub(t0), begin+time.Since(t1)
		b.StopTimer()
		if err := e.Remove(b.Context(), id, true); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(create.Milliseconds())/float64(b.N), "create-ms/op")
	b.ReportMetric(float64(begin.Milliseconds())/float64(b.N), "start-ms/op")
}
