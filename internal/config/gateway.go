package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Gateway is the listener that runners register through with the daemon's own
// registration tokens.
type Gateway struct {
	Server           string      `yaml:"server" example:"acme" doc:"With servers: the name of the one that runners are registered at."`
	Listen           string      `yaml:"listen" required:"true" format:"listen" example:":8088" doc:"Address to listen on, as HOST:PORT; without HOST on all addresses."`
	PublicURL        string      `yaml:"public_url" required:"true" format:"url" example:"https://runners.example.com" doc:"Base URL under which runners reach the gateway: their instance address."`
	TLS              *ServerTLS  `yaml:"tls" doc:"Certificate to serve with. Without it the gateway speaks plain HTTP, and then only to loopback and private addresses."`
	AllowPlainHTTP   bool        `yaml:"allow_plain_http" default:"false" doc:"Speak plain HTTP also to public addresses. Whoever sits between then reads all tokens."`
	AllowGiteaTokens bool        `yaml:"allow_gitea_tokens" default:"false" doc:"Let registrations with a token of Gitea itself pass through."`
	PassThrough      PassThrough `yaml:"pass_through" default:"runners" enum:"runners all" doc:"What is passed on to Gitea beside registrations: runners is what runners and their jobs need under the instance address (protocol, artifacts, API, Git); all is everything, as a reverse proxy does."`
	TrustedProxies   []string    `yaml:"trusted_proxies" default:"[]" format:"network" example:"[10.0.0.0/8]" doc:"Networks of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."`
	PerToken         int         `yaml:"registrations_per_token" default:"60" min:"1" doc:"Runners registered with one token per minute at most."`
}

// PassThrough says which paths the gateway passes on.
type PassThrough string

// The ways to pass through.
const (
	PassRunners PassThrough = "runners"
	PassAll     PassThrough = "all"
)

// ServerTLS is a certificate to serve with. The files are read again when they
// change.
type ServerTLS struct {
	CertFile string `yaml:"cert_file" required:"true" format:"file" example:"/etc/scaler/tls.crt" doc:"PEM file of the certificate, with those between it and the authority. A relative path starts at the directory of this file."`
	KeyFile  string `yaml:"key_file" required:"true" format:"file" example:"/etc/scaler/tls.key" doc:"PEM file of its private key."`
}

// Webhook is the listener for events of Gitea. They are hints: the polls are
// what counts.
type Webhook struct {
	Listen    string    `yaml:"listen" required:"true" format:"listen" example:":8089" doc:"Address to listen on, as HOST:PORT."`
	Path      string    `yaml:"path" default:"/webhook" pattern:"^/[A-Za-z0-9/_.-]*$" rule:"a path that begins with a slash" doc:"Path of the URL that events are sent to. Each of several servers has one of its own: this path, a slash and its name, unless its webhook says otherwise."`
	PublicURL string    `yaml:"public_url" required:"true" format:"url" example:"http://build-1.internal:8089" doc:"Base URL under which Gitea reaches the listener; path comes after it."`
	Secret    SecretRef `yaml:"secret" required:"true" doc:"What events are signed with, 16 characters or more. Of several servers, those without a secret of their own use it."`
	Create    bool      `yaml:"create" default:"false" doc:"Make the webhook in Gitea at the start, at the scope of each pool. Else scaler webhook create does."`
}

// HTTP is the listener for people and Prometheus.
type HTTP struct {
	Listen         string     `yaml:"listen" required:"true" format:"listen" example:"127.0.0.1:9180" doc:"Address to listen on, as HOST:PORT."`
	TLS            *ServerTLS `yaml:"tls" doc:"Certificate to serve with."`
	PasswordFile   string     `yaml:"password_file" format:"file" example:"/etc/scaler/passwords" doc:"Who may log in: lines NAME:HASH as htpasswd -B writes them. It is read again when it changes."`
	UserHeader     string     `yaml:"user_header" pattern:"^[A-Za-z][A-Za-z0-9-]*$" rule:"the name of an HTTP header" example:"X-Remote-User" doc:"Header in which a reverse proxy of trusted_proxies names the user that it has authenticated."`
	TrustedProxies []string   `yaml:"trusted_proxies" default:"[]" format:"network" example:"[127.0.0.1/32]" doc:"Networks of the reverse proxies that may set user_header."`
	Read           ReadMode   `yaml:"read" default:"anyone" enum:"anyone login" doc:"Who may look at the pages without changing anything: anyone who reaches the listener, or who is logged in. They show names of repositories and jobs. Tokens, the runners' logs and all changes need a login in any case."`
	RunnerImage    string     `yaml:"runner_image" default:"gitea/runner:latest" format:"image" doc:"Image that the commands on the token pages name."`
}

// ReadMode says who may look at the pages.
type ReadMode string

// The modes: everybody who reaches the listener, or who is logged in.
const (
	ReadAnyone ReadMode = "anyone"
	ReadLogin  ReadMode = "login"
)

// RegistrationMode says who registers the runners of a pool.
type RegistrationMode string

// The modes: the daemon, so that no token enters the container; or the
// container itself, by a single-use token of the gateway.
const (
	RegisterByDaemon    RegistrationMode = "daemon"
	RegisterByContainer RegistrationMode = "container"
)

// Networks returns networks that have passed validation as such.
func Networks(list []string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		if p, err := parseNetwork(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// parseNetwork reads "10.0.0.0/8", or one address.
func parseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no network: write one like 10.0.0.0/8 or fd00::/8, or one address", s)
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("%q has bits set beyond its length: did you mean %s?", s, p.Masked())
	}
	return p, nil
}

// checkListen checks an address to listen on.
func checkListen(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is no address: write HOST:PORT or :PORT, like 127.0.0.1:8088", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q has no port from 1 to 65535: write HOST:PORT, like 127.0.0.1:8088", s)
	}
	if _, err := netip.ParseAddr(host); host != "" && host != "localhost" && err != nil {
		return fmt.Errorf("%q: write an IP address before the port, or none for all addresses", s)
	}
	return nil
}

func validateListeners(d *decoder, c *Config) {
	if len(c.Pools) == 0 && c.Gateway == nil && d.ok("pools", "gateway") {
		d.report("pools", "there is nothing to do: add pools: %s; or a gateway, with which pools may be left out", "a list of mappings with name, registration_token, labels, image")
	}
	if g := c.Gateway; g != nil {
		d.checkTLS("gateway.tls", g.TLS)
		if g.TLS == nil && !g.AllowPlainHTTP && d.ok("gateway.listen") && public(g.Listen) {
			d.report("gateway.listen", "%s is a public address, and without tls all tokens would cross the network in clear: set gateway.tls, or listen on a private address behind a proxy", g.Listen)
		}
	}
	for i, p := range c.Pools {
		if at := fmt.Sprintf("pools[%d].registration", i); p.Registration == RegisterByContainer && c.Gateway == nil && d.ok(at, "gateway") {
			d.report(at, "container needs the gateway, which such runners register through: set gateway.listen and gateway.public_url")
		}
	}
	d.checkPorts(c)
	d.checkWebhook(c.Webhook)
	validateServerHooks(d, c)
	if h := c.HTTP; h != nil {
		d.checkTLS("http.tls", h.TLS)
		if h.UserHeader != "" && len(h.TrustedProxies) == 0 && d.ok("http.user_header", "http.trusted_proxies") {
			d.report("http.user_header", "anybody could send it: set http.trusted_proxies to the addresses of the proxy that does")
		}
	}
}

// minWebhookSecret is the least number of characters that an event's signature
// cannot be guessed with.
const minWebhookSecret = 16

func (d *decoder) checkWebhook(w *Webhook) {
	if w != nil {
		d.checkSecret("webhook.secret", w.Secret)
	}
}

func (d *decoder) checkSecret(path string, ref SecretRef) {
	if !d.ok(path) {
		return
	}
	if secret, err := ref.Read(); err == nil && len(secret) < minWebhookSecret {
		d.report(path, "it has %d characters: at least %d are needed, or others could guess it and make the daemon poll", len(secret), minWebhookSecret)
	}
}

// checkPorts reports an address that two listeners are to have.
func (d *decoder) checkPorts(c *Config) {
	taken := map[string]string{}
	check := func(key, listen string) {
		if listen == "" || !d.ok(key) {
			return
		}
		if first, found := taken[listen]; found {
			d.report(key, "%s is %s too: choose another port", listen, first)
		}
		taken[listen] = key
	}
	if c.Gateway != nil {
		check("gateway.listen", c.Gateway.Listen)
	}
	if c.HTTP != nil {
		check("http.listen", c.HTTP.Listen)
	}
	if c.Webhook != nil {
		check("webhook.listen", c.Webhook.Listen)
	}
}

// public reports whether an address to listen on is a public one.
func public(listen string) bool {
	at, err := netip.ParseAddrPort(listen)
	if err != nil {
		return false
	}
	a := at.Addr().Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate()
}

// checkTLS reads the pair once, so that a wrong one is found here.
func (d *decoder) checkTLS(path string, t *ServerTLS) {
	if t == nil || !d.ok(path, path+".cert_file", path+".key_file") || t.CertFile == "" || t.KeyFile == "" {
		return
	}
	if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
		d.report(path, "%s: expected a certificate and its private key in PEM form, which the daemon's user can read", err)
	}
}

// bootGrace is how much longer than its boot_timeout a token that a container
// registers itself with is good for.
const bootGrace = time.Minute

// TokenLifetime is how long the gateway's token for one container of the pool
// is good for.
func (p Pool) TokenLifetime() time.Duration {
	return p.Container.PullTimeout + p.BootTimeout + bootGrace
}
