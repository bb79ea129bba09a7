package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/config"
)

// verify has systemd-analyze look at a unit, with a program that exists in
// place of the installed one, and returns its exposure level.
func verify(t *testing.T, name, as string) (level float64, report string) {
	t.Helper()
	analyze := needs(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), as)
	text := strings.ReplaceAll(read(t, name), "/usr/bin/scaler", needs(t, "true"))
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, root, nil, analyze, "verify", "--man=no", unit); strings.Contains(out, unit) {
		t.Errorf("systemd-analyze verify warns:\n%s", out)
	}
	out, err := run(t, root, nil, analyze, "security", "--offline=true", "--no-pager", unit)
	if err != nil {
		t.Skipf("this systemd-analyze judges no file: %v", err)
	}
	m := regexp.MustCompile(`exposure level for [^:]+: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure level in:\n%s", out)
	}
	level, err = strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return level, out
}

func TestUnitsAreValid(t *testing.T) {
	for name, as := range map[string]string{"systemd/scaler.service": "scaler.service", "systemd/scaler@.service": "scaler@two.service"} {
		t.Run(as, func(t *testing.T) {
			if level, report := verify(t, name, as); level > 2 {
				t.Errorf("exposure level %v, want 2.0 at most\n%s", level, report)
			}
		})
	}
}

// instanceNames is how the unit of several instances differs from the one.
var instanceNames = strings.NewReplacer(
	"/etc/scaler/scaler.yaml", "/etc/scaler/%i.yaml",
	"on demand\n", "on demand, instance %i\n",
	"Directory=scaler\n", "Directory=scaler-%i\n",
	":/etc/scaler/", ":/etc/scaler/%i-",
	"In scaler.yaml they", "In the file they",
)

// A setting that one unit has and the other lacks is a mistake.
func TestUnitOfInstancesDiffersInNamesOnly(t *testing.T) {
	_, one, _ := strings.Cut(read(t, "systemd/scaler.service"), "\n[Unit]\n")
	_, several, _ := strings.Cut(read(t, "systemd/scaler@.service"), "\n[Unit]\n")
	if want := instanceNames.Replace(one); several != want {
		t.Errorf("scaler@.service is\n%s\nwant\n%s", several, want)
	}
}

// The daemon ends by itself, at the end of its own bound, before systemd kills
// it.
func TestUnitWaitsLongerThanTheDaemon(t *testing.T) {
	m := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)min$`).FindStringSubmatch(read(t, "systemd/scaler.service"))
	if m == nil {
		t.Fatal("scaler.service has no TimeoutStopSec in minutes")
	}
	minutes, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("minimal.yaml", []byte(withSecrets(t, read(t, "configs/minimal.yaml"))))
	if err != nil {
		t.Fatal(err)
	}
	if longest := time.Duration(minutes) * time.Minute; longest <= cfg.ShutdownTimeout {
		t.Errorf("TimeoutStopSec is %v, and shutdown_timeout is %v by default", longest, cfg.ShutdownTimeout)
	}
}

// What preinstall does without systemd-sysusers, scaler.sysusers says too.
func TestUserIsTheSameInBothPlaces(t *testing.T) {
	script, snippet := read(t, "packaging/scripts/preinstall"), read(t, "systemd/scaler.sysusers")
	m := regexp.MustCompile(`(?m)^u scaler - "([^"]+)" (\S+) (\S+)$`).FindStringSubmatch(snippet)
	if m == nil || !strings.Contains(snippet, "\nm scaler docker\n") {
		t.Fatalf("scaler.sysusers makes no user scaler of the group docker:\n%s", snippet)
	}
	for _, want := range []string{"--comment \"" + m[1] + "\"", "--home-dir " + m[2], "--shell " + m[3], "--groups docker"} {
		if !strings.Contains(script, want) {
			t.Errorf("preinstall has no %s", want)
		}
	}
	if sysusers, err := exec.LookPath("systemd-sysusers"); err == nil {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		file, err := filepath.Abs(filepath.Join(root, "systemd/scaler.sysusers"))
		if err != nil {
			t.Fatal(err)
		}
		mustRun(t, root, nil, sysusers, "--root="+dir, file)
		if made := string(mustRead(t, filepath.Join(dir, "etc/passwd"))); !strings.Contains(made, ":"+m[2]+":"+m[3]) {
			t.Errorf("systemd-sysusers made %s", made)
		}
	}
}
