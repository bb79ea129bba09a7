package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// orgName is the organisation that has runners of its own.
const orgName = "acme"

// Bounds that the daemon is configured with and that the checks go by.
const (
	maxRunners     = 10
	parallelStarts = 4
)

// pace is how fast everything goes, which depends on the engine.
type pace struct {
	poll        time.Duration // the daemon's poll interval
	settle      time.Duration // its drain.settle
	live        time.Duration // a usual life of a daemon after it is ready
	longLife    time.Duration // a life that gets things done
	longShare   float64       // how many lives are such ones
	restart     time.Duration // the longest pause before the next start
	jobLongest  time.Duration
	lull        time.Duration // the longest pause without jobs
	outage      time.Duration // the longest time that something is away
	faultEvery  time.Duration // mean time between faults
	slowAnswers time.Duration // the longest wait for the answer with a job
}

// kind is a kind of jobs, for one or two pools.
type kind struct {
	label string
	repo  string
}

// kinds are the jobs that the pools below can serve.
func kinds() []kind {
	return []kind{{"linux", "demo/app"}, {"warm", "demo/app"}, {"builder", orgName + "/app"}, {"keeper", "demo/lib"}}
}

// daemonConfig is the daemon's configuration. The pools are: one that starts
// at zero, one that keeps a spare runner, one of persistent runners of an
// organisation, and one that keeps a persistent runner.
const daemonConfig = `gitea:
  url: %[1]s
  api_token: {file: api-token}
  request_timeout: 5s
registration_tokens:
  - {name: instance, scope: instance, token: {file: instance-token}}
  - {name: org, scope: "org:%[2]s", token: {file: org-token}}
pools:
  - name: linux
    registration_token: instance
    labels: ["linux:host"]
    image: %[3]s
    max: 5
    idle_timeout: 1s
    container: &container {pull: never, network: host}
  - name: warm
    registration_token: instance
    labels: ["warm:host", "linux:host"]
    image: %[3]s
    idle: 1
    max: 3
    idle_timeout: 1s
    container: *container
  - name: builder
    registration_token: org
    labels: ["builder:host"]
    image: %[3]s
    ephemeral: false
    max: 3
    idle_timeout: 1s
    container: *container
  - name: keeper
    registration_token: instance
    labels: ["keeper:host"]
    image: %[3]s
    ephemeral: false
    min: 1
    max: 2
    idle_timeout: 1s
    container: *container
limits: {runners: %[4]d, parallel_starts: %[5]d}
poll_interval: %[6]s
state_dir: %[7]s
control_socket: %[8]s
log: {level: %[9]s}
on_shutdown: drain
shutdown_timeout: 1m
docker: {host: "unix://%[10]s"}
drain: {settle: %[11]s}
`

// keptRunners is how many runners a daemon at rest keeps: the spare one and the
// persistent one.
const keptRunners = 2

// writeConfig writes the daemon's configuration.
func (s *stage) writeConfig(p pace, logLevel string) error {
	text := fmt.Sprintf(daemonConfig, s.url, orgName, s.engine.image(), maxRunners, parallelStarts,
		p.poll, s.stateDir(), filepath.Join(s.dir, "c.sock"), logLevel, s.gate.path, p.settle)
	if err := os.WriteFile(s.configFile(), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration of the daemon: %w", err)
	}
	return nil
}
