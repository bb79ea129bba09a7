package gitea

import (
	"testing"

	"scaler.io/scaler/internal/plan"
)

func TestReleaseOf(t *testing.T) {
	for version, want := range map[string]release{
		"1.26.0+dev-g423cdd4d94": {1, 26},
		"1.25.5":                 {1, 25},
		"v1.24":                  {1, 24},
		"1.27-dev":               {1, 27},
		"15.0.3+gitea-1.22.0":    {15, 0},
		"development":            {0, 0},
		"":                       {0, 0},
	} {
		if got := releaseOf(version); got != want {
			t.Errorf("%q: %v, want %v", version, got, want)
		}
	}
}

func TestCapabilitiesOfReleases(t *testing.T) {
	for version, want := range map[string]plan.Capabilities{
		"1.22.3": {Product: plan.ProductGitea},
		"1.23.8": {Product: plan.ProductGitea},
		"1.24.6": {Product: plan.ProductGitea, JobEvents: true, Runners: true, Delete: true, Ephemeral: true},
		"1.25.5": {Product: plan.ProductGitea, Jobs: true, RunningNamesRunner: true, JobEvents: true, Runners: true, Delete: true, Ephemeral: true},
		"1.26.0+dev-1-gabc": {Product: plan.ProductGitea, Jobs: true, RunningNamesRunner: true, JobEvents: true, Runners: true, Delete: true,
			Ephemeral: true, Disable: true},
		"10.0.3+gitea-1.22.0":  {Product: plan.ProductForgejo},
		"11.0.15+gitea-1.22.0": {Product: plan.ProductForgejo, Jobs: true},
		"15.0.3+gitea-1.22.0":  {Product: plan.ProductForgejo, Jobs: true, Runners: true, Delete: true, Ephemeral: true, Create: true, Bind: true},
	} {
		want.Version = version
		if got := capabilitiesOf(version); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", version, got, want)
		}
	}
}
