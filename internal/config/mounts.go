package config

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// mount is one place in the container that something is mounted on.
type mount struct{ source, target, options string }

// parseMount reads "SOURCE:TARGET[:OPTIONS]", or "TARGET" alone.
func parseMount(s string) (m mount, ok bool) {
	parts := strings.Split(s, ":")
	switch len(parts) {
	case 1:
		m.target = parts[0]
	case 2:
		m.source, m.target = parts[0], parts[1]
	case 3:
		m.source, m.target, m.options = parts[0], parts[1], parts[2]
	default:
		return m, false
	}
	ok = path.IsAbs(m.target) && path.Clean(m.target) != "/"
	m.target = path.Clean(m.target)
	for option := range strings.SplitSeq(m.options, ",") {
		ok = ok && (len(parts) < 3 || mountOption(option))
	}
	return m, ok
}

// mountOption reports whether the engine knows the option of a bind mount or
// a volume.
func mountOption(s string) bool {
	switch s {
	case "ro", "rw", "z", "Z", "nocopy", "copy", "consistent", "cached", "delegated",
		"private", "rprivate", "shared", "rshared", "slave", "rslave":
		return true
	}
	return false
}

// mounts collects the mounts of a container to find those that collide.
type mounts struct {
	d       *decoder
	dataDir string
	seen    map[string]string // by target: the path in the file
}

// validateMounts refuses mounts that are malformed, that collide, and that
// share or hide the data directory, where each runner's own files are.
func validateMounts(d *decoder, c Container, at string) {
	m := mounts{d: d, dataDir: c.DataDir, seen: map[string]string{}}
	d.each(c.Binds, at+".binds", func(s string) string {
		bind, ok := parseMount(s)
		if !ok || !path.IsAbs(bind.source) {
			return fmt.Sprintf("%q: write /HOST:/CONTAINER or /HOST:/CONTAINER:ro, with absolute paths", s)
		}
		return m.shared(bind)
	})
	d.each(c.Volumes, at+".volumes", func(s string) string {
		volume, ok := parseMount(s)
		if !ok || strings.Contains(s, ":") && !volumeName.MatchString(volume.source) {
			return fmt.Sprintf("%q: write NAME:/CONTAINER or NAME:/CONTAINER:ro, or /CONTAINER alone; a directory of the host belongs in binds", s)
		}
		if volume.source == "" {
			return ""
		}
		return m.shared(volume)
	})
	m.collide(c, at)
}

// collide checks that no two mounts have the same target.
func (m mounts) collide(c Container, at string) {
	for _, list := range []struct {
		name  string
		items []string
	}{{"binds", c.Binds}, {"volumes", c.Volumes}} {
		for i, s := range list.items {
			where := fmt.Sprintf("%s.%s[%d]", at, list.name, i)
			if mount, ok := parseMount(s); ok && m.d.ok(where) {
				m.add(mount.target, where)
			}
		}
	}
	for _, target := range slices.Sorted(maps.Keys(c.Tmpfs)) {
		where := join(at+".tmpfs", target)
		switch {
		case !path.IsAbs(target) || path.Clean(target) == "/":
			m.d.report(where, "%q: write an absolute path other than /, like /tmp", target)
		case m.covers(path.Clean(target)):
			m.d.report(where, "it would hide the runner's files in data_dir %s: mount it elsewhere", c.DataDir)
		default:
			m.add(path.Clean(target), where)
		}
	}
	if c.DockerAccess == DockerSocket {
		if first, ok := m.seen["/var/run/docker.sock"]; ok {
			m.d.report(first, "docker_access socket mounts /var/run/docker.sock already: remove this mount")
		}
	}
}

// covers reports whether a mount on the target would cover the data directory.
func (m mounts) covers(target string) bool {
	return m.dataDir != "" && (target == m.dataDir || strings.HasPrefix(m.dataDir, target+"/"))
}

func (m mounts) shared(mount mount) string {
	if m.covers(mount.target) {
		return fmt.Sprintf("the runners of a pool cannot share data_dir %s: mount it elsewhere", m.dataDir)
	}
	return ""
}

// add reports a target that is mounted on twice, which the engine refuses.
func (m mounts) add(target, path string) {
	if first, ok := m.seen[target]; ok {
		m.d.report(path, "%s is mounted on by %s already: remove one of them", target, first)
		return
	}
	m.seen[target] = path
}
