package packaging

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestComposeFilesAreValid(t *testing.T) {
	compose := needs(t, "docker-compose")
	values := []string{"DOCKER_GID=999", "GITEA_URL=http://192.0.2.10:3000/"}
	out := mustRun(t, root, values, compose, "-f", "compose.yaml", "config")
	for _, want := range []string{"target: /var/run/docker.sock", "source: /var/run/docker.sock", "read_only: true", "no-new-privileges:true", "target: /var/lib/scaler"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	out = mustRun(t, root, values, compose, "-f", "compose.yaml", "-f", "compose.socket-proxy.yaml", "config")
	for _, want := range []string{"DOCKER_HOST: tcp://socket-proxy:2375", "source: /dev/null", "internal: true"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "source: /var/run/docker.sock"); n != 1 {
		t.Errorf("%d services have the socket, want the proxy alone:\n%s", n, out)
	}
}

// The two values that have to be edited are those of .env.example, and what
// is missing is named.
func TestComposeNeedsTwoValues(t *testing.T) {
	compose := needs(t, "docker-compose")
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^([A-Z_]+)=.+$`).FindAllStringSubmatch(read(t, ".env.example"), -1) {
		names = append(names, m[1])
	}
	if !slices.Equal(names, []string{"GITEA_URL", "DOCKER_GID"}) {
		t.Fatalf(".env.example sets %v", names)
	}
	for _, missing := range names {
		env := []string{"GITEA_URL=http://192.0.2.10:3000/", "DOCKER_GID=999", missing + "="}
		out, err := run(t, root, env, compose, "-f", "compose.yaml", "config")
		if err == nil || !strings.Contains(out, missing) {
			t.Errorf("without %s: %v, %s", missing, err, out)
		}
	}
	mustRun(t, root, nil, compose, "-f", "compose.yaml", "--env-file", ".env.example", "config", "-q")
}

// The daemon has longer to end than its own bound.
func TestComposeWaitsLongerThanTheDaemon(t *testing.T) {
	grace := regexp.MustCompile(`stop_grace_period: (\S+)`).FindStringSubmatch(read(t, "compose.yaml"))
	bound := regexp.MustCompile(`shutdown_timeout: (\S+)`).FindStringSubmatch(read(t, "configs/compose/scaler.yaml"))
	if grace == nil || bound == nil {
		t.Fatal("no stop_grace_period or no shutdown_timeout")
	}
	longer, err := time.ParseDuration(grace[1])
	if err != nil {
		t.Fatal(err)
	}
	if shorter, err := time.ParseDuration(bound[1]); err != nil || longer <= shorter {
		t.Errorf("stop_grace_period is %v and shutdown_timeout %v: %v", longer, shorter, err)
	}
}

// Each variable of the proxy is in the document's table, and the other way
// round.
func TestSocketProxyHasTheVariablesOfTheDocument(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "docs/install.md"), "\n## A socket proxy\n")
	section, _, _ = strings.Cut(section, "\n## ")
	documented, set := map[string]bool{}, map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `[A-Z]+ /.*\\| (.*) \\|$").FindAllStringSubmatch(section, -1) {
		for _, m := range quoted.FindAllStringSubmatch(row[1], -1) {
			documented[m[1]] = true
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^ +([A-Z_]+): 1$`).FindAllStringSubmatch(read(t, "compose.socket-proxy.yaml"), -1) {
		set[m[1]] = true
	}
	for name := range documented {
		if !set[name] {
			t.Errorf("compose.socket-proxy.yaml does not set %s", name)
		}
	}
	for name := range set {
		if !documented[name] {
			t.Errorf("docs/install.md has no request that needs %s", name)
		}
	}
}

// stack is compose.yaml, with images that stand in for those of registries.
type stack struct {
	project string
	files   []string
	env     []string
	gitea   fakeGitea
}

// standIns makes the images, and returns the variables that name them.
func standIns(t *testing.T) []string {
	t.Helper()
	scaler, binary := makeImage(t), program(t)
	proxy := filepath.Join(t.TempDir(), "socketproxy")
	mustRun(t, root, []string{"CGO_ENABLED=0"}, "go", "build", "-buildvcs=false", "-o", proxy, "./packaging/testdata/socketproxy")

	gitea := t.TempDir()
	mustRun(t, root, nil, needs(t, "cp"), "-R", "packaging/testdata/gitea/.", gitea)
	mustRun(t, root, nil, "cp", binary, filepath.Join(gitea, "bin", "scaler"))
	return []string{
		"SCALER_IMAGE=" + scaler,
		"GITEA_IMAGE=" + buildImage(t, gitea, "gitea", "--build-arg", "BASE="+image(t)),
		"RUNNER_IMAGE=" + scratchImage(t, binary, "runner", `["/program", "demo-runner"]`),
		"SOCKET_PROXY_IMAGE=" + scratchImage(t, proxy, "proxy", `["/program"]`),
	}
}

// buildImage builds the Dockerfile of a directory. The image goes with the test.
func buildImage(t *testing.T, dir, what string, args ...string) string {
	t.Helper()
	name := uniqueName(what)
	t.Cleanup(func() { _, _ = run(t, root, nil, "docker", "rmi", "-f", name) })
	mustRun(t, dir, nil, "docker", append([]string{"build", "-q", "--label", "io.scaler.test=1", "-t", name}, append(args, ".")...)...)
	return name
}

// scratchImage makes an image of one program, which may write into /data.
func scratchImage(t *testing.T, program, what, entrypoint string) string {
	t.Helper()
	dir := t.TempDir()
	mustRun(t, root, nil, "cp", program, filepath.Join(dir, "program"))
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY program /program\nENTRYPOINT "+entrypoint+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return buildImage(t, dir, what)
}

// value returns the value of a variable in a list like os.Environ's.
func value(env []string, name string) string {
	for _, v := range env {
		if rest, found := strings.CutPrefix(v, name+"="); found {
			return rest
		}
	}
	return ""
}

// newStack prepares the stack: the configuration is the one that is handed
// out, with a runner that is here and one that is kept ready.
func newStack(t *testing.T, images []string, files ...string) *stack {
	t.Helper()
	s := &stack{project: strings.ReplaceAll(uniqueName("stack"), "-", "")}
	for _, file := range files {
		s.files = append(s.files, "-f", file)
	}
	text := strings.NewReplacer("gitea/runner:latest", value(images, "RUNNER_IMAGE"), "network: gitea-actions", "network: "+s.project, "max: 4", "max: 4\n    idle: 1").
		Replace(read(t, "configs/compose/scaler.yaml")) + "\ndrain: {settle: 500ms}\n"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "scaler.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { // for the image's user
			t.Fatal(err)
		}
	}
	info, err := os.Stat("/var/run/docker.sock")
	if err != nil {
		t.Skipf("needs the engine's socket: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s.gitea.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	s.env = append(slices.Clone(images), fmt.Sprintf("DOCKER_GID=%d", info.Sys().(*syscall.Stat_t).Gid), "GITEA_URL=http://192.0.2.10:3000/",
		fmt.Sprintf("GITEA_PORT=%d", port), "SCALER_CONFIG="+dir, "COMPOSE_RUNNERS="+s.project)
	return s
}

func (s *stack) compose(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return run(t, root, s.env, "docker-compose", append(append([]string{"-p", s.project}, s.files...), args...)...)
}

// status asks the daemon in its container.
func (s *stack) status(t *testing.T) (daemonStatus, error) {
	t.Helper()
	out, err := s.compose(t, "exec", "-T", "scaler", "/scaler", "status", "--json")
	if err != nil {
		return daemonStatus{}, fmt.Errorf("%w: %s", err, out)
	}
	return parseStatus(out)
}

// left lists what is there of the stack and of its runners.
func (s *stack) left(t *testing.T, instance string) string {
	t.Helper()
	of := "label=com.docker.compose.project=" + s.project
	return mustRun(t, root, nil, "docker", "ps", "-aq", "--filter", of) +
		mustRun(t, root, nil, "docker", "ps", "-a", "--format", "{{.Names}}", "--filter", "label=io.scaler.instance="+instance) +
		mustRun(t, root, nil, "docker", "volume", "ls", "-q", "--filter", of) +
		mustRun(t, root, nil, "docker", "network", "ls", "-q", "--filter", of)
}

// The stack comes up from two values, runs a job, and goes without a trace.
func TestComposeStack(t *testing.T) {
	t.Parallel() // it waits more than it works
	needs(t, "docker-compose")
	needsEngine(t)
	images := standIns(t)
	for name, files := range map[string][]string{
		"socket":       {"compose.yaml"},
		"socket proxy": {"compose.yaml", "compose.socket-proxy.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, images, files...)
			t.Cleanup(func() { _, _ = s.compose(t, "down", "-v", "-t", "20") })
			if out, err := s.compose(t, "up", "-d"); err != nil {
				logs, _ := s.compose(t, "logs")
				t.Fatalf("docker-compose up: %v\n%s\n%s", err, out, logs)
			}
			s.play(t)
		})
	}
}

// play runs a job, and takes the stack down while a runner is idle.
func (s *stack) play(t *testing.T) {
	t.Helper()
	var now daemonStatus
	eventually(t, "a runner is ready", func() (ready bool, why string) {
		var err error
		now, err = s.status(t)
		for _, r := range now.Runners {
			ready = ready || r.Phase == "idle"
		}
		return ready && len(now.Problems) == 0, fmt.Sprint(now, err)
	})
	s.gitea.queue(t, "linux", time.Second)
	s.gitea.succeeded(t, 1)
	check := inspect(t, value(s.env, "SCALER_IMAGE")).Healthcheck.Test[1:]
	if out, err := s.compose(t, append([]string{"exec", "-T", "scaler"}, check...)...); err != nil {
		t.Errorf("the image's own check: %v\n%s", err, out)
	}
	if logs, err := s.compose(t, "logs"); err != nil || strings.Contains(logs, "refused ") || strings.Contains(logs, "token-of-the-stack") {
		t.Errorf("the log has a request that was refused, or a token: %v\n%s", err, logs)
	}
	if out, err := s.compose(t, "down", "-v"); err != nil {
		t.Fatalf("docker-compose down: %v\n%s", err, out)
	}
	if left := s.left(t, now.Instance); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}
