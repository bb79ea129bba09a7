package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The parts of the way to a server, in their order.
const (
	stepName    = "name"
	stepConnect = "connection"
	stepTLS     = "TLS"
	stepAnswer  = "answer"
)

// The kinds of what can be wrong on a way.
const (
	wrongName     = "name"     // it cannot be looked up
	wrongPort     = "refused"  // nobody listens
	wrongSilence  = "timeout"  // nobody answers
	wrongRoute    = "route"    // there is no way
	wrongCert     = "cert"     // it is not to be trusted
	wrongProtocol = "protocol" // http in place of https, or the other way round
	wrongOther    = "other"
)

// wayFound is what was found out about the way to a URL. It is also what a
// container prints for the program outside.
type wayFound struct {
	URL   string `json:"url"`
	Proxy string `json:"proxy,omitempty"` // host and port of the proxy that the way leads through
	// Step is where it ends; empty if there was an answer. Wrong and Error say
	// why.
	Step  string `json:"step,omitempty"`
	Wrong string `json:"wrong,omitempty"`
	Error string `json:"error,omitempty"`

	Addresses []string  `json:"addresses,omitempty"` // what the name stands for
	Remote    string    `json:"remote,omitempty"`    // who was connected to
	TLS       string    `json:"tls,omitempty"`       // version
	Expires   time.Time `json:"expires,omitzero"`    // of the certificate
	Status    int       `json:"status,omitempty"`
	Version   string    `json:"version,omitempty"` // of Gitea, if that is what answers
	Server    time.Time `json:"server,omitzero"`   // its clock, to the second
	Asked     time.Time `json:"asked,omitzero"`    // our clock when it answered
}

// maxVersion bounds the answer that a version is read from.
const maxVersion = 64 << 10

// tryWay makes one request to Gitea's version at the URL, and watches the way.
// It follows no redirect and sends no token.
func tryWay(ctx context.Context, transport *http.Transport, base string) wayFound {
	found := wayFound{URL: base}
	var mu sync.Mutex // hooks of a connection that lost a race may still be called
	note := func(f func()) { mu.Lock(); defer mu.Unlock(); f() }
	reached := stepName
	trace := &httptrace.ClientTrace{
		DNSDone: func(i httptrace.DNSDoneInfo) {
			note(func() {
				for _, a := range i.Addrs {
					found.Addresses = append(found.Addresses, a.String())
				}
			})
		},
		ConnectDone: func(_, addr string, err error) {
			note(func() {
				if err == nil {
					found.Remote = addr
				}
			})
		},
		ConnectStart:      func(string, string) { note(func() { reached = stepConnect }) },
		TLSHandshakeStart: func() { note(func() { reached = stepTLS }) },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			note(func() {
				if err == nil && len(s.PeerCertificates) > 0 {
					found.TLS, found.Expires = tls.VersionName(s.Version), s.PeerCertificates[0].NotAfter
				}
			})
		},
		GotConn: func(i httptrace.GotConnInfo) {
			note(func() { reached, found.Remote = stepAnswer, i.Conn.RemoteAddr().String() })
		},
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, strings.TrimRight(base, "/")+"/api/v1/version", nil)
	if err != nil {
		found.Step, found.Wrong, found.Error = stepName, wrongOther, err.Error()
		return found
	}
	if transport.Proxy != nil {
		if proxy, err := transport.Proxy(req); err == nil && proxy != nil {
			found.Proxy = proxy.Host
		}
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		mu.Lock()
		defer mu.Unlock()
		found.Step, found.Wrong, found.Error = reached, wrongWith(err), innermost(err)
		return found
	}
	defer resp.Body.Close()
	found.Asked = time.Now()
	found.Status = resp.StatusCode
	found.Server, _ = http.ParseTime(resp.Header.Get("Date"))
	var body struct {
		Version string `json:"version"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, maxVersion)).Decode(&body) == nil {
		found.Version = body.Version
	}
	mu.Lock()
	defer mu.Unlock()
	return found
}

// wrongWith says of what kind an error is.
func wrongWith(err error) string {
	_, dns := errors.AsType[*net.DNSError](err)
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case dns:
		return wrongName
	case cert:
		return wrongCert
	case record, errors.Is(err, http.ErrSchemeMismatch), strings.Contains(err.Error(), "malformed HTTP"):
		return wrongProtocol
	case errors.Is(err, syscall.ECONNREFUSED):
		return wrongPort
	case isNet && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return wrongSilence
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return wrongRoute
	}
	return wrongOther
}

// innermost is an error's text without what the lines around it say.
func innermost(err error) string {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err.Error()
	}
	return err.Error()
}
