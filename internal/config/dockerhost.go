package config

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"strings"
)

// DockerTLS has the certificates for an engine at tcp://.
type DockerTLS struct {
	CAFile   string `yaml:"ca_file" format:"file" example:"/etc/scaler/docker/ca.pem" doc:"PEM file of the authority that has signed the engine's certificate. Default: the usual ones. A relative path starts at the directory of this file."`
	CertFile string `yaml:"cert_file" format:"file" example:"/etc/scaler/docker/cert.pem" doc:"PEM file with the daemon's certificate, by which the engine knows it."`
	KeyFile  string `yaml:"key_file" format:"file" example:"/etc/scaler/docker/key.pem" doc:"PEM file with the private key of that certificate."`
}

// validateEngine checks how the engine is reached. Whether it can be is seen when
// the daemon runs, and by scaler doctor.
func validateEngine(d *decoder, e Docker) {
	u, err := url.Parse(e.Host)
	scheme := ""
	if err == nil {
		scheme = u.Scheme
	}
	if e.Host != "" && d.ok("docker.host") {
		unix := scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/")
		tcp := scheme == "tcp" && u.Hostname() != "" && u.User == nil
		ssh := scheme == "ssh" && u.Hostname() != "" && u.RawQuery == "" && u.Fragment == ""
		if ssh && hasPassword(u) {
			d.report("docker.host", "the address has a password in it: remove it, and give the daemon's user an ssh key")
		} else if !unix && !tcp && !ssh {
			d.report("docker.host", "expected unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST, like unix:///var/run/docker.sock")
		}
	}
	if at := "docker.context"; e.Context != "" && d.ok(at) {
		switch {
		case e.Host != "":
			d.report(at, "host and context exclude each other: remove one of them")
		case e.TLS != nil:
			d.report(at, "a context has its own certificates: remove tls")
		}
	}
	if e.TLS == nil || !d.ok("docker.tls") {
		return
	}
	if e.Context == "" && scheme != "tcp" && d.ok("docker.host") {
		d.report("docker.tls", "certificates are for an engine at tcp://HOST:PORT: set host to its address, or remove tls")
	}
	d.checkDockerTLS(*e.TLS)
}

// checkDockerTLS reads the files once, so that a wrong one is found here.
func (d *decoder) checkDockerTLS(t DockerTLS) {
	const path = "docker.tls"
	if at := path + ".ca_file"; t.CAFile != "" && d.ok(at) {
		pem, err := os.ReadFile(t.CAFile)
		switch {
		case err != nil:
			d.report(at, "%s: put it there and let the daemon's user read it", err)
		case !x509.NewCertPool().AppendCertsFromPEM(pem):
			d.report(at, "%s holds no certificate: expected one or more in PEM form (BEGIN CERTIFICATE)", t.CAFile)
		}
	}
	if !d.ok(path+".cert_file", path+".key_file") || t.CertFile == "" && t.KeyFile == "" {
		return
	}
	if t.CertFile == "" || t.KeyFile == "" {
		d.report(path, "cert_file and key_file go together: add the other one")
		return
	}
	if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
		d.report(path+".cert_file", "%s: put the certificate and its key there, both in PEM form, and let the daemon's user read them", err)
	}
}

func hasPassword(u *url.URL) bool {
	_, has := u.User.Password()
	return has
}

// elsewhere reports whether the engine is known to be on another machine.
func (d Docker) elsewhere() bool {
	return strings.HasPrefix(d.Host, "tcp://") || strings.HasPrefix(d.Host, "ssh://")
}
