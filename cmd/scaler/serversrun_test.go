package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/state"
)

// serverPool is a pool of the live test, with its registration token.
const (
	serverToken = "  - {name: %[1]s, %[2]sscope: instance, token: {file: registration-token}}\n"
	serverPool  = "  - {name: %[1]s, %[2]sregistration_token: %[1]s, labels: [\"linux:host\"], image: %[3]s, max: 8, idle_timeout: 5s, container: {pull: never}}\n"
	serverRest  = "limits: {runners: 6}\ndrain: {settle: 2s}\nstate_dir: %[1]s/state\ncontrol_socket: %[1]s/s.sock\n"
)

// forge is a second in-memory Gitea, which goes down and comes up again at its
// address.
type forge struct {
	h       *household
	gitea   *giteatest.Server
	address string
	web     *http.Server
}

func (h *household) forge() *forge {
	h.t.Helper()
	host, _, err := net.SplitHostPort(strings.TrimPrefix(h.url, "http://"))
	must(h.t, err)
	f := &forge{h: h, address: net.JoinHostPort(host, "0"),
		gitea: giteatest.New(giteatest.Options{APIToken: "api-token-of-the-test", RegistrationToken: "registration-token-of-the-test-0123456789"})}
	f.up()
	h.t.Cleanup(func() { f.down(); f.gitea.Close() })
	return f
}

func (f *forge) up() {
	ln, err := net.Listen("tcp", f.address)
	must(f.h.t, err)
	f.address = ln.Addr().String()
	f.web = &http.Server{Handler: f.gitea, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = f.web.Serve(ln) }()
}

func (f *forge) down() { _ = f.web.Close() }

// TestDaemonMovesToSeveralServers has a daemon that serves one server go on with
// two, of which one is down for a while: no job is lost, no runner is made anew and
// nothing is left.
func TestDaemonMovesToSeveralServers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	h := newHousehold(t)
	lab := h.forge()
	d := &resident{h: h, dir: shortDir(t), name: "build-1"}
	write(t, filepath.Join(d.dir, "api-token"), "api-token-of-the-test")
	write(t, filepath.Join(d.dir, "registration-token"), "registration-token-of-the-test-0123456789")
	t.Cleanup(func() {
		d.end(os.Kill)
		if data, err := os.ReadFile(filepath.Join(d.dir, "log")); err == nil && t.Failed() {
			t.Logf("log:\n%s", data)
		}
	})
	rest := fmt.Sprintf(serverRest, d.dir)
	write(t, filepath.Join(d.dir, "scaler.yaml"), fmt.Sprintf("gitea: {url: %s, api_token: {file: api-token}}\nregistration_tokens:\n", h.url)+
		fmt.Sprintf(serverToken, "acme", "")+"pools:\n"+fmt.Sprintf(serverPool, "acme", "", h.image)+rest)
	d.start()
	h.gitea.AddJobs(giteatest.JobSpec{Count: 3, Repo: "acme/app", Labels: []string{"linux"}, Duration: 20 * time.Second})
	h.until("three run", time.Minute, func(s giteatest.State) bool { return s.Jobs[giteatest.StatusInProgress] == 3 })
	d.end(os.Interrupt)
	before, err := state.ReadInstance(filepath.Join(d.dir, "state"))
	must(t, err)

	// The server that the daemon had is not the first one.
	text := fmt.Sprintf("servers:\n  - {name: lab, url: http://%s, api_token: {file: api-token}}\n  - {name: acme, url: %s, api_token: {file: api-token}}\nregistration_tokens:\n", lab.address, h.url)
	for _, name := range []string{"lab", "acme"} {
		text += fmt.Sprintf(serverToken, name, "server: "+name+", ")
	}
	text += "pools:\n"
	for _, name := range []string{"lab", "acme"} {
		text += fmt.Sprintf(serverPool, name, "server: "+name+", ", h.image)
	}
	write(t, filepath.Join(d.dir, "scaler.yaml"), text+rest)
	d.start()
	client := server.NewClient(filepath.Join(d.dir, "s.sock"))
	var s plan.Status
	eventually(t, "both servers are served", func() bool {
		s, err = client.Status(t.Context())
		return err == nil && len(s.Servers) == 2 && s.Servers[0].Working && s.Servers[1].Working
	})
	if s.Servers[1].Instance != before || s.Servers[0].Instance == before || s.Pools[1].Busy != 3 {
		t.Errorf("instance %s has become %+v; pools %+v", before, s.Servers, s.Pools)
	}
	burst := giteatest.JobSpec{Count: 10, Repo: "acme/app", Labels: []string{"linux"}, Duration: 3 * time.Second}
	h.gitea.AddJobs(burst)
	lab.gitea.AddJobs(burst)
	eventually(t, "jobs of the second run", func() bool { return lab.gitea.State().Jobs[giteatest.StatusInProgress] > 0 })
	lab.down()
	most := 0
	for deadline := time.Now().Add(3 * time.Minute); h.gitea.State().Jobs[giteatest.StatusSuccess] < 13; time.Sleep(100 * time.Millisecond) {
		if most = max(most, len(h.containers())); time.Now().After(deadline) {
			t.Fatalf("jobs of the first: %v", h.gitea.State().Jobs)
		}
	}
	eventually(t, "that is told", func() bool {
		health, err := client.Health(t.Context())
		return err == nil && health.Alive && health.Ready && health.Degraded
	})
	lab.up()
	for deadline := time.Now().Add(3 * time.Minute); lab.gitea.State().Jobs[giteatest.StatusSuccess] < 10; time.Sleep(100 * time.Millisecond) {
		if most = max(most, len(h.containers())); time.Now().After(deadline) {
			t.Fatalf("jobs of the second: %v", lab.gitea.State().Jobs)
		}
	}
	if most > 6 {
		t.Errorf("%d containers at a time, more than limits.runners", most)
	}
	h.until("no runner is left", 4*time.Minute, func(s giteatest.State) bool { return len(s.Runners)+len(lab.gitea.State().Runners) == 0 })
	eventually(t, "no container is left", func() bool { return len(h.containers()) == 0 })
	if made := h.gitea.State().Counts.Registrations; made != 13 {
		t.Errorf("%d runners were made for 13 jobs", made)
	}
	for _, args := range [][]string{{"state", "check"}, {"doctor", "--unit", "none.service"}} {
		if _, stderr, code := runCommand(t, append(args, "-c", filepath.Join(d.dir, "scaler.yaml"))...); code == exitOK || args[0] == "state" && !strings.Contains(stderr, "--server") {
			t.Errorf("%q without --server: exit code %d, %s", args, code, stderr)
		}
	}
	for _, name := range []string{"lab", "acme"} {
		mustRun(t, "state", "check", "--server", name, "-c", filepath.Join(d.dir, "scaler.yaml"))
	}
	d.end(os.Interrupt)
}
