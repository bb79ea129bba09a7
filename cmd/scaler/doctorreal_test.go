package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/giteatest"
)

// clinic is an in-memory Gitea that containers of the real engine reach, and an
// image of a runner.
type clinic struct {
	server *giteatest.Server
	url    string
	image  string
	binary string
	dir    string
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	needEngine(t)
	binary, err := buildStatic()
	if err != nil {
		t.Fatal(err)
	}
	host, err := containersHost(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if net.ParseIP(host.target) == nil {
		t.Skip("containers reach this host by no address of its own")
	}
	dir, err := os.MkdirTemp("/tmp", "clinic")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &clinic{binary: binary, dir: dir, image: "scaler-test-runner:" + filepath.Base(dir)}
	c.server = giteatest.New(giteatest.Options{APIToken: doctorToken, RegistrationToken: "registration-token-of-the-doctor"})
	t.Cleanup(c.server.Close)
	l, err := net.Listen("tcp", net.JoinHostPort(host.listen, "0"))
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: c.server}
	go web.Serve(l)
	t.Cleanup(func() { web.Close() })
	c.url = "http://" + l.Addr().String()
	engine, err := docker.New(docker.Config{Instance: "test-" + filepath.Base(dir)})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.ImportImage(t.Context(), c.image, binary, []string{"/scaler", "demo-runner"}, map[string]string{"io.scaler.test": "true"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.RemoveImage(context.WithoutCancel(t.Context()), c.image); err != nil {
			t.Error(err)
		}
		engine.Close()
	})
	return c
}

// config writes a configuration of the clinic.
func (c *clinic) config(t *testing.T, url, container string) string {
	t.Helper()
	write(t, filepath.Join(c.dir, "api-token"), doctorToken+"\n")
	path := filepath.Join(c.dir, "scaler.yaml")
	write(t, path, fmt.Sprintf(`gitea: {url: %q, internal_url: %q, api_token: {file: api-token}}
registration_tokens: [{name: instance, scope: instance, mint: true}]
pools:
  - {name: linux, registration_token: instance, labels: ["linux:host"], image: %q, boot_timeout: 1m, container: {pull: never%s}}
drain: {settle: 1s}
state_dir: %[5]s/state
control_socket: %[5]s/none.sock
`, url, c.url, c.image, container, c.dir))
	return path
}

// examine runs the program as a user does.
func (c *clinic) examine(t *testing.T, args ...string) []doctor.Finding {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.binary, append([]string{"doctor", "--json", "--unit", "none.service"}, args...)...)
	out, err := cmd.Output()
	var report doctorReport
	if jsonErr := json.Unmarshal(out, &report); jsonErr != nil {
		t.Fatalf("%v: %v\n%s", err, jsonErr, out)
	}
	if report.OK != (err == nil) {
		t.Errorf("ok is %v, and the program ended with %v", report.OK, err)
	}
	return report.Findings
}

// left lists what the doctor has left in the engine.
func (c *clinic) left(t *testing.T) string {
	t.Helper()
	var all string
	for _, args := range [][]string{{"ps", "-aq"}, {"images", "-q"}} {
		out, err := exec.CommandContext(t.Context(), "docker", append(args, "--filter", "label="+docker.LabelInstance+"="+doctorInstance)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		all += string(out)
	}
	return all
}

// killed leaves what a doctor leaves that was killed long ago.
func (c *clinic) killed(t *testing.T) {
	t.Helper()
	const name, image = "doctor-1600000000-killed", "scaler-doctor:doctor-1600000000-killed"
	engine, err := docker.New(docker.Config{Instance: doctorInstance, Pools: map[string]docker.Options{"linux": {Image: image, Pull: docker.PullNever}}})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	if err := engine.ImportImage(t.Context(), image, c.binary, []string{probeBinary, "doctor-probe"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Create(t.Context(), "linux", name+"-linux", nil); err != nil {
		t.Fatal(err)
	}
	if c.left(t) == "" {
		t.Fatal("nothing is left")
	}
}

// TestDoctorInsideAContainer needs an engine: the way is tried from inside.
func TestDoctorInsideAContainer(t *testing.T) {
	c := newClinic(t)
	c.killed(t)
	found := c.examine(t, "-c", c.config(t, c.url, ""))
	wantFound(t, found, doctor.ResultOK, "container of pool linux", "it starts")
	wantFound(t, found, doctor.ResultOK, "from pool linux to "+c.url, "HTTP 200")

	found = c.examine(t, "-c", c.config(t, "http://127.0.0.1:3000", ""))
	wantFound(t, found, doctor.ResultFailed, "from pool linux to http://127.0.0.1:3000", "refused", "is the container itself", "gitea.internal_url")

	found = c.examine(t, "-c", c.config(t, "http://git.invalid", ", dns: [127.0.0.1]"))
	wantFound(t, found, doctor.ResultFailed, "from pool linux to http://git.invalid", "git.invalid", "container.extra_hosts")

	found = c.examine(t, "-c", c.config(t, c.url, ", network: none"))
	wantFound(t, found, doctor.ResultFailed, "from pool linux to "+c.url, "unreachable", "container.network is cut off")

	found = c.examine(t, "-c", c.config(t, c.url, ", runtime: nonesuch"))
	wantFound(t, found, doctor.ResultFailed, "container of pool linux", "nonesuch", "container section")

	if left := c.left(t); left != "" {
		t.Errorf("left in the engine: %s", left)
	}
}

// TestDoctorJob starts one runner and takes it away, and says why one does not
// come.
func TestDoctorJob(t *testing.T) {
	c := newClinic(t)
	path := c.config(t, c.url, "")
	found := c.examine(t, "--job", "-c", path)
	wantFound(t, found, doctor.ResultOK, "a runner of pool linux", "registered, container started, online in Gitea after")
	wantFound(t, found, doctor.ResultOK, "a runner of pool linux", "nothing is left")
	if n := c.server.State(); len(n.Runners) != 0 {
		t.Errorf("runners are left: %+v", n.Runners)
	}
	found = c.examine(t, "--job", "-c", c.config(t, c.url, ", command: [--dir, /nowhere]"))
	wantFound(t, found, doctor.ResultFailed, "a runner of pool linux", "/nowhere", "what a job would meet")
	if n := c.server.State(); len(n.Runners) != 0 {
		t.Errorf("runners are left: %+v", n.Runners)
	}
	out, err := exec.CommandContext(t.Context(), "docker", "ps", "-aq", "--filter", "ancestor="+c.image).Output()
	if err != nil || len(out) != 0 {
		t.Errorf("containers are left: %s%v", out, err)
	}
}

// TestDoctorInterrupted leaves nothing either.
func TestDoctorInterrupted(t *testing.T) {
	c := newClinic(t)
	cmd := exec.CommandContext(t.Context(), c.binary, "doctor", "--job", "--unit", "none.service", "-c", c.config(t, c.url, ""))
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); len(c.server.State().Runners) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("no runner was registered in time")
		}
		<-c.server.Changed()
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Errorf("it was content:\n%s", out)
	}
	if n := c.server.State(); len(n.Runners) != 0 {
		t.Errorf("runners are left: %+v\n%s", n.Runners, out)
	}
	if left := c.left(t); left != "" {
		t.Errorf("left in the engine: %s\n%s", left, out)
	}
}
