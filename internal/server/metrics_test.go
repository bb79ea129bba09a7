package server

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"scaler.io/scaler/internal/plan"
)

var update = flag.Bool("update", false, "rewrite testdata/metrics.txt")

// busyStatus is a daemon with two pools, one of which fails.
func busyStatus() fakeStatus {
	return fakeStatus{
		Version: "1.2.3", Cycle: 8, CycleAt: now.Add(500 * time.Millisecond), QueueSize: 41, PollEvery: 250 * time.Millisecond, EventsArrive: true,
		DueAt:        now.Add(time.Second),
		Capabilities: &plan.Capabilities{Product: plan.ProductGitea, Version: "1.25.5", Jobs: true, RunningNamesRunner: true, JobEvents: true, Runners: true, Delete: true, Ephemeral: true},
		Corpses:      []plan.CorpseStatus{{Spare: true}, {Spare: true}, {}},
		Problems:     []plan.Problem{{Subject: "docker"}, {Subject: "pool gpu"}},
		Config:       plan.ConfigStatus{LoadedAt: now.Add(-time.Hour), Error: "scaler.yaml:3: no"},
		Pools: []plan.PoolStatus{
			{Name: "linux", Waiting: 1, Starting: 2, Idle: 3, Busy: 4, Leaving: 5, Max: 20, Nudges: 7, Outdated: 2, Paused: &plan.Pause{}},
			{Name: "gpu", Max: 2, BreakerOpen: true, Failures: 3, Hold: "failure 3 in a row", HoldKind: plan.ObstacleBreaker},
		},
		Budgets: []plan.Budget{{Resource: "runners", Taken: 14, Limit: 20}, {Resource: "cpus", Taken: 3.5, Limit: 8}, {Resource: "memory", Taken: 1 << 30, Limit: 4 << 30}},
		Queue: []plan.JobDecision{
			{ID: 1, Pool: "linux", SeenAt: now.Add(-2 * time.Second)},
			{ID: 2, Obstacle: plan.ObstacleBreaker, Fits: "gpu", SeenAt: now.Add(-time.Minute)}, {ID: 3, Obstacle: plan.ObstacleBreaker, Fits: "gpu", SeenAt: now},
			{ID: 4, Obstacle: plan.ObstacleLabel, SeenAt: now.Add(-time.Hour)}, {ID: 5, Obstacle: "unheard of", SeenAt: now},
		},
		Host: &plan.HostStatus{Hold: "the host is short of disk space", Gates: []plan.HostGate{
			{Kind: plan.HostCPU, Known: true, Value: 64.16, Limit: 80}, {Kind: plan.HostMemory, Holds: true},
			{Kind: plan.HostFreeMemory, Known: true, Value: 1 << 30, Limit: 512 << 20}, {Kind: plan.HostFreeDisk, Path: "/srv", Known: true, Value: 4096, Limit: 8192, Holds: true},
		}},
	}
}

// oneCall has counted one request to Gitea.
func oneCall() *Calls {
	c := NewCalls(false)
	c.Of("")("runners", nil, time.Second)
	return c
}

// oneOfEach has counted one of each thing, in the pool linux.
func oneOfEach() *Meter {
	m := NewMeter()
	for _, c := range plan.StartCauses() {
		m.Started("linux", c)
	}
	for _, c := range plan.StopCauses() {
		m.Stopped("linux", c)
	}
	for _, f := range plan.Failures() {
		m.Failed("linux", f)
	}
	for _, s := range append(plan.StepSpans(), plan.SpanWait) {
		m.Took("linux", s, 300*time.Millisecond)
	}
	for _, r := range plan.AllRemains() {
		m.Reaped(r, 2)
	}
	m.Docker("container_list", "ok", 20*time.Millisecond)
	m.Docker("image_pull", "no_answer", time.Minute)
	m.Reloaded(ReloadTaken)
	return m
}

// everything registers all that there is to be shown.
func everything() *prometheus.Registry {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newCollector(busyStatus(), tokensOfAllStates()), oneCall(), &metered{oneOfEach(), busyStatus()}, oneDelivery())
	return registry
}

// oneDelivery has counted one notification, and an event that was not told.
func oneDelivery() *Deliveries {
	d := NewDeliveries()
	d.Notified("ops", true)
	d.Dropped("ops", 3)
	return d
}

// tokensOfAllStates has one token of each state, and a second active one.
func tokensOfAllStates() *fakeTokens {
	return newFakeTokens(
		plan.Token{Name: "a", Enabled: true, Pinned: true}, plan.Token{Name: "b", Enabled: true}, plan.Token{Name: "c"},
		plan.Token{Name: "d", Enabled: true, ExpiresAt: time.Unix(1, 0)}, plan.Token{Name: "e", Enabled: true, Uses: 1}, plan.Token{Name: "f", RevokedAt: now},
	)
}

// exposition returns what a scrape gives, ours apart from that of the runtime
// and the process.
func exposition(t *testing.T, cfg WebConfig, status webStatus, tokens webTokens) (ours, others string) {
	t.Helper()
	w := newBrowser(t, NewWeb(cfg, status, tokens, slog.New(slog.DiscardHandler))).get("/metrics")
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %s", w.Code, w.Header().Get("Content-Type"))
	}
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), "scaler_") {
			ours += line
		} else {
			others += line
		}
	}
	return strings.ReplaceAll(ours, runtime.Version(), "GOVERSION"), others
}

func TestMetrics(t *testing.T) {
	ours, others := exposition(t, WebConfig{GatewayURL: "http://g", Calls: oneCall(), Meter: oneOfEach()}, busyStatus(), tokensOfAllStates())
	const golden = "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(ours), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if ours != string(want) {
		t.Errorf("the metrics are not those of %s:\n%s", golden, ours)
	}
	for _, name := range []string{"go_goroutines ", "process_resident_memory_bytes ", "process_open_fds "} {
		if !strings.Contains(others, "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
}

// What is not known is not said, so that an alert does not take it for zero.
func TestMetricsBeforeTheFirstCycle(t *testing.T) {
	status := fakeStatus{Version: "1.2.3", Problems: []plan.Problem{{Subject: "scaler"}}}
	ours, _ := exposition(t, WebConfig{}, status, nil)
	want := `# HELP scaler_build_info Version of scaler and of Go; always 1.
# TYPE scaler_build_info gauge
scaler_build_info{goversion="GOVERSION",version="1.2.3"} 1
# HELP scaler_problems Conditions that keep the daemon from its work, as in scaler status.
# TYPE scaler_problems gauge
scaler_problems 1
# HELP scaler_ready 1 while the daemon can do all of its work, as on /readyz.
# TYPE scaler_ready gauge
scaler_ready 0
`
	if ours != want {
		t.Errorf("got\n%s", ours)
	}
}

func TestMetricsFollowTheConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(everything())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetricWithABadLabelFailsTheScrapeOnly(t *testing.T) {
	status := busyStatus()
	status.Pools[0].Name = "\xff"
	w := newBrowser(t, NewWeb(WebConfig{Meter: NewMeter()}, status, nil, slog.New(slog.DiscardHandler))).get("/metrics")
	if w.Code != http.StatusInternalServerError {
		t.Errorf("%d", w.Code)
	}
}

// The document lists exactly the metrics that there are, each as it is.
func TestMetricsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `(scaler_[a-z_]+)` \\| (\\w+) \\| ([^|]*) \\| (.+) \\|$").FindAllStringSubmatch(string(data), -1) {
		documented[m[1]] = fmt.Sprintf("%s with %s: %s", m[2], strings.ReplaceAll(strings.TrimSpace(m[3]), "`", ""), m[4])
	}
	families, err := everything().Gather()
	if err != nil {
		t.Fatal(err)
	}
	several, err := ofServers().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range several {
		if f.GetName() == "scaler_server_working" { // the others are as with one
			families = append(families, f)
		}
	}
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		want := fmt.Sprintf("%s with %s: %s", strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
		if got := documented[f.GetName()]; got != want {
			t.Errorf("docs/metrics.md has %s as %q, want %q", f.GetName(), got, want)
		}
		delete(documented, f.GetName())
	}
	for name := range documented {
		t.Errorf("docs/metrics.md has %s, which there is not", name)
	}
}

// The document has all the words that tell series apart.
func TestLabelValuesAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	words := func(label string, values ...string) {
		t.Helper()
		_, row, found := strings.Cut(string(data), "\n| "+label+" | ")
		row, _, _ = strings.Cut(row, "\n")
		for _, v := range values {
			if !found || !strings.Contains(row, "`"+v+"`") {
				t.Errorf("the row %s does not have %s: %q", label, v, row)
			}
		}
		if n := strings.Count(row, "`"); n != 2*len(values) {
			t.Errorf("the row %s has %d words, want %d: %q", label, n/2, len(values), row)
		}
	}
	words("`reason` of `scaler_unserved_jobs`", append(texts(plan.ObstacleKinds()), otherReason)...)
	words("`reason` of `scaler_pool_hold`", texts(plan.HoldKinds())...)
	words("`reason` of `scaler_runner_starts_total`", texts(plan.StartCauses())...)
	words("`reason` of `scaler_runner_stops_total`", texts(plan.StopCauses())...)
	words("`reason` of `scaler_runner_failures_total`", texts(plan.Failures())...)
	words("`step` of `scaler_runner_step_seconds`", texts(plan.StepSpans())...)
	words("`kind` of `scaler_reaped_total`", texts(plan.AllRemains())...)
	words("`outcome` of `scaler_config_reloads_total`", ReloadTaken, ReloadUnchanged, ReloadRejected)
}

func texts[T ~string](words []T) (list []string) {
	for _, w := range words {
		list = append(list, string(w))
	}
	return list
}
