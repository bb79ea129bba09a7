package docker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/docker/docker/api/types/container"

	"scaler.io/scaler/internal/plan"
)

// Owns says whether the address is one of a runner's container: nil if it is.
// A container in the host's network has the addresses of this machine. An
// error that wraps plan.ErrDenied says which ones it has; any other means that
// they are not known.
func (e *Engine) Owns(ctx context.Context, runner string, addr netip.Addr) error {
	found, err := e.inspect(ctx, runner)
	if err != nil {
		return fmt.Errorf("find addresses of runner %s: %w", runner, err)
	}
	addr = addr.Unmap()
	var has []string
	if found.HostConfig != nil && found.HostConfig.NetworkMode.IsHost() {
		has, err = hostAddresses()
		if err != nil {
			return fmt.Errorf("find addresses of runner %s: %w", runner, err)
		}
	} else {
		has = containerAddresses(found)
	}
	for _, text := range has {
		if own, err := netip.ParseAddr(text); err == nil && own.Unmap().WithZone("") == addr.WithZone("") {
			return nil
		}
	}
	return fmt.Errorf("%w: %s is no address of runner %s, whose container has %s", plan.ErrDenied, addr, runner, strings.Join(has, ", "))
}

func containerAddresses(c container.InspectResponse) []string {
	var has []string
	if c.NetworkSettings == nil {
		return nil
	}
	for _, n := range c.NetworkSettings.Networks {
		for _, text := range []string{n.IPAddress, n.GlobalIPv6Address} {
			if text != "" {
				has = append(has, text)
			}
		}
	}
	return has
}

func hostAddresses() ([]string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses of this machine: %w", err)
	}
	var has []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			has = append(has, n.IP.String())
		}
	}
	return has, nil
}
