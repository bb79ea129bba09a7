package packaging

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// sourceDate is that of all packages of the tests.
const sourceDate = "SOURCE_DATE_EPOCH=1772366400"

// uniqueName is a name for an image or a container of a test.
func uniqueName(what string) string {
	return "scaler-packaging-" + what + "-" + strings.ToLower(rand.Text())
}

// arch is what this machine's packages are called.
func arch(t *testing.T) string {
	t.Helper()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skipf("no package is made for %s", runtime.GOARCH)
	}
	return runtime.GOARCH
}

// makePackages has make write the packages of this machine's architecture.
func makePackages(t *testing.T, source, version, dist string) {
	t.Helper()
	mustRun(t, source, []string{sourceDate, "DIST=" + dist}, needs(t, "make"), "-s", "packages", "ARCHES="+arch(t), "VERSION="+version)
}

// The versions of the packages.
const (
	oldVersion = "v1.2.3"
	newVersion = "v1.2.4-5-g0123abc"
)

// shared is something that tests have in common. The first that needs it makes
// it; if that fails or is skipped, the next one tries.
type shared struct {
	sync.Mutex
	name string
}

func (s *shared) get(make func() string) string {
	s.Lock()
	defer s.Unlock()
	if s.name == "" {
		s.name = make()
	}
	return s.name
}

var oldPackages, newPackages shared

// packages returns the directory of the packages of a version.
func packages(t *testing.T, version string) string {
	t.Helper()
	made := &oldPackages
	if version == newVersion {
		made = &newPackages
	}
	return made.get(func() string {
		dir, err := os.MkdirTemp("", "scaler-packages")
		if err != nil {
			t.Fatal(err)
		}
		makePackages(t, root, version, dir)
		return dir
	})
}

// program returns the path of the program in the packages of newVersion.
func program(t *testing.T) string {
	t.Helper()
	return filepath.Join(packages(t, newVersion), "work", arch(t), "scaler")
}

// TestMain removes what tests have in common.
func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range []*shared{&oldPackages, &newPackages} {
		if s.name != "" {
			_ = os.RemoveAll(s.name)
		}
	}
	for _, s := range []*shared{&hostImage, &ownImage} {
		if s.name != "" {
			_ = exec.Command("docker", "rmi", "-f", s.name).Run()
		}
	}
	os.Exit(code)
}

// one returns the one file that a pattern finds.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%d files %s in %s, want one: %v", len(found), pattern, dir, err)
	}
	return found[0]
}

func TestPackageVersionsSortAsTheyCameToBe(t *testing.T) {
	tests := []struct{ version, want string }{ // oldest first
		{"c0ffee1-dirty", "0.0.0+c0ffee1+dirty"},
		{"v1.3.0-rc.1", "1.3.0~rc.1"},
		{"v1.3.0-rc.1-7-gabc1234", "1.3.0~rc.1+7.gabc1234"},
		{"v1.3.0", "1.3.0"},
		{"v1.3.0-7-gabc1234", "1.3.0+7.gabc1234"},
		{"v1.3.0-7-gabc1234-dirty", "1.3.0+7.gabc1234+dirty"},
		{"v1.3.1", "1.3.1"},
	}
	for i, tt := range tests {
		got := strings.TrimSpace(mustRun(t, root, []string{"VERSION=" + tt.version, "DIST=" + t.TempDir()}, "scripts/release", "version"))
		if got != tt.want {
			t.Errorf("%s is packaged as %s, want %s", tt.version, got, tt.want)
		}
		if i == 0 {
			continue
		}
		if out, err := run(t, root, nil, needs(t, "dpkg"), "--compare-versions", tests[i-1].want, "lt", tt.want); err != nil {
			t.Errorf("dpkg sorts %s behind %s: %v %s", tests[i-1].want, tt.want, err, out)
		}
	}
}

func TestReleaseRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, tt := range map[string]struct {
		env  []string
		verb string
		says string
	}{
		"no version":   {[]string{"VERSION="}, "packages", "VERSION: is not set"},
		"other arch":   {[]string{"VERSION=v1", "ARCHES=sparc"}, "images", "ARCHES has sparc"},
		"another verb": {[]string{"VERSION=v1"}, "everything", "usage: scripts/release"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, root, append(tt.env, "DIST="+t.TempDir(), "PATH="+withoutGo(t)), "scripts/release", tt.verb)
			if err == nil || !strings.Contains(out, tt.says) {
				t.Errorf("%v: %s, want %q", err, out, tt.says)
			}
		})
	}
}

// withoutGo is a PATH whose go does nothing, for a script that ends before it
// builds.
func withoutGo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(needs(t, "true"), filepath.Join(dir, "go")); err != nil {
		t.Fatal(err)
	}
	return dir + ":" + os.Getenv("PATH")
}

// The second build has another directory.
func TestPackagesAreReproducible(t *testing.T) {
	t.Parallel()
	first := packages(t, oldVersion)
	elsewhere, dist := t.TempDir(), t.TempDir()
	mustRun(t, root, nil, "sh", "-c", `tar --exclude=./.git --exclude=./bin --exclude=./dist -cf - . | tar -xf - -C "$1"`, "sh", elsewhere)
	makePackages(t, elsewhere, oldVersion, dist)
	a, b := string(mustRead(t, filepath.Join(first, "SHA256SUMS"))), string(mustRead(t, filepath.Join(dist, "SHA256SUMS")))
	if a != b {
		t.Errorf("two builds differ:\n%s\n%s", a, b)
	}
	if n := strings.Count(a, "\n"); n != 4 {
		t.Errorf("SHA256SUMS has %d lines, want a .deb, an .rpm, an archive and an SBOM:\n%s", n, a)
	}
	mustRun(t, first, nil, needs(t, "sha256sum"), "--check", "--strict", "SHA256SUMS")
}

// installedFiles are in both kinds of package, with mode, owner and group.
var installedFiles = map[string]string{
	"/usr/bin/scaler":                                   "-rwxr-xr-x root root",
	"/etc/scaler":                                       "drwxr-x--- root scaler",
	"/etc/scaler/scaler.yaml.example":                   "-rw-r--r-- root root",
	"/usr/lib/systemd/system/scaler.service":            "-rw-r--r-- root root",
	"/usr/lib/systemd/system/scaler@.service":           "-rw-r--r-- root root",
	"/usr/lib/sysusers.d/scaler.conf":                   "-rw-r--r-- root root",
	"/usr/share/man/man1/scaler.1.gz":                   "-rw-r--r-- root root",
	"/usr/share/man/man1/scaler-run.1.gz":               "-rw-r--r-- root root",
	"/usr/share/man/man5/scaler.yaml.5.gz":              "-rw-r--r-- root root",
	"/usr/share/bash-completion/completions/scaler":     "-rw-r--r-- root root",
	"/usr/share/fish/vendor_completions.d/scaler.fish":  "-rw-r--r-- root root",
	"/usr/share/doc/scaler/docs/operations.md":          "-rw-r--r-- root root",
	"/usr/share/doc/scaler/configs/compose/scaler.yaml": "-rw-r--r-- root root",
}

// fileList matches a line of dpkg-deb -c or of rpm -qplv.
var fileList = regexp.MustCompile(`(?m)^(\S{10})\s+(?:\d+\s+)?([a-z]+)[/ ]+([a-z]+)\s.*? \.?(/\S*?)/?$`)

// wantFiles checks a list of files for those of all packages and more.
func wantFiles(t *testing.T, list string, more ...string) {
	t.Helper()
	have := map[string]string{}
	for _, m := range fileList.FindAllStringSubmatch(list, -1) {
		have[m[4]] = m[1] + " " + m[2] + " " + m[3]
	}
	for path, want := range installedFiles {
		if have[path] != want {
			t.Errorf("%s is %q, want %q", path, have[path], want)
		}
	}
	for _, path := range more {
		if have[path] != "-rw-r--r-- root root" {
			t.Errorf("%s is %q", path, have[path])
		}
	}
	for path := range have {
		if strings.HasPrefix(path, "/home") || strings.HasPrefix(path, "/tmp") || strings.HasPrefix(path, "/lib/") {
			t.Errorf("the package has %s", path)
		}
	}
}

func TestDebianPackage(t *testing.T) {
	needs(t, "dpkg-deb")
	deb := one(t, packages(t, newVersion), "*.deb")
	if want := "scaler_1.2.4+5.g0123abc-1_" + arch(t) + ".deb"; filepath.Base(deb) != want {
		t.Errorf("the package is called %s, want %s", filepath.Base(deb), want)
	}
	wantFiles(t, mustRun(t, root, nil, "dpkg-deb", "-c", deb), "/usr/share/doc/scaler/copyright", "/usr/share/zsh/vendor-completions/_scaler")
	fields := mustRun(t, root, nil, "dpkg-deb", "-I", deb)
	for _, want := range []string{"Package: scaler\n", "Version: 1.2.4+5.g0123abc-1\n", "Architecture: " + arch(t) + "\n", "Pre-Depends: passwd\n", "Recommends: docker.io"} {
		if !strings.Contains(fields, want) {
			t.Errorf("no %q in\n%s", want, fields)
		}
	}
	if files := mustRun(t, root, nil, "dpkg-deb", "-I", deb, "conffiles"); files != "/etc/scaler/scaler.yaml.example\n" {
		t.Errorf("conffiles: %s", files)
	}
	for _, script := range []string{"preinst", "postinst", "prerm", "postrm"} {
		text := mustRun(t, root, nil, "dpkg-deb", "-I", deb, script)
		if !strings.HasPrefix(text, "#!/bin/sh\n") {
			t.Errorf("%s: %s", script, text)
		}
	}
}

func TestRPMPackage(t *testing.T) {
	needs(t, "rpm")
	rpm := one(t, packages(t, newVersion), "*.rpm")
	wantFiles(t, mustRun(t, root, nil, "rpm", "-qplv", rpm), "/usr/share/licenses/scaler/LICENSE", "/usr/share/zsh/site-functions/_scaler")
	if out := mustRun(t, root, nil, "rpm", "-qp", "--queryformat", "%{NAME} %{VERSION} %{RELEASE} %{LICENSE} %{BUILDHOST}", rpm); out != "scaler 1.2.4+5.g0123abc 1 MIT localhost" {
		t.Errorf("fields: %s", out)
	}
	if files := mustRun(t, root, nil, "rpm", "-qpc", rpm); files != "/etc/scaler/scaler.yaml.example\n" {
		t.Errorf("configuration files: %s", files)
	}
	scripts := mustRun(t, root, nil, "rpm", "-qp", "--scripts", rpm)
	for name, file := range map[string]string{"preinstall": "preinstall", "postinstall": "postinstall", "preuninstall": "preremove", "postuninstall": "postremove"} {
		if !strings.Contains(scripts, name+" scriptlet (using /bin/sh):\n"+read(t, "packaging/scripts/"+file)) {
			t.Errorf("the package has not packaging/scripts/%s as its %s scriptlet:\n%s", file, name, scripts)
		}
	}
	dir := t.TempDir()
	mustRun(t, root, nil, "rpm", "--root", dir, "--dbpath", "/db", "--nodeps", "--noscripts", "--ignorearch", "-i", rpm)
	mustRun(t, root, nil, "rpm", "--root", dir, "--dbpath", "/db", "--nodeps", "-V", "--nouser", "--nogroup", "scaler")
	if out := mustRun(t, root, nil, filepath.Join(dir, "usr/bin/scaler"), "version"); !strings.Contains(out, newVersion) {
		t.Errorf("the installed program says %s", out)
	}
}

func TestArchiveHasEverythingUnderOneDirectory(t *testing.T) {
	top := "scaler-" + newVersion + "-linux-" + arch(t)
	dir := t.TempDir()
	mustRun(t, dir, nil, needs(t, "tar"), "-xzf", filepath.Join(packages(t, newVersion), top+".tar.gz"))
	for _, file := range []string{"scaler", "LICENSE", "README.md", "systemd/scaler@.service", "configs/minimal.yaml", "docs/operations.md", "man/scaler.1", "completions/scaler.zsh"} {
		if info, err := os.Stat(filepath.Join(dir, top, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	if out := mustRun(t, root, nil, filepath.Join(dir, top, "scaler"), "version"); !strings.Contains(out, newVersion) {
		t.Errorf("the program says %s", out)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if path, err := exec.LookPath(shell); err == nil {
			mustRun(t, dir, nil, path, "-n", filepath.Join(top, "completions", "scaler."+shell))
		}
	}
}

// The SBOM has each module that is in the binary, in its version.
func TestSBOMListsWhatIsInTheBinary(t *testing.T) {
	dist := packages(t, newVersion)
	var bom struct {
		BOMFormat string `json:"bomFormat"`
		Metadata  struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(mustRead(t, one(t, dist, "*.cdx.json")), &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BOMFormat != "CycloneDX" || bom.Metadata.Component.Name != "scaler.io/scaler" || bom.Metadata.Component.Version != newVersion {
		t.Errorf("SBOM of %s %+v", bom.BOMFormat, bom.Metadata.Component)
	}
	var listed []string
	for _, c := range bom.Components {
		if c.Name != "std" {
			listed = append(listed, c.Name+" "+c.Version)
		}
		if !strings.HasPrefix(c.PURL, "pkg:golang/") {
			t.Errorf("%s has the package URL %q", c.Name, c.PURL)
		}
	}
	if len(listed) == len(bom.Components) {
		t.Error("the SBOM lacks the standard library")
	}
	var linked []string
	for line := range strings.Lines(mustRun(t, root, nil, "go", "version", "-m", program(t))) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "dep" {
			linked = append(linked, fields[1]+" "+fields[2])
		}
	}
	slices.Sort(listed)
	slices.Sort(linked)
	if len(linked) < 20 || !slices.Equal(listed, linked) {
		t.Errorf("the SBOM lists\n%s\nand the binary has\n%s", strings.Join(listed, "\n"), strings.Join(linked, "\n"))
	}
}
