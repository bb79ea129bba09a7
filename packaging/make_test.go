package packaging

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// makeTargets returns what make help lists.
func makeTargets(t *testing.T) []string {
	t.Helper()
	var targets []string
	for line := range strings.Lines(mustRun(t, root, nil, needs(t, "make"), "-s", "help")) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "make" {
			targets = append(targets, fields[1])
		}
	}
	return targets
}

func TestHelpListsEveryTarget(t *testing.T) {
	m := regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindStringSubmatch(read(t, "Makefile"))
	if m == nil {
		t.Fatal("Makefile declares no targets")
	}
	listed, declared := makeTargets(t), strings.Fields(m[1])
	slices.Sort(listed)
	slices.Sort(declared)
	if !slices.Equal(listed, declared) {
		t.Errorf("make help lists %v, and .PHONY has %v", listed, declared)
	}
}

// build makes the binary with make, in dir, and returns its bytes.
func build(t *testing.T, dir, version string) []byte {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "scaler")
	mustRun(t, dir, nil, needs(t, "make"), "-s", "build", "BIN="+bin, "VERSION="+version)
	data, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBuildIsStaticStampedAndReproducible(t *testing.T) {
	needs(t, "tar")
	first := build(t, root, "v1.2.3-test")

	file, err := elf.NewFile(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has a %v", p.Type)
		}
	}
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(first, []byte(dir+"/")) {
		t.Errorf("the binary has the directory that it was built in, %s", dir)
	}

	bin := filepath.Join(t.TempDir(), "scaler")
	if err := os.WriteFile(bin, first, 0o755); err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, root, nil, bin, "version"); !strings.Contains(out, "v1.2.3-test") {
		t.Errorf("version is not stamped: %s", out)
	}

	elsewhere := t.TempDir()
	mustRun(t, root, nil, "sh", "-c",
		`tar --exclude=./.git --exclude=./bin --exclude=./dist -cf - . | tar -xf - -C "$1"`, "sh", elsewhere)
	if second := build(t, elsewhere, "v1.2.3-test"); !bytes.Equal(first, second) {
		t.Errorf("two builds in different directories differ: %d and %d bytes", len(first), len(second))
	}
}

// An image from scratch has neither certificate authorities nor time zones.
func TestBinaryBringsAuthoritiesAndTimeZones(t *testing.T) {
	deps := strings.Fields(mustRun(t, root, nil, "go", "list", "-deps", "./cmd/scaler"))
	for _, want := range []string{"golang.org/x/crypto/x509roots/fallback", "time/tzdata"} {
		if !slices.Contains(deps, want) {
			t.Errorf("cmd/scaler does not import %s", want)
		}
	}
}

func TestScriptsAreExecutableAndWellFormed(t *testing.T) {
	for name, shell := range map[string]string{".ci/run": "bash", "scripts/engine": "sh", "scripts/release": "sh", "scripts/test": "sh",
		"packaging/scripts/preinstall": "sh", "packaging/scripts/postinstall": "sh", "packaging/scripts/preremove": "sh", "packaging/scripts/postremove": "sh"} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o111 == 0 {
			t.Errorf("%s is not executable", name)
		}
		mustRun(t, root, nil, needs(t, shell), "-n", name)
	}
}
