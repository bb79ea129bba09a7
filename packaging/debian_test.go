package packaging

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// debian is a container in which systemd runs, as on a Debian host with
// nothing but the system.
type debian struct {
	container string
	engine    *engineSocket
	gitea     fakeGitea
	runner    string // image
}

// dockerGroup is the number of the group docker in there.
const dockerGroup = 990

// newDebian starts it, and skips the test where systemd cannot.
func newDebian(t *testing.T) *debian {
	t.Helper()
	base := image(t)
	d := &debian{container: uniqueName("machine"), engine: newEngineSocket(t, dockerGroup)}
	t.Cleanup(func() { _, _ = run(t, root, nil, "docker", "rm", "-f", "-v", d.container) })
	args := []string{"run", "-d", "--name", d.container, "--label", "io.scaler.test=1",
		"--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
		"--tmpfs", "/run", "--tmpfs", "/tmp", "-v", filepath.Dir(d.engine.path) + ":/run/engine"}
	if _, err := os.Stat("/sys/fs/cgroup/systemd"); err == nil {
		args = append(args, "-v", "/sys/fs/cgroup/systemd:/sys/fs/cgroup/systemd")
	} else {
		args = append(args, "--cgroupns", "private", "-v", "/sys/fs/cgroup:/sys/fs/cgroup")
	}
	// A real machine's mounts are shared, which is what credentials come by; in
	// a container systemd leaves that alone.
	mustRun(t, root, nil, "docker", append(args, base, "sh", "-euc", "mount --make-rshared /; exec /usr/lib/systemd/systemd --unit=basic.target")...)
	eventually(t, "systemd runs in a container", func() (bool, string) {
		out, _ := run(t, root, nil, "docker", "exec", d.container, "systemctl", "is-system-running")
		up := strings.TrimSpace(out)
		if running, _ := run(t, root, nil, "docker", "inspect", "-f", "{{.State.Running}}", d.container); strings.TrimSpace(running) != "true" {
			logs, _ := run(t, root, nil, "docker", "logs", d.container)
			t.Skipf("systemd does not run in a container of this engine:\n%s", logs)
		}
		return up == "running" || up == "degraded", out
	})
	d.must(t, fmt.Sprintf("groupadd --system --gid %d docker && ln -s /run/engine/docker.sock /run/docker.sock && ln -sfn /run /var/run", dockerGroup))
	return d
}

// sh runs commands in there, as root.
func (d *debian) sh(t *testing.T, script string) (string, error) {
	t.Helper()
	return run(t, root, nil, "docker", "exec", d.container, "sh", "-euc", script)
}

func (d *debian) must(t *testing.T, script string) string {
	t.Helper()
	out, err := d.sh(t, script)
	if err != nil {
		journal, _ := d.sh(t, "journalctl --no-pager -n 50 || :")
		t.Fatalf("%s: %v\n%s\n%s", script, err, out, journal)
	}
	return out
}

// copyIn puts a file in there.
func (d *debian) copyIn(t *testing.T, from, to string) {
	t.Helper()
	mustRun(t, root, nil, "docker", "cp", from, d.container+":"+to)
}

// write puts a text in there.
func (d *debian) write(t *testing.T, path, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d.copyIn(t, file, path)
	d.must(t, "chown root:root "+path)
}

// startGitea serves a Gitea in there, from a copy of the program that no
// package owns, and makes the image of its runners.
func (d *debian) startGitea(t *testing.T) {
	t.Helper()
	d.copyIn(t, program(t), "/opt-gitea")
	d.must(t, "systemd-run --quiet --unit=gitea /opt-gitea fake-gitea --listen 0.0.0.0:3000 --registration-token registration-secret --api-token api-secret")
	d.runner = scratchImage(t, program(t), "runner", `["/program", "demo-runner"]`)
	address := strings.TrimSpace(mustRun(t, root, nil, "docker", "inspect", "-f", "{{.NetworkSettings.IPAddress}}", d.container))
	d.gitea.url = "http://" + address + ":3000"
}

// configure writes a configuration whose secrets only root can read.
func (d *debian) configure(t *testing.T, name, pool, more string) {
	t.Helper()
	d.write(t, "/etc/scaler/"+name+".yaml", fmt.Sprintf(`gitea:
  url: %s
  api_token: {credential: api-token}
registration_tokens:
  - {name: instance, scope: instance, token: {credential: registration-token}}
pools:
  - name: %s
    registration_token: instance
    labels: ["%[2]s:host"]
    image: %[3]s
    max: 2
    container: {pull: never}
drain: {settle: 500ms}
%[4]s`, d.gitea.url, pool, d.runner, more))
}

func (d *debian) status(t *testing.T, socket string) (daemonStatus, error) {
	t.Helper()
	out, err := d.sh(t, "scaler status --json --socket "+socket)
	if err != nil {
		return daemonStatus{}, fmt.Errorf("%w: %s", err, out)
	}
	return parseStatus(out)
}

const (
	firstSocket  = "/run/scaler/scaler.sock"
	secondSocket = "/run/scaler-two/scaler.sock"
)

func (d *debian) mustStatus(t *testing.T, socket string) daemonStatus {
	t.Helper()
	s, err := d.status(t, socket)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// property returns a property of a unit.
func (d *debian) property(t *testing.T, unit, name string) string {
	t.Helper()
	return strings.TrimSpace(d.must(t, "systemctl show --value -p "+name+" "+unit))
}

// install installs the package of a version, and returns what dpkg said.
func (d *debian) install(t *testing.T, version string) string {
	t.Helper()
	d.copyIn(t, one(t, packages(t, version), "*.deb"), "/root/scaler.deb")
	return d.must(t, "dpkg -i /root/scaler.deb 2>&1")
}

// The life of the package on a machine with systemd, a real engine and real
// containers. Each step goes on from the one before.
func TestPackageOnDebian(t *testing.T) {
	t.Parallel() // it waits more than it works
	packages(t, oldVersion)
	d := newDebian(t)
	d.startGitea(t)
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"install starts nothing", d.checkInstall},
		{"start with credentials", d.checkStart},
		{"the sandbox holds", d.checkSandbox},
		{"upgrade while a job runs", d.checkUpgrade},
		{"reload", d.checkReload},
		{"the engine restarts", d.checkEngineRestart},
		{"a second instance", d.checkSecondInstance},
		{"remove", d.checkRemove},
		{"purge", d.checkPurge},
		{"what is said of busy runners", d.checkWords},
	} {
		if !t.Run(step.name, step.do) {
			journal, _ := d.sh(t, "journalctl --no-pager -n 60; scaler status || :")
			t.Fatal(journal)
		}
	}
}

func (d *debian) checkInstall(t *testing.T) {
	said := d.install(t, oldVersion)
	if !strings.Contains(said, "installed and not started") {
		t.Errorf("dpkg says nothing of what to do next:\n%s", said)
	}
	if id := d.must(t, "id scaler; getent passwd scaler"); !strings.Contains(id, "(docker)") || !strings.Contains(id, ":/var/lib/scaler:/usr/sbin/nologin") {
		t.Errorf("the user is %s", id)
	}
	if mode := d.must(t, "stat -c '%U:%G %a' /etc/scaler"); mode != "root:scaler 750\n" {
		t.Errorf("/etc/scaler is %s", mode)
	}
	if enabled, _ := d.sh(t, "systemctl is-enabled scaler"); strings.TrimSpace(enabled) != "disabled" {
		t.Errorf("the service is %s", enabled)
	}
	// Not even by hand, as there is no configuration.
	d.must(t, "systemctl start scaler")
	if active, _ := d.sh(t, "systemctl is-active scaler"); strings.TrimSpace(active) != "inactive" {
		t.Errorf("without a configuration the service is %s", active)
	}
}

func (d *debian) checkStart(t *testing.T) {
	d.configure(t, "scaler", "linux", "")
	d.must(t, `umask 077; echo api-secret >/etc/scaler/api-token; echo registration-secret >/etc/scaler/registration-token
		mkdir -p /etc/systemd/system/scaler.service.d`)
	d.write(t, "/etc/systemd/system/scaler.service.d/secrets.conf", "[Service]\nWatchdogSec=10s\nLoadCredential=api-token:/etc/scaler/api-token\nLoadCredential=registration-token:/etc/scaler/registration-token\n")
	d.must(t, "systemctl daemon-reload; systemctl enable --now scaler")
	if s := d.mustStatus(t, firstSocket); s.Version != oldVersion {
		t.Errorf("version %s runs", s.Version)
	}
	// The secrets are nobody's but the service's.
	if out, err := d.sh(t, "setpriv --reuid scaler --regid scaler --init-groups cat /etc/scaler/api-token"); err == nil {
		t.Errorf("the user scaler reads %s", out)
	}
	d.gitea.queue(t, "linux", 500*time.Millisecond)
	d.gitea.succeeded(t, 1)
}

func (d *debian) checkSandbox(t *testing.T) {
	process := d.must(t, "cat /proc/$(systemctl show --value -p MainPID scaler)/status")
	for _, want := range []string{"NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "Seccomp:\t2"} {
		if !strings.Contains(process, want) {
			t.Errorf("no %q in\n%s", want, process)
		}
	}
	if modes := d.must(t, "stat -c '%U %a' /var/lib/scaler /run/scaler"); modes != "scaler 700\nscaler 750\n" {
		t.Errorf("state and runtime directories are %s", modes)
	}
}

func (d *debian) checkUpgrade(t *testing.T) {
	before := d.mustStatus(t, firstSocket)
	pid := d.property(t, "scaler", "MainPID")
	d.gitea.queue(t, "linux", 30*time.Second) // which the next steps are to fit into
	eventually(t, "the job runs", func() (bool, string) {
		s := d.gitea.state(t)
		return len(s.busy()) == 1, fmt.Sprint(s)
	})
	worker := d.gitea.state(t).busy()[0]
	container := d.containerOf(t, worker)
	d.install(t, newVersion)
	after := d.mustStatus(t, firstSocket)
	if after.Version != newVersion || after.Instance != before.Instance || d.property(t, "scaler", "MainPID") == pid {
		t.Errorf("after the upgrade %s of instance %s runs, before it was %s of %s", after.Version, after.Instance, before.Version, before.Instance)
	}
	if still := d.gitea.state(t).busy(); len(still) != 1 || still[0] != worker {
		t.Errorf("runner %s had a job before the upgrade, and %v after", worker, still)
	}
	if now := d.containerOf(t, worker); now != container {
		t.Errorf("the runner's container was %s and is %s", container, now)
	}
}

// containerOf returns the id of a running runner's container.
func (d *debian) containerOf(t *testing.T, runner string) string {
	t.Helper()
	id := strings.TrimSpace(mustRun(t, root, nil, "docker", "ps", "-q", "--filter", "label=io.scaler.runner="+runner))
	if id == "" {
		t.Errorf("no container of runner %s runs", runner)
	}
	return id
}

// nothingLeft waits until neither Gitea nor the engine has a runner.
func (d *debian) nothingLeft(t *testing.T) {
	t.Helper()
	id := d.mustStatus(t, firstSocket).Instance
	eventually(t, "no runner is left", func() (bool, string) {
		containers := mustRun(t, root, nil, "docker", "ps", "-a", "--format", "{{.Names}}", "--filter", "label=io.scaler.instance="+id)
		s := d.gitea.state(t)
		return containers == "" && len(s.Runners) == 0, containers + fmt.Sprint(s.Runners)
	})
}

func (d *debian) checkReload(t *testing.T) {
	pid := d.property(t, "scaler", "MainPID")
	d.must(t, "systemctl daemon-reload; systemctl reload scaler")
	if now := d.property(t, "scaler", "MainPID"); now != pid {
		t.Errorf("a reload made process %s of %s", now, pid)
	}
	d.must(t, "sed -i 's/max: 2/max: -2/' /etc/scaler/scaler.yaml")
	if out, err := d.sh(t, "systemctl reload scaler"); err == nil {
		t.Errorf("a reload of a broken file succeeds: %s", out)
	}
	d.must(t, "sed -i 's/max: -2/max: 2/' /etc/scaler/scaler.yaml; systemctl reload scaler")
	if active := d.property(t, "scaler", "ActiveState"); active != "active" {
		t.Errorf("after a broken reload the service is %s", active)
	}
}

func (d *debian) checkEngineRestart(t *testing.T) {
	pid := d.property(t, "scaler", "MainPID")
	d.engine.cut()
	eventually(t, "the daemon notices", func() (bool, string) {
		s, err := d.status(t, firstSocket)
		return err == nil && len(s.Problems) > 0, fmt.Sprint(s, err)
	})
	d.engine.open(t)
	d.gitea.queue(t, "linux", 500*time.Millisecond)
	d.gitea.succeeded(t, 3)
	if now := d.property(t, "scaler", "MainPID"); now != pid {
		t.Errorf("a restart of the engine made process %s of %s", now, pid)
	}
	d.nothingLeft(t)
}

func (d *debian) checkSecondInstance(t *testing.T) {
	d.configure(t, "two", "deploy", "state_dir: /var/lib/scaler-two\ncontrol_socket: /run/scaler-two/scaler.sock\n")
	d.must(t, `mkdir -p /etc/systemd/system/scaler@.service.d
		cp /etc/systemd/system/scaler.service.d/secrets.conf /etc/systemd/system/scaler@.service.d/
		systemctl daemon-reload; systemctl enable --now scaler@two`)
	one, two := d.mustStatus(t, firstSocket), d.mustStatus(t, secondSocket)
	if one.Instance == two.Instance || two.Instance == "" {
		t.Errorf("instances %q and %q", one.Instance, two.Instance)
	}
	d.gitea.queue(t, "deploy", 500*time.Millisecond)
	d.gitea.succeeded(t, 4)
	d.nothingLeft(t)
	d.must(t, "systemctl reload scaler@two; systemctl disable --now scaler@two")
}

func (d *debian) checkRemove(t *testing.T) {
	before := d.mustStatus(t, firstSocket).Instance
	d.must(t, "sed -i 's/max: 2/max: 2\\n    idle: 1/' /etc/scaler/scaler.yaml; systemctl reload scaler")
	eventually(t, "a runner is idle", func() (bool, string) {
		s := d.gitea.state(t)
		return len(s.Runners) == 1 && s.Runners[0].Online, fmt.Sprint(s.Runners)
	})
	said := d.must(t, "dpkg -r scaler 2>&1")
	if active, _ := d.sh(t, "systemctl is-active scaler"); strings.TrimSpace(active) == "active" {
		t.Error("the service still runs")
	}
	if !strings.Contains(said, "idle runners of scaler.service go") || strings.Contains(said, "that it leaves") {
		t.Errorf("dpkg -r says\n%s", said)
	}
	if s := d.gitea.state(t); len(s.Runners) != 0 {
		t.Errorf("corpses in Gitea: %v", s.Runners)
	}
	d.must(t, "test -s /var/lib/scaler/scaler.db -a -s /etc/scaler/scaler.yaml")

	// A new installation is the same instance, with its pools paused.
	d.install(t, newVersion)
	d.must(t, "systemctl start scaler; scaler resume --all")
	if after := d.mustStatus(t, firstSocket).Instance; after != before {
		t.Errorf("instance %s became %s", before, after)
	}
	d.gitea.queue(t, "linux", 500*time.Millisecond)
	d.gitea.succeeded(t, 5)
}

func (d *debian) checkPurge(t *testing.T) {
	if n := d.property(t, "scaler", "NRestarts"); n != "0" {
		t.Errorf("systemd had to start the service anew %s times", n)
	}
	id := d.mustStatus(t, firstSocket).Instance
	said := d.must(t, "dpkg --purge scaler 2>&1")
	if !strings.Contains(said, "its instance was "+id) {
		t.Errorf("dpkg --purge does not name instance %s:\n%s", id, said)
	}
	left := d.must(t, "ls -d /etc/scaler /var/lib/scaler* /usr/bin/scaler /usr/lib/systemd/system/scaler* /usr/share/doc/scaler 2>/dev/null || :")
	if left != "" {
		t.Errorf("a purge leaves\n%s", left)
	}
	if list := strings.TrimSpace(d.must(t, "dpkg -l scaler 2>/dev/null | grep '^[ir]' || :")); list != "" {
		t.Errorf("dpkg still has %s", list)
	}
	containers := mustRun(t, root, nil, "docker", "ps", "-a", "--format", "{{.Names}}", "--filter", "label=io.scaler.instance="+id)
	if s := d.gitea.state(t); containers != "" || len(s.Runners) != 0 {
		t.Errorf("left behind: %s and in Gitea %v", containers, s.Runners)
	}
}

// checkWords has the scripts meet busy runners, which made-up programs tell
// of.
func (d *debian) checkWords(t *testing.T) {
	d.must(t, "mkdir -p /stubs /var/lib/scaler-two /var/lib/scaler-of-others; echo 0123456789ab >/var/lib/scaler-two/instance-id")
	d.write(t, "/stubs/scaler", "#!/bin/sh\necho scaler \"$@\" >>/stubs/calls\n[ \"$1\" = drain ] && exit 1\nprintf '{\\n  \"runners\": 2,\\n}\\n'\n")
	d.write(t, "/stubs/systemctl", "#!/bin/sh\necho systemctl \"$@\" >>/stubs/calls\n[ $1 = list-units ] && echo 'scaler@two.service loaded active running x' || :\n")
	d.write(t, "/stubs/docker", "#!/bin/sh\necho scaler-0123456789ab-linux-x\n")
	for _, name := range []string{"postinstall", "preremove", "postremove"} {
		d.copyIn(t, "packaging/scripts/"+name, "/stubs/"+name)
	}
	said := d.must(t, "chmod +x /stubs/*; export PATH=/stubs:$PATH; preremove remove 2>&1; postremove purge 2>&1; cat /stubs/calls")
	for _, want := range []string{
		"Runners that it leaves: 2\n",
		"scaler drain --all --wait --timeout 30s --reason scaler is removed from this host --config /etc/scaler/two.yaml\n",
		"systemctl disable --now scaler@two.service\n",
		"its instance was 0123456789ab\n",
		"containers of it are left",
		"scaler-0123456789ab-linux-x\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if left := d.must(t, "cd /var/lib; echo scaler*"); left != "scaler-of-others\n" {
		t.Errorf("a purge leaves %s, want what is not ours", left)
	}
	if first := d.must(t, "export PATH=/stubs:$PATH; postinstall 1"); !strings.Contains(first, "installed and not started") {
		t.Errorf("rpm's first installation says\n%s", first)
	}
	if again := d.must(t, "export PATH=/stubs:$PATH; postinstall 2; tail -n 1 /stubs/calls"); again != "systemctl try-restart scaler.service scaler@*.service\n" {
		t.Errorf("an upgrade by rpm does\n%s", again)
	}
	d.must(t, "rm /stubs/calls")
	if calls := d.must(t, "export PATH=/stubs:$PATH; preremove upgrade 1.2.4; postremove upgrade 1.2.4; postremove remove; cat /stubs/calls"); strings.Contains(calls, "disable") || strings.Contains(calls, "drain") {
		t.Errorf("an upgrade stops services:\n%s", calls)
	}
}
