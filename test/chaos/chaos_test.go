package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestChaos is a short run against each engine.
func TestChaos(t *testing.T) {
	binary := buildScaler(t)
	for _, tc := range []struct {
		engine string
		args   []string
	}{
		{engineMemory, []string{"-kills", "40", "-worlds", "2", "-seed", "7"}},
		{engineMemory, []string{"-kills", "3", "-edits", "20", "-bad-edits", "10", "-seed", "7"}},
		{engineMemory, []string{"-kills", "30", "-orders", "-worlds", "2", "-seed", "7"}},
		{engineMemory, []string{"-kills", "3", "-edits", "20", "-orders", "-seed", "8"}},
		{engineDocker, []string{"-kills", "5", "-seed", "7"}},
	} {
		t.Run(tc.engine, func(t *testing.T) {
			if tc.engine == engineDocker {
				needsEngine(t)
			}
			t.Parallel()
			wantNoLoss(t, append(tc.args, "-engine", tc.engine, "-scaler", binary))
		})
	}
}

// TestChaosOnSwarm is a short run on a Swarm of an engine of its own.
func TestChaosOnSwarm(t *testing.T) {
	if os.Getenv("SCALER_TEST_SWARM") != "1" || os.Geteuid() != 0 {
		t.Skip("makes a Swarm of an engine of its own, as root: set SCALER_TEST_SWARM=1")
	}
	wantNoLoss(t, []string{"-kills", "20", "-seed", "7", "-engine", engineSwarm, "-scaler", buildScaler(t)})
}

// wantNoLoss runs the command, whose first flag is how often it kills.
func wantNoLoss(t *testing.T, args []string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), append(args, "-late=false", "-v"), &out, &errs)
	t.Logf("%s%s", &out, &errs)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := `^kills=` + args[1] + ` jobs=(\d+) completed=(\d+) lost=0 busy_stopped=0 corpses=0 orphans=0 foreign_touched=0( edits=20 bad_edits=(10|0) mistaken=0)?( orders=\d+ forgotten=0)?$`
	found := regexp.MustCompile(want).FindStringSubmatch(lines[len(lines)-1])
	if code != 0 || found == nil || found[1] != found[2] || found[1] == "0" {
		t.Errorf("exit code %d, last line %q", code, lines[len(lines)-1])
	}
}

// buildScaler builds the binary under test.
func buildScaler(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scaler")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "../../cmd/scaler")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build scaler: %v\n%s", err, out)
	}
	return path
}

// needsEngine skips the test without an engine, or fails it if
// SCALER_REQUIRE_ENGINE=1 says that there must be one.
func needsEngine(t *testing.T) {
	t.Helper()
	err := newEngineClient(machineSocket()).ping(t.Context())
	switch {
	case err != nil && os.Getenv("SCALER_REQUIRE_ENGINE") == "1":
		t.Fatalf("SCALER_REQUIRE_ENGINE=1: %v", err)
	case err != nil:
		t.Skipf("needs a Docker engine: %v", err)
	}
}

func TestParse(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "scaler")
	if err := os.WriteFile(binary, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, args, want string
	}{
		{"all", "-kills 7 -edits 5 -bad-edits 4 -seed 3 -engine memory -worlds 2", ""},
		{"nothing to do", "-kills 0", "-kills, -edits and -bad-edits must not be negative, and not all be 0"},
		{"negative", "-edits -1", "must not be negative"},
		{"unknown engine", "-engine podman", "-engine must be docker, swarm or memory"},
		{"argument", "more", `unexpected argument "more"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, err := parse(append([]string{"-scaler", binary}, strings.Fields(tc.args)...), &bytes.Buffer{})
			switch {
			case tc.want == "" && (err != nil || o.kills != 7 || o.edits != 5 || o.badEdits != 4 || o.seed != 3 || o.worlds != 2):
				t.Errorf("%+v, %v", o, err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := parse([]string{"-scaler", binary + "-missing"}, &bytes.Buffer{}); err == nil {
		t.Error("no error for a binary that does not exist")
	}
	if o, err := parse([]string{"-scaler", binary}, &bytes.Buffer{}); err != nil || o.seed == 0 {
		t.Errorf("seed %d, %v: want a new one", o.seed, err)
	}
}

func TestFigures(t *testing.T) {
	good := figures{kills: 1, jobs: 2, completed: 2}
	if want := "kills=1 jobs=2 completed=2 lost=0 busy_stopped=0 corpses=0 orphans=0 foreign_touched=0"; good.String() != want {
		t.Errorf("%q, want %q", good, want)
	}
	edited := figures{kills: 1, jobs: 2, completed: 2, edits: 3, badEdits: 4, mistaken: 5}
	if want := good.String() + " edits=3 bad_edits=4 mistaken=5"; edited.String() != want {
		t.Errorf("%q, want %q", edited.String(), want)
	}
	for name, tc := range map[string]struct {
		add  figures
		want bool
	}{
		"nothing":         {figures{}, true},
		"more jobs":       {figures{jobs: 3, completed: 3}, true},
		"not completed":   {figures{jobs: 1}, false},
		"lost":            {figures{lost: 1}, false},
		"busy stopped":    {figures{busyStopped: 1}, false},
		"corpses":         {figures{corpses: 1}, false},
		"orphans":         {figures{orphans: 1}, false},
		"foreign touched": {figures{foreignTouched: 1}, false},
		"edits":           {figures{edits: 1, badEdits: 1}, true},
		"mistaken":        {figures{mistaken: 1}, false},
		"orders":          {figures{orders: 1}, true},
		"forgotten":       {figures{orders: 1, forgotten: 1}, false},
	} {
		if got := good.add(tc.add).good(); got != tc.want {
			t.Errorf("%s: good() = %v", name, got)
		}
	}
}
