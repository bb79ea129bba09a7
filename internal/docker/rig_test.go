package docker

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/stdcopy"

	"scaler.io/scaler/internal/plan"
)

// rig is a real engine with an instance id and images of its own. Nothing that
// it makes outlives the test.
type rig struct {
	instance string
	base     *Engine
	repo     string // of the images
}

// testLabel marks what tests make, so that it can be cleared away after one that
// was killed. Containers inherit it from their image.
const testLabel = "io.scaler.test"

// newRig skips the test if no engine answers, or fails it if
// SCALER_REQUIRE_ENGINE=1 says that there must be one.
func newRig(t testing.TB) *rig {
	t.Helper()
	id := strings.ToLower(rand.Text())
	r := &rig{instance: "test-" + id, repo: "scaler-test-" + id}
	r.base = r.engine(t, nil)
	version, err := r.base.Ping(t.Context())
	if err != nil {
		if os.Getenv("SCALER_REQUIRE_ENGINE") == "1" {
			t.Fatalf("SCALER_REQUIRE_ENGINE=1: %v", err)
		}
		t.Skipf("needs a Docker engine: %v", err)
	}
	t.Logf("engine %s", version)
	t.Cleanup(func() { r.cleanup(t) })
	r.importImages(t)
	return r
}

// importImages makes the images that differ in what the data directory and the
// user are: none at all, a volume, a number, a name.
func (r *rig) importImages(t testing.TB) {
	t.Helper()
	probe := filepath.Join(t.TempDir(), "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", probe, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build probe: %v\n%s", err, out)
	}
	entrypoint := []string{"/probe"}
	labels := map[string]string{testLabel: "1", "quoted": `a "b" $HOME \n c`}
	if err := r.base.ImportImage(t.Context(), r.image("plain"), probe, entrypoint, labels); err != nil {
		t.Fatal(err)
	}
	accounts := []plan.File{
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0::/:\nrunner:x:1000:1001::/data:\n")},
		{Path: "/etc/group", Mode: 0o644, Data: []byte("root:x:0:\nbuild:x:1002:runner\n")},
	}
	for tag, spec := range map[string]imageSpec{
		"bare":    {},
		"volume":  {dirs: []tar.Header{{Name: "data/", Mode: 0o755}}, changes: []string{"VOLUME /data"}},
		"numeric": {changes: []string{"USER 1000"}},
		"named": {
			files:   accounts,
			dirs:    []tar.Header{{Name: "data/", Mode: 0o750, Uid: 1000, Gid: 1001}},
			changes: []string{"USER runner", "VOLUME /data"},
		},
	} {
		spec.binary, spec.entrypoint, spec.labels = probe, entrypoint, map[string]string{testLabel: "1"}
		if err := r.base.importImage(t.Context(), r.image(tag), spec); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *rig) image(tag string) string { return r.repo + ":" + tag }

// engine returns an Engine of the rig's instance with these pools.
func (r *rig) engine(t testing.TB, pools map[string]Options) *Engine {
	t.Helper()
	e, err := New(Config{Instance: r.instance, Pools: pools, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// pool returns an Engine with one pool "p" whose containers run the command.
func (r *rig) pool(t testing.TB, tag string, command ...string) *Engine {
	t.Helper()
	return r.engine(t, map[string]Options{"p": {Image: r.image(tag), Pull: PullNever, Command: command}})
}

// cleanup removes what carries the rig's label, also after a failure.
func (r *rig) cleanup(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	byLabel := filters.NewArgs(filters.Arg("label", LabelInstance+"="+r.instance))
	cs, err := r.base.client.ContainerList(ctx, container.ListOptions{All: true, Filters: byLabel})
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, c := range cs {
		if err := r.base.client.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			t.Errorf("clean up container: %v", err)
		}
	}
	images, err := r.base.client.ImageList(ctx, image.ListOptions{Filters: byLabel})
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, i := range images {
		if _, err := r.base.client.ImageRemove(ctx, i.ID, image.RemoveOptions{Force: true}); err != nil {
			t.Errorf("clean up image: %v", err)
		}
	}
}

// start creates and starts a runner, and fails the test otherwise.
func start(t testing.TB, e *Engine, runner string, files ...plan.File) string {
	t.Helper()
	id, err := e.Create(t.Context(), "p", runner, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), id, files); err != nil {
		t.Fatal(err)
	}
	return id
}

// ended waits until the container does not run and returns what it is then.
func ended(t testing.TB, e *Engine, id string) plan.Container {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done, errs := e.client.ContainerWait(ctx, id, container.WaitConditionNotRunning)
	select {
	case <-done:
	case err := <-errs:
		t.Fatal(err)
	}
	c, err := e.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ready waits until the container has written a first line, so that its
// signal handler stands.
func ready(t testing.TB, e *Engine, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := e.client.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	reader, writer := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(writer, io.Discard, stream)
		_ = writer.CloseWithError(err)
	}()
	defer func() { _ = reader.Close() }()
	if _, err := reader.Read(make([]byte, 64)); err != nil {
		t.Fatalf("wait for output: %v", err)
	}
}
