package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/giteatest"
)

// handover is that of daemons that share the jobs of a test: after half of it the
// others, too, start runners for a job that still waits.
const handover = 40 * time.Second

// sharedConfig is what all daemons have, but for their names, places and instances.
const sharedConfig = `gitea: {url: %[1]s, api_token: {file: api-token}}
registration_tokens: [{name: instance, scope: instance, token: {file: registration-token}}]
pools:
  - name: linux
    registration_token: instance
    labels: ["linux:host"]
    image: %[2]s
    max: 12
    idle_timeout: 5s
    container: {pull: never}
drain: {settle: 2s}
peers:
  self: %[3]s
  handover: %[7]s
  daemons:
    - {name: build-1, weight: 12, instance: "%[5]s1"}
    - {name: build-2, weight: 12, instance: "%[5]s2"}
    - {name: build-3, weight: 12, instance: "%[5]s3"}
instance: "%[5]s%[6]s"
state_dir: %[4]s/state
control_socket: %[4]s/s.sock
`

// household is an in-memory Gitea and what daemons of it are made from.
type household struct {
	t      *testing.T
	gitea  *giteatest.Server
	url    string
	image  string
	binary string
	label  string
	family string // what the instances of its daemons begin with
}

func newHousehold(t *testing.T) *household {
	t.Helper()
	needEngine(t)
	binary, err := buildStatic()
	must(t, err)
	id := strings.ToLower(rand.Text())[:12]
	h := &household{t: t, binary: binary, image: "scaler-share-" + id + ":1", label: "io.scaler.test=share-" + id, family: hex.EncodeToString([]byte(id))[:11]}
	engine, err := docker.New(docker.Config{Instance: "share-" + id})
	must(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if ids := h.containers(); len(ids) > 0 {
			t.Errorf("%d containers are left", len(ids))
			_ = exec.CommandContext(ctx, "docker", append([]string{"rm", "-f", "-v"}, ids...)...).Run()
		}
		must(t, engine.RemoveImage(ctx, h.image))
		engine.Close()
	})
	name, value, _ := strings.Cut(h.label, "=")
	must(t, engine.ImportImage(t.Context(), h.image, binary, []string{"/scaler", "demo-runner"}, map[string]string{name: value}))
	gateway, err := engine.Gateway(t.Context())
	must(t, err)
	ln, err := net.Listen("tcp", net.JoinHostPort(gateway, "0"))
	if err != nil {
		t.Skipf("needs an engine on this machine: %v", err)
	}
	h.url = "http://" + ln.Addr().String()
	h.gitea = giteatest.New(giteatest.Options{APIToken: "api-token-of-the-test", RegistrationToken: "registration-token-of-the-test-0123456789"})
	web := &http.Server{Handler: h.gitea, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = web.Serve(ln) }()
	t.Cleanup(func() { web.Close(); h.gitea.Close() })
	return h
}

// containers lists what the daemons have made, in whatever state.
func (h *household) containers() []string {
	out, err := exec.CommandContext(context.WithoutCancel(h.t.Context()), "docker", "ps", "-aq", "--filter", "label="+h.label).Output()
	must(h.t, err)
	return strings.Fields(string(out))
}

// resident is one daemon: its directory outlives its process.
type resident struct {
	h    *household
	dir  string
	name string
	cmd  *exec.Cmd
}

func (h *household) resident(name string) *resident {
	d := &resident{h: h, dir: shortDir(h.t), name: name}
	write(h.t, filepath.Join(d.dir, "api-token"), "api-token-of-the-test")
	write(h.t, filepath.Join(d.dir, "registration-token"), "registration-token-of-the-test-0123456789")
	write(h.t, filepath.Join(d.dir, "scaler.yaml"), fmt.Sprintf(sharedConfig, h.url, h.image, name, d.dir, h.family, name[len("build-"):], handover))
	d.start()
	h.t.Cleanup(func() {
		d.end(os.Kill)
		if data, err := os.ReadFile(filepath.Join(d.dir, "log")); err == nil && h.t.Failed() {
			h.t.Logf("log of %s:\n%s", name, data)
		}
	})
	return d
}

func (d *resident) start() {
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(d.h.t, err)
	defer log.Close()
	d.cmd = exec.Command(d.h.binary, "run", "--config", filepath.Join(d.dir, "scaler.yaml"))
	d.cmd.Stdout, d.cmd.Stderr = log, log
	must(d.h.t, d.cmd.Start())
}

func (d *resident) end(signal os.Signal) {
	if d.cmd != nil {
		_ = d.cmd.Process.Signal(signal)
		_ = d.cmd.Wait()
		d.cmd = nil
	}
}

// until waits for something of the server's state.
func (h *household) until(what string, within time.Duration, is func(giteatest.State) bool) {
	h.t.Helper()
	for deadline := time.Now().Add(within); !is(h.gitea.State()); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("not within %s: %s: %+v", within, what, h.gitea.State().Jobs)
		}
	}
}

func (h *household) done(n int) {
	h.t.Helper()
	h.until(fmt.Sprintf("%d jobs are done", n), 3*time.Minute, func(s giteatest.State) bool { return s.Jobs[giteatest.StatusSuccess] == n })
}

// Three daemons on one engine, with one queue: a burst, and a burst during which
// one of them is killed.
func TestThreeDaemonsShareAQueue(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	h := newHousehold(t)
	var all []*resident
	for _, name := range []string{"build-1", "build-2", "build-3"} {
		all = append(all, h.resident(name))
	}
	for _, d := range all {
		eventually(t, d.name+" answers", func() bool {
			_, _, code := runCommand(t, "status", "--socket", filepath.Join(d.dir, "s.sock"))
			return code == exitOK
		})
	}
	const first, second = 18, 20
	burst := giteatest.JobSpec{Count: first, Repo: "acme/app", Labels: []string{"linux"}, Duration: 3 * time.Second}
	h.gitea.AddJobs(burst)
	h.done(first)
	registered := h.gitea.State().Counts.Registrations
	waited := waitsOf(h.gitea.State())
	t.Logf("%d jobs, %d runners, %s", first, registered, waited)
	// Where the engine is too slow for the handover the others start, too.
	late := waited.longerThan(handover / 2)
	if over := registered - first; over > first/8+late {
		t.Errorf("%d runners were started for %d jobs, of which %d waited for long", registered, first, late)
	}

	burst.Count = second
	h.gitea.AddJobs(burst)
	h.until("some run", time.Minute, func(s giteatest.State) bool { return s.Jobs[giteatest.StatusInProgress] > 2 })
	all[2].end(os.Kill)
	h.done(first + second)
	t.Logf("%d jobs with one daemon killed, %d runners, %s", second, h.gitea.State().Counts.Registrations-registered, waitsOf(h.gitea.State()))
	out := mustRun(t, "status", "--socket", filepath.Join(all[0].dir, "s.sock"))
	for _, want := range []string{"DAEMONS THAT SHARE THE JOBS (3)", "build-1 (this one)", "build-3", " of 12"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	all[2].start() // clears away what it had
	h.until("no runner is left", 4*time.Minute, func(s giteatest.State) bool { return len(s.Runners) == 0 })
	eventually(t, "no container is left", func() bool { return len(h.containers()) == 0 })
	for _, d := range all {
		d.end(os.Interrupt)
	}
}

// jobWaits are how long jobs have waited, in order.
type jobWaits []time.Duration

func waitsOf(s giteatest.State) (w jobWaits) {
	for _, j := range s.Waits {
		w = append(w, j.StartedAt.Sub(j.QueuedAt).Round(10*time.Millisecond))
	}
	slices.Sort(w)
	return w
}

func (w jobWaits) String() string {
	return fmt.Sprintf("waits: median %s, most %s", w[len(w)/2], w[len(w)-1])
}

func (w jobWaits) longerThan(d time.Duration) int {
	i, _ := slices.BinarySearch(w, d)
	return len(w) - i
}

// eventually waits up to a minute.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
