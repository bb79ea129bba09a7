package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// importImage makes the runner's image of nothing but the runner and a shell
// for the steps. It starts by itself as Gitea's official image does.
func (r *rig) importImage(t *testing.T, runner string) {
	t.Helper()
	entrypoint := filepath.Join(t.TempDir(), "entrypoint")
	mustBuild(t, entrypoint, "./testdata/entrypoint")
	r.importPrograms(t, r.image, map[string]string{"act_runner": runner, "entrypoint": entrypoint},
		"-c", `ENTRYPOINT ["/bin/entrypoint"]`)
}

// importForgejo makes the image of Forgejo's runner that
// SCALER_FORGEJO_RUNNER_BIN names. As in the official one, a command is to be
// given. The test is skipped without that.
func (r *rig) importForgejo(t *testing.T) string {
	t.Helper()
	runner := os.Getenv("SCALER_FORGEJO_RUNNER_BIN")
	if runner == "" {
		t.Skip("SCALER_FORGEJO_RUNNER_BIN does not name a runner binary")
	}
	image := "scaler-" + r.id + "-forgejo:latest"
	r.importPrograms(t, image, map[string]string{"forgejo-runner": runner}, "-c", `CMD ["/bin/forgejo-runner"]`)
	return image
}

// importPrograms makes an image of programs, by name, and of a shell for the
// steps.
func (r *rig) importPrograms(t *testing.T, image string, programs map[string]string, changes ...string) {
	t.Helper()
	shell := filepath.Join(t.TempDir(), "stepshell")
	mustBuild(t, shell, "./testdata/stepshell")
	var root bytes.Buffer
	tw := tar.NewWriter(&root)
	for _, dir := range []tar.Header{{Name: "bin/", Mode: 0o755}, {Name: "data/", Mode: 0o755}, {Name: "root/", Mode: 0o700}, {Name: "tmp/", Mode: 0o1777}} {
		dir.Typeflag = tar.TypeDir
		if err := tw.WriteHeader(&dir); err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range programs {
		needsStatic(t, path)
		addProgram(t, tw, "bin/"+name, path)
	}
	addProgram(t, tw, "bin/stepshell", shell)
	addProgram(t, tw, "bin/sleep", shell) // what keeps a job's container running
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), dockerTimeout)
	defer cancel()
	args := append([]string{"import", "-c", "WORKDIR /data", "-c", "ENV PATH=/bin HOME=/root",
		"-c", "LABEL " + testLabel + "=" + r.id}, changes...)
	cmd := exec.CommandContext(ctx, "docker", append(args, "-", image)...)
	cmd.Stdin = &root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("import image: %v\n%s", err, out)
	}
}

func addProgram(t *testing.T, tw *tar.Writer, name, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
		t.Fatal(err)
	}
	if _, err := tw.Write(data); err != nil {
		t.Fatal(err)
	}
}
