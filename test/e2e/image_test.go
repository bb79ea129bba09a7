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
// for the steps. What it runs is left to the pools.
func (r *rig) importImage(t *testing.T, runner string) {
	t.Helper()
	needsStatic(t, runner)
	dir := t.TempDir()
	shell, entrypoint := filepath.Join(dir, "stepshell"), filepath.Join(dir, "entrypoint")
	mustBuild(t, shell, "./testdata/stepshell")
	mustBuild(t, entrypoint, "./testdata/entrypoint")
	var root bytes.Buffer
	tw := tar.NewWriter(&root)
	for _, dir := range []tar.Header{{Name: "bin/", Mode: 0o755}, {Name: "data/", Mode: 0o755}, {Name: "root/", Mode: 0o700}, {Name: "tmp/", Mode: 0o1777}} {
		dir.Typeflag = tar.TypeDir
		if err := tw.WriteHeader(&dir); err != nil {
			t.Fatal(err)
		}
	}
	addProgram(t, tw, "bin/act_runner", runner)
	addProgram(t, tw, "bin/stepshell", shell)
	addProgram(t, tw, "bin/sleep", shell) // what keeps a job's container running
	addProgram(t, tw, "bin/entrypoint", entrypoint)
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), dockerTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", "import", "-c", "WORKDIR /data", "-c", "ENV PATH=/bin HOME=/root",
		"-c", `ENTRYPOINT ["/bin/entrypoint"]`,
		"-c", "LABEL "+testLabel+"="+r.id, "-", r.image)
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
