package packaging

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The unit, with a program that exists in place of the installed one.
func TestUnitIsValid(t *testing.T) {
	analyze := needs(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), "scaler.service")
	text := strings.ReplaceAll(read(t, "systemd/scaler.service"), "/usr/bin/scaler", needs(t, "true"))
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, root, nil, analyze, "verify", "--man=no", unit); strings.Contains(out, unit) {
		t.Errorf("systemd-analyze verify warns:\n%s", out)
	}
	out, err := run(t, root, nil, analyze, "security", "--offline=true", "--no-pager", unit)
	if err != nil {
		t.Skipf("this systemd-analyze judges no file: %v", err)
	}
	m := regexp.MustCompile(`exposure level for scaler.service: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure level in:\n%s", out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 2 {
		t.Errorf("exposure level %s, want 2.0 at most\n%s", m[1], out)
	}
}

func TestComposeFileIsValid(t *testing.T) {
	compose := needs(t, "docker-compose")
	out := mustRun(t, root, []string{"DOCKER_GID=999"}, compose, "-f", "compose.yaml", "config")
	for _, want := range []string{"target: /var/run/docker.sock", "read_only: true", "no-new-privileges:true", "target: /var/lib/scaler"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	out, err := run(t, root, []string{"DOCKER_GID="}, compose, "-f", "compose.yaml", "config")
	if err == nil || !strings.Contains(out, "DOCKER_GID") {
		t.Errorf("without DOCKER_GID: %v, %s", err, out)
	}
}

// The image runs as nobody in particular, and its state directory is closed,
// also in a new volume.
func TestImage(t *testing.T) {
	needsEngine(t)
	name := "scaler-packaging-" + strings.ToLower(rand.Text())
	t.Cleanup(func() { _, _ = run(t, root, nil, "docker", "rmi", "-f", name) })
	// A copy, since dist is made anew.
	dir := t.TempDir()
	mustRun(t, root, nil, "sh", "-c", `tar --exclude=./.git --exclude=./bin --exclude=./dist -cf - . | tar -xf - -C "$1"`, "sh", dir)
	mustRun(t, dir, nil, needs(t, "make"), "-s", "image", "IMAGE="+name, "VERSION=v1.2.3-test", "BUILD_ARGS=--label io.scaler.test=1")

	if out := mustRun(t, root, nil, "docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", name, "version"); !strings.Contains(out, "v1.2.3-test") {
		t.Errorf("version: %s", out)
	}
	if out := mustRun(t, root, nil, "docker", "inspect", "-f", "{{.Config.User}} {{.Config.Entrypoint}} {{.Config.Cmd}}", name); strings.TrimSpace(out) != "65532:65532 [/scaler] [run --config /etc/scaler/scaler.yaml]" {
		t.Errorf("image: %s", out)
	}
	container := strings.TrimSpace(mustRun(t, root, nil, "docker", "create", name))
	t.Cleanup(func() { _, _ = run(t, root, nil, "docker", "rm", "-f", "-v", container) })
	list := mustRun(t, root, nil, "sh", "-c", `docker export "$1" | tar -tvf - --numeric-owner`, "sh", container)
	for _, want := range []string{`drwx------ 65532/65532 .* var/lib/scaler/`, `drwxr-x--- 65532/65532 .* run/scaler/`, `-rwxr-xr-x 0/0 .* scaler\n`} {
		if !regexp.MustCompile(want).MatchString(list) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
}
