package docker

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/go-units"
)

// serviceSpec translates the options for one service, which has no task yet.
func (o Options) serviceSpec(id identity, image string) (swarm.ServiceSpec, error) {
	mounts, mountErr := o.swarmMounts()
	hosts, hostErr := o.swarmHosts()
	ulimits, limitErr := parseUlimits(o.Ulimits)
	platforms, platformErr := parsePlatforms(o.Swarm.Platforms)
	if err := errors.Join(o.notInSwarm(), mountErr, hostErr, limitErr, platformErr); err != nil {
		return swarm.ServiceSpec{}, err
	}
	none, grace := uint64(0), o.Swarm.Finish+graceMargin
	spec := swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: id.runner, Labels: o.labels(id)},
		Mode:        swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &none}},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{
				Image: image, Labels: o.labels(id), Command: orImage(o.Entrypoint), Args: orImage(o.Command), Env: o.environment(), User: o.User,
				Mounts: mounts, Hosts: hosts, StopGracePeriod: &grace,
				CapabilityAdd: slices.Clone(o.CapAdd), CapabilityDrop: slices.Clone(o.CapDrop),
			},
			Resources:     o.swarmResources(),
			RestartPolicy: &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone},
			Placement:     &swarm.Placement{Constraints: slices.Clone(o.Swarm.Constraints), Platforms: platforms},
		},
	}
	if len(o.DNS) > 0 {
		spec.TaskTemplate.ContainerSpec.DNSConfig = &swarm.DNSConfig{Nameservers: slices.Clone(o.DNS)}
	}
	for _, u := range ulimits {
		spec.TaskTemplate.ContainerSpec.Ulimits = append(spec.TaskTemplate.ContainerSpec.Ulimits, &container.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	for _, label := range o.Swarm.Spread {
		spec.TaskTemplate.Placement.Preferences = append(spec.TaskTemplate.Placement.Preferences, swarm.PlacementPreference{Spread: &swarm.SpreadOver{SpreadDescriptor: label}})
	}
	if o.Network != "" {
		spec.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: o.Network}}
	}
	if o.LogDriver != "" {
		spec.TaskTemplate.LogDriver = &swarm.Driver{Name: o.LogDriver, Options: maps.Clone(o.LogOptions)}
	}
	return spec, nil
}

// notInSwarm names the options that a service cannot have. To leave one out
// silently would run jobs other than they were meant to.
func (o Options) notInSwarm() error {
	var faults []error
	for _, f := range []struct {
		set  bool
		what string
	}{
		{o.Privileged || o.Access == AccessDind, "a service cannot be privileged"},
		{len(o.Devices) > 0 || o.GPUs != "", "a service cannot have devices: use generic resources"},
		{o.Runtime != "", "a service cannot choose its runtime"},
		{len(o.SecurityOpt) > 0, "a service cannot have security options"},
		{o.ShmSize != 0, "a service cannot size /dev/shm: mount a tmpfs there"},
		{o.MemorySwap != 0, "a service cannot limit its swap"},
		{o.Pids < 0, "a service's processes are unlimited without a limit"},
	} {
		if f.set {
			faults = append(faults, errors.New(f.what))
		}
	}
	if _, numeric := numericOwner(o.User); !numeric {
		if _, err := strconv.Atoi(o.User); err != nil {
			faults = append(faults, fmt.Errorf("user %q: write it as numbers, UID:GID, since the accounts of an image on another node are not known", o.User))
		}
	}
	return errors.Join(faults...)
}

// swarmResources returns the limits, and what has to be free on a node: the
// same, unless it is said otherwise.
func (o Options) swarmResources() *swarm.ResourceRequirements {
	nano := func(cpus float64) int64 { return int64(math.Round(cpus * 1e9)) }
	r := &swarm.ResourceRequirements{
		Limits:       &swarm.Limit{NanoCPUs: nano(o.CPUs), MemoryBytes: o.Memory, Pids: o.Pids},
		Reservations: &swarm.Resources{NanoCPUs: nano(o.CPUs), MemoryBytes: o.Memory},
	}
	if o.Swarm.ReserveCPUs > 0 {
		r.Reservations.NanoCPUs = nano(o.Swarm.ReserveCPUs)
	}
	if o.Swarm.ReserveMemory > 0 {
		r.Reservations.MemoryBytes = o.Swarm.ReserveMemory
	}
	for _, kind := range slices.Sorted(maps.Keys(o.Swarm.Generic)) {
		r.Reservations.GenericResources = append(r.Reservations.GenericResources,
			swarm.GenericResource{DiscreteResourceSpec: &swarm.DiscreteGenericResource{Kind: kind, Value: o.Swarm.Generic[kind]}})
	}
	return r
}

// swarmMounts translates binds, volumes, file systems in memory and the socket.
func (o Options) swarmMounts() ([]mount.Mount, error) {
	var mounts []mount.Mount
	var faults []error
	add := func(kind mount.Type, text string) {
		parts := strings.SplitN(text, ":", 3)
		m := mount.Mount{Type: kind, Source: parts[0]}
		if len(parts) == 1 {
			m.Source, m.Target = "", path.Clean(parts[0])
		} else {
			m.Target = path.Clean(parts[1])
		}
		if len(parts) == 3 {
			switch parts[2] {
			case "ro":
				m.ReadOnly = true
			case "rw":
			default:
				faults = append(faults, fmt.Errorf("mount %q: a service knows the options ro and rw only", text))
			}
		}
		mounts = append(mounts, m)
	}
	for _, b := range o.Binds {
		add(mount.TypeBind, b)
	}
	for _, v := range o.Volumes {
		add(mount.TypeVolume, v)
	}
	if o.Access == AccessSocket {
		socket := strings.TrimPrefix(o.Socket, "unix://")
		if socket == "" {
			socket = dockerSocket
		}
		add(mount.TypeBind, socket+":"+dockerSocket)
	}
	for _, target := range slices.Sorted(maps.Keys(o.Tmpfs)) {
		options, err := parseTmpfs(o.Tmpfs[target])
		if err != nil {
			faults = append(faults, fmt.Errorf("tmpfs %q: %w", target, err))
		}
		mounts = append(mounts, mount.Mount{Type: mount.TypeTmpfs, Target: path.Clean(target), TmpfsOptions: options})
	}
	return mounts, errors.Join(faults...)
}

// parseTmpfs reads the mount options that a service knows.
func parseTmpfs(text string) (*mount.TmpfsOptions, error) {
	options := &mount.TmpfsOptions{}
	for option := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "":
		case "size":
			size, err := units.RAMInBytes(value)
			if err != nil {
				return options, fmt.Errorf("size %q: write one like 1g", value)
			}
			options.SizeBytes = size
		case "mode":
			mode, err := strconv.ParseUint(value, 8, 12)
			if err != nil {
				return options, fmt.Errorf("mode %q: write one like 1777", value)
			}
			options.Mode = os.FileMode(mode)
		default:
			return options, fmt.Errorf("option %q: a service knows size and mode only", option)
		}
	}
	return options, nil
}

// swarmHosts turns "name:address" into the order of /etc/hosts.
func (o Options) swarmHosts() ([]string, error) {
	var hosts []string
	for _, h := range o.ExtraHosts {
		name, address, ok := strings.Cut(strings.Replace(h, "=", ":", 1), ":")
		if !ok {
			return nil, fmt.Errorf("extra host %q: write NAME:ADDRESS", h)
		}
		hosts = append(hosts, strings.Trim(address, "[]")+" "+name)
	}
	return hosts, nil
}

func parsePlatforms(in []string) ([]swarm.Platform, error) {
	var out []swarm.Platform
	for _, s := range in {
		system, architecture, ok := strings.Cut(s, "/")
		if !ok || system == "" || architecture == "" {
			return nil, fmt.Errorf("platform %q: write OS/ARCHITECTURE, like linux/amd64", s)
		}
		out = append(out, swarm.Platform{OS: system, Architecture: architecture})
	}
	return out, nil
}
