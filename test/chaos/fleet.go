package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fleet is a configuration of the daemon: what edits may change of it.
type fleet struct {
	pools                           []pool
	runners, parallel, registration int // limits
	poll, active, settle            time.Duration
	shutdown                        time.Duration // shutdown_timeout
	logLevel                        string
	disabled                        string // the registration token that is not to be used, if any
}

// pool is one pool of a fleet.
type pool struct {
	name, token    string
	labels         []string // names, all of them for jobs on the runner's host
	image          string
	ephemeral      bool
	min, idle, max int
	auto           bool // idle: auto, with idle as its ceiling
	standby        int
	idleTimeout    time.Duration
	bootTimeout    time.Duration
	schedule       string // a list of windows in YAML, or nothing
	container      string // more settings of the container, in YAML's flow style
}

// The registration tokens.
const (
	instanceToken = "instance"
	orgToken      = "org"
)

// full is the fleet that can serve all jobs. Its pools are: one that starts at
// zero, one that keeps a spare runner, one of persistent runners of an
// organisation, and one that keeps a persistent runner.
func full(image string, p pace, logLevel string) fleet {
	one := func(name, token string, labels ...string) pool {
		return pool{name: name, token: token, labels: labels, image: image, ephemeral: true, max: 3, idleTimeout: time.Second, bootTimeout: 2 * time.Minute}
	}
	linux, warm := one("linux", instanceToken, "linux"), one("warm", instanceToken, "warm", "linux")
	builder, keeper := one("builder", orgToken, "builder"), one("keeper", instanceToken, "keeper")
	linux.max = 5
	warm.idle = 1
	builder.ephemeral, keeper.ephemeral = false, false
	keeper.min, keeper.max = 1, 2
	return fleet{
		pools: []pool{linux, warm, builder, keeper}, runners: maxRunners, parallel: parallelStarts, registration: 600,
		poll: p.poll, active: min(p.poll, 250*time.Millisecond), settle: p.settle, shutdown: time.Minute, logLevel: logLevel,
	}
}

// clone returns a copy that shares nothing with the fleet.
func (f fleet) clone() fleet {
	f.pools = slices.Clone(f.pools)
	for i := range f.pools {
		f.pools[i].labels = slices.Clone(f.pools[i].labels)
	}
	return f
}

// text is the configuration file of the fleet.
func (s *stage) text(f fleet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "gitea:\n  url: %s\n  api_token: {file: api-token}\n  request_timeout: 5s\nregistration_tokens:\n", s.url)
	for _, t := range []struct{ name, scope string }{{instanceToken, "instance"}, {orgToken, "org:" + orgName}} {
		fmt.Fprintf(&b, "  - {name: %[1]s, scope: %[2]q, token: {file: %[1]s-token}, enabled: %[3]v}\n", t.name, t.scope, t.name != f.disabled)
	}
	b.WriteString("pools:\n")
	for _, p := range f.pools {
		b.WriteString(p.text())
	}
	if s.engine.swarm() {
		b.WriteString("engine: swarm\n")
	}
	fmt.Fprintf(&b, "limits: {runners: %d, parallel_starts: %d, registrations: %d}\n", f.runners, f.parallel, f.registration)
	fmt.Fprintf(&b, "poll_interval: %s\npoll_active: %s\nlog: {level: %s}\n", f.poll, f.active, f.logLevel)
	fmt.Fprintf(&b, "on_shutdown: drain\nshutdown_timeout: %s\ndrain: {settle: %s}\n", f.shutdown, f.settle)
	fmt.Fprintf(&b, "state_dir: %s\ncontrol_socket: %s\ndocker: {host: \"unix://%s\"}\n", s.stateDir(), s.controlSocket(), s.gate.path)
	return b.String()
}

func (p pool) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: %s\n    registration_token: %s\n    labels: [", p.name, p.token)
	for i, l := range p.labels {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", l+":host")
	}
	fmt.Fprintf(&b, "]\n    image: %s\n    ephemeral: %v\n    min: %d\n    max: %d\n    standby: %d\n", p.image, p.ephemeral, p.min, p.max, p.standby)
	if p.auto {
		fmt.Fprintf(&b, "    idle: auto\n    idle_max: %d\n", max(p.idle, 1))
	} else {
		fmt.Fprintf(&b, "    idle: %d\n", p.idle)
	}
	fmt.Fprintf(&b, "    idle_timeout: %s\n    boot_timeout: %s\n    container: {pull: never, network: host%s}\n", p.idleTimeout, p.bootTimeout, p.container)
	if p.schedule != "" {
		fmt.Fprintf(&b, "    schedule: %s\n", p.schedule)
	}
	return b.String()
}

func (s *stage) controlSocket() string { return filepath.Join(s.dir, "c.sock") }

// String is the fleet on one line, for the log.
func (f fleet) String() string {
	var b strings.Builder
	for _, p := range f.pools {
		fmt.Fprintf(&b, "%s%v %d/%d/%d %s", p.name, p.labels, p.min, p.idle, p.max, p.image)
		if !p.ephemeral {
			b.WriteString(" persistent")
		}
		if p.schedule != "" {
			b.WriteString(" scheduled")
		}
		b.WriteString("; ")
	}
	fmt.Fprintf(&b, "limit %d, disabled %q", f.runners, f.disabled)
	return b.String()
}
