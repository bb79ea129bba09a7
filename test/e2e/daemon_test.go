package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// settings are what the checks vary in the configuration; see
// testdata/scaler.yaml.tmpl for the rest.
type settings struct {
	Tokens      []token // by default one, named instance
	Pools       []pool
	InternalURL string // by default the server itself
	Gateway     string // its URL; by default there is none
	Webhook     string // the URL where events are sent to; by default there is none
	HTTP        string // the address of its metrics; by default there is none
	Swarm       string // the instance id of a daemon on a Swarm; by default it uses the engine
	OnShutdown  string
	LogLevel    string
	// UsualNetwork has the runners on the engine's default bridge, as they are
	// where the configuration names no network. On one of its own the engine sets
	// up name resolution for each, which on two CPUs takes it 0.1 s.
	UsualNetwork bool
}

type token struct {
	Name, Scope string
	Mint        bool
}

type pool struct {
	Name, Token, Label string
	Min, Max           int
	Idle               int
	Persistent         bool
	SelfRegister       bool
	DockerSocket       bool
	Official           bool // the image's own entrypoint runs it, as in the official images
	IdleTimeout        string
}

// GatewayListen is the address of the gateway's URL.
func (s settings) GatewayListen() string { return strings.TrimPrefix(s.Gateway, "http://") }

// WebhookListen is the address of the webhook's URL.
func (s settings) WebhookListen() string { return strings.TrimPrefix(s.Webhook, "http://") }

// daemon is a scaler with a configuration and a state of its own. It can be
// started again after it has ended.
type daemon struct {
	rig    *rig
	client *server.Client
	config string // path of the configuration
	log    string // path of what it said, in all its lives
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
}

// daemon starts a daemon that ends with the check, and has a failed check show
// its log.
func (r *rig) daemon(t *testing.T, s settings) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "scaler-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &daemon{rig: r, client: server.NewClient(filepath.Join(dir, "scaler.sock")),
		config: filepath.Join(dir, "scaler.yaml"), log: filepath.Join(t.ArtifactDir(), "scaler.log")}
	d.configure(t, dir, s)
	t.Cleanup(func() {
		d.kill()
		if log, err := os.ReadFile(d.log); err == nil && t.Failed() {
			t.Logf("the daemon's log:\n%s", log)
		}
		r.sweep(t)
	})
	d.start(t)
	return d
}

// configure writes the configuration and the secrets.
func (d *daemon) configure(t *testing.T, dir string, s settings) {
	t.Helper()
	if len(s.Tokens) == 0 {
		s.Tokens = []token{{Name: "instance", Scope: "instance"}}
	}
	for i := range s.Pools {
		if s.Pools[i].Token == "" {
			s.Pools[i].Token = "instance"
		}
	}
	text, err := template.ParseFiles("testdata/scaler.yaml.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	var config bytes.Buffer
	if err := text.Execute(&config, struct {
		settings
		URL, Dir, Image, Network string
	}{s, d.rig.gitea.URL, dir, d.rig.image, d.rig.id}); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		d.config:                                 config.String(),
		filepath.Join(dir, "api-token"):          d.rig.gitea.APIToken + "\n",
		filepath.Join(dir, "registration-token"): d.rig.gitea.RegistrationToken + "\n",
		filepath.Join(dir, "webhook-secret"):     "webhook-secret-of-the-test\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := d.command(t.Context(), "validate", "--config", d.config).CombinedOutput(); err != nil {
		t.Fatalf("validate: %v\n%s\n%s", err, out, config.Bytes())
	}
}

// command prepares a run of the binary, with little in its environment.
func (d *daemon) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.rig.scaler, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(d.config)}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		cmd.Env = append(cmd.Env, "DOCKER_HOST="+host)
	}
	return cmd
}

// start starts the daemon and waits for its first cycle.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	d.launch(t)
	eventually(t, 30*time.Second, "the daemon is ready", func(ctx context.Context) bool {
		select {
		case <-d.exited:
			t.Fatalf("the daemon has ended: %s", d.cmd.ProcessState)
		default:
		}
		s, err := d.client.Status(ctx)
		return err == nil && s.Cycle > 0
	})
}

// launch starts the daemon.
func (d *daemon) launch(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	d.cmd = d.command(context.WithoutCancel(t.Context()), "run", "--config", d.config)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, exited := d.cmd, make(chan struct{})
	d.exited = exited
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
}

// signal sends the daemon a signal, waits for its end and returns the exit
// code, -1 if it was killed.
func (d *daemon) signal(t *testing.T, s syscall.Signal, within time.Duration) int {
	t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.exited:
	case <-time.After(within):
		t.Fatalf("the daemon still runs %s after %s", within, s)
	}
	return d.cmd.ProcessState.ExitCode()
}

// kill ends the daemon if it runs.
func (d *daemon) kill() {
	if d.exited != nil {
		_ = d.cmd.Process.Kill()
		<-d.exited
	}
}

// status is the daemon's status.
func (d *daemon) status(t *testing.T) plan.Status {
	t.Helper()
	s, err := d.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// warnings returns what the daemon said that is more than information.
func (d *daemon) warnings(t *testing.T) []string {
	t.Helper()
	log, err := os.ReadFile(d.log)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, "level=INFO") && !strings.Contains(line, "level=DEBUG") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// eventually waits until a condition holds, and fails the test if it does not
// in time.
func eventually(t *testing.T, within time.Duration, what string, holds func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for !holds(ctx) {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// nothingLeft waits until neither the server nor the engine has anything of
// ours.
func (r *rig) nothingLeft(t *testing.T, within time.Duration) {
	t.Helper()
	var runners, containers int
	defer func() {
		if t.Failed() {
			t.Logf("%d runners on the server, %d containers", runners, containers)
		}
	}()
	eventually(t, within, "nothing is left on the server and in the engine", func(ctx context.Context) bool {
		listed, err := r.gitea.Runners(ctx)
		if err != nil {
			return false
		}
		there, err := r.containers(ctx)
		if err != nil {
			return false
		}
		runners, containers = len(listed), len(there)
		return runners == 0 && containers == 0
	})
}
