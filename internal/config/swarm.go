package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// EngineKind is what runs the containers.
type EngineKind string

// The engines.
const (
	EngineDocker EngineKind = "docker"
	EngineSwarm  EngineKind = "swarm"
)

// Placement says which machines of a Swarm run a pool's containers.
type Placement struct {
	Constraints      []string `yaml:"constraints" default:"[]" example:"[\"node.labels.ci==true\"]" doc:"Which nodes may run them, as for docker service create --constraint."`
	Spread           []string `yaml:"spread" default:"[]" example:"[node.labels.zone]" doc:"Labels of the nodes over whose values they are spread evenly, the most important one first."`
	Platforms        []string `yaml:"platforms" default:"[]" example:"[linux/amd64]" doc:"Which kinds of nodes may run them, as OS/ARCHITECTURE; empty is any."`
	ReserveCPUs      float64  `yaml:"reserve_cpus" default:"0" min:"0" example:"0.5" doc:"CPUs that must be free on a node; 0 is as many as container.cpus."`
	ReserveMemory    int64    `yaml:"reserve_memory" default:"0" format:"size" min:"0" example:"1g" doc:"Memory that must be free on a node; 0 is as much as container.memory."`
	GenericResources []string `yaml:"generic_resources" default:"[]" example:"[\"gpu=1\"]" doc:"What else must be free on a node, as KIND=COUNT of the resources that its engine advertises, such as GPUs."`
}

// Generic returns the generic resources by kind.
func (p Placement) Generic() map[string]int64 {
	if len(p.GenericResources) == 0 {
		return nil
	}
	out := make(map[string]int64, len(p.GenericResources))
	for _, s := range p.GenericResources {
		kind, n, _ := parseGeneric(s)
		out[kind] = n
	}
	return out
}

func parseGeneric(s string) (kind string, n int64, ok bool) {
	kind, count, found := strings.Cut(s, "=")
	n, err := strconv.ParseInt(count, 10, 64)
	return kind, n, found && kind != "" && err == nil && n > 0
}

// validateSwarm checks where a pool's containers may run, and with engine: swarm
// that a service can be what the pool asks for.
func validateSwarm(d *decoder, c *Config, p Pool, at string) {
	validatePlacement(d, p.Container.Swarm, at+".swarm")
	if c.Engine != EngineSwarm || !d.ok("engine") {
		return
	}
	if path := strings.TrimSuffix(at, ".container") + ".registration"; p.Registration == RegisterByContainer && d.ok(path) {
		d.report(path, "whether a container on another node of a Swarm is the one that registers cannot be seen: use registration: daemon")
	}
	for _, f := range notInSwarm(p.Container) {
		if d.ok(at + "." + f.key) {
			d.report(at+"."+f.key, "%s", f.fault)
		}
	}
	for _, list := range []struct {
		key    string
		mounts []string
	}{{"binds", p.Container.Binds}, {"volumes", p.Container.Volumes}} {
		d.each(list.mounts, at+"."+list.key, func(s string) string {
			if m, ok := parseMount(s); ok && m.options != "" && m.options != "ro" && m.options != "rw" {
				return fmt.Sprintf("%q: a service of a Swarm knows the options ro and rw only: remove the others", s)
			}
			return ""
		})
	}
	for _, target := range slices.Sorted(maps.Keys(p.Container.Tmpfs)) {
		path := join(at+".tmpfs", target)
		if fault := tmpfsFault(p.Container.Tmpfs[target]); fault != "" && d.ok(path) {
			d.report(path, "%s", fault)
		}
	}
}

func validatePlacement(d *decoder, p Placement, at string) {
	d.each(p.Constraints, at+".constraints", func(s string) string {
		key, value, ok := strings.Cut(strings.Replace(s, "!=", "==", 1), "==")
		if !ok || strings.TrimSpace(value) == "" || !strings.HasPrefix(key, "node.") && !strings.HasPrefix(key, "engine.labels.") {
			return fmt.Sprintf("%q: write node.labels.NAME==VALUE, or != in place of ==", s)
		}
		return ""
	})
	d.each(p.Spread, at+".spread", func(s string) string {
		if !strings.HasPrefix(s, "node.labels.") && !strings.HasPrefix(s, "engine.labels.") {
			return fmt.Sprintf("%q: write node.labels.NAME", s)
		}
		return ""
	})
	d.each(p.Platforms, at+".platforms", func(s string) string {
		if system, architecture, ok := strings.Cut(s, "/"); !ok || system == "" || architecture == "" || strings.Contains(architecture, "/") {
			return fmt.Sprintf("%q: write OS/ARCHITECTURE, like linux/amd64", s)
		}
		return ""
	})
	kinds := map[string]bool{}
	d.each(p.GenericResources, at+".generic_resources", func(s string) string {
		kind, _, ok := parseGeneric(s)
		switch {
		case !ok:
			return fmt.Sprintf("%q: write KIND=COUNT, like gpu=1", s)
		case kinds[kind]:
			return fmt.Sprintf("%q: there is a count of %s already: remove one of them", s, kind)
		}
		kinds[kind] = true
		return ""
	})
}

// fault is a key whose value cannot be.
type fault struct{ key, fault string }

// notInSwarm lists the keys of a container that no service of a Swarm can have.
func notInSwarm(c Container) []fault {
	_, uidErr := strconv.Atoi(strings.ReplaceAll(c.User, ":", ""))
	var faults []fault
	for _, f := range []struct {
		set bool
		fault
	}{
		{c.Privileged, fault{"privileged", "a service of a Swarm cannot be privileged: remove it, or use engine: docker"}},
		{c.DockerAccess == DockerDind, fault{"docker_access", "dind needs a privileged container, which a service of a Swarm cannot be: use socket or none, or engine: docker"}},
		{c.User != "" && uidErr != nil, fault{"user", "the names in an image on another node are not known: write UID:GID in numbers"}},
		{len(c.SecurityOpt) > 0, fault{"security_opt", "a service of a Swarm has no security options: remove it, or use engine: docker"}},
		{c.Runtime != "", fault{"runtime", "a service of a Swarm cannot choose its runtime: make it the default one of the nodes' engines, or use engine: docker"}},
		{len(c.Devices) > 0, fault{"devices", "a service of a Swarm has no devices: use swarm.generic_resources for GPUs, or engine: docker"}},
		{c.GPUs != "", fault{"gpus", "a service of a Swarm has no such option: have the engines advertise them and use swarm.generic_resources, like gpu=1"}},
		{c.MemorySwap != 0, fault{"memory_swap", "a service of a Swarm cannot limit its swap: remove it"}},
		{c.Pids < 0, fault{"pids", "a service of a Swarm has no such limit if none is set: remove it"}},
		{c.ShmSize != 0, fault{"shm_size", "a service of a Swarm cannot size it: set tmpfs: {/dev/shm: size=256m}"}},
	} {
		if f.set {
			faults = append(faults, f.fault)
		}
	}
	return faults
}

// tmpfsFault says which mount option a service does not know.
func tmpfsFault(options string) string {
	for option := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "":
		case "size":
			if _, err := units.RAMInBytes(value); err != nil {
				return fmt.Sprintf("size %q: write one like size=1g", value)
			}
		case "mode":
			if _, err := strconv.ParseUint(value, 8, 12); err != nil {
				return fmt.Sprintf("mode %q: write one like mode=1777", value)
			}
		default:
			return fmt.Sprintf("%q: a service of a Swarm knows the options size and mode only: remove it", option)
		}
	}
	return ""
}

// swarmWarnings are about what has no effect, or less than it seems to.
func (c *Config) swarmWarnings() []string {
	var warnings []string
	for _, p := range c.Pools {
		placed := !unset(reflect.ValueOf(p.Container.Swarm))
		switch {
		case c.Engine != EngineSwarm && placed:
			warnings = append(warnings, fmt.Sprintf("pool %s: container.swarm has no effect without engine: swarm", p.Name))
		case c.Engine == EngineSwarm && p.Container.DockerAccess == DockerSocket:
			warnings = append(warnings, fmt.Sprintf("pool %s: what the jobs of a killed runner leave on another node of the Swarm cannot be cleared away: docker_access socket is for engine: docker", p.Name))
		}
	}
	return warnings
}
