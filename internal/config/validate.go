package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/distribution/reference"
)

// validate checks what the values mean together and finishes the values that
// depend on it. What could not be decoded is left out, so that one fault
// gives one problem.
func validate(d *decoder, c *Config) {
	validateServers(d, c)
	for _, s := range d.secrets {
		if err := s.ref.check(); err != nil {
			d.report(s.path, "%s", err)
		}
	}
	validateTokens(d, c.RegistrationTokens)
	validatePools(d, c)
	validateListeners(d, c)
	validateNotifications(d, c)
	validateDaemon(d, c)
	validatePressure(d, c.Limits.Pressure)
	validatePeers(d, c)
}

func validateGitea(d *decoder, g Gitea, path string) {
	path += ".tls.ca_file"
	if g.TLS.CAFile == "" || !d.ok(path) {
		return
	}
	pem, err := os.ReadFile(g.TLS.CAFile)
	switch {
	case err != nil:
		d.report(path, "%s: put it there and let the daemon's user read it", err)
	case !x509.NewCertPool().AppendCertsFromPEM(pem):
		d.report(path, "%s holds no certificate: expected one or more in PEM form (BEGIN CERTIFICATE)", g.TLS.CAFile)
	}
}

// parseURL reads a base URL. Its errors do not repeat the URL, which may hold
// a password.
func parseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		var parseErr *url.Error
		if errors.As(err, &parseErr) {
			err = parseErr.Err
		}
		return "", fmt.Errorf("it is no URL (%w): write http://HOST or https://HOST", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("the URL must begin with http:// or https://, like https://git.example.com")
	case u.Hostname() == "":
		return "", errors.New("the URL has no host: write http://HOST or https://HOST")
	case u.User != nil:
		return "", errors.New("the URL has a user name or password in it: remove it; the API token is set in api_token")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("the URL has a query (?) or fragment (#): remove it")
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/api/v1"):
		return "", errors.New("the URL must be the server's base URL: remove /api/v1")
	}
	return strings.TrimRight(s, "/"), nil
}

func validateTokens(d *decoder, tokens []RegistrationToken) {
	names := map[string]string{}
	for i, t := range tokens {
		path := fmt.Sprintf("registration_tokens[%d]", i)
		d.unique(names, t.Name, path+".name")
		if !d.ok(path, path+".token", path+".mint") {
			continue
		}
		switch {
		case t.Token != nil && t.Mint:
			d.report(path+".mint", "token and mint exclude each other: remove one of them")
		case t.Token == nil && !t.Mint:
			d.report(path, "it has no token: add token: {file: PATH}, or mint: true to ask the server for one")
		}
	}
}

// unique reports a name that an earlier path has already.
func (d *decoder) unique(seen map[string]string, name, path string) {
	if name == "" || !d.ok(path) {
		return
	}
	if first, ok := seen[name]; ok {
		d.report(path, "%q is taken by %s in line %d: choose another name", name, first, d.line(first))
		return
	}
	seen[name] = path
}

func validatePools(d *decoder, c *Config) {
	names := map[string]string{}
	tokens, known := tokenNames(d, c.RegistrationTokens)
	for i := range c.Pools {
		p := &c.Pools[i]
		path := fmt.Sprintf("pools[%d]", i)
		d.unique(names, p.Name, path+".name")
		if at := path + ".registration_token"; known && p.RegistrationToken != "" && d.ok(at) {
			d.knownToken(at, p.RegistrationToken, tokens)
		}
		validateCounts(d, *p, path)
		validateCeilings(d, *p, path)
		validateSchedule(d, *p, path)
		validateAuto(d, *p, path)
		validateRenewal(d, *p, path)
		validateLabels(d, *p, path)
		validateContainer(d, p.Container, path+".container")
		validateSwarm(d, c, *p, path+".container")
		p.RunnerConfig = renderRunnerConfig(d, *p, path+".runner_config")
	}
	validateLimits(d, c)
}

// tokenNames returns the names of the registration tokens; known is false if
// some could not be read.
func tokenNames(d *decoder, tokens []RegistrationToken) (names []string, known bool) {
	known = d.ok("registration_tokens")
	for i, t := range tokens {
		path := fmt.Sprintf("registration_tokens[%d]", i)
		names = append(names, t.Name)
		known = known && d.ok(path) && (t.Name != "" || d.ok(path+".name"))
	}
	return names, known
}

func (d *decoder) knownToken(path, name string, tokens []string) {
	for _, t := range tokens {
		if t == name {
			return
		}
	}
	if near, ok := nearest(name, tokens); ok {
		d.report(path, "there is no registration token %q; did you mean %q?", name, near)
		return
	}
	d.report(path, "there is no registration token %q: add it to registration_tokens, or use one of %s", name, strings.Join(tokens, ", "))
}

func validateCounts(d *decoder, p Pool, path string) {
	if !d.ok(path, path+".max") {
		return
	}
	if d.ok(path+".min") && p.Min > p.Max {
		d.report(path+".min", "min %d is more than max %d: lower min or raise max", p.Min, p.Max)
	}
	if at := path + ".standby"; d.ok(at, path+".registration") && p.Standby > 0 {
		switch {
		case p.Registration == RegisterByContainer:
			d.report(at, "a container that registers itself cannot be made ahead: remove standby, or registration: container")
		case p.Standby > p.Max:
			d.report(at, "standby %d is more than max %d: lower standby or raise max", p.Standby, p.Max)
		}
	}
	if d.ok(path+".idle") && p.Idle.Count > p.Max {
		d.report(path+".idle", "idle %d is more than max %d: lower idle or raise max", p.Idle.Count, p.Max)
	}
}

// validateCeilings reports a ceiling that another one makes pointless.
func validateCeilings(d *decoder, p Pool, path string) {
	if at := path + ".max_per_repo"; p.MaxPerOwner > 0 && p.MaxPerRepo > p.MaxPerOwner && d.ok(path, at, path+".max_per_owner") {
		d.report(at, "max_per_repo %d is more than max_per_owner %d: lower it, or raise max_per_owner", p.MaxPerRepo, p.MaxPerOwner)
	}
}

func validateLabels(d *decoder, p Pool, path string) {
	names := map[string]string{}
	for i, label := range p.Labels {
		at := fmt.Sprintf("%s.labels[%d]", path, i)
		if !d.ok(at) {
			continue
		}
		d.unique(names, label.Name, at)
		if label.Schema != "docker" {
			continue
		}
		if _, err := reference.ParseNormalizedNamed(strings.TrimPrefix(label.Args, "//")); err != nil {
			d.report(at, "label %q: the image is wrong (%s): write %s:docker://[REGISTRY/]NAME[:TAG]", label, err, label.Name)
		}
	}
}

func validateLimits(d *decoder, c *Config) {
	d.validateBound("limits", c.Limits, c.Pools, func(Pool) bool { return true })
	for i, s := range c.Servers {
		bound := Limits{Runners: s.Limits.Runners, CPUs: s.Limits.CPUs, Memory: s.Limits.Memory}
		d.validateBound(fmt.Sprintf("servers[%d].limits", i), bound, c.Pools, func(p Pool) bool { return p.Server == s.Name })
	}
}

// validateBound checks pools that have to fit into the limits at a path.
func (d *decoder) validateBound(path string, l Limits, pools []Pool, bound func(Pool) bool) {
	d.validateCosts(path, l, pools, bound)
	total := 0
	for i, p := range pools {
		if !d.ok(fmt.Sprintf("pools[%d].min", i)) {
			return
		}
		if bound(p) {
			total += p.Min
		}
	}
	if at := path + ".runners"; d.ok(path, at) && l.Runners > 0 && total > l.Runners {
		d.report(at, "the pools' min add up to %d, more than %d: raise this limit or lower min", total, l.Runners)
	}
}

// maxSocketPath is what fits into sun_path of unix(7), with its NUL.
const maxSocketPath = 107

// minRefresh keeps the daemon from asking registries all the time.
const minRefresh = time.Minute

func validateDaemon(d *decoder, c *Config) {
	if len(c.ControlSocket) > maxSocketPath {
		d.report("control_socket", "the path has %d bytes: a Unix socket takes %d at most", len(c.ControlSocket), maxSocketPath)
	}
	validateEngine(d, c.Docker)
	if every := c.Docker.Refresh; every > 0 && every < minRefresh && d.ok("docker.refresh") {
		d.report("docker.refresh", "%s is too often for a registry: write at least 1m, or 0 for no refresh", every)
	}
}
