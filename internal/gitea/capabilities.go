package gitea

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"scaler.io/scaler/internal/plan"
)

// forgejoMark stands in Forgejo's version between its own and that of the Gitea
// release that it is compatible with, as in "15.0.3+gitea-1.22.0".
const forgejoMark = "+gitea-"

// release is a version's first two numbers.
type release struct{ major, minor int }

func (r release) atLeast(major, minor int) bool {
	return r.major > major || r.major == major && r.minor >= minor
}

// releaseOf reads the first two numbers of a version, such as "1.26.0+dev-g423cdd4d94".
// What is no number counts as 0.
func releaseOf(version string) release {
	number := func(s string) int {
		n, _ := strconv.Atoi(s)
		return n
	}
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor := rest
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		minor = rest[:end]
	}
	return release{number(major), number(minor)}
}

// How long what is known of a server counts: for as long as a newer server would
// change nothing, and where something is missing, whose coming is worth a small
// request.
const (
	capabilitiesAge = time.Hour
	missingAge      = time.Second
)

// found is what was last known of the server.
type found struct {
	mu   sync.Mutex // held while the server is asked, so that one caller asks
	caps plan.Capabilities
}

// Capabilities says what the server can do. It asks the server now and then
// only. Errors are those of reading the version; what was known before still
// counts then, but cannot be told from it.
func (c *Client) Capabilities(ctx context.Context) (plan.Capabilities, error) {
	c.found.mu.Lock()
	defer c.found.mu.Unlock()
	age := missingAge
	if c.found.caps.Full() {
		age = capabilitiesAge
	}
	if time.Since(c.found.caps.CheckedAt) < age {
		return c.found.caps, nil
	}
	version, err := c.version(ctx)
	if err != nil {
		return plan.Capabilities{}, fmt.Errorf("find what the server can do: %w", err)
	}
	c.found.caps = capabilitiesOf(version)
	c.found.caps.CheckedAt = time.Now()
	return c.found.caps, nil
}

// capabilitiesOf says what a release can do. Source: the routes of each
// release (routers/api/v1/api.go and routers/api/actions/runner in Gitea and
// Forgejo).
func capabilitiesOf(version string) plan.Capabilities {
	r := releaseOf(version)
	if strings.Contains(version, forgejoMark) {
		api := r.atLeast(15, 0)
		return plan.Capabilities{
			Product: plan.ProductForgejo, Version: version,
			Jobs: r.atLeast(11, 0), Runners: api, Delete: api, Ephemeral: api, Create: api, Bind: api,
		}
	}
	api, jobs := r.atLeast(1, 24), r.atLeast(1, 25)
	return plan.Capabilities{
		Product: plan.ProductGitea, Version: version,
		Jobs: jobs, RunningNamesRunner: jobs, JobEvents: api, Runners: api, Delete: api, Ephemeral: api, Disable: r.atLeast(1, 26),
	}
}
