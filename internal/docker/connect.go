package docker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/docker/docker/client"
)

// TLS says how an engine at tcp:// is authenticated, and we to it. Each is the
// path of a PEM file; without CA the usual authorities are trusted.
type TLS struct {
	CA, Cert, Key string
}

// endpoint is where an engine is and how it is reached.
type endpoint struct {
	host string      // as in Config.Host; empty for the environment's or the usual one
	tls  *tls.Config // nil for what the environment says
	// alone says that only this counts and not the environment, as where a
	// context was named.
	alone bool
}

// Idle connections to an engine are kept for as long as the SDK keeps its own, but
// more of them: it keeps two, so that of eight removals side by side six would have
// to dial anew for each container.
const (
	idleConnections = 64
	idleTimeout     = 30 * time.Second
)

// keepIdle is an option that comes after those that choose the transport.
func keepIdle(c *client.Client) error {
	transport, known := c.HTTPClient().Transport.(*http.Transport)
	if !known {
		return fmt.Errorf("docker client has a transport of type %T, want that of net/http", c.HTTPClient().Transport)
	}
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost, transport.IdleConnTimeout = idleConnections, idleConnections, idleTimeout
	return nil
}

// endpointOf finds the engine: by its address, or by the context of the docker
// command that names it.
func endpointOf(cfg Config) (endpoint, error) {
	switch {
	case cfg.Context != "" && cfg.Host != "":
		return endpoint{}, errors.New("docker host and docker context exclude each other: remove one of them")
	case cfg.Context != "" && cfg.TLS != TLS{}:
		return endpoint{}, fmt.Errorf("docker context %q has its own certificates: remove docker tls", cfg.Context)
	case cfg.Context != "":
		return endpointOfContext(cfg.Context)
	case cfg.TLS == TLS{}:
		return endpoint{host: cfg.Host}, nil
	case !strings.HasPrefix(cfg.Host, "tcp://"):
		return endpoint{}, fmt.Errorf("docker tls is for tcp://HOST:PORT, not for %q: remove it, or correct the address", cfg.Host)
	}
	config, err := cfg.TLS.load()
	return endpoint{host: cfg.Host, tls: config, alone: true}, err
}

// load reads the files.
func (t TLS) load() (*tls.Config, error) {
	var files [3][]byte
	for i, path := range []string{t.CA, t.Cert, t.Key} {
		if path == "" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("docker tls: %w", err)
		}
		files[i] = data
	}
	config, err := tlsConfig(files[0], files[1], files[2])
	if err != nil {
		return nil, fmt.Errorf("docker tls: %w", err)
	}
	return config, nil
}

func tlsConfig(ca, cert, key []byte) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("the file of the authority holds no certificate: expected one or more in PEM form (BEGIN CERTIFICATE)")
		}
	}
	if len(cert) == 0 && len(key) == 0 {
		return config, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the client's certificate and key do not fit: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// newClient returns an SDK client whose dialling errors keep their cause, see
// dialError.
func newClient(at endpoint) (*client.Client, error) {
	if at.host == "" && !at.alone {
		at.host = os.Getenv(client.EnvOverrideHost)
	}
	if strings.HasPrefix(at.host, "ssh://") {
		dial, err := sshDialer(at.host)
		if err != nil {
			return nil, err
		}
		at.alone = true
		// The name is never looked up: ssh leads to the engine itself.
		return client.NewClientWithOpts(append(at.options(), client.WithHost("http://docker.example.com"), client.WithDialContext(dial))...)
	}
	probe, err := client.NewClientWithOpts(at.options()...)
	if err != nil {
		return nil, fmt.Errorf("docker host: %w", err)
	}
	address := probe.DaemonHost()
	url, err := client.ParseHostURL(address)
	if err != nil {
		return nil, fmt.Errorf("docker host %q: %w", address, err)
	}
	switch url.Scheme {
	case "unix", "tcp", "http", "https":
	default:
		return nil, fmt.Errorf("docker host %q: write unix:///path/to/docker.sock, tcp://host:port or ssh://user@host", address)
	}
	return client.NewClientWithOpts(append(at.options(), client.WithDialContext(dialer(address, url)))...)
}

// options are those of one client: the SDK changes what it is given.
func (at endpoint) options() []client.Opt {
	opts := []client.Opt{client.WithAPIVersionNegotiation()}
	if at.alone {
		opts = append(opts, client.WithVersionFromEnv())
	} else {
		opts = append(opts, client.FromEnv)
	}
	if at.tls != nil {
		opts = append(opts, client.WithHTTPClient(&http.Client{CheckRedirect: client.CheckRedirect,
			Transport: &http.Transport{TLSClientConfig: at.tls.Clone()}}))
	}
	if at.host != "" && !strings.HasPrefix(at.host, "ssh://") {
		opts = append(opts, client.WithHost(at.host))
	}
	return append(opts, keepIdle)
}

// dialer connects to an engine at a socket or a port.
func dialer(address string, to *url.URL) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if to.Scheme == "unix" {
			network, addr = "unix", to.Host
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, &dialError{host: address, cause: err}
		}
		return conn, nil
	}
}
