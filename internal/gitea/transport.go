package gitea

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"scaler.io/scaler/internal/plan"
)

// maxBody bounds an answer. Fifty jobs take about 100 kB.
const maxBody = 10 << 20

const maxIdleConns = 32

// Errors of the transport that no repetition can mend.
var (
	errTooLarge = errors.New("answer is larger than 10 MiB")
	errRedirect = errors.New("redirect refused")
)

// newHTTPClient stacks, from the outside: the standard client, the retrying
// client, the standard client again for redirects and the timeout of an
// attempt, recorder, and the network. failed is called after each request that
// has shown that the server is away or in trouble.
func newHTTPClient(o Options, failed func()) (*http.Client, error) {
	network := o.Transport
	if network == nil {
		var err error
		if network, err = newNetwork(o); err != nil {
			return nil, err
		}
	}
	userAgent := o.UserAgent
	if userAgent == "" {
		userAgent = "scaler"
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	retrying := &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     &recorder{next: network, userAgent: userAgent, observe: o.Observe, failed: failed},
			CheckRedirect: checkRedirect,
			Timeout:       timeout,
		},
		Logger: retryLogger{o.Logger},
	}
	setRetry(retrying, o)
	return retrying.StandardClient(), nil
}

// NewTransport returns a way to the server for requests that are not this
// package's own: with the TLS settings of the options, and without a retry or
// a timeout of the whole.
func NewTransport(o Options) (*http.Transport, error) { return newNetwork(o) }

func newNetwork(o Options) (*http.Transport, error) {
	network := http.DefaultTransport.(*http.Transport).Clone()
	network.MaxIdleConns = maxIdleConns
	network.MaxIdleConnsPerHost = maxIdleConns
	// Shorter than the keep-alive of the usual proxies (60 s or more): a
	// registration that meets a connection just closed by the other side
	// cannot be repeated.
	network.IdleConnTimeout = 30 * time.Second
	var err error
	network.TLSClientConfig, err = newTLSConfig(o)
	return network, err
}

func newTLSConfig(o Options) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: o.InsecureSkipVerify, // the operator's explicit choice
	}
	if o.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read CA file %s: no certificate in it", o.CAFile)
	}
	config.RootCAs = pool
	return config, nil
}

// checkRedirect follows a read on the same host, as Gitea sends for a renamed
// organisation or repository. It refuses other hosts, which must not get the
// token, and everything that is not a read: net/http would turn a redirected
// DELETE into a GET and its success into that of a delete.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case req.URL.Hostname() != first.URL.Hostname():
		return fmt.Errorf("%w: the server sends to another host, %s; is that gitea.url?", errRedirect, req.URL.Host)
	case first.URL.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("%w: the server sends from https to %s", errRedirect, req.URL.Scheme)
	case first.Method != http.MethodGet:
		return fmt.Errorf("%w: the server sends a %s to %s; use that address or name in the configuration",
			errRedirect, first.Method, req.URL.Redacted())
	case len(via) >= 5:
		return fmt.Errorf("%w: more than 5 in a row", errRedirect)
	}
	return nil
}

// recorder is the innermost layer. It reads each answer to its end, so that a
// connection that breaks half way counts as a failed attempt, bounds its size,
// and keeps it in the call. While the server has asked for no requests it makes
// none.
type recorder struct {
	next      http.RoundTripper
	hold      hold
	userAgent string
	observe   func(kind string, err error, took time.Duration)
	failed    func()
}

// RoundTrip implements http.RoundTripper.
func (t *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	call := callOf(req.Context())
	call.answer = answer{}
	if err := t.hold.check(); err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", t.userAgent)
	start := time.Now()
	resp, err := t.next.RoundTrip(req)
	var body []byte
	if err == nil {
		body, err = readAll(resp.Body)
	}
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		body = hideToken(body, req.Header.Get("Authorization"))
	}
	if err == nil {
		resp.Body = io.NopCloser(bytes.NewReader(body))
		call.answer = answer{
			status:      resp.StatusCode,
			contentType: resp.Header.Get("Content-Type"),
			retryAfter:  resp.Header.Get("Retry-After"),
			body:        body,
		}
		t.hold.heed(call.answer)
	}
	if err != nil && !errors.Is(err, context.Canceled) || err == nil && resp.StatusCode >= http.StatusInternalServerError {
		t.failed()
	}
	if t.observe != nil {
		seen := err
		if err == nil && resp.StatusCode >= 400 {
			seen = newStatusError(call.answer)
		}
		t.observe(call.kind, seen, time.Since(start))
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// hideToken takes the API token that a request was made with out of its answer.
// Forgejo 15 repeats one that it refuses (models/auth/access_token.go).
func hideToken(body []byte, authorization string) []byte {
	_, value, _ := strings.Cut(authorization, " ")
	if value == "" {
		return body
	}
	return bytes.ReplaceAll(body, []byte(value), []byte(plan.Secret(value).String()))
}

// readAll reads and closes a body of at most maxBody bytes.
func readAll(body io.ReadCloser) ([]byte, error) {
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(data) > maxBody {
		return nil, errTooLarge
	}
	return data, nil
}
