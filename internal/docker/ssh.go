package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/docker/cli/cli/connhelper"
)

// sshFlags keep ssh from asking anybody, and from waiting for a host that is
// gone: the engine's event stream has no deadline of its own.
var sshFlags = []string{"-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=2", "-T"}

// sshDialer connects to the engine of another machine by the program ssh, which
// runs docker system dial-stdio there, as the docker command does. Each
// connection is a process of its own.
func sshDialer(host string) (func(ctx context.Context, network, addr string) (net.Conn, error), error) {
	helper, err := connhelper.GetConnectionHelperWithSSHOpts(host, sshFlags)
	if err == nil && helper == nil {
		err = errors.New("no ssh address")
	}
	if err != nil {
		return nil, fmt.Errorf("docker host %q: %w: write ssh://[USER@]HOST[:PORT]", host, err)
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := helper.Dialer(ctx, network, addr)
		if err != nil {
			return nil, &dialError{host: host, cause: err}
		}
		return &sshConn{Conn: conn, host: host}, nil
	}, nil
}

// sshConn is a connection whose first error says what ssh has said.
type sshConn struct {
	net.Conn
	host string
}

func (c *sshConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.meaning(err)
}

func (c *sshConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.meaning(err)
}

// CloseWrite ends one direction, for streams that go both ways.
func (c *sshConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *sshConn) meaning(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	_, said, ended := strings.Cut(err.Error(), "stderr=")
	if !ended {
		return err
	}
	return &sshError{host: c.host, said: strings.TrimSpace(said)}
}

// sshError is an ssh that has ended.
type sshError struct {
	host string
	said string
}

// Error says what is wrong and how to mend it.
func (e *sshError) Error() string {
	has := func(texts ...string) bool {
		for _, t := range texts {
			if strings.Contains(e.said, t) {
				return true
			}
		}
		return false
	}
	remedy := "check with: ssh " + strings.TrimPrefix(e.host, "ssh://") + " docker info"
	switch {
	case has("Host key verification failed", "IDENTIFICATION HAS CHANGED"):
		remedy = "the host's key is not known, or is another one: as the daemon's user, put the right one into its known_hosts, as with ssh-keyscan"
	case has("Permission denied"):
		remedy = "the host accepts no key of the daemon's user: give that user an ssh key without a passphrase, and the host its public part in authorized_keys"
	case has("permission denied while trying to connect", "dial unix"):
		remedy = "the user on that host cannot use Docker: add it to the group docker there, and see that Docker runs"
	case has("docker: not found", "docker: command not found", "No such file or directory"):
		remedy = "there is no docker command on that host, which ssh needs to reach its engine: install Docker there"
	case has("Could not resolve hostname", "Connection refused", "timed out", "No route to host", "Network is unreachable"):
		remedy = "the host cannot be reached: correct the address, or see that it runs and that ssh is allowed"
	}
	return "ssh to " + e.host + " has ended: " + oneLine(e.said) + "; " + remedy
}

// oneLine keeps the last of many lines, which says what was wrong.
func oneLine(text string) string {
	if text == "" {
		return "without a word"
	}
	lines := strings.Split(text, "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
