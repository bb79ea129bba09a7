package docker

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-units"
)

// The parsers of this file read what the docker command line reads, so that a
// line which works with docker run works here.

func parseUlimits(in []string) ([]*units.Ulimit, error) {
	var out []*units.Ulimit
	var faults []error
	for _, s := range in {
		u, err := units.ParseUlimit(s)
		if err != nil {
			faults = append(faults, fmt.Errorf("ulimit %q: write NAME=SOFT[:HARD]: %w", s, err))
			continue
		}
		out = append(out, u)
	}
	return out, errors.Join(faults...)
}

// parseDevices reads device nodes, and CDI names such as
// "nvidia.com/gpu=all", which need Engine 25 or newer with CDI enabled.
func parseDevices(in []string) ([]container.DeviceMapping, []container.DeviceRequest, error) {
	var nodes []container.DeviceMapping
	var cdi []string
	var faults []error
	for _, s := range in {
		if !path.IsAbs(s) && strings.Contains(s, "/") && strings.Contains(s, "=") {
			cdi = append(cdi, s)
			continue
		}
		node, ok := parseDevice(s)
		if !ok {
			faults = append(faults, fmt.Errorf("device %q: write /dev/NAME[:/dev/NAME[:rwm]]", s))
			continue
		}
		nodes = append(nodes, node)
	}
	var requests []container.DeviceRequest
	if len(cdi) > 0 {
		requests = []container.DeviceRequest{{Driver: "cdi", DeviceIDs: cdi}}
	}
	return nodes, requests, errors.Join(faults...)
}

// parseDevice reads "/host", "/host:/container", "/host:rwm" and
// "/host:/container:rwm".
func parseDevice(s string) (container.DeviceMapping, bool) {
	parts := strings.Split(s, ":")
	d := container.DeviceMapping{PathOnHost: parts[0], PathInContainer: parts[0], CgroupPermissions: "rwm"}
	rest := parts[1:]
	if len(rest) > 0 && path.IsAbs(rest[0]) {
		d.PathInContainer, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		d.CgroupPermissions, rest = rest[0], rest[1:]
	}
	perms := d.CgroupPermissions
	ok := path.IsAbs(d.PathOnHost) && len(rest) == 0 && perms != "" && strings.Trim(perms, "rwm") == ""
	return d, ok
}

// parseGPUs makes the request that docker run --gpus makes. "device=" may be
// followed by indices or UUIDs.
func parseGPUs(s string) ([]container.DeviceRequest, error) {
	if s == "" {
		return nil, nil
	}
	request := container.DeviceRequest{Capabilities: [][]string{{"gpu"}}}
	count, err := strconv.Atoi(s)
	ids, isDevices := strings.CutPrefix(s, "device=")
	switch {
	case s == "all":
		request.Count = -1
	case err == nil && count > 0:
		request.Count = count
	case isDevices && ids != "":
		request.DeviceIDs = strings.Split(ids, ",")
	default:
		return nil, fmt.Errorf(`gpus %q: write all, a count, or device=ID[,ID]`, s)
	}
	return []container.DeviceRequest{request}, nil
}

// security is a list of security options as the engine takes it, with
// systempaths=unconfined, which is an option of the command line only, apart.
type security struct {
	opts            []string
	unconfinedPaths bool
}

func parseSecurity(in []string) (security, error) {
	var s security
	var faults []error
	for _, opt := range in {
		name, value, hasValue := strings.Cut(opt, "=")
		switch {
		case name == "systempaths" && value == "unconfined":
			s.unconfinedPaths = true
		case name == "systempaths":
			faults = append(faults, fmt.Errorf("security option %q: write systempaths=unconfined", opt))
		case !hasValue && name != "no-new-privileges" && !strings.Contains(name, ":"):
			faults = append(faults, fmt.Errorf("security option %q: write NAME=VALUE", opt))
		default:
			s.opts = append(s.opts, opt)
		}
	}
	return s, errors.Join(faults...)
}

// loadSeccomp replaces the file name of a seccomp profile with its content,
// which is what the engine takes.
func loadSeccomp(opts []string) error {
	for i, opt := range opts {
		file, isSeccomp := strings.CutPrefix(opt, "seccomp=")
		if !isSeccomp || file == "unconfined" || file == "builtin" || strings.HasPrefix(file, "{") {
			continue
		}
		profile, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read seccomp profile: %w", err)
		}
		opts[i] = "seccomp=" + string(profile)
	}
	return nil
}
