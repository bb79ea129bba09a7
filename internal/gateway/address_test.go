package gateway

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/netip"
	"testing"
)

func TestOrigin(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32")}
	tests := []struct {
		name     string
		remote   string
		forward  []string // X-Forwarded-For
		proto    []string
		tls      bool
		source   string // empty: an error
		readable bool
	}{
		{name: "public", remote: "8.8.8.8:1", source: "8.8.8.8", readable: true},
		{name: "public over TLS", remote: "8.8.8.8:1", tls: true, source: "8.8.8.8"},
		{name: "loopback", remote: "127.0.0.1:1", source: "127.0.0.1"},
		{name: "private", remote: "192.168.1.2:1", source: "192.168.1.2"},
		{name: "link-local with a zone", remote: "[fe80::1%eth0]:1", source: "fe80::1"},
		{name: "carrier NAT", remote: "100.64.1.2:1", source: "100.64.1.2"},
		{name: "just beyond carrier NAT", remote: "100.128.0.1:1", source: "100.128.0.1", readable: true},
		{name: "unique local", remote: "[fc00::1]:1", source: "fc00::1"},
		{name: "mapped into IPv6", remote: "[::ffff:192.0.2.7]:1", source: "192.0.2.7", readable: true},
		{name: "mapped proxy", remote: "[::ffff:10.0.0.1]:1", forward: []string{"192.0.2.7"}, source: "192.0.2.7", readable: true},
		{name: "forwarded by a stranger", remote: "8.8.8.8:1", forward: []string{"10.1.1.1"}, proto: []string{"https"}, source: "8.8.8.8", readable: true},
		{name: "forwarded by a private stranger", remote: "192.168.1.2:1", forward: []string{"8.8.8.8"}, source: "192.168.1.2"},
		{name: "proxy for itself", remote: "10.0.0.1:1", source: "10.0.0.1"},
		{name: "proxy with an empty header", remote: "10.0.0.1:1", forward: []string{""}, source: "10.0.0.1"},
		{name: "proxy", remote: "10.0.0.1:1", forward: []string{"192.0.2.7"}, source: "192.0.2.7", readable: true},
		{name: "proxy with https", remote: "10.0.0.1:1", forward: []string{"192.0.2.7"}, proto: []string{"https"}, source: "192.0.2.7"},
		{name: "proxy with HTTPS", remote: "10.0.0.1:1", forward: []string{"192.0.2.7"}, proto: []string{" HTTPS "}, source: "192.0.2.7"},
		{name: "proxy with http", remote: "10.0.0.1:1", forward: []string{"192.0.2.7"}, proto: []string{"http"}, source: "192.0.2.7", readable: true},
		{name: "https by the client, http by the proxy", remote: "10.0.0.1:1", forward: []string{"192.0.2.7"}, proto: []string{"https", "http"}, source: "192.0.2.7", readable: true},
		{name: "hearsay before the last hop", remote: "10.0.0.1:1", forward: []string{"127.0.0.1, 192.0.2.7"}, source: "192.0.2.7", readable: true},
		{name: "garbage before the last hop", remote: "10.0.0.1:1", forward: []string{"x, 192.0.2.7"}, source: "192.0.2.7", readable: true},
		{name: "several lines", remote: "10.0.0.1:1", forward: []string{"127.0.0.1", "192.0.2.7"}, source: "192.0.2.7", readable: true},
		{name: "chain of proxies", remote: "10.0.0.1:1", forward: []string{"1.2.3.4, 192.0.2.7, 10.0.0.3", "fd00::2"}, source: "192.0.2.7", readable: true},
		{name: "proxies only", remote: "10.0.0.1:1", forward: []string{"10.0.0.4, 10.0.0.3"}, source: "10.0.0.4"},
		{name: "hop with a port", remote: "10.0.0.1:1", forward: []string{"192.0.2.7:4711"}, source: "192.0.2.7", readable: true},
		{name: "IPv6 hop with a port", remote: "10.0.0.1:1", forward: []string{"[2001:db8::1]:4711"}, source: "2001:db8::1", readable: true},
		{name: "IPv6 hop in brackets", remote: "10.0.0.1:1", forward: []string{"[2001:db8::1]"}, source: "2001:db8::1", readable: true},
		{name: "hop mapped into IPv6", remote: "10.0.0.1:1", forward: []string{"::ffff:192.0.2.7"}, source: "192.0.2.7", readable: true},
		{name: "unknown hop", remote: "10.0.0.1:1", forward: []string{"unknown"}},
		{name: "empty last hop", remote: "10.0.0.1:1", forward: []string{"192.0.2.7,"}},
		{name: "no address", remote: "@"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{}}
			if tt.forward != nil {
				r.Header["X-Forwarded-For"] = tt.forward
			}
			if tt.proto != nil {
				r.Header["X-Forwarded-Proto"] = tt.proto
			}
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			got, err := originOf(r, trusted)
			if tt.source == "" {
				if err == nil {
					t.Errorf("origin %v, want an error", got)
				}
				return
			}
			if err != nil || got.source.String() != tt.source || got.readable() != tt.readable {
				t.Errorf("origin %v (readable %t), %v; want %s (%t)", got, got.readable(), err, tt.source, tt.readable)
			}
		})
	}
	r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"unknown"}}}
	if _, err := originOf(r, trusted); !errors.Is(err, errHops) {
		t.Errorf("%v, want errHops", err)
	}
}
