package gitea

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// askTimeout bounds finding out what the server can do, repetitions included.
const askTimeout = 20 * time.Second

// Capabilities says what the server can do. It asks the server now and then
// only: for its version, and then for the methods of its routes, which needs no
// permission and changes nothing. With an error it returns what was known
// before, which says nothing of the server that answers next.
func (c *Client) Capabilities(ctx context.Context) (plan.Capabilities, error) {
	if err := c.found.enter(ctx); err != nil {
		caps, _ := c.found.latest()
		return caps, fmt.Errorf("find what the server can do: %w", err)
	}
	defer c.found.leave()
	if what := c.found.due(time.Now()); what != askNothing {
		if err := c.ask(ctx, what); err != nil {
			caps, _ := c.found.latest()
			return caps, fmt.Errorf("find what the server can do: %w", err)
		}
	}
	caps, _ := c.found.latest()
	return caps, nil
}

// known is what is known of the server, which is asked only if nothing is. Without
// an API token it is not asked, since nothing comes of the call that follows.
func (c *Client) known(ctx context.Context) (plan.Capabilities, error) {
	if caps, known := c.found.latest(); known {
		return caps, nil
	}
	if _, err := c.apiToken(); err != nil {
		return plan.Capabilities{}, err
	}
	return c.Capabilities(ctx)
}

// can returns an error that wraps plan.ErrUnsupported, without asking for the
// function, if the server is known to lack what a call needs.
func (c *Client) can(ctx context.Context, call *call) error {
	caps, err := c.known(ctx)
	if err != nil {
		return err
	}
	if !caps.Has(call.needs) {
		return fmt.Errorf("%w: %s", plan.ErrUnsupported, needed(call.needs, caps))
	}
	return nil
}

// needed says which server has a capability, and which one this is.
func needed(k plan.Capability, caps plan.Capabilities) string {
	i := slices.IndexFunc(plan.Features(), func(f plan.Feature) bool { return f.Capability == k })
	if i < 0 {
		return "the server is " + caps.ServerName()
	}
	since := plan.Features()[i].Since(caps.Product)
	if since == "" {
		return fmt.Sprintf("no release of %s can %s, and the server is %s", caps.Product, plan.Features()[i].What, caps.Version)
	}
	return fmt.Sprintf("this needs %s %s or later, and the server is %s", caps.Product, since, caps.Version)
}

func (c *Client) ask(ctx context.Context, what asking) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	version, err := c.version(ctx)
	if err != nil {
		return err
	}
	if before, _ := c.found.latest(); what == askVersion && before.Version == version {
		c.found.confirm(time.Now())
		return nil
	}
	p, err := c.promised(ctx, version)
	if err != nil {
		return err
	}
	c.found.set(p, time.Now())
	return nil
}

// promise is what a server's version and routes say that it can do.
type promise struct {
	caps plan.Capabilities
	// routes are the capabilities that the routes decided; the others are those
	// of the release.
	routes map[plan.Capability]bool
	// dispute is set where the routes decided otherwise than the release.
	dispute bool
}

// decide takes a route's word.
func (p *promise) decide(k plan.Capability, has bool) {
	p.routes[k] = true
	p.dispute = p.dispute || p.caps.Has(k) != has
	p.caps.Set(k, has)
}

// route is an address below /api/v1 whose methods tell of capabilities.
type route struct {
	path string
	of   map[plan.Capability]string // the method that each needs
}

// routesOf are the routes that are asked of a product. They are those of a user,
// which need neither a name nor an administrator; each release has them for all
// scopes alike. Of runner 0, which is nobody, only the route is asked for.
func routesOf(p plan.Product) []route {
	const runners = "/user/actions/runners"
	one := route{runners + "/0", map[plan.Capability]string{
		plan.CanListRunners: http.MethodGet, plan.CanDeleteRunners: http.MethodDelete, plan.CanDisableRunners: http.MethodPatch,
	}}
	if p == plan.ProductForgejo {
		return []route{
			one,
			{runners, map[plan.Capability]string{plan.CanCreateRunners: http.MethodPost}},
			{runners + "/jobs", map[plan.Capability]string{plan.CanListJobs: http.MethodGet}},
		}
	}
	return []route{one, {"/user/actions/jobs", map[plan.Capability]string{
		plan.CanListJobs: http.MethodGet, plan.CanNameRunners: http.MethodGet,
	}}}
}

// controlRoute is one that every release has. Where it is missing, too, it is
// not the server that says so.
const controlRoute = "/user/actions/runners/registration-token"

// promised asks for the routes. One that does not answer for itself leaves the
// word to the release.
func (c *Client) promised(ctx context.Context, version string) (promise, error) {
	release := promise{caps: capabilitiesOf(version), routes: make(map[plan.Capability]bool)}
	p := promise{caps: release.caps, routes: make(map[plan.Capability]bool)}
	for _, r := range routesOf(p.caps.Product) {
		methods, told, err := c.methods(ctx, r.path)
		if err != nil {
			return promise{}, err
		}
		for k, method := range r.of {
			if told {
				p.decide(k, slices.Contains(methods, method))
			}
		}
	}
	if !p.dispute {
		return p, nil
	}
	methods, told, err := c.methods(ctx, controlRoute)
	if err != nil {
		return promise{}, err
	}
	if told && len(methods) == 0 {
		release.dispute = true
		return release, nil
	}
	return p, nil
}

// methods asks which methods a route has. Gitea's and Forgejo's router answers
// OPTIONS, which no route has, by 405 with the methods there are, before it
// looks at permissions, or at whether what the address names exists; and by 404
// in plain text if there is no such route (go-chi from 5.0.11, Gitea 1.22 to
// 1.27, Forgejo 7 to 16) [tried on Gitea 1.22, 1.24, 1.25 and 1.26, Forgejo 11 and 15]. Any other answer tells nothing.
func (c *Client) methods(ctx context.Context, path string) (methods []string, told bool, err error) {
	call := &call{kind: KindMethods, what: "ask for the methods of " + path, repeat: true}
	req, err := http.NewRequestWithContext(withCall(ctx, call), http.MethodOptions, c.url+"/api/v1"+path, nil)
	if err != nil {
		return nil, false, err
	}
	if token, err := c.token(); err == nil && token != "" {
		req.Header.Set("Authorization", "token "+token.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, false, c.fail(ctx, call, err)
	}
	defer resp.Body.Close()
	switch a := call.answer; {
	case a.status == http.StatusMethodNotAllowed && len(resp.Header.Values("Allow")) > 0:
		for _, line := range resp.Header.Values("Allow") {
			for m := range strings.SplitSeq(line, ",") {
				methods = append(methods, strings.TrimSpace(m))
			}
		}
		return methods, true, nil
	case a.status == http.StatusNotFound && strings.TrimSpace(string(a.body)) == "404 page not found":
		return nil, true, nil
	case a.status == http.StatusTooManyRequests, a.status >= 500 && a.status != http.StatusNotImplemented:
		return nil, false, c.fail(ctx, call, newStatusError(a))
	}
	return nil, false, nil
}
