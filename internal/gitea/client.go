// Package gitea talks to a Gitea server: jobs and runners by its REST API,
// registration by the runners' own protocol (Connect).
//
// Both go over one retrying HTTP client, whose policy knows for each kind of
// request whether it may be repeated: reads, disabling and deleting may, a
// registration never, because each one that reaches the server makes a runner.
// The invariant that the package protects: what could not be read is an
// error or an incomplete list, never an empty one. Half a page, a proxy's
// error page and a redirected delete are errors, and no list is called
// complete unless it has as many entries as the server says there are.
//
// What the server can do is found out by asking it; its version is the hint
// where it does not answer, and says when to ask again. A call for what the
// server is known to lack is refused with plan.ErrUnsupported and not made.
package gitea

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"code.gitea.io/actions-proto-go/ping/v1/pingv1connect"
	"code.gitea.io/actions-proto-go/runner/v1/runnerv1connect"
	sdk "code.gitea.io/sdk/gitea"
	"connectrpc.com/connect"

	"scaler.io/scaler/internal/gateway/runnerext"
	"scaler.io/scaler/internal/plan"
)

// Defaults of Options.
const (
	DefaultTimeout      = 10 * time.Second
	DefaultRetryMax     = 2
	DefaultRetryWaitMin = 200 * time.Millisecond
	DefaultRetryWaitMax = 2 * time.Second
)

// Options say how to reach a server. Only URL is required.
type Options struct {
	// URL is Gitea's root URL as this process reaches it, with a sub-path if
	// Gitea has one.
	URL string
	// RunnerURL is Gitea's root URL as the runners reach it, which becomes
	// Identity.Address. The default is URL.
	RunnerURL string
	// Token returns the API token. It is asked for each operation, so that a
	// rotated token takes effect at once, and must be safe for concurrent
	// use. Without it, only Register, Deregister and Probe can work.
	Token func() (plan.Secret, error)
	// CAFile is a PEM file of certificate authorities that are trusted in
	// addition to the system's.
	CAFile string
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
	// Labels returns the names of the labels of all runners that there are or
	// may be. Forgejo before 14 lists no jobs without them. It must be safe for
	// concurrent use.
	Labels func() []string
	// Timeout bounds one attempt of one request, its answer included. The
	// default is DefaultTimeout.
	Timeout   time.Duration
	UserAgent string       // default "scaler"
	Logger    *slog.Logger // gets retries at debug level; default none
	// RetryMax is how often a request that may be repeated is repeated. The
	// default is DefaultRetryMax; a negative number means never.
	RetryMax int
	// RetryWaitMin and RetryWaitMax bound the wait before a repetition, which
	// doubles each time and is jittered.
	RetryWaitMin, RetryWaitMax time.Duration
	// Observe, if set, is called after each request on the wire, repetitions
	// included: the kind of request (one of the Kind constants), how long it
	// took, and its error, which for an answer of 400 or above is a
	// *StatusError. It must be safe for concurrent use.
	Observe func(kind string, err error, took time.Duration)
	// Transport, if set, takes the place of the network, for tests. CAFile and
	// InsecureSkipVerify then mean nothing.
	Transport http.RoundTripper
}

// Client is a connection to one Gitea server. It is safe for concurrent use.
type Client struct {
	url        string // without a trailing slash
	runnerURL  string
	token      func() (plan.Secret, error)
	http       *http.Client
	log        *slog.Logger
	runners    runnerv1connect.RunnerServiceClient
	ping       pingv1connect.PingServiceClient
	deregister *connect.Client[runnerext.DeregisterRequest, runnerext.DeregisterResponse]

	found *found

	labels  func() []string
	forgejo forgejo

	login struct {
		sync.Mutex
		name  string
		token plan.Secret // whose login it is
	}
}

// New returns a client for the server. It reads the CA file but does not touch
// the network.
func New(o Options) (*Client, error) {
	base, err := rootURL("url", o.URL)
	if err != nil {
		return nil, err
	}
	runnerURL := base
	if o.RunnerURL != "" {
		if runnerURL, err = rootURL("runner url", o.RunnerURL); err != nil {
			return nil, err
		}
	}
	if o.Token == nil {
		o.Token = func() (plan.Secret, error) { return "", nil }
	}
	if o.Labels == nil {
		o.Labels = func() []string { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	found := newFound()
	httpClient, err := newHTTPClient(o, found.distrust)
	if err != nil {
		return nil, err
	}
	c := &Client{
		url:       base,
		runnerURL: runnerURL,
		token:     o.Token,
		labels:    o.Labels,
		http:      httpClient,
		log:       o.Logger,
		found:     found,
	}
	c.forgejo.lists, c.forgejo.repos = make(map[plan.Scope]jobsSeen), make(map[int64]repoName)
	rpc := base + "/api/actions"
	limit := connect.WithReadMaxBytes(maxBody)
	c.runners = runnerv1connect.NewRunnerServiceClient(httpClient, rpc, limit)
	c.ping = pingv1connect.NewPingServiceClient(httpClient, rpc, limit)
	c.deregister = connect.NewClient[runnerext.DeregisterRequest, runnerext.DeregisterResponse](
		httpClient, rpc+deregisterProcedure, connect.WithProtoJSON(), limit)
	return c, nil
}

// rootURL checks a root URL and takes its trailing slash away.
func rootURL(what, s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		// The error of url.Parse repeats the URL, which may hold a password.
		return "", fmt.Errorf("parse %s: not a URL", what)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", fmt.Errorf("parse %s %q: must be http://HOST or https://HOST, with port and path as needed", what, u.Redacted())
	case u.User != nil:
		return "", fmt.Errorf("parse %s %q: must not contain a user or password", what, u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("parse %s %q: must not have a query or fragment", what, s)
	}
	return strings.TrimRight(s, "/"), nil
}

// rest returns an SDK client for one operation. The SDK keeps context and
// token in the client, and making one costs no request, so each operation has
// its own.
func (c *Client) rest(ctx context.Context, call *call) (*sdk.Client, error) {
	token, err := c.apiToken()
	if err != nil {
		return nil, err
	}
	return c.newSDK(ctx, call, token)
}

func (c *Client) newSDK(ctx context.Context, call *call, token plan.Secret) (*sdk.Client, error) {
	return sdk.NewClient(c.url,
		// Neither ask for the version nor trust it: the SDK's checks are off
		// by one release for job lists and for disabling.
		sdk.SetGiteaVersion(""),
		sdk.SetHTTPClient(c.http),
		sdk.SetContext(withCall(ctx, call)),
		sdk.SetToken(token.Reveal()))
}

// apiToken reads the API token and refuses an empty one.
func (c *Client) apiToken() (plan.Secret, error) {
	token, err := c.token()
	if err != nil {
		return "", fmt.Errorf("read API token: %w", err)
	}
	if token == "" {
		return "", fmt.Errorf("%w: %s", plan.ErrDenied, tokenAdvice)
	}
	return token, nil
}
