package main

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// testDir holds what is made once for all tests.
var testDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bench-test")
	if err != nil {
		panic(err)
	}
	testDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// buildScaler builds the binary to measure, once for all tests.
var buildScaler = sync.OnceValues(func() (string, error) {
	path := filepath.Join(testDir, "scaler")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "../cmd/scaler")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return path, nil
})

// smoke prepares a smoke run of some parts.
func smoke(t *testing.T, only string) (*bench, []part) {
	t.Helper()
	binary, err := buildScaler()
	if err != nil {
		t.Fatalf("build scaler: %v\n%s", err, binary)
	}
	o, chosen, err := parse([]string{"-quick", "-only", only, "-scaler", binary}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return newBench(o, t.Output()), chosen
}

// needEngine skips the test where no Docker Engine answers.
func needEngine(t *testing.T) {
	t.Helper()
	err := newEngineClient(machineSocket()).ping(t.Context())
	switch {
	case err != nil && os.Getenv("SCALER_REQUIRE_ENGINE") != "":
		t.Fatal(err)
	case err != nil:
		t.Skipf("no Docker Engine: %v", err)
	}
}

// figures are the JSON of a run, as others read it.
func figures(t *testing.T, b *bench) map[string]any {
	t.Helper()
	file := filepath.Join(t.TempDir(), "figures.json")
	if err := b.report.write(file); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// positive fails the test unless each figure, as "part.key", is above zero.
func positive(t *testing.T, got map[string]any, keys ...string) {
	t.Helper()
	for _, key := range keys {
		name, inner, nested := strings.Cut(key, ".")
		value := got[name]
		if nested {
			group, _ := got[name].(map[string]any)
			value = group[inner]
		}
		if n, _ := value.(float64); n <= 0 {
			t.Errorf("%s = %v, want a figure above 0", key, value)
		}
	}
}

func TestEngineParts(t *testing.T) {
	needEngine(t)
	b, chosen := smoke(t, "cold_start,burst,teardown")
	if len(chosen) != 2 {
		t.Errorf("%d runs for cold_start, burst and teardown, want 2: %s", len(chosen), names(chosen))
	}
	if err := b.measure(t.Context(), chosen); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	b.report.print(&out)
	t.Log("\n" + out.String())
	positive(t, figures(t, b), "cold_start.ratio_p50", "cold_start.ratio_p50_poll", "cold_start.ratio_p50_standby", "cold_start.ours_ms", "cold_start.ours_poll_ms", "cold_start.floor_ms",
		"cold_start.polling_ms", "burst.ratio", "burst.ours_per_s", "burst.floor_per_s", "teardown.ratio", "teardown.ours_per_s", "teardown.floor_per_s", "machine.cores")
	nothingLeft(t, b)
}

func TestPartsWithoutEngine(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	b, chosen := smoke(t, "burst,churn,rss_mb,plan,state")
	err := b.measure(t.Context(), chosen)
	if err == nil || !strings.Contains(err.Error(), "burst: it needs a Docker Engine, and none answers at /nonexistent/docker.sock") {
		t.Errorf("error %v, want to be told of the missing engine", err)
	}
	got := figures(t, b)
	positive(t, got, "churn.decisions_per_s", "churn.cpu_s", "churn.peak_rss_mb", "churn.requests_per_job", "rss_mb", "idle.peak_rss_mb", "plan.ms",
		"state.ratio", "state.ours_per_s", "state.floor_per_s")
	if got["burst"] != nil {
		t.Errorf("burst = %v without an engine", got["burst"])
	}
	if _, err := os.Stat(b.dir); !os.IsNotExist(err) {
		t.Errorf("directory %s is left: %v", b.dir, err)
	}
}

func TestInterruptLeavesNothing(t *testing.T) {
	needEngine(t)
	b, chosen := smoke(t, "burst")
	ctx, interrupt := context.WithTimeout(t.Context(), time.Minute)
	defer interrupt()
	go func() {
		for ctx.Err() == nil {
			if ids, err := b.engine.list(ctx, benchLabel+"="+b.id, true); err == nil && len(ids) > 0 {
				interrupt()
			}
			_ = pause(ctx, lookEvery)
		}
	}()
	if err := b.measure(ctx, chosen); err == nil {
		t.Error("an interrupted run is no error")
	}
	nothingLeft(t, b)
}

// nothingLeft fails the test if the engine has anything of the run.
func nothingLeft(t *testing.T, b *bench) {
	t.Helper()
	label := benchLabel + "=" + b.id
	containers, err := b.engine.list(t.Context(), label, false)
	if err != nil || len(containers) > 0 {
		t.Errorf("containers left: %v, %v", containers, err)
	}
	var images []json.RawMessage
	err = b.engine.do(t.Context(), "GET", "/images/json?all=true&filters="+url.QueryEscape(`{"label":["`+label+`"]}`), "", nil, &images)
	if err != nil || len(images) > 0 {
		t.Errorf("images left: %s, %v", images, err)
	}
}

func TestParse(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "scaler")
	if err := os.WriteFile(binary, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, args, parts, fault string }{
		{name: "all", parts: "cold_start,burst,churn,rss_mb,plan,state"},
		{name: "one", args: "-only cold_start -n 30", parts: "cold_start"},
		{name: "teardown alone", args: "-only teardown,plan", parts: "teardown,plan"},
		{name: "soak", args: "-soak 10m", parts: "soak"},
		{name: "unknown part", args: "-only cold", fault: `there is no part "cold"`},
		{name: "no jobs", args: "-n 0", fault: "must be at least 1"},
		{name: "argument", args: "burst", fault: `unexpected argument "burst"`},
		{name: "no binary", args: "-scaler /nonexistent", fault: "no such file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, chosen, err := parse(append([]string{"-scaler", binary}, strings.Fields(tc.args)...), t.Output())
			if tc.fault == "" && (err != nil || names(chosen) != tc.parts) {
				t.Errorf("parts %s, error %v, want %s", names(chosen), err, tc.parts)
			}
			if tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)) {
				t.Errorf("error %v, want %q", err, tc.fault)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		in   []time.Duration
		want time.Duration
	}{{nil, 0}, {[]time.Duration{5}, 5}, {[]time.Duration{9, 1, 4}, 4}, {[]time.Duration{8, 2, 4, 100}, 6}} {
		if got := median(tc.in); got != tc.want {
			t.Errorf("median(%v) = %v, want %v", tc.in, got, tc.want)
		}
	}
}

// The world that plans are timed on must be one in which there is much to
// decide, or the time says nothing.
func TestWorldIsBusy(t *testing.T) {
	size := planSize{jobs: 100, runners: 40, pools: 5}
	spec, snap := world(size)
	p := plan.Compute(spec, snap)
	starts := 0
	for _, a := range p.Actions {
		if a.Kind == plan.ActionStart {
			starts++
		}
	}
	served := slices.ContainsFunc(p.Decisions, plan.Decision.Served)
	if len(p.Decisions) != size.jobs || len(p.Pools) != size.pools || starts == 0 || !served {
		t.Errorf("%d decisions, %d pools, %d starts, served %v", len(p.Decisions), len(p.Pools), starts, served)
	}
}

// Arrivals cover the interval evenly, in no order.
func TestArrivals(t *testing.T) {
	const n, interval = 20, time.Second
	at := arrivals(n, interval)
	if slices.IsSorted(at) {
		t.Errorf("arrivals come in the order of time: %v", at)
	}
	slices.Sort(at)
	for i, d := range at {
		if part := interval / n; d < time.Duration(i)*part || d >= time.Duration(i+1)*part {
			t.Errorf("arrival %d of %d is at %s of %s", i, len(at), d, interval)
		}
	}
}
