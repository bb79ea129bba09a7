package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/docker/go-units"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/plan"
)

// Space that the engine's file system should have, in bytes: images and what
// jobs write are there.
const (
	engineLeast = 1 << 30
	engineGood  = 5 << 30
)

func (e *exam) engineCheck() doctor.Check {
	return doctor.Check{ID: "docker", Group: groupDocker, Subject: "Docker engine", Timeout: longCheck, Run: e.checkEngine}
}

// checkEngine asks the engine about itself.
func (e *exam) checkEngine(ctx context.Context, r *doctor.Report) {
	if e.engine == nil {
		r.Fail("Docker engine", "its address cannot be used", "correct docker.host or DOCKER_HOST")
		return
	}
	f, err := e.engine.Facts(ctx)
	if err != nil {
		r.Fail("Docker engine", err.Error(), "start it: systemctl start docker; install it: apt install docker.io; or write its address into docker.host")
		return
	}
	e.facts = f
	if e.onSwarm() {
		if err := e.engine.IsManager(ctx); err != nil {
			r.Fail("Swarm", err.Error(), "run docker swarm init, write a manager's address into docker.host, or set engine: docker")
		} else {
			r.OK("Swarm", "this engine is a manager of it")
		}
	}
	r.OK("Docker engine", "version %s, API %s, at %s, on %s", f.Version, f.API, f.Address, f.System)
	if path, isSocket := strings.CutPrefix(f.Address, "unix://"); isSocket && e.user != nil {
		if err := e.user.reach(path, mayRead|mayWrite); err != nil {
			r.Fail(path, err.Error(), fmt.Sprintf("run usermod -aG docker %s, and restart the daemon", e.user.name))
		}
	}
	if f.OS != "linux" {
		r.Fail("containers", "they are those of "+f.OS, "use an engine that runs Linux containers")
		return
	}
	tellClock(r, "clock of Docker's host", f.Clock, f.Asked, "on whichever is wrong, run timedatectl set-ntp true")
	if !e.onSwarm() {
		e.tellLimits(r, f) // another node may have other ones
	}
	switch {
	case f.Storage == "vfs":
		r.Warn("storage driver", "vfs copies the whole image for each container", "use overlay2: see \"storage-driver\" in Docker's daemon.json")
	default:
		r.OK("storage driver", "%s", f.Storage)
	}
	switch _, err := os.Stat(f.Root); {
	case f.Root == "" || !f.Local() || err != nil:
		r.Skip("Docker's data", "%s is not to be seen from here", orDash(f.Root))
	default:
		checkSpace(r, f.Root, engineLeast, engineGood, "data-root of Docker's daemon.json")
	}
}

// onSwarm reports whether other machines run the containers.
func (e *exam) onSwarm() bool { return e.cfg != nil && e.cfg.Engine == config.EngineSwarm }

// tellLimits says which of the limits that pools set the engine cannot keep.
func (e *exam) tellLimits(r *doctor.Report, f docker.Facts) {
	lacks := map[string][]string{}
	for _, p := range pools(e.cfg) {
		c := p.Container
		for _, l := range []struct {
			key       string
			set, kept bool
		}{{"memory", c.Memory > 0, f.MemoryLimit}, {"memory_swap", c.MemorySwap > 0, f.SwapLimit}, {"cpus", c.CPUs > 0, f.CPULimit}, {"pids", c.Pids > 0, f.PidsLimit}} {
			if l.set && !l.kept {
				lacks[l.key] = append(lacks[l.key], p.Name)
			}
		}
		if c.Privileged && (f.Rootless || f.Remapped) {
			r.Warn("privileged containers", fmt.Sprintf("pool %s has them, and this engine gives them no rights on the host, which not every image is content with", p.Name),
				"use an engine that runs as root without userns-remap for this pool, or docker_access: none")
		}
	}
	cgroups := "cgroups version " + orDash(f.Cgroups)
	if len(lacks) == 0 {
		r.OK("limits", "%s; what the pools limit can be limited", cgroups)
	}
	for _, key := range slices.Sorted(maps.Keys(lacks)) {
		r.Fail("limits", fmt.Sprintf("container.%s of pool %s is not kept: this kernel or engine cannot limit it (%s)", key, strings.Join(lacks[key], ", "), cgroups),
			"boot the kernel with cgroup_enable=memory swapaccount=1; a rootless engine needs cgroups version 2 with systemd; or take the limit away")
	}
}

// pools are those of a configuration, none if there is none.
func pools(cfg *config.Config) []config.Pool {
	if cfg == nil {
		return nil
	}
	return cfg.Pools
}

// poolChecks look at what each pool's runners are made from.
func (e *exam) poolChecks() []doctor.Check {
	var list []doctor.Check
	for _, p := range e.cfg.Pools {
		list = append(list, doctor.Check{ID: "image." + p.Name, Group: groupDocker, Subject: "image of pool " + p.Name, Needs: []string{"docker"}, Timeout: longCheck,
			Run: func(ctx context.Context, r *doctor.Report) { e.checkImage(ctx, r, p) }})
	}
	return append(list, doctor.Check{ID: "networks", Group: groupDocker, Subject: "networks", Needs: []string{"docker"}, Timeout: longCheck, Run: e.checkNetworks})
}

// checkImage says whether a pool's image is there, or could be pulled.
func (e *exam) checkImage(ctx context.Context, r *doctor.Report, p config.Pool) {
	subject := "image of pool " + p.Name
	host := e.facts.OS + "/" + e.facts.Arch
	image, err := e.engine.LookUp(ctx, imagePool(p.Name))
	switch {
	case err == nil && image.OS+"/"+image.Arch != host && image.Arch != "":
		r.Fail(subject, fmt.Sprintf("%s is for %s/%s, and the engine runs %s", p.Image, image.OS, image.Arch, host), "docker pull --platform "+host+" "+p.Image+", or name another image")
		return
	case err == nil:
		r.OK(subject, "%s is there, %s, for %s", p.Image, units.HumanSize(float64(image.Size)), host)
	case !errors.Is(err, plan.ErrNotFound):
		r.Fail(subject, err.Error(), "see what docker image inspect "+p.Image+" says")
		return
	case p.Container.Pull == config.PullNever && e.onSwarm():
		r.Warn(subject, p.Image+" is not on this node, and container.pull is never", "see that each node that may run the pool has it")
		return
	case p.Container.Pull == config.PullNever:
		r.Fail(subject, "the engine has no "+p.Image+", and container.pull is never", "run docker pull "+p.Image+" or docker load, or set container.pull: missing")
		return
	}
	if err == nil && p.Container.Pull != config.PullAlways {
		return
	}
	offered, err := e.engine.Offered(ctx, imagePool(p.Name))
	switch {
	case err != nil:
		r.Fail(subject, err.Error(), "docker pull "+p.Image+" on the engine's host shows the same; correct the name, log in by container.registry_auth, or open the way to the registry")
	case len(offered) > 0 && !slices.Contains(offered, host):
		r.Fail(subject, fmt.Sprintf("the registry has %s for %s, and not for %s", p.Image, strings.Join(offered, ", "), host), "name another image")
	default:
		r.OK(subject, "the registry has %s", p.Image)
	}
}

// checkNetworks looks for the networks that the pools name.
func (e *exam) checkNetworks(ctx context.Context, r *doctor.Report) {
	err := e.engine.CheckNetworks(ctx)
	if err == nil {
		r.OK("networks", "all that the pools name are there")
		return
	}
	faults := eachUnprepared(err)
	for _, u := range faults {
		pool, isImage := strings.CutPrefix(u.Pool, imagePrefix)
		if !isImage {
			continue // the same network again
		}
		r.Fail("network of pool "+pool, u.Err.Error(), "run docker network create, or correct container.network")
	}
	if len(faults) == 0 {
		r.Fail("networks", err.Error(), "repeat this once the engine answers")
	}
}
