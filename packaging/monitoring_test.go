package packaging

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

var (
	metricRow  = regexp.MustCompile("(?m)^\\| `(scaler_[a-z_]+)` \\| (\\w+) \\|")
	metricName = regexp.MustCompile(`\bscaler_[a-z_]+`)
	histogram  = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// metrics returns the types of the metrics that there are, by name. The document
// is held to the code where they are made.
func metrics(t *testing.T) map[string]string {
	t.Helper()
	types := make(map[string]string)
	for _, m := range metricRow.FindAllStringSubmatch(read(t, "docs/metrics.md"), -1) {
		types[m[1]] = m[2]
	}
	if len(types) < 40 {
		t.Fatalf("only %d metrics found", len(types))
	}
	return types
}

// wantMetrics checks that what an expression uses is there, and is used by its
// type. It notes in used what that is.
func wantMetrics(t *testing.T, where, expr string, types map[string]string, used map[string]bool) {
	t.Helper()
	for _, name := range metricName.FindAllString(expr, -1) {
		base := histogram.ReplaceAllString(name, "")
		isPart := base != name && types[base] == "histogram"
		if isPart {
			used[base] = true
			continue
		}
		used[name] = true
		switch types[name] {
		case "":
			t.Errorf("%s: there is no metric %s in %s", where, name, expr)
		case "histogram":
			t.Errorf("%s: %s is a histogram, which has parts only, in %s", where, name, expr)
		case "counter":
			if !regexp.MustCompile(`(rate|increase)\(` + name + `\b`).MatchString(expr) {
				t.Errorf("%s: the counter %s is used without rate() or increase() in %s", where, name, expr)
			}
		}
	}
}

// wantPromQL checks that all expressions can be parsed, by a file of rules.
func wantPromQL(t *testing.T, exprs []string) {
	t.Helper()
	promtool := needs(t, "promtool")
	var rules []map[string]string
	for i, e := range exprs {
		rules = append(rules, map[string]string{"record": fmt.Sprintf("scaler:expression:%d", i), "expr": strings.ReplaceAll(e, "$__rate_interval", "5m")})
	}
	file, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}}) // which is YAML
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, root, nil, promtool, "check", "rules", path); !strings.Contains(out, fmt.Sprintf("%d rules found", len(exprs))) {
		t.Errorf("promtool says:\n%s", out)
	}
}

// panel is what is looked at of a panel of the dashboard.
type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource struct{ UID string }
	GridPos    struct{ X, Y, W, H int }
	Targets    []struct {
		Expr       string
		Datasource struct{ UID string }
	}
}

func dashboard(t *testing.T) (panels []panel, queries []string) {
	t.Helper()
	var d struct {
		Panels      []panel
		Annotations struct{ List []struct{ Expr string } }
		Templating  struct {
			List []struct {
				Name, Type string
				Query      any
			}
		}
	}
	if err := json.Unmarshal([]byte(read(t, "configs/grafana-dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	if v := d.Templating.List; len(v) < 2 || v[0].Name != "datasource" || v[0].Type != "datasource" || v[0].Query != "prometheus" {
		t.Errorf("the first variable is not the data source: %+v", v)
	}
	for _, v := range d.Templating.List[1:] {
		query, _ := v.Query.(map[string]any)
		text, _ := query["query"].(string)
		selector := regexp.MustCompile(`^label_values\((.+), [a-z]+\)$`).FindStringSubmatch(text)
		if selector == nil {
			t.Fatalf("variable %s has the query %q", v.Name, text)
		}
		queries = append(queries, selector[1])
	}
	for _, a := range d.Annotations.List {
		queries = append(queries, a.Expr)
	}
	return d.Panels, queries
}

func TestDashboard(t *testing.T) {
	types, used := metrics(t), make(map[string]bool)
	panels, queries := dashboard(t)
	ids := make(map[int]bool)
	for i, p := range panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d (%s): its id is another's, or it has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, q := range panels[:i] {
			a, b := p.GridPos, q.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %s and %s overlap", q.Title, p.Title)
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %s has no target, or no data source that can be chosen, or no place", p.Title)
		}
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
			if !strings.Contains(target.Expr, `job=~"$job", instance=~"$instance"`) || target.Datasource.UID != "${datasource}" {
				t.Errorf("panel %s: the variables do not choose what is shown by %s", p.Title, target.Expr)
			}
		}
	}
	for _, q := range queries {
		wantMetrics(t, "configs/grafana-dashboard.json", q, types, used)
	}
	if len(queries) < 40 {
		t.Errorf("only %d expressions", len(queries))
	}
	// Two are for rules, and for those who write expressions of their own.
	for name := range types {
		if !used[name] && name != "scaler_cycle_timestamp_seconds" {
			t.Errorf("%s is shown nowhere", name)
		}
	}
	wantPromQL(t, queries)
}

// alertRule is an alert of configs/alerts.yaml.
type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alertRules(t *testing.T) []alertRule {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string      `yaml:"name"`
			Rules []alertRule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "configs/alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var rules []alertRule
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	if len(rules) < 12 {
		t.Fatalf("only %d alerts found", len(rules))
	}
	return rules
}

// Each alert leads to a section that says what it means, what to look at and what
// to do; and each section is one of an alert.
func TestAlertsHaveRunbooks(t *testing.T) {
	_, book, _ := strings.Cut("\n"+read(t, "docs/runbooks.md"), "\n## ")
	sections := make(map[string]string)
	for section := range strings.SplitSeq(book, "\n## ") {
		title, text, _ := strings.Cut(section, "\n")
		sections[title] = text
	}
	types := metrics(t)
	for _, r := range alertRules(t) {
		wantMetrics(t, r.Alert, r.Expr, types, map[string]bool{})
		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		for _, a := range []string{"summary", "description"} {
			if r.Annotations[a] == "" {
				t.Errorf("%s has no %s", r.Alert, a)
			}
		}
		if url := r.Annotations["runbook_url"]; !strings.HasSuffix(url, "/docs/runbooks.md#"+anchor(r.Alert)) {
			t.Errorf("%s leads to %q", r.Alert, url)
		}
		text, found := sections[r.Alert]
		delete(sections, r.Alert)
		if !found {
			t.Errorf("docs/runbooks.md has no section %s", r.Alert)
			continue
		}
		parts := regexp.MustCompile(`(?s)^\s*\*\*What it means\.\*\* \S.{80,}\n\n\*\*What to look at\.\*\*\n\n` + "```sh\n(.+)\n```" + `\n\n\*\*What to do\.\*\* \S.{80,}$`).FindStringSubmatch(text)
		if parts == nil {
			t.Errorf("section %s does not say what it means, what to look at with which commands, and what to do", r.Alert)
		}
	}
	for title := range sections {
		t.Errorf("docs/runbooks.md has a section %s, and there is no such alert", title)
	}
}

func TestAlertsFire(t *testing.T) {
	promtool := needs(t, "promtool")
	mustRun(t, root, nil, promtool, "check", "rules", "configs/alerts.yaml")
	mustRun(t, root, nil, promtool, "test", "rules", "packaging/testdata/alerts-test.yaml")
	tested := read(t, "packaging/testdata/alerts-test.yaml")
	var names []string
	for _, r := range alertRules(t) {
		names = append(names, r.Alert)
		quiet := strings.Count(tested, "alertname: "+r.Alert+"\n") - strings.Count(tested, "#"+anchor(r.Alert)+"\"")
		if fires := strings.Count(tested, "#"+anchor(r.Alert)+"\""); fires < 1 || quiet < 1 {
			t.Errorf("%s is tested %d times to fire and %d times to be quiet", r.Alert, fires, quiet)
		}
	}
	if sorted := slices.Compact(slices.Sorted(slices.Values(names))); len(sorted) != len(names) {
		t.Errorf("two alerts have the same name: %q", names)
	}
}
