package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/pool"
	"scaler.io/scaler/internal/server"
	"scaler.io/scaler/internal/state"
)

// demoConfig is the configuration of the demo's daemon: a file like any other.
const demoConfig = `gitea:
  url: %[1]s
  internal_url: %[2]s
  api_token: {file: api-token}
registration_tokens:
  - {name: instance, scope: instance, mint: true}
pools:
  - name: linux
    registration_token: instance
    labels: ["linux:host", "ubuntu-latest:host"]
    image: %[3]s
    max: 8
    container: &container {pull: never, extra_hosts: [%[4]q]}
  - name: deploy
    registration_token: instance
    labels: ["deploy:host"]
    image: %[3]s
    max: 4
    container: *container
limits: {runners: 10}
state_dir: %[5]s
control_socket: %[6]s
on_shutdown: drain
`

// demoWebhook is added for a server that does not list the jobs that wait.
const demoWebhook = `webhook: {listen: %[1]q, public_url: "http://%[1]s", secret: {file: webhook-secret}}
`

// demoHost is the name by which containers reach this machine.
const demoHost = "scaler-demo-gitea"

// stage is what the demo plays on.
type stage struct {
	gitea    *giteatest.Server
	web      *http.Server
	parts    parts
	services []service
	store    *state.Store
	image    string
	path     string // of the socket
	log      *slog.Logger
}

// removed collects the runners of which nothing is left.
type removed struct {
	mu      sync.Mutex
	runners map[string]plan.RunnerStatus
}

func (r *removed) add(s plan.RunnerStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runners == nil {
		r.runners = make(map[string]plan.RunnerStatus)
	}
	r.runners[s.Name] = s
}

// setUp makes the stage. What it made before it failed is for close.
func (d *demo) setUp(ctx context.Context, s *stage) error {
	host, err := containersHost(ctx)
	if err != nil {
		return err
	}
	s.store, err = state.Open(filepath.Join(d.dir, "state"))
	if err != nil {
		return err
	}
	apiToken := rand.Text()
	s.gitea = giteatest.New(giteatest.Options{Profile: d.release, APIToken: apiToken})
	port, err := s.listen(host.listen)
	if err != nil {
		return err
	}
	s.image = "scaler-demo:" + s.store.Instance()
	s.path = filepath.Join(d.dir, "scaler.sock")
	text := fmt.Sprintf(demoConfig, "http://"+demoHost+":"+port, "http://"+net.JoinHostPort(host.local, port), s.image,
		demoHost+":"+host.target, filepath.Join(d.dir, "state"), s.path)
	if !s.gitea.Profile().ListsJobs() {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		text += fmt.Sprintf(demoWebhook, address)
	}
	cfg, err := d.configure(text, apiToken)
	if err != nil {
		return err
	}
	s.parts, err = wire(cfg, stores{s.store}, s.log, func(c *pool.Config) { c.OnRemoved = d.add })
	if err != nil {
		return err
	}
	if err := selfImage(ctx, s.parts.first().engine, s.image); err != nil {
		return err
	}
	s.services, err = listen(cfg, s.parts, noReload, s.log)
	if err == nil && cfg.Webhook != nil && !tryHooks(ctx, cfg, s.parts.first().gitea, s.log) {
		err = errors.New("the demo's webhook was not made: " + lastLines(d.log.String(), 3))
	}
	return err
}

// noReload answers who asks for the configuration to be read again.
func noReload(context.Context) (server.Reloaded, error) {
	return server.Reloaded{}, errors.New("the demo has a configuration of its own, which is not read again")
}

// freeAddress is one of this machine's own that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port for the demo's webhook: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// configure writes the configuration and its secrets, and loads them as the
// daemon would.
func (d *demo) configure(text, apiToken string) (*config.Config, error) {
	files := map[string]string{"scaler.yaml": text, "api-token": apiToken, "webhook-secret": rand.Text()}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("write configuration of the demo: %w", err)
		}
	}
	return config.Load(filepath.Join(d.dir, "scaler.yaml"))
}

// hostAddress is how the demo's Gitea is reached.
type hostAddress struct {
	listen string // address to listen on
	local  string // by the daemon
	target string // by containers: an IP address, or host-gateway
}

// containersHost finds an address of this machine that containers reach: the
// gateway of their network, or, if that is inside a virtual machine or a
// namespace, whatever the engine calls its host.
func containersHost(ctx context.Context) (hostAddress, error) {
	engine, err := docker.New(docker.Config{Instance: "demo"})
	if err != nil {
		return hostAddress{}, err
	}
	defer engine.Close()
	if _, err := engine.Ping(ctx); err != nil {
		return hostAddress{}, fmt.Errorf("the demo needs a Docker Engine: %w; make demo brings one up on Debian", err)
	}
	gateway, err := engine.Gateway(ctx)
	if err == nil {
		probe, err := net.Listen("tcp", net.JoinHostPort(gateway, "0"))
		if err == nil {
			probe.Close()
			return hostAddress{gateway, gateway, gateway}, nil
		}
	}
	return hostAddress{"0.0.0.0", "127.0.0.1", "host-gateway"}, nil
}

// listen serves the in-memory Gitea on a free port.
func (s *stage) listen(host string) (port string, err error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("listen for the demo's Gitea: %w", err)
	}
	s.web = &http.Server{Handler: s.gitea, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go s.web.Serve(ln)
	_, port, err = net.SplitHostPort(ln.Addr().String())
	return port, err
}

// close takes down what setUp made.
func (s *stage) close(ctx context.Context) error {
	var errs []error
	if s.web != nil {
		errs = append(errs, s.web.Close())
	}
	if s.gitea != nil {
		s.gitea.Close()
	}
	if len(s.parts.sites) > 0 {
		errs = append(errs, s.parts.first().engine.RemoveImage(ctx, s.image), s.parts.close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}
