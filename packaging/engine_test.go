package packaging

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stubs stand in for the programs that scripts/engine calls. They write what
// they were called with into $STUB/calls. $STUB/up exists while the engine
// answers. The script must not reach the real ones.
var stubs = map[string]string{
	"docker": `case "$*" in
*version*)
	[ -e "$STUB/up" ] && { echo 20.10.24; exit 0; }
	[ -e "$STUB/denied" ] && echo "permission denied while trying to connect to the Docker daemon socket" || echo "Cannot connect"
	exit 1 ;;
*" ps "*) echo c1; exit 0 ;;
*" images "*) echo i1; echo i1; exit 0 ;;
*" ls "*) exit 0 ;;
esac
echo "docker $*" >>"$STUB/calls"`,
	"dockerd": `echo "dockerd $*" >>"$STUB/calls"
fault=$(sed -n 1p "$STUB/faults")
sed -i 1d "$STUB/faults"
[ -z "$fault" ] && touch "$STUB/up" || echo "$fault" >&2`,
	"apt-get": `echo "apt-get $*" >>"$STUB/calls"
[ -e "$STUB/apt-fails" ] && exit 100
case "$*" in *install*) cp "$STUB/later/"* "$STUB/bin/" ;; esac
exit 0`,
	"apt-cache": `[ "$2" = fuse-overlayfs ] && echo "Package: $2"`,
	"systemctl": `echo "systemctl $*" >>"$STUB/calls"
[ -e "$STUB/unit-fails" ] && exit 1
touch "$STUB/up"`,
	"id":    `case "$1" in -u) cat "$STUB/uid" ;; *) echo somebody ;; esac`,
	"sleep": `[ -e "$STUB/late" ] && mv "$STUB/late" "$STUB/up"; exit 0`,
	"mount": `exit 0`,
}

// machine is a made-up machine for scripts/engine.
type machine struct{ dir string }

// newMachine has docker.io installed or not; its PATH holds the stubs and the
// plain tools that the script needs, nothing else.
func newMachine(t *testing.T, installed bool) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir()}
	m.write(t, "uid", "0\n")
	m.write(t, "faults", "\n")
	m.write(t, "root/etc/os-release", "ID=debian\n")
	for _, tool := range []string{"sh", "cat", "cp", "grep", "mkdir", "mv", "sed", "setsid", "sort", "tail", "timeout", "touch"} {
		if err := os.MkdirAll(filepath.Join(m.dir, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(needs(t, tool), filepath.Join(m.dir, "bin", tool)); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range stubs {
		where := "bin/"
		if !installed && strings.HasPrefix(name, "docker") {
			where = "later/"
		}
		m.write(t, "stubs/"+where+name, "#!/bin/sh\n"+body+"\n")
	}
	// Another program makes what is to be run: a test that starts one at this
	// very moment hands it the files that are open here, and what is open for
	// writing cannot be run ("text file busy").
	mustRun(t, m.dir, nil, needs(t, "cp"), "-R", "stubs/.", ".")
	return m
}

func (m *machine) write(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// engine runs scripts/engine there. It returns what the script said and what
// it had other programs do.
func (m *machine) engine(t *testing.T, verb string, env ...string) (said, calls string, err error) {
	t.Helper()
	script, err := filepath.Abs(filepath.Join(root, "scripts", "engine"))
	if err != nil {
		t.Fatal(err)
	}
	env = append([]string{
		"PATH=" + filepath.Join(m.dir, "bin"), "STUB=" + m.dir, "SCALER_ENGINE_ROOT=" + filepath.Join(m.dir, "root"), "DOCKER_HOST=",
	}, env...)
	said, err = run(t, m.dir, env, "sh", script, verb)
	data, readErr := os.ReadFile(filepath.Join(m.dir, "calls"))
	if readErr != nil && !os.IsNotExist(readErr) {
		t.Fatal(readErr)
	}
	return said, strings.ReplaceAll(string(data), m.dir, ""), err
}

func TestEngineUp(t *testing.T) {
	const (
		install   = "apt-get -q -o DPkg::Lock::Timeout=120 update\napt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends docker.io fuse-overlayfs\n"
		dockerd   = "dockerd --host unix:///root/var/run/docker.sock --pidfile /root/run/scaler-engine/dockerd.pid"
		noNet     = " --iptables=false --ip6tables=false"
		vfs       = " --storage-driver=vfs"
		netFault  = `failed to start daemon: Error initializing network controller: Failed to program NAT chain: iptables failed`
		diskFault = `failed to start daemon: error initializing graphdriver: driver not supported`
	)
	tests := map[string]struct {
		installed bool
		files     map[string]string // what is special about the machine
		env       []string
		calls     string
		fails     bool
		says      string
	}{
		"answers": {installed: true, files: map[string]string{"up": ""}},
		"answers somewhere else": {installed: true, files: map[string]string{"up": ""},
			env: []string{"DOCKER_HOST=tcp://10.0.0.1:2375"}},
		"another machine's does not answer": {installed: true, env: []string{"DOCKER_HOST=tcp://10.0.0.1:2375"},
			fails: true, says: "DOCKER_HOST=tcp://10.0.0.1:2375 does not answer: start it, or unset DOCKER_HOST"},
		"no permission": {installed: true, files: map[string]string{"denied": "", "uid": "1000"},
			fails: true, says: "join the group docker (usermod -aG docker somebody)"},
		"not root":   {installed: true, files: map[string]string{"uid": "1000"}, fails: true, says: "only root can start one"},
		"not Debian": {files: map[string]string{"root/etc/os-release": "ID=fedora\n"}, fails: true, says: "this is not Debian: install Docker by hand"},
		"apt fails":  {files: map[string]string{"apt-fails": ""}, calls: strings.SplitAfter(install, "\n")[0], fails: true, says: "apt-get update ended with an error"},
		"nothing installed": {calls: install + dockerd + "\n",
			says: "Docker 20.10.24 answers"},
		"nothing installed, with systemd": {files: map[string]string{"root/run/systemd/system/x": ""}, calls: install + "systemctl start docker.service\n"},
		"like Debian":                     {files: map[string]string{"root/etc/os-release": "ID=ubuntu\nID_LIKE=debian\n"}, calls: install + dockerd + "\n"},
		"installed and not running":       {installed: true, calls: dockerd + "\n"},
		"unit fails": {installed: true, files: map[string]string{"root/run/systemd/system/x": "", "unit-fails": ""},
			calls: "systemctl start docker.service\n", fails: true, says: "see journalctl -u docker.service"},
		"no firewall": {installed: true, files: map[string]string{"faults": netFault + "\n\n"},
			calls: dockerd + "\n" + dockerd + noNet + "\n", says: "cannot set up its firewall rules"},
		"no storage driver": {installed: true, files: map[string]string{"faults": diskFault + "\n\n"},
			calls: dockerd + "\n" + dockerd + vfs + "\n", says: "vfs is slower"},
		"neither": {installed: true, files: map[string]string{"faults": diskFault + "\n" + netFault + "\n\n"},
			calls: dockerd + "\n" + dockerd + vfs + "\n" + dockerd + vfs + noNet + "\n"},
		"firewall fails whatever is tried": {installed: true, files: map[string]string{"faults": netFault + "\n" + netFault + "\n"},
			calls: dockerd + "\n" + dockerd + noNet + "\n", fails: true, says: "ended at once"},
		"unknown fault": {installed: true, files: map[string]string{"faults": "disk on fire\n"},
			calls: dockerd + "\n", fails: true, says: "disk on fire"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, tt.installed)
			for name, content := range tt.files {
				m.write(t, name, content)
			}
			said, calls, err := m.engine(t, "up", tt.env...)
			if (err != nil) != tt.fails {
				t.Errorf("error %v, want one: %v", err, tt.fails)
			}
			if calls != tt.calls {
				t.Errorf("calls\n%swant\n%s", calls, tt.calls)
			}
			if !strings.Contains(said, tt.says) {
				t.Errorf("says %q, want %q in it", said, tt.says)
			}
		})
	}
}

// A container, network or image without the label of tests is somebody's.
func TestEngineCleanTouchesOnlyWhatTestsMade(t *testing.T) {
	m := newMachine(t, true)
	m.write(t, "up", "")
	said, calls, err := m.engine(t, "clean")
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	const host = "docker --host unix:///root/var/run/docker.sock "
	if want := host + "rm -f -v c1\n" + host + "rmi -f i1\n"; calls != want {
		t.Errorf("calls\n%swant\n%s", calls, want)
	}
	for line := range strings.Lines(read(t, "scripts/engine")) {
		if strings.Contains(line, "--host \"$host\" $1") && !strings.Contains(line, `--filter "label=$label"`) {
			t.Errorf("lists without the label: %s", line)
		}
	}
}

// The same against the real engine, with one thing to remove and one to keep.
// It goes by a label of its own, since other tests run at the same time.
func TestEngineCleanForReal(t *testing.T) {
	needsEngine(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY Dockerfile /\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	unique := strings.ToLower(rand.Text())
	ours, theirs := "io.scaler.clean-"+unique, "io.scaler.keep-"+unique
	for _, label := range []string{ours, theirs} {
		name := strings.ReplaceAll(label, ".", "-")
		mustRun(t, dir, nil, "docker", "build", "-q", "--label", label, "-t", name, ".")
		t.Cleanup(func() { _, _ = run(t, dir, nil, "docker", "rmi", "-f", name) })
		mustRun(t, dir, nil, "docker", "create", "--name", name, "--label", label, name, "/x")
		t.Cleanup(func() { _, _ = run(t, dir, nil, "docker", "rm", "-f", name) })
	}
	mustRun(t, root, []string{"SCALER_ENGINE_LABEL=" + ours}, "scripts/engine", "clean")
	left := mustRun(t, dir, nil, "docker", "ps", "-a", "--format", "{{.Names}}") + mustRun(t, dir, nil, "docker", "images", "--format", "{{.Repository}}")
	if strings.Contains(left, strings.ReplaceAll(ours, ".", "-")) {
		t.Errorf("clean left what carries its label:\n%s", left)
	}
	if strings.Count(left, strings.ReplaceAll(theirs, ".", "-")) != 2 {
		t.Errorf("clean removed what does not carry its label:\n%s", left)
	}
}
