package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// errHops: a trusted proxy does not say whom it speaks for.
var errHops = errors.New("the X-Forwarded-For of a trusted proxy has an entry that is no address")

// carrierNAT is the shared address space of RFC 6598, which is not routed on
// the Internet.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// origin is where a request comes from.
type origin struct {
	source netip.Addr // not mapped into IPv6, and without a zone
	// private: what it says could not be read on its way.
	private bool
}

// originOf finds where a request comes from: the other end of the connection
// or, if that is a trusted proxy, whom it speaks for. That is the last entry
// of X-Forwarded-For which is none of the trusted proxies; what stands before
// it is hearsay.
func originOf(r *http.Request, trusted []netip.Prefix) (origin, error) {
	peer, ok := parseHop(r.RemoteAddr)
	if !ok {
		return origin{}, errors.New("the connection has no address")
	}
	from := origin{source: peer, private: r.TLS != nil}
	if !within(peer, trusted) {
		return from, nil
	}
	protos := r.Header.Values("X-Forwarded-Proto")
	from.private = from.private || len(protos) > 0 && strings.EqualFold(strings.TrimSpace(protos[len(protos)-1]), "https")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if len(hops) == 1 && strings.TrimSpace(hops[0]) == "" {
		return from, nil
	}
	for _, hop := range slices.Backward(hops) {
		if from.source, ok = parseHop(strings.TrimSpace(hop)); !ok {
			return origin{}, errHops
		}
		if !within(from.source, trusted) {
			break
		}
	}
	return from, nil
}

// parseHop reads an address, with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		at, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = at.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

func within(addr netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// readable reports whether others on the way could read the request's tokens:
// it came in clear, and neither from a network of our own nor from this very
// machine, which may call itself by a public address.
func (o origin) readable() bool {
	a := o.source
	return !o.private && !a.IsLoopback() && !a.IsPrivate() && !a.IsLinkLocalUnicast() && !carrierNAT.Contains(a) && !isOurs(a)
}

// isOurs reports whether the address is one of this machine's.
func isOurs(addr netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(all, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap().WithZone("") == addr
	})
}

// originKey is the key of the origin in a request's context.
type originKey struct{}

func withOrigin(ctx context.Context, o origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// sourceOf returns the address that a request comes from.
func sourceOf(ctx context.Context) netip.Addr {
	o, _ := ctx.Value(originKey{}).(origin)
	return o.source
}
