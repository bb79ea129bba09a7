package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// peerOf returns the address at the other end of the connection; it is not
// valid if that has none.
func peerOf(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr().Unmap().WithZone("")
}

// trusted reports whether the address is that of a proxy of ours.
func (web *Web) trusted(addr netip.Addr) bool {
	return addr.IsValid() && slices.ContainsFunc(web.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// clientOf returns the address that a request comes from: that of the
// connection or, behind trusted proxies, the last one that X-Forwarded-For
// names before them. What stands before that anybody can have written.
func (web *Web) clientOf(r *http.Request) netip.Addr {
	addr := peerOf(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !web.trusted(addr) {
			break
		}
		next, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			break
		}
		addr = next
	}
	return addr
}

// parseHop reads an address with or without a port.
func parseHop(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), err == nil
}
