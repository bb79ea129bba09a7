package config

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// minMemory is the least that Docker gives a container.
const minMemory = 6 << 20

// ownLabels is the prefix of the container labels that belong to the daemon.
const ownLabels = "io.scaler."

// reservedEnv has the variables that a pool may not set, with the reason.
func reservedEnv(name string) (reason string, reserved bool) {
	switch name {
	case "GITEA_RUNNER_REGISTRATION_TOKEN", "GITEA_RUNNER_REGISTRATION_TOKEN_FILE":
		return "the daemon registers the runner, and the token must not be readable in the container: remove it and set registration_tokens", true
	case "CONFIG_FILE":
		return "the daemon sets it: remove it and set runner_config", true
	case "RUNNER_STATE_FILE":
		return "the daemon puts .runner into data_dir: remove it", true
	}
	return "", false
}

func validateContainer(d *decoder, c Container, at string) {
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if reason, reserved := reservedEnv(name); reserved {
			d.report(join(at+".env", name), "%s", reason)
		} else if name == "" || strings.ContainsAny(name, "=\x00") {
			d.report(join(at+".env", name), "%q cannot be the name of a variable: use letters, digits and underscores", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		if strings.HasPrefix(name, ownLabels) {
			d.report(join(at+".labels", name), "labels that begin with %s belong to the daemon: use another name", ownLabels)
		}
	}
	validateNetwork(d, c, at)
	validateMounts(d, c, at)
	validateDevices(d, c, at)
	validateResources(d, c, at)
}

// each calls check for each element of a list and reports what it returns.
func (d *decoder) each(list []string, at string, check func(string) string) {
	for i, s := range list {
		path := fmt.Sprintf("%s[%d]", at, i)
		if !d.ok(path) {
			continue
		}
		if fault := check(s); fault != "" {
			d.report(path, "%s", fault)
		}
	}
}

func validateNetwork(d *decoder, c Container, at string) {
	d.each(c.DNS, at+".dns", func(s string) string {
		if _, err := netip.ParseAddr(s); err != nil {
			return fmt.Sprintf("%q is not an IP address: write one like 10.0.0.53", s)
		}
		return ""
	})
	d.each(c.ExtraHosts, at+".extra_hosts", func(s string) string {
		host, ip, _ := strings.Cut(s, ":")
		_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(ip, "["), "]"))
		if host == "" || err != nil && ip != "host-gateway" {
			return fmt.Sprintf("%q: write HOST:IP, like git.example.com:10.0.0.5, or HOST:host-gateway", s)
		}
		return ""
	})
	for _, list := range []struct {
		name   string
		values []string
	}{{"cap_add", c.CapAdd}, {"cap_drop", c.CapDrop}} {
		d.each(list.values, at+"."+list.name, func(s string) string {
			if !capability.MatchString(s) {
				return fmt.Sprintf("%q is not a capability: write one like NET_ADMIN, or ALL", s)
			}
			return ""
		})
	}
	d.each(c.SecurityOpt, at+".security_opt", func(s string) string {
		if name, _, ok := strings.Cut(strings.Replace(s, ":", "=", 1), "="); s != "no-new-privileges" && (!ok || name == "") {
			return fmt.Sprintf("%q: write NAME=VALUE, like seccomp=unconfined, or no-new-privileges", s)
		}
		return ""
	})
}

var (
	capability = regexp.MustCompile(`^[A-Za-z][A-Za-z_]*$`)
	volumeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]+$`)
)

func validateDevices(d *decoder, c Container, at string) {
	d.each(c.Devices, at+".devices", func(s string) string {
		if !validDevice(s) {
			return fmt.Sprintf("%q: write /dev/X, /dev/X:/dev/Y or /dev/X:/dev/Y:rwm", s)
		}
		return ""
	})
	gpus := at + ".gpus"
	if c.GPUs == "" || !d.ok(gpus) {
		return
	}
	count, err := strconv.Atoi(c.GPUs)
	ids, byID := strings.CutPrefix(c.GPUs, "device=")
	if c.GPUs != "all" && (err != nil || count < 1) && (!byID || ids == "") {
		d.report(gpus, `%q: write all, a count, or "device=0,1"`, c.GPUs)
	}
}

// validDevice accepts what docker run --device does: paths with permissions,
// and CDI names such as nvidia.com/gpu=all.
func validDevice(s string) bool {
	if !path.IsAbs(s) {
		vendor, device, ok := strings.Cut(s, "=")
		return ok && strings.Contains(vendor, "/") && device != ""
	}
	rest := strings.Split(s, ":")[1:]
	if len(rest) > 0 && path.IsAbs(rest[0]) {
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0] != "" && strings.Trim(rest[0], "rwm") == "" {
		rest = rest[1:]
	}
	return len(rest) == 0
}

func validateResources(d *decoder, c Container, at string) {
	if c.Memory > 0 && c.Memory < minMemory && d.ok(at+".memory") {
		d.report(at+".memory", "%d bytes is too little: Docker needs at least 6m", c.Memory)
	}
	if d.ok(at+".memory", at+".memory_swap") {
		switch {
		case c.MemorySwap != 0 && c.Memory == 0:
			d.report(at+".memory_swap", "it needs memory: set memory too, or remove memory_swap")
		case c.MemorySwap > 0 && c.MemorySwap < c.Memory:
			d.report(at+".memory_swap", "it is memory and swap together, so it must be at least memory: raise it, or remove it")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Ulimits)) {
		path := join(at+".ulimits", name)
		if !d.ok(path) {
			continue
		}
		if _, err := units.ParseUlimit(name + "=" + c.Ulimits[name]); err != nil {
			d.report(path, `%s: write NAME: SOFT or NAME: "SOFT:HARD", like nofile: "65536:65536"`, err)
		}
	}
}
