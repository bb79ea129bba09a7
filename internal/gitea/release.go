package gitea

import (
	"strconv"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// forgejoMark stands in Forgejo's version between its own and that of the Gitea
// release that it is compatible with, as in "15.0.3+gitea-1.22.0".
const forgejoMark = "+gitea-"

// release is a version's first two numbers.
type release struct{ major, minor int }

func (r release) atLeast(o release) bool {
	return r.major > o.major || r.major == o.major && r.minor >= o.minor
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

// productOf says by its version what a server is: Forgejo names the Gitea
// release that it is compatible with.
func productOf(version string) plan.Product {
	if strings.Contains(version, forgejoMark) {
		return plan.ProductForgejo
	}
	return plan.ProductGitea
}

// capabilitiesOf says what a release can do.
func capabilitiesOf(version string) plan.Capabilities {
	caps := plan.Capabilities{Product: productOf(version), Version: version}
	r := releaseOf(version)
	for _, f := range plan.Features() {
		since := f.Since(caps.Product)
		caps.Set(f.Capability, since != "" && r.atLeast(releaseOf(since)))
	}
	return caps
}

// mintsByGet says whether a release has the older form of minting only: Gitea
// before 1.24 has GET alone, 1.24 and 1.25 have both, 1.26 has POST alone, and
// Forgejo has GET.
func mintsByGet(version string) bool {
	return productOf(version) == plan.ProductForgejo || !releaseOf(version).atLeast(release{1, 24})
}
