package docker

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"scaler.io/scaler/internal/plan"
)

// PullPolicy says when an image is pulled before a container is made from it.
type PullPolicy string

// The pull policies. Empty means PullMissing.
const (
	PullAlways  PullPolicy = "always"  // at every create, or once in Config.Refresh
	PullMissing PullPolicy = "missing" // if the engine does not have it
	PullNever   PullPolicy = "never"   // the engine must have it
)

// Access says how the jobs of a runner reach Docker.
type Access string

// The kinds of access. Empty means AccessNone.
const (
	AccessNone   Access = "none"
	AccessSocket Access = "socket" // the host's own engine: jobs then own the host
	AccessDind   Access = "dind"   // an engine inside the container, which must be privileged
)

const (
	dockerSocket   = "/var/run/docker.sock"
	dindDataRoot   = "/var/lib/docker"
	defaultDataDir = "/data"
)

// Options is what every runner container of one pool is made from. The zero
// value of a field leaves it to the image or to the engine.
type Options struct {
	Image       string
	Pull        PullPolicy
	PullTimeout time.Duration // 10 min if zero
	// Auth returns the credentials of the image's registry and is called at
	// each pull, so that a rotated password takes effect at once. Nil: none.
	Auth func() (username string, password plan.Secret, server string, err error)
	// DataDir is the runner's working directory in the container, "/data" if
	// empty. The container gets CONFIG_FILE=<DataDir>/config.yaml.
	DataDir string

	Entrypoint []string
	Command    []string
	Env        map[string]string

	Network    string
	ExtraHosts []string // "name:address"
	DNS        []string
	Binds      []string          // "/host:/container[:options]"
	Volumes    []string          // "name:/container[:options]", or "/container" for an anonymous one
	Tmpfs      map[string]string // path to mount options

	Access      Access
	Socket      string // the host's socket for AccessSocket, /var/run/docker.sock if empty
	Privileged  bool
	User        string // "user[:group]", names or ids
	CapAdd      []string
	CapDrop     []string
	SecurityOpt []string // as for docker run; seccomp=FILE is read at each create
	Runtime     string
	Devices     []string // "/dev/x[:/dev/y[:rwm]]", or a CDI name "vendor/class=name"
	GPUs        string   // "all", a count, or "device=ID[,ID]"

	CPUs       float64
	Memory     int64    // bytes
	MemorySwap int64    // bytes of memory and swap together; -1 is unlimited
	Pids       int64    // -1 is unlimited
	ShmSize    int64    // bytes
	Ulimits    []string // "name=soft[:hard]"

	LogDriver  string
	LogOptions map[string]string
	Labels     map[string]string

	Swarm SwarmOptions // for a Swarm only
}

// Validate joins all faults of the options that can be seen without asking an
// engine.
func (o Options) Validate() error {
	var faults []error
	if o.Image == "" {
		faults = append(faults, errors.New("no image"))
	}
	switch o.Pull {
	case "", PullAlways, PullMissing, PullNever:
	default:
		faults = append(faults, fmt.Errorf("pull %q: must be always, missing or never", o.Pull))
	}
	switch o.Access {
	case "", AccessNone, AccessSocket, AccessDind:
	default:
		faults = append(faults, fmt.Errorf("docker access %q: must be none, socket or dind", o.Access))
	}
	if !path.IsAbs(o.dataDir()) {
		faults = append(faults, fmt.Errorf("data directory %q: must be absolute", o.DataDir))
	}
	faults = append(faults, o.checkMounts()...)
	_, _, err := o.containerConfig(identity{})
	return errors.Join(append(faults, err)...)
}

// checkMounts refuses mounts that would hide or share the data directory: a
// tmpfs is mounted at the start, over the files that were put there before,
// and a bind or named volume would give all runners of the pool one .runner.
func (o Options) checkMounts() []error {
	var faults []error
	covers := func(target string) bool {
		target = path.Clean(target)
		return target == "/" || o.dataDir() == target || strings.HasPrefix(o.dataDir(), target+"/")
	}
	for _, bind := range slices.Concat(o.Binds, o.Volumes) {
		source, rest, hasTarget := strings.Cut(bind, ":")
		target, _, _ := strings.Cut(rest, ":")
		switch {
		case !hasTarget && path.IsAbs(source) && slices.Contains(o.Volumes, bind):
		case !hasTarget || source == "" || !path.IsAbs(target):
			faults = append(faults, fmt.Errorf("mount %q: write SOURCE:/path[:options]", bind))
		case covers(target):
			faults = append(faults, fmt.Errorf("mount %q: the runners of a pool cannot share %s", bind, o.dataDir()))
		}
	}
	for _, target := range slices.Sorted(maps.Keys(o.Tmpfs)) {
		if covers(target) {
			faults = append(faults, fmt.Errorf("tmpfs %q: it would hide the runner's files in %s", target, o.dataDir()))
		}
	}
	return faults
}

func (o Options) dataDir() string {
	if o.DataDir == "" {
		return defaultDataDir
	}
	return path.Clean(o.DataDir)
}

func (o Options) pullTimeout() time.Duration {
	if o.PullTimeout <= 0 {
		return defaultPullTimeout
	}
	return o.PullTimeout
}

// identity is what a container's labels say about it.
type identity struct{ instance, pool, runner string }

// containerConfig translates the options for one container. It returns new
// values each time, as the SDK changes those that it is given. Neither
// AutoRemove nor a restart policy is ever set: a runner that has ended must
// stay to be looked at, and one whose registration is gone must not come back.
func (o Options) containerConfig(id identity) (*container.Config, *container.HostConfig, error) {
	resources, err := o.resources()
	security, securityErr := parseSecurity(o.SecurityOpt)
	if err := errors.Join(err, securityErr); err != nil {
		return nil, nil, err
	}
	config := &container.Config{
		Image:      o.Image,
		Entrypoint: orImage(o.Entrypoint),
		Cmd:        orImage(o.Command),
		Env:        o.environment(),
		User:       o.User,
		Labels:     o.labels(id),
		Volumes:    map[string]struct{}{},
	}
	host := &container.HostConfig{
		NetworkMode:   container.NetworkMode(o.Network),
		DNS:           slices.Clone(o.DNS),
		Binds:         slices.Clone(o.Binds),
		Tmpfs:         maps.Clone(o.Tmpfs),
		Privileged:    o.Privileged || o.Access == AccessDind,
		CapAdd:        slices.Clone(o.CapAdd),
		CapDrop:       slices.Clone(o.CapDrop),
		SecurityOpt:   security.opts,
		Runtime:       o.Runtime,
		ShmSize:       o.ShmSize,
		LogConfig:     container.LogConfig{Type: o.LogDriver, Config: maps.Clone(o.LogOptions)},
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		Resources:     resources,
	}
	if security.unconfinedPaths {
		host.MaskedPaths, host.ReadonlyPaths = []string{}, []string{}
	}
	for _, h := range o.ExtraHosts {
		host.ExtraHosts = append(host.ExtraHosts, strings.Replace(h, "=", ":", 1))
	}
	o.addVolumes(config, host)
	return config, host, nil
}

// addVolumes adds named and anonymous volumes and what the access to Docker
// needs. The engine drops an anonymous volume where something else is mounted.
func (o Options) addVolumes(config *container.Config, host *container.HostConfig) {
	for _, v := range o.Volumes {
		if strings.Contains(v, ":") {
			host.Binds = append(host.Binds, v)
		} else {
			config.Volumes[path.Clean(v)] = struct{}{}
		}
	}
	switch o.Access {
	case AccessSocket:
		socket := o.Socket
		if socket == "" {
			socket = dockerSocket
		}
		host.Binds = append(host.Binds, strings.TrimPrefix(socket, "unix://")+":"+dockerSocket)
	case AccessDind:
		config.Volumes[dindDataRoot] = struct{}{}
	}
}

// environment returns CONFIG_FILE, which cannot be overridden, and the pool's
// variables in a fixed order. No token is ever among them: anybody who can
// inspect the container reads its environment.
func (o Options) environment() []string {
	const configFile = "CONFIG_FILE"
	env := []string{configFile + "=" + path.Join(o.dataDir(), "config.yaml")}
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		if name != configFile {
			env = append(env, name+"="+o.Env[name])
		}
	}
	return env
}

// labels returns the pool's labels under ours, which win.
func (o Options) labels(id identity) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, o.Labels)
	labels[LabelInstance] = id.instance
	labels[LabelPool] = id.pool
	labels[LabelRunner] = id.runner
	return labels
}

func (o Options) resources() (container.Resources, error) {
	r := container.Resources{
		NanoCPUs:   int64(math.Round(o.CPUs * 1e9)),
		Memory:     o.Memory,
		MemorySwap: o.MemorySwap,
	}
	if o.Pids != 0 {
		pids := o.Pids
		r.PidsLimit = &pids
	}
	var errs [3]error
	r.Ulimits, errs[0] = parseUlimits(o.Ulimits)
	r.Devices, r.DeviceRequests, errs[1] = parseDevices(o.Devices)
	gpus, err := parseGPUs(o.GPUs)
	r.DeviceRequests, errs[2] = append(r.DeviceRequests, gpus...), err
	return r, errors.Join(errs[:]...)
}

// orImage leaves an empty list to the image: the engine takes one that is not
// nil for the wish to have none.
func orImage(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return slices.Clone(list)
}

// with returns the options with what one container gets beyond them.
func (o Options) with(launch *plan.Launch) Options {
	if launch == nil {
		return o
	}
	if len(launch.Env) > 0 {
		merged := maps.Clone(o.Env)
		if merged == nil {
			merged = make(map[string]string, len(launch.Env))
		}
		maps.Copy(merged, launch.Env)
		o.Env = merged
	}
	if len(launch.Command) > 0 {
		o.Command = launch.Command
	}
	return o
}
