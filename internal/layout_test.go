// Package internal_test holds the rules on who may import whom, which no
// compiler checks.
package internal_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "scaler.io/scaler/"

// imports lists the direct imports of every package of ours, without tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../...") {
		pkg, list, _ := strings.Cut(line, " ")
		all[strings.TrimPrefix(pkg, module)] = strings.Fields(list)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages found", len(all))
	}
	return all
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestPlanNeedsNothingButTheStandardLibrary(t *testing.T) {
	for _, dep := range goList(t, "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}{{end}}`, "./plan") {
		if dep != "" && dep != module+"internal/plan" {
			t.Errorf("internal/plan depends on %s", dep)
		}
	}
}

// Packages share plan's types and never import each other sideways; only pool,
// gateway and cmd/scaler see several.
func TestPackagesDoNotImportEachOther(t *testing.T) {
	allowed := map[string][]string{
		"internal/pool":             {"internal/plan", "internal/register", "internal/state"},
		"internal/giteatest/runner": {"internal/giteatest"}, // for the payload of its jobs
		"internal/gitea":            {"internal/plan", "internal/gateway/runnerext"},
		"internal/giteatest":        {"internal/plan", "internal/gateway/runnerext"},
		"internal/gateway":          {"internal/plan", "internal/state", "internal/gateway/runnerext"},
		"internal/plan":             {},
		"internal/simulate/page":    {"internal/simulate"},

		"internal/gateway/runnerext/gen": {},
	}
	for pkg, list := range imports(t) {
		if !strings.HasPrefix(pkg, "internal/") {
			continue
		}
		may, special := allowed[pkg]
		if !special {
			may = []string{"internal/plan"}
		}
		for _, dep := range list {
			ours, isOurs := strings.CutPrefix(dep, module)
			if isOurs && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s", pkg, ours)
			}
		}
	}
}

func TestLibrariesHaveOneHome(t *testing.T) {
	homes := map[string][]string{
		"github.com/docker/cli":                 {"internal/docker"},
		"github.com/docker/docker":              {"internal/docker"},
		"code.gitea.io/sdk":                     {"internal/gitea"},
		"code.gitea.io/actions-proto-go":        {"internal/gitea", "internal/giteatest", "internal/giteatest/runner", "internal/gateway", "internal/gateway/runnerext", "internal/gateway/runnerext/gen"},
		"connectrpc.com/connect":                {"internal/gitea", "internal/giteatest", "internal/giteatest/runner", "internal/gateway"},
		"github.com/bufbuild/protocompile":      {"internal/gateway/runnerext/gen"},
		"github.com/hashicorp/go-retryablehttp": {"internal/gitea", "internal/notify"},
		"gopkg.in/yaml.v3":                      {"internal/config"},
		"github.com/robfig/cron":                {"internal/config"},
		"go.etcd.io/bbolt":                      {"internal/state"},
		"github.com/spf13/cobra":                {"cmd/scaler"},
		"charm.land/":                           {"cmd/scaler"},
		"github.com/fsnotify/fsnotify":          {"cmd/scaler"},
		"github.com/prometheus/client_golang":   {"internal/server"},
		"github.com/prometheus/procfs":          {"internal/host"},
		"github.com/go-analyze/charts":          {"internal/simulate/page", "internal/trend"},
	}
	for pkg, list := range imports(t) {
		for _, dep := range list {
			for library, home := range homes {
				if strings.HasPrefix(dep, library) && !slices.Contains(home, pkg) {
					t.Errorf("%s imports %s, which belongs to %s", pkg, dep, strings.Join(home, ", "))
				}
			}
		}
	}
}
