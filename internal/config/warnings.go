package config

import (
	"fmt"
	"slices"
	"strings"
)

// Warnings returns what is allowed but most likely not meant, one sentence
// each, for the log and for validation by hand.
func (c *Config) Warnings() []string {
	var warnings []string
	for _, p := range c.Pools {
		for _, label := range p.Labels {
			if label.Schema == "docker" && !p.reachesDocker() {
				warnings = append(warnings, fmt.Sprintf(
					"pool %s: label %s runs jobs in Docker containers, but its runners reach no Docker and will not start: set container.docker_access, or use %s:host",
					p.Name, label, label.Name))
				break
			}
		}
		if level := p.RunnerConfig.LogLevel(); slices.Contains([]string{"warn", "warning", "error", "fatal", "panic"}, level) {
			warnings = append(warnings, fmt.Sprintf(
				"pool %s: runner_config has log.level %s, which hides what tells of the runners' jobs at a server that does not (Gitea before 1.25, Forgejo): "+
					"there they all count as busy: use info", p.Name, level))
		}
		if p.Container.DockerAccess == DockerSocket {
			warnings = append(warnings, fmt.Sprintf(
				"pool %s: docker_access socket makes its jobs master of this host: use it only for repositories that you trust", p.Name))
		}
	}
	for path, g := range c.servers() {
		if g.TLS.InsecureSkipVerify {
			warnings = append(warnings, path+".tls.insecure_skip_verify: the server's certificate is not checked: set "+path+".tls.ca_file instead")
		}
	}
	for i, s := range c.Servers {
		for _, other := range c.Servers[:i] {
			if s.URL == other.URL {
				warnings = append(warnings, fmt.Sprintf("servers %s and %s have the same url: where their scopes overlap, both start runners for each job", other.Name, s.Name))
			}
		}
	}
	return slices.Concat(warnings, c.budgetWarnings(), c.pressureWarnings(), c.swarmWarnings(), c.notificationWarnings())
}

// reachesDocker reports whether the pool's runners may have an engine to talk
// to, by docker_access or by a way that the user has laid.
func (p Pool) reachesDocker() bool {
	c := p.Container
	if c.DockerAccess != DockerNone || c.Privileged || c.Env["DOCKER_HOST"] != "" {
		return true
	}
	for _, bind := range c.Binds {
		if strings.Contains(bind, "docker.sock") {
			return true
		}
	}
	return strings.Contains(string(p.RunnerConfig), "docker_host:")
}
