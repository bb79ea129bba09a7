package config

import (
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
)

// Server is one of several servers.
type Server struct {
	Name string `yaml:"name" required:"true" pattern:"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$" rule:"lower-case letters and digits, with dashes between them, 32 characters at most" example:"acme" doc:"Name of the server, by which pools and registration_tokens refer to it. The daemon keeps its records of the server's runners under it: with another name it is another server."`
	Gitea
	Limits  ServerLimits   `yaml:"limits" doc:"Limits over the pools of this server, beside those over all pools."`
	Webhook *ServerWebhook `yaml:"webhook" doc:"What differs for this server from the section webhook."`
}

// ServerLimits bounds the pools of one server.
type ServerLimits struct {
	Runners       int     `yaml:"runners" default:"0" min:"0" doc:"Runners of its pools together at most; 0 is no limit but that over all pools."`
	CPUs          float64 `yaml:"cpus" default:"0" min:"0" max:"1000000" example:"16" doc:"CPUs of its runners together at most, as their pools' container.cpus say; 0 is no limit but that over all pools."`
	Memory        int64   `yaml:"memory" default:"0" format:"size" min:"0" example:"32g" doc:"Memory of its runners together at most, as their pools' container.memory say; 0 is no limit but that over all pools."`
	Registrations int     `yaml:"registrations" default:"0" min:"0" doc:"Runners registered per minute at most at this server; 0 is as many as limits.registrations."`
}

// ServerWebhook is what differs for one server from the section webhook.
type ServerWebhook struct {
	Path   string     `yaml:"path" default:"" pattern:"^(/[A-Za-z0-9/_.-]*)?$" rule:"a path that begins with a slash" example:"/webhook/acme" doc:"Path of the URL that its events are sent to. Default: webhook.path, a slash and the server's name."`
	Secret *SecretRef `yaml:"secret" doc:"What its events are signed with, 16 characters or more. Default: webhook.secret."`
}

// ServerNames are the names of the servers in the order of the file. The one
// server of gitea has none: it is called "".
func (c *Config) ServerNames() []string {
	if c.Gitea != nil {
		return []string{""}
	}
	names := make([]string, 0, len(c.Servers))
	for _, s := range c.Servers {
		names = append(names, s.Name)
	}
	return names
}

// ForServer is the configuration for one of ServerNames alone: as if that server
// were gitea, with what belongs to it and without the other servers. What is
// bounded over all servers together is not bounded in it: see Limits of c. It
// shares its parts with c.
func (c *Config) ForServer(name string) *Config {
	if c.Gitea != nil {
		return c
	}
	i := slices.IndexFunc(c.Servers, func(s Server) bool { return s.Name == name })
	s := &c.Servers[i]
	view := *c
	view.Gitea, view.Servers = &s.Gitea, nil
	view.Pools = slices.DeleteFunc(slices.Clone(c.Pools), func(p Pool) bool { return p.Server != name })
	view.RegistrationTokens = slices.DeleteFunc(slices.Clone(c.RegistrationTokens), func(t RegistrationToken) bool { return t.Server != name })
	if c.Gateway != nil && c.Gateway.Server != name {
		view.Gateway = nil
	}
	view.Limits.Runners, view.Limits.CPUs, view.Limits.Memory, view.Limits.Reserve = s.Limits.Runners, s.Limits.CPUs, s.Limits.Memory, Reserve{}
	if s.Limits.Registrations > 0 {
		view.Limits.Registrations = s.Limits.Registrations
	}
	if c.Webhook != nil {
		w := *c.Webhook
		w.Path = hookPath(c.Webhook, s)
		if s.Webhook != nil && s.Webhook.Secret != nil {
			w.Secret = *s.Webhook.Secret
		}
		view.Webhook = &w
	}
	return &view
}

// hookPath is where the events of one of several servers are sent to.
func hookPath(w *Webhook, s *Server) string {
	if s.Webhook != nil && s.Webhook.Path != "" {
		return s.Webhook.Path
	}
	return path.Join(w.Path, s.Name)
}

// servers has the servers by where they stand in the file.
func (c *Config) servers() iter.Seq2[string, *Gitea] {
	return func(yield func(string, *Gitea) bool) {
		if c.Gitea != nil && !yield("gitea", c.Gitea) {
			return
		}
		for i := range c.Servers {
			if !yield(fmt.Sprintf("servers[%d]", i), &c.Servers[i].Gitea) {
				return
			}
		}
	}
}

// validateServers checks that there is one server, or several, and that what
// belongs to one of several says to which.
func validateServers(d *decoder, c *Config) {
	for at, g := range c.servers() {
		validateGitea(d, *g, at)
	}
	_, several := d.lines["servers"]
	switch {
	case c.Gitea != nil && several:
		d.report("servers", "gitea and servers exclude each other: make the server of gitea the first of servers, with a name, and remove gitea")
		return
	case c.Gitea == nil && !several:
		if d.ok("gitea") {
			d.report("gitea", "required: add gitea: a mapping with url, api_token; or servers, where there are several")
		}
		return
	case several && len(c.Servers) == 0 && d.ok("servers"):
		d.report("servers", "it is empty: add a server with name, url, api_token")
		return
	}
	seen := make(map[string]string)
	for i, s := range c.Servers {
		d.unique(seen, s.Name, fmt.Sprintf("servers[%d].name", i))
	}
	validateOwners(d, c, seen)
}

// validateOwners checks the key server of all that has it. seen has the names.
func validateOwners(d *decoder, c *Config, seen map[string]string) {
	names := c.ServerNames()
	known := d.ok("servers") && len(seen) == len(names)
	check := func(at, name string) {
		switch {
		case !d.ok(at) || c.Gitea == nil && !known:
		case c.Gitea != nil && name != "":
			d.report(at, "there is one server only, that of gitea: remove it; or name several under servers")
		case c.Gitea == nil && name == "":
			d.report(at, "required where there are servers: write which of %s it belongs to", strings.Join(names, ", "))
		case c.Gitea == nil && !slices.Contains(names, name):
			if near, ok := nearest(name, names); ok {
				d.report(at, "there is no server %q; did you mean %q?", name, near)
				return
			}
			d.report(at, "there is no server %q: add it to servers, or use one of %s", name, strings.Join(names, ", "))
		}
	}
	for i, t := range c.RegistrationTokens {
		if at := fmt.Sprintf("registration_tokens[%d]", i); d.ok(at) {
			check(at+".server", t.Server)
		}
	}
	for i, p := range c.Pools {
		if at := fmt.Sprintf("pools[%d]", i); d.ok(at) {
			check(at+".server", p.Server)
			if d.ok(at + ".server") {
				validateOwner(d, c, p, at)
			}
		}
	}
	if c.Gateway != nil && d.ok("gateway") {
		check("gateway.server", c.Gateway.Server)
	}
}

// validateOwner checks that what a pool uses is of its server.
func validateOwner(d *decoder, c *Config, p Pool, at string) {
	if at := at + ".registration_token"; d.ok(at) {
		for _, t := range c.RegistrationTokens {
			if t.Name == p.RegistrationToken && t.Server != p.Server && t.Server != "" && p.Server != "" {
				d.report(at, "%s is a registration token of server %s, and the pool is of server %s: use one of its own", t.Name, t.Server, p.Server)
			}
		}
	}
	if at := at + ".registration"; p.Registration == RegisterByContainer && c.Gateway != nil && c.Gateway.Server != p.Server && d.ok(at, "gateway", "gateway.server") {
		d.report(at, "container needs the gateway, which registers runners at server %s, and the pool is of server %s: remove it", c.Gateway.Server, p.Server)
	}
}

// validateServerHooks checks what servers say of their webhooks.
func validateServerHooks(d *decoder, c *Config) {
	taken := make(map[string]string)
	for i := range c.Servers {
		s, at := &c.Servers[i], fmt.Sprintf("servers[%d].webhook", i)
		if s.Webhook != nil && c.Webhook == nil && d.ok("webhook", at) {
			d.report(at, "there is no listener: add the section webhook with listen, public_url, secret")
		}
		if c.Webhook == nil || !d.ok(at, at+".path", "webhook", "webhook.path") {
			continue
		}
		p := hookPath(c.Webhook, s)
		if first, found := taken[p]; found {
			d.report(at+".path", "events of server %s are sent to %s too: choose another path", first, p)
		}
		taken[p] = s.Name
		if s.Webhook != nil && s.Webhook.Secret != nil {
			d.checkSecret(at+".secret", *s.Webhook.Secret)
		}
	}
}
